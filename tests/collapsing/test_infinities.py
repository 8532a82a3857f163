"""Where infinite numbers may come, a collapse spreads them as the network did."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import algebraic_cnn
from algebraic_cnn.collapsing import infinities
from tests.adversary.corpus import Written


class Repaired(nn.Module):
    """Large numbers overflow in a map of entries that a dense matrix would do faster, and are then replaced."""

    def __init__(self, rise, mend) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.rise, self.mend = nn.Linear(6, 6), rise, mend

    def forward(self, x: Tensor) -> Tensor:
        y = self.rise(self.layer(x))
        y = y.unflatten(1, (2, 3)).transpose(1, 2).contiguous().transpose(1, 2).flatten(1) / 2
        return self.mend(x, y)


def patched(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(y > 100, x, y)


NETWORKS = {
    "exponential": lambda: Repaired(torch.exp, patched),
    "softplus by hand": lambda: Repaired(lambda y: (50 * y).exp().log1p(), patched),
    "logarithm": lambda: Repaired(lambda y: y.relu().log(), lambda x, y: torch.where(y < -100, x, y)),
    "quotient": lambda: Repaired(lambda y: 1 / y.relu(), patched),
    "infinity put in": lambda: Repaired(lambda y: y.masked_fill(y > 0, float("inf")), patched),
    "missing values": lambda: Repaired(
        lambda y: y + torch.where(y > 0, torch.nan, 0.0), lambda x, y: y.nan_to_num(7.0)
    ),
}


def inputs() -> Tensor:
    return 300 * torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_repaired_infinity_stays_where_it_was(name: str) -> None:
    net = NETWORKS[name]().eval()
    result = algebraic_cnn.collapse(net, inputs()[:1], measure=False)
    with torch.no_grad():
        wanted, got = net(inputs()), result.model(inputs())
    assert wanted.isfinite().all()
    assert torch.equal(wanted.isfinite(), got.isfinite())
    assert float((wanted - got).abs().max()) <= 1e-3 * float(wanted.abs().max())


def test_without_the_rule_it_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infinities, "spreading", lambda *each: {})
    net = NETWORKS["exponential"]().eval()
    with torch.no_grad():
        assert algebraic_cnn.collapse(net, inputs()[:1], measure=False).model(inputs()).isnan().any()


def test_numbers_that_are_missing_are_asked_for() -> None:
    """Standardised rows with NaN for what is missing, as tables have them."""
    net = Written(
        lambda s, x: s.l(((x - s.m).unflatten(1, (2, 3)).transpose(1, 2).flatten(1) * 2).nan_to_num(0.0)),
        {"l": lambda: nn.Linear(6, 2), "m": lambda: torch.ones(6)},
    ).eval()
    x = torch.tensor([[1.0, torch.nan, 3.0, 4.0, torch.nan, 6.0]])
    with torch.no_grad():
        assert torch.equal(algebraic_cnn.collapse(net, torch.ones(1, 6), measure=False).model(x), net(x))


def test_a_full_matrix_after_an_exponential_is_merged_all_the_same() -> None:
    net = Written(lambda s, x: s.b(s.a(x.exp())), {"a": lambda: nn.Linear(4, 4), "b": lambda: nn.Linear(4, 2)}).eval()
    report = algebraic_cnn.collapse(net, torch.ones(1, 4), measure=False).report
    assert "2 affine calls in 1 region became 1" in str(report)


@pytest.mark.parametrize("apart", [True, False])
def test_entries_are_probed_in_samples_of_their_own_or_alone(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either way finds that a matrix with zeros makes more of an infinite number than two convolutions did."""
    if not apart:
        monkeypatch.setattr(infinities, "_apart", lambda original, new: False)
    seen, probes = [], infinities._probes

    def watched(plain: Any, doubtful: Any, together: int) -> Any:
        seen.append(together)
        return probes(plain, doubtful, together)

    monkeypatch.setattr(infinities, "_probes", watched)
    test_a_repaired_infinity_stays_where_it_was("exponential")
    assert set(seen) == ({infinities._PROBES} if apart else {0})
