"""What marimo draws in a browser, as Jupyter shows it: formulas for MathJax, pictures as images, controls as words.

    marimo-tex                  ||( ... ||) and ||[ ... ||]: a formula, in dollars for MathJax
    marimo-mime-renderer        a picture inside a layout: an image
    marimo-slider, -radio ...   a control: its label and its value, for it cannot be moved there

``python notebooks/jupyter.py FILE.ipynb ...`` rewrites the outputs of exported notebooks in place.  It also puts
the first part of this file into a folded first cell, so that they look the same when run again in Jupyter.
"""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

_TEX = re.compile(r"<marimo-tex[^>]*>\s*\|\|([(\[])(.*?)\|\|[)\]]\s*</marimo-tex>", re.S)
_PICTURE = re.compile(r"<marimo-mime-renderer\s[^>]*?data-data='([^']*)'[^>]*>\s*</marimo-mime-renderer>")
_CONTROL = re.compile(r"<marimo-(?:slider|dropdown|multiselect|radio|checkbox)\s([^>]*)>\s*</marimo-[a-z]+>")
_WRAPPER = re.compile(r"</?marimo-ui-element[^>]*>")
_TAG = re.compile(r"<[^>]*>")


def for_jupyter(text: str) -> str:
    """One output of a cell, without marimo's own elements.

    >>> for_jupyter("<p><marimo-tex class='arithmatex'>||(a &lt; b||)</marimo-tex></p>")
    '<p>$a &lt; b$</p>'
    >>> for_jupyter("<marimo-slider data-initial-value='4' data-label='&quot;layers&quot;'></marimo-slider>")
    '<span><b>layers</b>: 4</span>'
    """
    if text.lstrip().startswith("&lt;marimo-"):
        text = html.unescape(text)
    text = _PICTURE.sub(_picture, text)
    text = _WRAPPER.sub("", _CONTROL.sub(_control, text))
    return _formulas(text)


def _formulas(text: str) -> str:
    def formula(found: re.Match[str]) -> str:
        dollars = "$" if found[1] == "(" else "$$"
        return f"{dollars}{found[2]}{dollars}"

    return _TEX.sub(formula, text)


def _picture(found: re.Match[str]) -> str:
    pictures = json.loads(json.loads(html.unescape(found[1])))
    place = next((value for kind, value in pictures.items() if kind.startswith("image/")), None)
    return f'<img style="max-width: 100%" src="{place}">' if place else found[0]


def _control(found: re.Match[str]) -> str:
    data = dict(re.findall(r"data-([a-z-]+)='([^']*)'", found[1]))
    value = json.loads(html.unescape(data["initial-value"]))
    label = json.loads(html.unescape(data.get("label", "null"))) or ""
    words = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    said = ", ".join(map(str, words)) if isinstance(words, list) else str(words)
    name = _TAG.sub("", _formulas(label)).strip()
    return f"<span><b>{name}</b>: {said}</span>" if name else said


_IN_JUPYTER = """import marimo

_shown = get_ipython().display_formatter.formatters["text/html"]
_shown.for_type(marimo.Html, lambda output: for_jupyter(output.text))
"""


def first_cell() -> dict[str, Any]:
    """The cell after which Jupyter shows what marimo's own elements show."""
    source = Path(__file__).read_text(encoding="utf-8").partition("_IN_JUPYTER =")[0] + _IN_JUPYTER
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["remove-input"]}
    code = {"cell_type": "code", "execution_count": None, "outputs": []}
    return {**code, "id": "for_jupyter", "metadata": hidden, "source": source}


def rewrite(path: Path) -> None:
    """One notebook, rewritten in place: its outputs, and the first cell."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"] = [first_cell(), *(cell for cell in notebook["cells"] if cell.get("id") != "for_jupyter")]
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in ("text/html", "text/markdown"):
                if kind in data:
                    data[kind] = for_jupyter("".join(data[kind]))
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
