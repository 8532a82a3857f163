"""The public names and their arguments are those of public_names.txt, which grows and does not change.

broken    what is wrong with one line of it, "" if nothing is
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import algebraic_cnn
from algebraic_cnn import AffineMap, certify, conv_matrix, derive
from algebraic_cnn.apps.cli import app

LINES = [
    line
    for line in Path(__file__).with_name("public_names.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
COMMANDS = "demo toeplitz expand collapse certify recheck dimension train reproduce bench".split()


def broken(line: str) -> str:
    """What is wrong with a line of the contract."""
    name, _, rest = line.partition("(")
    try:
        value = named(name)
    except (AttributeError, ImportError) as error:
        return f"{name}: {error}"
    if not rest:
        return ""
    (promised,) = ast.parse(f"def f({rest}: pass").body
    assert isinstance(promised, ast.FunctionDef)
    return differences(promised.args, list(inspect.signature(value).parameters.values()))


def named(name: str) -> Any:
    """A name of the package, of a module of it, or of a class; of a class's fields, the class will do."""
    value: Any = algebraic_cnn
    for part in name.split("."):
        if dataclasses.is_dataclass(value) and part in {field.name for field in dataclasses.fields(value)}:
            return value
        try:
            value = getattr(value, part)
        except AttributeError:
            if not inspect.ismodule(value):
                raise
            value = importlib.import_module(f"{value.__name__}.{part}")
    return value


def differences(promised: ast.arguments, given: list[inspect.Parameter]) -> str:
    """What is promised and not given, and what is asked for without having been promised."""
    places = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_place = [*promised.posonlyargs, *promised.args]
    absent = [None] * (len(by_place) - len(promised.defaults))
    pairs = list(zip(by_place, [*absent, *promised.defaults], strict=True))
    found: dict[str, tuple[inspect.Parameter, ast.expr | None]] = {}
    for number, (argument, default) in enumerate(pairs):
        if number >= len(places):
            return f"no place {number} for {argument.arg}"
        if argument in promised.args and places[number].name != argument.arg:
            return f"{argument.arg} is called {places[number].name}"
        found[places[number].name] = places[number], default
    words = {p.name: p for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    for argument, default in zip(promised.kwonlyargs, promised.kw_defaults, strict=True):
        if argument.arg not in words:
            return f"no {argument.arg}"
        found[argument.arg] = words[argument.arg], default
    for parameter, default in found.values():
        if default is not None and not agrees(default, parameter.default):
            return f"{parameter.name} is {parameter.default!r} where nothing is given"
    if promised.vararg is not None and all(p.kind is not p.VAR_POSITIONAL for p in given):
        return f"no *{promised.vararg.arg}"
    asked = [p.name for p in given if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return "".join(f"{name} is asked for" for name in asked if name not in found)


def agrees(promised: ast.expr, given: Any) -> bool:
    value = ast.literal_eval(promised)
    return value is ... or (given is not inspect.Parameter.empty and type(value) is type(given) and value == given)


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_contract_is_kept(line: str) -> None:
    assert broken(line) == ""


MUTANTS = [
    ("conv_matrx(weight)", "conv_matrx: "),
    ("AffineMap.rows_image(self, i)", "no attribute"),
    ("collapsing.result.Collapse.modle", "modle"),
    ("conv_matrix(input_shape, weight)", "input_shape is called weight"),
    ("conv_matrix(weight, input_shape, stride=1)", "no place 2"),
    ("conv_matrix(weight, input_shape, *, strides=1)", "no strides"),
    ('conv_matrix(weight, input_shape, *, format="csc")', "format is 'csr'"),
    ("conv_matrix(weight, input_shape, *, stride=True)", "stride is 1"),
    ("bias_vector(bias)", "output_shape is asked for"),
    ("Operator.matrix(self, *sizes)", r"no \*sizes"),
    ("resnet18(channels=1)", "channels is called in_channels"),
]


@pytest.mark.parametrize(("line", "what"), MUTANTS)
def test_a_broken_line_is_noticed(line: str, what: str) -> None:
    assert re.search(what, broken(line))


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dense", "torch_csr", "torch_coo", "sympy", "domain"])
def test_every_format_is_there(format: str) -> None:
    matrix = conv_matrix(np.array([[[1, 2]]]), (1, 3), format=format)
    dense = matrix.to_dense() if hasattr(matrix, "to_dense") else matrix
    dense = dense.toarray() if hasattr(dense, "toarray") else dense
    rows = dense.to_Matrix().tolist() if hasattr(dense, "to_Matrix") else dense.tolist()
    assert rows == [[1, 2, 0], [0, 1, 2]]


@pytest.mark.parametrize("method", ["auto", "forward", "adjoint", "coloured", "operator", "stencil"])
def test_every_method_is_there(method: str) -> None:
    model = nn.Conv1d(1, 1, 2).eval()
    found = derive(model, torch.zeros(1, 1, 3), method=method)
    assert found.to("dense").W.tolist() == conv_matrix(model.weight.detach().double(), (1, 3), format="dense").tolist()


@pytest.mark.parametrize("level", ["auto", "sampled", "bounded", "modular", "rational"])
def test_every_level_is_there(level: str) -> None:
    model, x = nn.Conv1d(1, 1, 2).eval(), torch.zeros(1, 1, 3)
    found = certify(model, model, x, level=level)
    assert found.ok
    assert found.verdict in ("equal", "rounding")


def test_operators_of_maps() -> None:
    f = AffineMap(np.array([[1.0, 2.0]]), np.array([3.0]))
    assert (f.in_shape, f.out_shape) == ((2,), (1,))
    assert (2 * f + f).W.tolist() == [[3.0, 6.0]]
    assert (AffineMap.identity((1,)) @ f).exactly_equals(f)
    assert f.T.W.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_with_its_options(command: str) -> None:
    runner = CliRunner()
    words = ["bench", "toeplitz"] if command == "bench" else [command]
    said = runner.invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    assert [option for option in ("--json", "--seed", "--device", "Examples:") if option not in said] == []
