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
