"""How often a call rounds, at most: counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.sums import call_roundings


class Running(nn.Module):
    """Sums along one axis of 7, as they grow or at the end."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        return getattr(x, self.kind)(2)


@pytest.mark.parametrize("kind", ["cumsum", "sum", "mean"])
def test_a_sum_of_seven_numbers_rounds_at_least_six_times(kind: str) -> None:
    graph = trace(Running(kind).eval(), torch.zeros(1, 2, 7, 3))
    (count,) = call_roundings(graph).values()
    assert 6 <= count <= 10


def test_windows_are_moved_without_rounding() -> None:
    graph = trace(nn.Unflatten(1, (2, 3)).eval(), torch.zeros(1, 6))
    assert set(call_roundings(graph).values()) == {0}
