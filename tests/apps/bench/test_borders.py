"""Ours is exact in every pixel of every chain, where the usual merge is far off; rotations of circles are noticed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.operators.forms import AxisForm
from algebraic_cnn.apps.bench.borders import CASES, borders, table
from algebraic_cnn.errors import UncertifiedError
from algebraic_cnn.ops.traits import Prices
from tests.collapsed import ops, randomised, relative_error

#: Prices under which every call is one unit, whatever it computes.
CALLS_ALONE = Prices(call=1.0, kernel=0.0, norm=0.0, product=0.0, matrix=1e9, lone=0.0, plane=0.0, byte=0.0)


@pytest.mark.parametrize("name", CASES)
def test_no_pixel_is_wrong(name: str) -> None:
    (row,) = borders([name])
    assert row.error <= 1e-12
    if not name.startswith("nearest"):  # there the phases of the kernel alone are right
        assert row.naive > 1e-2
    assert name in table([row])


def circles(*sizes: int, stride: int = 1) -> nn.Module:
    """Convolutions with circular padding and a BatchNorm in between."""
    convs = [nn.Conv2d(2, 2, k, padding=k // 2, padding_mode="circular") for k in sizes]
    convs[-1].stride = (stride, stride)
    return randomised(nn.Sequential(*[layer for conv in convs for layer in (conv, nn.BatchNorm2d(2))]))


@pytest.mark.parametrize(("sizes", "stride"), [((3, 3), 1), ((3, 5, 1, 3), 1), ((3, 3), 2)])
def test_circular_chains_are_one_convolution(sizes: tuple[int, ...], stride: int) -> None:
    model, x = circles(*sizes, stride=stride), torch.randn(1, 2, 9, 8, dtype=torch.float64)
    result = collapse(model, x, prices=CALLS_ALONE, measure=False)
    assert ops(result.model) == {"pad": 1, "conv2d": 1}
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


def test_a_circle_of_another_length_is_not_unrolled() -> None:
    convs = [nn.Conv2d(2, 2, 3, padding=2, padding_mode="circular") for _ in range(2)]
    model, x = randomised(nn.Sequential(*convs)), torch.randn(1, 2, 6, 6, dtype=torch.float64)
    result = collapse(model, x, prices=CALLS_ALONE, measure=False)
    assert ops(result.model)["conv2d"] == 2
    assert relative_error(model, result.model, x) <= 1e-12


def test_a_padding_that_wraps_too_little_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = AxisForm.around.fget
    monkeypatch.setattr(AxisForm, "around", property(lambda axis: (real(axis)[0], max(0, real(axis)[1] - 1))))
    with pytest.raises(UncertifiedError):
        collapse(circles(3, 3), torch.zeros(1, 2, 9, 8, dtype=torch.float64), prices=CALLS_ALONE, measure=False)
