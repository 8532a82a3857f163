"""An exported notebook as one HTML page with everything inside: it opens offline, and runs no script.

    page       a notebook with its outputs -> HTML: code folded, pictures as data, formulas as MathML
    formula    a formula of LaTeX, as MathML; as it was written where the translator does not know a command

``python notebooks/pages.py FILE.ipynb ...`` writes FILE.html beside each.  Controls show what they were set to: to move
them, ``marimo edit`` the notebook itself.
"""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from markdown import markdown
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

_FORMATTER = HtmlFormatter(nowrap=False)
_CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.S)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+(?:\n[^$\n]+)*?)\$", re.S)
_EXTENSIONS = ["tables", "fenced_code"]
_STYLE = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid #ddd; vertical-align: top; }
img, svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; padding: 0.5rem 0.75rem; background: #f6f6f6; font-size: 0.82rem; }
code { font-size: 0.9em; }
blockquote { margin: 1rem 0; padding-left: 1rem; border-left: 3px solid #ccc; }
details { margin: 0.5rem 0; }
summary { color: #777; font-size: 0.8rem; cursor: pointer; }
math[display=block] { margin: 1rem 0; overflow: auto hidden; }
"""


def page(notebook: dict[str, Any], title: str) -> str:
    """A notebook with its outputs, as ``jupyter.py`` leaves it, as one page of HTML."""
    cells = "\n".join(filter(None, map(_cell, notebook["cells"])))
    style = _STYLE + _FORMATTER.get_style_defs(".highlight")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{style}</style></head>\n<body>\n{cells}\n</body></html>\n'
    )


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    hidden = "remove-input" in cell.get("metadata", {}).get("tags", [])
    if cell["cell_type"] == "markdown":
        return _text(source)
    shown = [part for output in cell.get("outputs", []) if (part := _output(output))]
    code = highlight(source, PythonLexer(), _FORMATTER) if source.strip() and not hidden else ""
    folded = f"<details><summary>code</summary>{code}</details>" if code else ""
    return "\n".join([*shown, folded])


def _output(output: dict[str, Any]) -> str:
    if output.get("output_type") == "stream":
        return f"<pre>{html.escape(''.join(output['text']))}</pre>"
    data = {
        kind: value if kind == "application/json" else "".join(value) for kind, value in output.get("data", {}).items()
    }
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            source = data[kind] if data[kind].startswith("data:") else f"data:{kind};base64,{data[kind]}"
            return f'<img alt="" src="{html.escape(source)}">'
    if "image/svg+xml" in data:
        return data["image/svg+xml"]
    if "text/html" in data:
        return _formulas(data["text/html"])
    if "text/markdown" in data:
        text = data["text/markdown"]
        return _formulas(text) if text.lstrip().startswith("<") else _text(text)
    return f"<pre>{html.escape(data['text/plain'])}</pre>" if data.get("text/plain") else ""


def _text(source: str) -> str:
    """Markdown as HTML; formulas are taken out first, for Markdown would read their signs."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(_mathml(found))
        return f"\ue000{len(kept) - 1}\ue001"

    plain = _outside_code(source, re.compile(r"```.*?```|`[^`\n]*`", re.S), lambda text: _FORMULA.sub(keep, text))
    return re.sub("\ue000(\\d+)\ue001", lambda found: kept[int(found[1])], markdown(plain, extensions=_EXTENSIONS))


def _formulas(text: str) -> str:
    """HTML, its formulas between dollars as MathML."""
    return _outside_code(text, _CODE, lambda part: _FORMULA.sub(_mathml, part))


def _outside_code(text: str, code: re.Pattern[str], change: Any) -> str:
    parts, end = [], 0
    for span in code.finditer(text):
        parts += [change(text[end : span.start()]), span.group()]
        end = span.end()
    return "".join([*parts, change(text[end:])])


def _mathml(found: re.Match[str]) -> str:
    return formula(html.unescape(found[1] or found[2]).strip(), block=found[1] is not None)


def formula(text: str, *, block: bool = False) -> str:
    """A formula as MathML.

    >>> formula("x^2").splitlines()[1:3]
    ['  <msup>', '    <mi>x</mi>']
    """
    known = re.sub(r"\\(begin|end)\{array\}(?:\{[clr|]+\})?", r"\\\1{matrix}", text)  # SymPy's, of many columns
    try:
        return tex2mathml(known, as_block=block)
    except MathError:
        return f"<code>{html.escape(text)}</code>"


def write(path: Path) -> Path:
    """The page of an exported notebook, beside it."""
    made = path.with_suffix(".html")
    made.write_text(page(json.loads(path.read_text(encoding="utf-8")), path.stem), encoding="utf-8")
    return made


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(Path(name))
