"""An exported notebook as a page: all of it is inside, nothing is fetched or run, formulas are MathML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.loading import loaded

pytest.importorskip("markdown")
pytest.importorskip("pygments")
pytest.importorskip("docutils")
PATH = Path(__file__).parent.parent.parent / "notebooks" / "pages.py"


pages = loaded(PATH)


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "nbformat": 4}


def code(source: str, *tags: str, **data: str) -> dict[str, Any]:
    outputs = [{"output_type": "display_data", "data": {kind.replace("_", "/"): value for kind, value in data.items()}}]
    return {"cell_type": "code", "source": [source], "metadata": {"tags": list(tags)}, "outputs": outputs}


class Reader(HTMLParser):
    """What a page would fetch or run, its words, and how its tables are filled."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        fetched = [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.fetched += [value for value in fetched if not value.startswith("data:")]


def test_a_page_has_everything_inside() -> None:
    text = pages.page(
        notebook(
            {
                "cell_type": "markdown",
                "source": ["# One\n\n$a_1 < b_2$ and `$c$`\n\n| x | y |\n|--|--|\n| $|z|$ | 2 |\n"],
            },
            code("x = 1  # seen", image_png="AAAA"),
            code(
                "y = 2  # unseen",
                "remove-input",
                text_html="<b>shown</b> $$\\left[\\begin{array}{cc}1 & 2\\end{array}\\right]$$",
            ),
            code("", text_markdown='<span class="markdown">of $x$</span>'),
        ),
        "a page",
    )
    read = Reader()
    read.feed(text)
    assert read.fetched == []
    assert not {"script", "link", "iframe", "object"} & set(read.tags)
    assert 'src="data:image/png;base64,AAAA"' in text
    words = re.sub(r"<[^>]*>", "", text.partition("<body>")[2])
    assert "seen" in words
    assert "unseen" not in words
    assert "<b>shown</b>" in text
    assert "$c$" in words
    assert "$a_1" not in words
    assert read.tags.count("math") == 4
    assert read.tags.count("td") == 2
    assert read.tags.count("mtd") == 2


def test_a_formula_that_the_translator_does_not_know_stays_as_it_was_written() -> None:
    assert pages.formula(r"\unheard{<x>}") == r"<code>\unheard{&lt;x&gt;}</code>"


def test_the_page_lies_beside_its_notebook(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook(code("1", text_plain="<1>"))), encoding="utf-8")
    made = pages.write(path)
    assert made == tmp_path / "a.html"
    assert "<pre>&lt;1&gt;</pre>" in made.read_text(encoding="utf-8")
