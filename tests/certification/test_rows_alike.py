"""What is not the same for every row, for every zero or for every bound is not taken for the same in another order."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from algebraic_cnn import certify

from ..idioms import Model

THERE, BACK = [1, 2, 0], [2, 0, 1]
TABLE = torch.tensor([[-math.inf, 0.0, 1.0], [1.0, 2.0, 0.5], [3.0, -math.inf, -1.0]])
LAST = torch.tensor([1.0, 2.0, 3.0])
Rowwise = Callable[[Tensor, Tensor], Tensor]


#: Functions of the rows x and of one more row y, each entry of which belongs to a column.
COLUMNS: dict[str, Rowwise] = {
    "a table with infinities": lambda x, y: torch.maximum(x, TABLE),
    "a choice beside infinity": lambda x, y: torch.where(x.exp() > 1, y, torch.tensor(-math.inf)),
    "a weight that is computed": lambda x, y: F.layer_norm(x, (3,), y),
    "a bias that is computed": lambda x, y: F.layer_norm(x, (3,), None, y),
    "a norm of one row": lambda x, y: F.layer_norm(x[:, 0], (3,), LAST)[:, None],
    "a norm of one row, strides": lambda x, y: F.layer_norm(x[:, 0], (3,), LAST)[:, None],
    "a row for all, strides": lambda x, y: torch.maximum(x, y),
    "a table, strides": lambda x, y: torch.maximum(x, LAST[:, None]),
}


def in_order(name: str, *, given: bool, more: bool, back: bool) -> Model:
    """A function of the rows of an image and of one more, with the rows moved before it and back behind it.

    Beside a value that is read as it lies in memory no call is written on rows.
    """
    function = COLUMNS[name]

    def forward(_: Model, image: Tensor) -> Tensor:
        x, y = image[0], image[0, 0].sigmoid()
        made = function(x[THERE] if given else x, y[THERE] if more else y)
        made = made[BACK] if back else made
        return made + torch.as_strided(image.sigmoid(), (1,), (1,)) if name.endswith("strides") else made

    return Model(forward).eval()


def differ(one: Model, other: Model, x: Tensor) -> bool:
    return not torch.equal(one(x), other(x))


@pytest.mark.parametrize("level", ["auto", "modular"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_goes_with_no_row(name: str, level: str) -> None:
    x = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    plain = in_order(name, given=False, more=False, back=False)
    for given, more in ((True, True), (False, True), (True, False)):
        other = in_order(name, given=given, more=more, back=True)
        if differ(plain, other, x):
            assert not certify(plain, other, x, level=level).ok
    assert any(differ(plain, in_order(name, given=True, more=m, back=True), x) for m in (True, False))
    assert certify(plain, plain, x, level=level).verdict == "equal"


@pytest.mark.parametrize("name", ["a weight that is computed", "a bias that is computed"])
def test_rows_alone_may_be_moved(name: str) -> None:
    other = in_order(name, given=True, more=False, back=True)
    found = certify(in_order(name, given=False, more=False, back=False), other, torch.zeros(1, 3, 3))
    assert found.verdict in ("equal", "rounding")


BOUNDS: dict[str, tuple[Any, Any]] = {
    "a maximum with -0": (
        lambda x: torch.atan2(torch.maximum(torch.tensor(-0.0), x.abs()), torch.tensor(-1.0)),
        lambda x: torch.atan2(torch.maximum(torch.tensor(-0.0), x.abs()) + 0.0, torch.tensor(-1.0)),
    ),
    "no number is less": (
        lambda x: x.clamp(min=0).clamp(min=math.inf),
        lambda x: x.clamp(min=-math.inf).clamp(max=math.inf),
    ),
    "no number is more": (
        lambda x: x.clamp(max=0).clamp(max=-math.inf),
        lambda x: x.clamp(min=-math.inf).clamp(max=math.inf),
    ),
    "one or the other": (
        lambda x: x.clamp(min=0).clamp(min=math.inf),
        lambda x: x.clamp(max=0).clamp(max=-math.inf),
    ),
    "a border of -0": (
        lambda x: torch.atan2(F.pad(x.abs(), (1, 0), value=-0.0), torch.tensor(-1.0)),
        lambda x: torch.atan2(F.pad(x.abs(), (1, 0), value=0.0), torch.tensor(-1.0)),
    ),
}


@pytest.mark.parametrize("level", ["auto", "modular"])
@pytest.mark.parametrize("name", BOUNDS)
def test_infinite_bounds_and_borders_of_a_sign_are_seen(name: str, level: str) -> None:
    one, other = (Model(lambda m, x, f=function: f(x)).eval() for function in BOUNDS[name])
    x = torch.tensor([[1.0, -2.0, 0.0]])
    assert differ(one, other, x)
    assert not certify(one, other, x, level=level).ok
    assert certify(one, one, x, level=level).verdict == "equal"


@pytest.mark.parametrize(("scale", "bounds", "alike"), [(0.1, (0, 25.5), True), (-0.1, (0, -25.5), False)])
def test_bounds_that_cross_are_no_saturation(
    scale: float, bounds: tuple[float, float], tmp_path: Path, *, alike: bool
) -> None:
    """What is clamped between bounds in the wrong order is one number, though a negative scale saturates at both."""
    onnx = pytest.importorskip("onnx")
    numbers = {"scale": scale, "low": bounds[0], "high": bounds[1]}

    def file(name: str, *clip: str) -> Path:
        given, parser = (clip or ("x",))[0], onnx.parser
        lines = "c = Clip (x, low, high)" if clip else "c = Identity (x)"
        text = f"""<ir_version: 9, opset_import: ["": 17]> {given} (float[1, 4] x) => (float[1, 4] y)
            <{", ".join(f"float {key} = {{{value}}}" for key, value in numbers.items())}, uint8 zero = {{0}}>
            {{ {lines}  q = QuantizeLinear (c, scale, zero)  y = DequantizeLinear (q, scale, zero) }}"""
        onnx.save(parser.parse_model(text), tmp_path / name)
        return tmp_path / name

    assert certify(file("plain.onnx"), file("clipped.onnx", "c")).ok == alike
