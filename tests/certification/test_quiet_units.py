"""Weights that read what an activation nearly always makes 0, and rows that few indices choose, are compared."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn import certify
from algebraic_cnn.ir.onnx.writing import save_onnx

from ..idioms import Model


def sleepy(seed: int) -> nn.Sequential:
    """A network whose units are asleep at nearly every random input."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4)).eval().requires_grad_(False)
    model[0].bias -= 4.0
    return model


def nudged(model: nn.Sequential, entry: int, by: float) -> nn.Sequential:
    other = copy.deepcopy(model)
    other[2].weight.view(-1)[entry] += by
    return other


@pytest.mark.parametrize("seed", range(2))
def test_no_weight_hides_behind_a_unit_that_sleeps(seed: int) -> None:
    model, x = sleepy(seed), torch.zeros(1, 16)
    assert not bool(model[:2](torch.randn(8, 16)).any())
    for entry, by in [(0, 1.0), (13, -1.0), (47, 2.0**-12)]:
        assert not certify(model, nudged(model, entry, by), x).ok


def test_rounding_is_still_rounding() -> None:
    model, x = sleepy(0), torch.zeros(1, 16)
    near = nudged(model, 7, 0.0)
    near[2].weight[1, 3] = torch.nextafter(near[2].weight[1, 3], torch.tensor(9.0))
    certificate = certify(model, near, x)
    assert certificate.verdict == "rounding"
    assert "moved at random" in certificate.statement


def test_nor_in_a_file_that_takes_one_sample(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    model, x = sleepy(0), torch.zeros(1, 16)
    given = save_onnx(model, x, tmp_path / "given.onnx")
    for entry in (0, 47):
        other = save_onnx(nudged(model, entry, 1.0), x, tmp_path / "other.onnx")
        assert not certify(given, other).ok


@pytest.mark.parametrize("row", [0, 3, 8])
def test_every_row_of_a_table_is_tried(row: int) -> None:
    torch.manual_seed(0)
    model = Model(lambda m, i: m.last(torch.relu(m.words(i))), words=nn.Embedding(9, 4), last=nn.Linear(4, 2)).eval()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.words.weight[row] += 3.0
    assert certify(model, other, torch.zeros(2, 6, dtype=torch.int64)).verdict == "different"


def divided(eps: float, *, whole: bool) -> nn.Module:
    """A layer norm, in one call or in several."""
    if whole:
        return Model(lambda m, x: m.norm(x), norm=nn.LayerNorm(6, eps)).eval()

    def forward(m: Model, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = torch.sqrt((centred * centred).mean(-1, keepdim=True) + eps)
        return centred / spread * m.norm.weight + m.norm.bias

    return Model(forward, norm=nn.LayerNorm(6)).eval()


@pytest.mark.parametrize("whole", [True, False])
def test_no_epsilon_hides_behind_the_variance(*, whole: bool) -> None:
    """1e-6 is rounding of a variance of 1 in half the digits, and most of one of 1e-6."""
    x = torch.zeros(2, 6)
    assert not certify(divided(1e-12, whole=True), divided(0.0, whole=whole), x).ok
    for dtype in (torch.float16, torch.bfloat16):
        one, other = divided(1e-5, whole=True).to(dtype), divided(1e-6, whole=whole).to(dtype)
        assert not certify(one, other, x.to(dtype)).ok
        assert certify(one, divided(1e-5, whole=False).to(dtype), x.to(dtype)).verdict == "rounding"


def test_what_cancellation_left_may_be_rounded() -> None:
    """A bias that a BatchNorm moves nearly to 0 is off by what the larger numbers are rounded by, in either order."""
    torch.manual_seed(0)
    layer, norm = nn.Linear(4, 3).eval().requires_grad_(False), nn.BatchNorm1d(3).eval()
    layer.bias += 1000.0
    norm.running_mean = torch.full((3,), 1000.0)
    plain = nn.Sequential(layer, norm, nn.ReLU()).eval()
    fused = nn.Sequential(torch.nn.utils.fusion.fuse_linear_bn_eval(layer, norm), nn.ReLU()).eval()
    for one, other in ((plain, fused), (fused, plain)):
        assert certify(one, other, torch.zeros(2, 4)).verdict == "rounding"
