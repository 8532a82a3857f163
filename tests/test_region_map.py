"""W and B of single regions, against what torch computes on the values between them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse, region_map
from algebraic_cnn.bench.patterns import randomised
from algebraic_cnn.collapsing import Collapse
from algebraic_cnn.errors import NotAffineError, ShapeError


class Network(nn.Module):
    """Two regions in a row, each a block of its own, and one that joins both."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.last = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.AvgPool2d(2))
        self.both = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.last(torch.relu(self.first(x)))
        z = torch.sigmoid(y) + torch.tanh(y)
        return self.both(z.flatten(1)), y


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return randomised(Network()).double()


@pytest.fixture(scope="module")
def result(model: nn.Module) -> Collapse:
    return collapse(model, torch.zeros(2, 1, 6, 6, dtype=torch.float64), measure=False)


def test_each_region_is_the_map_that_torch_computes(model: nn.Module, result: Collapse) -> None:
    generator = torch.Generator().manual_seed(0)
    for index, part in enumerate((model.first, model.last)):
        f = region_map(result, index)
        x = torch.randn(3, *f.in_shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            expected = part(x)
        assert (f(x) - expected).abs().max() <= 1e-12 * expected.abs().max()
        other = region_map(result, 1 - index)
        assert other.in_shape != f.in_shape


def test_what_is_no_single_map_is_refused(result: Collapse) -> None:
    regions = len(result.report.regions)
    assert regions == 3
    with pytest.raises(NotAffineError, match="2 and 1"):
        region_map(result, 2)
    for index in (-1, regions):
        with pytest.raises(ShapeError, match="0 to 2"):
            region_map(result, index)
