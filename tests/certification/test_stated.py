"""A map counts as stated only where nothing was added or multiplied to find it; and a derivation must keep its bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import AffineMap, certify, derive
from algebraic_cnn.certification.accuracy import HALF, lost
from algebraic_cnn.certification.check import stated
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.derivation.methods import MEMORY_BUDGET
from algebraic_cnn.ir.trace import export, trace

aten = torch.ops.aten


class Net(nn.Module):
    """function(x, w)."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], weight: Tensor) -> None:
        super().__init__()
        self.function, self.w = function, nn.Parameter(weight)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.w)


#: Calls that repeat inputs before a contraction: function, shape of x, shape of w.
ADDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "repeat": (lambda x, w: F.linear(x.repeat(1, 3), w), (1,), (1, 3)),
    "expand": (lambda x, w: F.linear(x.expand(-1, 3), w), (1,), (1, 3)),
    "tile": (lambda x, w: F.linear(x.tile(1, 3), w), (1,), (1, 3)),
    "interleave": (lambda x, w: F.linear(x.repeat_interleave(3, 1), w), (1,), (1, 3)),
    "index": (lambda x, w: F.linear(x[:, torch.tensor([0, 0, 0])], w), (1,), (1, 3)),
    "index_select": (lambda x, w: F.linear(x.index_select(1, torch.tensor([0, 0, 0])), w), (1,), (1, 3)),
    "replicate": (lambda x, w: F.conv1d(aten.replication_pad1d(x, [1, 1]), w), (1, 1), (1, 1, 3)),
    "reflect": (lambda x, w: F.conv1d(aten.reflection_pad1d(x, [1, 1]), w), (1, 2), (1, 1, 3)),
    "upsampled": (lambda x, w: F.conv1d(F.interpolate(x, scale_factor=3), w), (1, 1), (1, 1, 3)),
    "unfold": (lambda x, w: F.linear(x.unfold(2, 3, 1).flatten(1), w), (1, 5), (1, 9)),
    "im2col": (lambda x, w: F.linear(F.unfold(x, 3, padding=1).flatten(1), w), (1, 2, 2), (1, 36)),
    "addmm": (lambda x, w: torch.addmm(torch.zeros(1), x, w.T, alpha=0.1), (3,), (1, 3)),
}

#: Calls that do not: every entry of W is one weight.
MOVES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "linear": (lambda x, w: F.linear(x.flip(1), w), (3,), (1, 3)),
    "addmm": (lambda x, w: torch.addmm(torch.ones(1), x, w.T), (3,), (1, 3)),
    "overlapping": (lambda x, w: F.conv1d(x, w, padding=2), (1, 5), (1, 1, 3)),
    "transposed": (lambda x, w: F.conv_transpose1d(x, w, stride=2), (1, 5), (1, 1, 3)),
    "outputs repeated": (lambda x, w: F.linear(x, w).repeat(1, 3), (3,), (2, 3)),
    "far apart": (lambda x, w: F.conv1d(x.repeat(1, 1, 2), w), (1, 3), (1, 1, 3)),
    "permuted": (lambda x, w: F.linear(x[:, torch.tensor([2, 0, 1])], w), (3,), (1, 3)),
}


def network(case: tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]) -> tuple[Net, Tensor]:
    function, shape, weights = case
    values = torch.from_numpy(np.random.default_rng(0).integers(-9, 10, weights) / 8).float()
    return Net(function, values), torch.zeros(1, *shape)


@pytest.mark.parametrize("name", ADDS)
def test_a_map_that_adds_or_multiplies_is_not_stated(name: str) -> None:
    model, x = network(ADDS[name])
    assert stated(trace(model, x), MEMORY_BUDGET) is None


@pytest.mark.parametrize("name", MOVES)
def test_a_map_of_single_weights_is_stated_exactly(name: str) -> None:
    model, x = network(MOVES[name])
    found, exact = stated(trace(model, x), MEMORY_BUDGET), exact_map(model, x)
    assert found is not None
    assert np.array_equal(found.W, exact.W.astype(float))
    assert np.array_equal(found.b, exact.b.astype(float))


CANCELS = [2.0**60, 1.0, -(2.0**60)]


@pytest.mark.parametrize("level", ["modular", "rational"])
@pytest.mark.parametrize("name", ["repeat", "expand", "tile", "interleave", "index", "index_select"])
def test_a_sum_that_float64_loses_is_not_zero(name: str, level: str) -> None:
    function, shape, _ = ADDS[name]
    x = torch.zeros(1, *shape)
    one, none = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    one.weight.data.fill_(1.0), none.weight.data.zero_()
    models = (Net(function, torch.tensor([CANCELS])), Net(function, torch.zeros(1, 3)), one, none)
    identity, zero, one, none = (export(model.eval(), x) for model in models)
    for other in (zero, none, AffineMap(np.zeros((1, 1)), np.zeros(1), shape, (1,))):
        for pair in ((identity, other), (other, identity)):
            assert not certify(*pair, x, level=level).ok
    assert certify(identity, one, x, level=level).ok
    assert certify(zero, none, x, level=level).ok


@given(st.integers(0, 80), st.integers(1, 2**20))
def test_how_much_a_derivation_lost_is_bounded_by_what_is_measured(power: int, small: int) -> None:
    """By hand: (2^p + s) - 2^p in float64, against s."""
    layers = nn.Sequential(nn.Linear(1, 3, bias=False), nn.Linear(3, 1, bias=False)).double().eval()
    layers[0].weight.data.fill_(1.0)
    layers[1].weight.data.copy_(torch.tensor([[2.0**power, float(small), -(2.0**power)]]))
    graph = trace(layers, torch.zeros(1, 1).double())
    derived = derive(graph)
    share = lost(graph, derived, np.random.default_rng(small), 80)
    true = abs(small - derived.W[0, 0])
    assert share[0] >= (true / abs(derived.W[0, 0]) if derived.W[0, 0] else np.inf)
    assert (share[0] <= HALF) == (true <= HALF * small / 64)


def test_a_dense_map_of_a_real_network_keeps_its_bits() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3)]
    graph = trace(nn.Sequential(*layers).eval(), torch.zeros(1, 1, 6, 6))
    derived = derive(graph)
    assert lost(graph, derived, np.random.default_rng(0), 80).max() < 2.0**-42
    wrong = AffineMap(derived.W.copy(), derived.b, derived.in_shape, derived.out_shape)
    wrong.W[1, 7] += 1e-6
    share = lost(graph, wrong, np.random.default_rng(0), 80)
    assert share[1] >= 1e-6 / max(abs(wrong.W[1]).max(), abs(wrong.b[1])) > HALF
