"""Skips that overlap: neither chains nor branches, and one matrix all the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import LinearCNN, certify, collapse
from algebraic_cnn.algebra.forms import Dense
from algebraic_cnn.ops.traits import Prices

SKIPS = [{(0, 2): 1.0, (1, 3): 0.5}, {(0, 2): 1.0, (1, 3): 1.0, (0, 3): -1.0, (2, 4): 2.0}]


def whole(model: nn.Module) -> nn.Module:
    """The model with small whole numbers, in float64."""
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.data = torch.randint(-2, 3, tensor.shape, generator=generator).double()
    return model.eval()


def tangled(skips: dict[tuple[int, int], float]) -> nn.Module:
    return whole(LinearCNN((2, 4, 4), [nn.Conv2d(2, 2, 3, padding=1) for _ in range(4)] + [nn.Linear(32, 3)], skips))


@pytest.mark.parametrize("skips", SKIPS)
def test_a_network_of_overlapping_skips_becomes_one_matrix(skips: dict[tuple[int, int], float]) -> None:
    model = tangled(skips)
    x = torch.randint(-5, 6, (3, 2, 4, 4), generator=torch.Generator().manual_seed(1)).double()
    result = collapse(model, x, measure=False)
    assert isinstance(result.model, Dense)
    assert result.report.regions[0].form == "dense"
    assert torch.equal(result.model(x), model(x))


class Between(nn.Module):
    """Overlapping skips between two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = tangled(SKIPS[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x.relu()).relu()


def test_so_does_a_region_between_activations() -> None:
    model, x = Between().eval(), torch.arange(-16.0, 16).reshape(1, 2, 4, 4).double()
    result = collapse(model, x, measure=False)
    assert [region.form for region in result.report.regions] == ["dense"]
    assert result.report.calls[1] <= 3
    assert torch.equal(result.model(x), model(x))
    assert certify(model, result.model, x).ok


def test_a_matrix_that_would_cost_more_is_not_made() -> None:
    model, x = tangled(SKIPS[0]), torch.zeros(1, 2, 4, 4).double()
    result = collapse(model, x, measure=False, prices=Prices(matrix=1e6, product=1e-4))
    assert [region.form for region in result.report.regions] == ["as given"]
    result = collapse(model, x, measure=False, memory_budget=8)
    assert [region.form for region in result.report.regions] == ["as given"]


def test_where_nothing_changes_chance_plays_no_part() -> None:
    certificate = collapse(nn.ReLU().eval(), torch.zeros(1, 2), measure=False).certificate
    assert str(certificate) == "Yes (modular): every call is as it was."
    assert certificate.error_probability is None
