"""A pool goes before a map of channels, so that what follows can take the map in; but not where that is wrong."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.forms import Dense
from algebraic_cnn.collapsing import averages
from tests.collapsed import ops, randomised, relative_error


def head(pool: nn.Module, entries: int = 8) -> nn.Sequential:
    """What many networks end with: a BatchNorm, an average over all positions, a classifier."""
    return nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8), pool, nn.Flatten(), nn.Linear(entries, 100))


class Tokens(nn.Module):
    """Tokens of a normalised image averaged, normalised again, and read by two matrices; all of them by a third."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.q = nn.BatchNorm2d(64), nn.Linear(64, 64)
        self.pool, self.norm = nn.AvgPool1d(4), nn.BatchNorm1d(64)
        self.k, self.v = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(torch.relu(x)).flatten(2).transpose(1, 2)
        y = self.norm(self.pool(tokens.transpose(1, 2))).transpose(1, 2)
        return torch.relu(self.q(tokens)).mean(1, keepdim=True) * torch.relu(self.k(y)) * torch.relu(self.v(y))


MODELS = {
    "head": (head(nn.AdaptiveAvgPool2d(1)), (8, 14, 14), {"relu": 1, "adaptive_avg_pool2d": 1, "linear": 1}),
    "windows": (head(nn.AvgPool2d(2), 8 * 49), (8, 14, 14), {"relu": 1, "avg_pool2d": 1, "linear": 1}),
    "tokens": (Tokens(), (64, 14, 14), {"relu": 4, "avg_pool1d": 1, "linear": 3, "mean": 1, "mul": 2}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_norm_passes_an_average_into_what_follows(name: str) -> None:
    model, shape, left = MODELS[name]
    model, x = randomised(model), torch.randn(2, *shape, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    moves = {"reshape", "permute", "transpose", "view", "flatten"}
    assert {op: count for op, count in ops(result.model).items() if op not in moves} == left
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


def test_a_map_to_more_channels_is_done_after_the_average() -> None:
    model = randomised(nn.Sequential(nn.Conv2d(8, 64, 1), nn.AvgPool2d(4), nn.ReLU()))
    x = torch.randn(2, 8, 32, 32, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert list(ops(result.model)) == ["avg_pool2d", "conv2d", "relu"]  # in order of execution
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


KEPT = {
    "fewer channels": nn.Sequential(nn.Conv2d(16, 4, 1), nn.AvgPool2d(2)),
    "padding that counts": nn.Sequential(nn.BatchNorm2d(16), nn.AvgPool2d(3, 2, 1)),
    "a divisor of its own": nn.Sequential(nn.BatchNorm2d(16), nn.AvgPool2d(2, divisor_override=3)),
    "a window of convolution": nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.AvgPool2d(2)),
    "no average": nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2)),
}


@pytest.mark.parametrize("name", KEPT)
def test_where_it_would_be_wrong_or_dearer_nothing_moves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    exchanged = averages.exchanged
    monkeypatch.setattr(averages, "exchanged", lambda *pair: found.append(exchanged(*pair)) or found[-1])
    model, x = randomised(KEPT[name]), torch.randn(2, 16, 12, 12, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert not any(found)
    assert relative_error(model, result.model, x) <= 1e-12


def squeeze(channels: int, out: int) -> nn.Module:
    """The mean of every channel and a map of channels, as squeeze-and-excitation blocks begin."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, out, 1)).eval()


@pytest.mark.parametrize(("size", "together"), [(16, False), (2, True)])
def test_a_mean_and_the_sum_after_it_stay_two_short_sums(size: int, together: bool, monkeypatch) -> None:
    """In one sum a number would meet 256 * 48 roundings, and met 256 + 48; of four pixels, 4 * 48 beside 4 + 48."""
    model, x = squeeze(48, 2), torch.rand(1, 48, size, size)
    result = collapse(model, x, measure=False)
    assert isinstance(result.model, Dense) == together
    assert result.certificate.ok
    assert float32_error(result.model, model, x) <= 4 * max(float32_error(model, model, x), 2.0**-23)
    monkeypatch.setattr("algebraic_cnn.collapsing.cut._ROUNDINGS", float("inf"))
    assert isinstance(collapse(model, x, measure=False).model, Dense)


def float32_error(run: nn.Module, model: nn.Module, x: Tensor) -> float:
    """How far float32 outputs are from those of the model in float64, over the largest of these."""
    with torch.no_grad():
        truth = deepcopy(model).double()(x.double())
        return float((run(x).double() - truth).abs().max() / truth.abs().max())
