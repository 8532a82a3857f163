"""Public docstrings are complete: arguments, results, errors, an example that runs; and the check catches what is not.

public      a name of ``algebraic_cnn.__all__``, or any function of the package whose name has no underscore in front
raised      the errors of the family that a function raises itself, read from its syntax tree
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import algebraic_cnn
from algebraic_cnn import errors

PACKAGE = Path(algebraic_cnn.__file__).parent
FAMILY = {name for name, value in vars(errors).items() if inspect.isclass(value)}

#: Their examples take an extra, or Hypothesis: tests/ir/test_onnx_reading.py, tests/testing/test_testing.py and
#: tests/homotopy/test_searching.py have them.
ELSEWHERE = {"save_onnx", "load_onnx", "geometries", "linear_cnns", "residual_networks", "affine_modules"}
ELSEWHERE |= {"search_schedule", "collapse_onnx"}


def gaps(name: str, value: Any) -> list[str]:
    """What the docstring of a public name does not say."""
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value):
        said = issubclass(value, Exception) or re.search(r"Args:|Attributes:|arguments and", text)
        return [] if said or not inspect.signature(value).parameters else ["Args"]
    signature = inspect.signature(value)
    missing = [f"argument {p}" for p in signature.parameters if p != "draw" and not re.search(rf"^\s*{p}:", text, re.M)]
    returns = signature.return_annotation not in ("None", None)
    missing += ["Returns"] if returns and "Returns:" not in text else []
    return missing + (["an example"] if ">>> " not in text and name not in ELSEWHERE else [])


@pytest.mark.parametrize("name", algebraic_cnn.__all__)
def test_public_names_say_what_they_take_and_give(name: str) -> None:
    assert not gaps(name, getattr(algebraic_cnn, name))


def bare(x: int) -> int:
    """x."""
    return x


def unexplained(x: int, y: int) -> int:  # noqa: D417
    """x + y.

    Args:
        x: a number.

    Returns:
        Another.

    >>> unexplained(1, 2)
    3
    """
    return x + y


class Number:
    """A number."""

    def __init__(self, value: int) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("value", "missing"),
    [(bare, ["argument x", "Returns", "an example"]), (unexplained, ["argument y"]), (Number, ["Args"])],
)
def test_a_gap_is_noticed(value: Any, missing: list[str]) -> None:
    assert gaps("value", value) == missing


def raised(function: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in FAMILY:
            yield ast.unparse(node.exc.func)
        yield from raised(node)


def unsaid(source: str) -> list[str]:
    """The functions, and the classes by their constructors, that raise an error which their docstring does not name."""
    complaints = []
    waiting: list[tuple[ast.AST, str]] = [(ast.parse(source), "")]
    while waiting:
        node, of = waiting.pop()
        text = (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef | ast.FunctionDef) else ""
        for child in getattr(node, "body", []):
            if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                waiting.append((child, child.name))
            if not isinstance(child, ast.FunctionDef) or (child.name.startswith("_") and not child.name.endswith("__")):
                continue
            said = text if child.name in ("__init__", "__post_init__") else ast.get_docstring(child) or ""
            missing = sorted({name for name in raised(child) if name not in said})
            complaints += [f"{of or 'module'} {child.name} raises {name}" for name in missing]
    return complaints


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "cli"]  # a command's text is its help


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_say_which_errors_they_raise(path: Path) -> None:
    assert not unsaid(path.read_text(encoding="utf-8"))


SILENT = '''
class A:
    """A."""

    def __init__(self):
        raise ShapeError("x")

    def f(self):
        """f."""
        if self:
            raise DataError("x") from None

    def _g(self):
        raise DataError("x")
'''


def test_an_error_that_nobody_announces_is_noticed() -> None:
    assert unsaid(SILENT) == ["A __init__ raises ShapeError", "A f raises DataError"]
    told = SILENT.replace('"""A."""', '"""A; ShapeError."""').replace('"""f."""', '"""f; DataError."""')
    assert unsaid(told) == []
