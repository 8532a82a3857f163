"""Regions that begin at windows of an image: their free first axis is a multiple of the batch, not the batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.stencils import pieces
from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.errors import UncertifiedError


class Windows(nn.Module):
    """Four windows of 4x4 pixels, a layer on each, two more that could be one, and the image put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.more = nn.Linear(3, 5), nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        windows = x.reshape(n, 3, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(4 * n, 16, 3)
        y = self.more(torch.relu(self.first(windows)))
        return y.reshape(n, 2, 2, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(n, 3, 8, 8)


@pytest.fixture
def model() -> nn.Module:
    return randomised(Windows()).double()


@pytest.mark.parametrize("level", ["modular", "rational"])
def test_regions_between_windows_are_collapsed_and_certified(model: nn.Module, level: str) -> None:
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    result = collapse(model, x[:1], measure=False, certify=level)
    assert result.certificate is not None
    assert result.certificate.ok
    assert result.report.calls[1] < result.report.calls[0]
    with torch.no_grad():
        expected, got = model(x), result.model(x)
    assert (expected - got).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("level", ["modular", "rational"])
def test_one_wrong_number_is_noticed_in_every_window(
    model: nn.Module, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = pieces.Form.taps

    def wrong(form: pieces.Form, ring: object) -> object:
        taps = honest(form, ring).copy()  # pyright: ignore[reportArgumentType]
        taps[(0,) * taps.ndim] = taps[(0,) * taps.ndim] + 1
        return taps

    monkeypatch.setattr(pieces.Form, "taps", wrong)
    with pytest.raises(UncertifiedError):
        collapse(model, torch.zeros(1, 3, 8, 8, dtype=torch.float64), measure=False, certify=level)
