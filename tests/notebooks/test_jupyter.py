"""What an exported notebook shows in Jupyter: formulas, pictures and controls, and nothing that only marimo draws."""

from __future__ import annotations

import html
import json
import types
from pathlib import Path

import pytest

from tests.notebooks.loading import loaded

PATH = Path(__file__).parent.parent.parent / "notebooks" / "jupyter.py"


jupyter = loaded(PATH)


def control(kind: str, value: object, label: str) -> str:
    data = {"initial-value": json.dumps(value), "label": json.dumps(label), "debounce": "false"}
    attributes = " ".join(f"data-{name}='{html.escape(text)}'" for name, text in data.items())
    return f"<marimo-ui-element object-id='a-0'><marimo-{kind} {attributes}></marimo-{kind}></marimo-ui-element>"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("slider", 0.5, "0.5"),
        ("dropdown", ["zeros"], "zeros"),
        ("radio", "W", "W"),
        ("multiselect", ["(0, 2)", "(1, 4)"], "(0, 2), (1, 4)"),
        ("checkbox", True, "yes"),
        ("checkbox", False, "no"),
    ],
)
def test_a_control_becomes_its_label_and_its_value(kind: str, value: object, said: str) -> None:
    label = "<span class=\"prose\">the <marimo-tex class='arithmatex'>||(t||)</marimo-tex></span>"
    shown = f"<span><b>the $t$</b>: {said}</span>"
    assert jupyter.for_jupyter(f"move {control(kind, value, label)} here") == f"move {shown} here"
    assert jupyter.for_jupyter(html.escape(control(kind, value, ""))) == said  # as marimo writes a control alone


def test_formulas_are_for_mathjax() -> None:
    inline, display = "<marimo-tex>||(x||)</marimo-tex>", '<marimo-tex class="a">||[\ny\n||]</marimo-tex>'
    assert jupyter.for_jupyter(f"<p>{inline}{display}</p>") == "<p>$x$$$\ny\n$$</p>"


def test_a_picture_in_a_layout_is_an_image() -> None:
    picture = json.dumps(json.dumps({"image/png": "data:image/png;base64,AAAA"}))
    text = f"<marimo-mime-renderer data-mime='x' data-data='{html.escape(picture)}'></marimo-mime-renderer>"
    assert jupyter.for_jupyter(text) == '<img style="max-width: 100%" src="data:image/png;base64,AAAA">'
    unknown = text.replace("image/png", "text/plain")
    assert jupyter.for_jupyter(unknown) == unknown


def test_outputs_are_rewritten_and_a_first_cell_is_put_before_them_once(tmp_path: Path) -> None:
    text = "<marimo-tex>||(x||)</marimo-tex>"
    outputs = [{"output_type": "display_data", "data": {"text/html": [text, text], "image/png": "AAAA"}}]
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "markdown", "source": [text]}, {"cell_type": "code", "source": [text], "outputs": outputs}]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    jupyter.rewrite(path)
    jupyter.rewrite(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    first, *others = found["cells"]
    assert first == jupyter.first_cell()
    assert others[1]["outputs"][0]["data"] == {"text/html": "$x$$x$", "image/png": "AAAA"}
    assert [cell["source"] for cell in others] == [[text], [text]]
    assert found["nbformat"] == 4


def test_after_the_first_cell_a_rerun_shows_the_same() -> None:
    """The cell is run beside a stand-in for IPython, which remembers how marimo's outputs are shown."""
    marimo = pytest.importorskip("marimo")
    shown: dict = {}
    formatter = types.SimpleNamespace(for_type=shown.__setitem__)
    shell = types.SimpleNamespace(display_formatter=types.SimpleNamespace(formatters={"text/html": formatter}))
    exec(jupyter.first_cell()["source"], {"get_ipython": lambda: shell, "__name__": "__main__"})
    assert "$x$" in shown[marimo.Html](marimo.md("$x$"))
    assert shown[marimo.Html](marimo.ui.slider(0, 3, value=2, label="layers")) == "<span><b>layers</b>: 2</span>"
