"""One spelling for each idea: parts of a cut axis are values of their own, and regions go on behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.ir.spelling import plain
from algebraic_cnn.ir.trace import trace

CUTS: dict[str, tuple[Callable[[Tensor], Sequence[Tensor]], str]] = {
    "split by one size": (lambda y: y.split(3, 1), "slice"),
    "split by sizes": (lambda y: y.split([2, 4, 1], -3), "slice"),
    "split along the last axis": (lambda y: y.split([3, 5], -1), "slice"),
    "chunk": (lambda y: y.chunk(3, 1), "slice"),
    "unbind": (lambda y: y.unbind(1), "select"),
    "split of the batch": (lambda y: y.split(1, 0), "slice"),
}


class Cut(nn.Module):
    """A normalised convolution in parts, of which the first is rectified and the others are handed on."""

    def __init__(self, cut: Callable[[Tensor], Sequence[Tensor]]) -> None:
        super().__init__()
        self.conv, self.norm, self.cut = nn.Conv2d(4, 7, 3, padding=1), nn.BatchNorm2d(7), cut

    def forward(self, x: Tensor) -> list[Tensor]:
        first, *rest = self.cut(self.norm(self.conv(x)))
        return [torch.relu(first), *rest]


@pytest.mark.parametrize("kind", CUTS)
def test_parts_of_an_axis_are_taken_from_the_whole(kind: str) -> None:
    cut, op = CUTS[kind]
    model = randomised(Cut(cut)).double()
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spelled = [call.op for call in plain(trace(model, x)).calls]
    assert spelled.count(op) == len(cut(torch.zeros(2, 7, 8, 8)))
    assert not {"split", "split_with_sizes", "chunk", "unbind", "operator.getitem"} & set(spelled)
    result = collapse(model, x, measure=False)
    assert [boundary.call for boundary in result.report.boundaries] == ["relu"]
    assert result.certificate is not None
    assert result.certificate.ok
    with torch.no_grad():
        pairs = list(zip(model(x), result.model(x), strict=True))
    assert all(y.shape == z.shape and (y - z).abs().max() <= 1e-12 * max(1, y.abs().max()) for y, z in pairs)
