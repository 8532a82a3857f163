"""How Sphinx builds the documentation: `make docs` writes it to build/docs, and a warning is an error.

Formulas become MathML by docutils' own translator, so the pages need no network and no script to be read.  Pictures are
drawn by the project itself while the pages are built (drawings.py).
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import algebraic_cnn

project = "algebraic_cnn"
author = "the algebraic_cnn authors"
copyright = "the algebraic_cnn authors, MIT licence"
version = release = algebraic_cnn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["build"]
default_role = "code"
toc_object_entries_show_parents = "hide"
smartquotes_action = "D"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "attrs_block", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "algebraic_cnn"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_js_files = ["copy.js"]
html_math_renderer = "mathml"
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

# Spans of a docstring that are markup as they stand: literals, roles, prompts and directives.
_MARKUP = re.compile(r"``.*?``|:\w+:`[^`]*`|`[^`]+`|\\.")


def _as_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let the signs that formulas in docstrings use mean themselves: * and | are no markup, nor is a trailing _."""
    verbatim = False
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith(" ") and verbatim:
            verbatim = False
        verbatim = verbatim or line.lstrip().startswith((".. ", ">>> "))
        if not line.strip() and number and lines[number - 1].lstrip().startswith((">>>", "...")):
            continue
        if not verbatim:
            lines[number] = _escaped(line)


def _escaped(line: str) -> str:
    parts, end = [], 0
    for span in _MARKUP.finditer(line):
        parts += [_without_markup(line[end : span.start()]), span.group()]
        end = span.end()
    return "".join([*parts, _without_markup(line[end:])])


def _without_markup(text: str) -> str:
    return re.sub(r"([*|]|_(?=\W|$))", r"\\\1", text)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, **how: bool) -> str:
    """A formula as MathML; as it was written, and a warning, where the translator does not know a command."""
    try:
        return tex2mathml(node.astext(), **how)
    except MathError as error:
        logging.getLogger(__name__).warning("a formula cannot be translated: %s", error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def _draw(app: Any) -> None:
    import drawings

    drawings.draw_all(HERE / "build")


def setup(app: Any) -> None:
    """What is ours: formulas, docstrings, drawings."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.connect("autodoc-process-docstring", _as_text, priority=100)
    app.connect("builder-inited", _draw)
