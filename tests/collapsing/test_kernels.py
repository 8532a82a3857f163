"""Kernels kept where that is cheaper, merged where it is not, and made smaller where zeros allow it; always exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.stencils.zeros import thin
from algebraic_cnn.errors import UncertifiedError
from algebraic_cnn.ops import imaging
from tests.algebra.stencils.test_stencil import integers
from tests.collapsed import ops, randomised, relative_error

KEPT = {
    "3x1, 1x3": (64, lambda: [nn.Conv2d(64, 64, (3, 1), padding=(1, 0)), nn.Conv2d(64, 64, (1, 3), padding=(0, 1))]),
    "64 -> 8 -> 64": (64, lambda: [nn.Conv2d(64, 8, 1), nn.Conv2d(8, 64, 1)]),
    "64 -> 8 -> 64, 3x3": (64, lambda: [nn.Conv2d(64, 8, 3, padding=1), nn.Conv2d(8, 64, 1)]),
    "depthwise, pointwise": (64, lambda: [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1)]),
}
MERGED = {
    "3x1, 1x3, of one channel": (1, lambda: [nn.Conv2d(1, 8, (3, 1)), nn.Conv2d(8, 1, (1, 3))]),
    "8 -> 64 -> 8": (8, lambda: [nn.Conv2d(8, 64, 1), nn.Conv2d(64, 8, 1)]),
    "depthwise, pointwise, few channels": (4, lambda: [nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1)]),
    "depthwise, depthwise": (64, lambda: [nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 64, 1, groups=64)]),
}


@pytest.mark.parametrize("name", [*KEPT, *MERGED])
def test_factors_are_kept_where_that_is_cheaper(name: str) -> None:
    channels, layers = (KEPT | MERGED)[name]
    model, x = randomised(nn.Sequential(*layers())), torch.randn(1, channels, 48, 48, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model)["conv2d"] == (2 if name in KEPT else 1)
    assert relative_error(model, result.model, x) <= 1e-12


def with_zeros(layer: nn.Conv2d, kept) -> nn.Conv2d:
    """The layer with zeros wherever an index (out, in, *taps) is not kept."""
    randomised(layer)
    for index in np.ndindex(*layer.weight.shape):
        if not kept(*index):
            layer.weight.data[index] = 0
    return layer


THIN = {
    "only the middle": (
        lambda: with_zeros(nn.Conv2d(16, 16, 3, padding=1), lambda o, i, h, w: (h, w) == (1, 1)),
        {"conv2d": 1}, (16, 16, 1, 1)),
    "a column": (
        lambda: with_zeros(nn.Conv2d(16, 16, 3, padding=1), lambda o, i, h, w: w == 1), {"conv2d": 1}, (16, 16, 3, 1)),
    "all but the outermost, dilated, with stride": (
        lambda: with_zeros(nn.Conv2d(16, 16, 5, 2, 4, 2), lambda o, i, h, w: 4 not in (h, w) and h * w > 0),
        {"conv2d": 1}, (16, 16, 3, 3)),
    "blocks": (
        lambda: with_zeros(nn.Conv2d(32, 64, 3, padding=1), lambda o, i, h, w: o // 16 == i // 8),
        {"conv2d": 1}, (64, 8, 3, 3)),
    "blocks in groups": (
        lambda: with_zeros(nn.Conv2d(32, 64, 3, groups=2), lambda o, i, h, w: o % 32 // 16 == i // 8),
        {"conv2d": 1}, (64, 8, 3, 3)),
    "a diagonal": (
        lambda: with_zeros(nn.Conv2d(16, 16, 3, padding=1), lambda o, i, h, w: o == i), {"conv2d": 1}, (16, 1, 3, 3)),
    "a diagonal and only the middle": (
        lambda: with_zeros(nn.Conv2d(16, 16, 3, padding=1), lambda o, i, h, w: o == i and (h, w) == (1, 1)),
        {"mul": 1, "add": 1}, (16, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", THIN)
def test_zeros_make_kernels_smaller(name: str) -> None:
    layer, expected, size = THIN[name]
    model = nn.Sequential(layer(), nn.ReLU()).double().eval()
    x = torch.randn(2, model[0].in_channels, 32, 30, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model) == expected | {"relu": 1}
    assert size in {tuple(p.shape) for p in result.model.parameters()}
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


def test_what_is_only_small_stays() -> None:
    layer = with_zeros(nn.Conv2d(4, 4, 3, padding=1), lambda o, i, h, w: (h, w) == (1, 1))
    layer.weight.data[0, 0, ::2, ::2] = 2.0**-1000
    result = collapse(nn.Sequential(layer, nn.ReLU()).eval(), torch.zeros(1, 4, 32, 30).double(), measure=False)
    assert {tuple(p.shape) for p in result.model.parameters()} == {(4, 4, 3, 3), (4,)}


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 999))
def test_the_smaller_kernel_is_the_kernel(blocks: int, groups: int, rows: int, columns: int, seed: int) -> None:
    full = integers((groups * blocks * rows, columns, 3, 2), seed) * (integers((3, 2), seed + 1) > -1)
    weight = np.zeros((len(full), blocks * columns, 3, 2))
    for o, kernel in enumerate(full):
        place = o // rows % blocks
        weight[o, place * columns : (place + 1) * columns] = kernel
    less = thin(weight, groups)
    x = torch.from_numpy(integers((1, groups * blocks * columns, 6, 5), seed))
    y = nn.functional.conv2d(x, torch.from_numpy(weight), padding=2, groups=groups)
    if less is None:
        assert not weight.any() or blocks == 1
        return
    pads = less.padding([(2, 2), (2, 2)], (3, 2), [1, 1])
    x = nn.functional.pad(x, [n for pair in reversed(pads) for n in pair])
    z = nn.functional.conv2d(x, torch.from_numpy(less(weight)), groups=groups * less.blocks)
    assert less.blocks % blocks == 0
    assert torch.equal(y, z)


MUTANTS = {
    "a tap too many is dropped": lambda less: less and replace(less, taps=((1, 2), *less.taps[1:])),
    "a group too many": lambda less: less and replace(less, blocks=2 * less.blocks),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_near_right_kernels_are_refuted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = with_zeros(nn.Conv2d(32, 64, 3, padding=1), lambda o, i, h, w: o // 16 == i // 8 and w == 1)
    monkeypatch.setattr(imaging, "thin", lambda *given: MUTANTS[name](thin(*given)))
    with pytest.raises(UncertifiedError):
        collapse(nn.Sequential(layer, nn.ReLU()).eval(), torch.zeros(1, 32, 24, 24).double(), measure=False)
