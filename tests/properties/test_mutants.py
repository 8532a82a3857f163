"""The checks are checked: networks with one planted mistake, which every check must tell from the right one.

Whether a mutant really is another function is decided without the code under test: for whole numbers by torch on all
basis vectors, else by the recursion written down by hand in exact fractions.  A check says "different" then and only
then.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn.certification import certify
from algebraic_cnn.derivation import derive
from algebraic_cnn.ring import Rationals
from algebraic_cnn.testing import Network, linear_cnns
from algebraic_cnn.trace import trace

from .by_hand import recursion_by_hand, rounding_bound, within
from .mutants import CAUGHT, MUTATIONS, mutant

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
FEW = settings(
    max_examples=max(10, settings.default.max_examples // 4),
    suppress_health_check=[HealthCheck.filter_too_much],  # not every network has a place for every mistake
)
SMALL = linear_cnns(numbers="floats", dtype=torch.float32, max_layers=3, max_axes=1)
GROSS = sorted(MUTATIONS.keys() - {"one weight by 1 ulp"})


def on_the_basis(model: nn.Module, in_shape: tuple[int, ...]) -> Tensor:
    """The outputs at 0 and at every basis vector: all that there is to know about an affine map."""
    n = int(np.prod(in_shape))
    with torch.no_grad():
        return model(torch.cat([torch.zeros(1, n), torch.eye(n)]).double().reshape(-1, *in_shape))


@pytest.mark.parametrize("name", GROSS)
@FEW
@given(network=linear_cnns(), data=st.data())
def test_equality_of_derived_maps_tells_mutants_apart(name: str, network: Network, data: st.DataObject) -> None:
    other, in_shape = mutant(network.model, name, data), network.model.in_shape
    same = torch.equal(on_the_basis(network.model, in_shape), on_the_basis(other, in_shape))
    graphs = trace(*network), trace(other, network.example)
    for method in ("forward", "adjoint", "recursion"):
        f, g = (derive(graph, method=method) for graph in graphs)
        assert f.exactly_equals(g) == same
    CAUGHT[f"equality of derived maps: {name}"] += not same


@pytest.mark.parametrize("name", sorted(MUTATIONS))
@FEW
@given(network=SMALL, data=st.data())
def test_the_modular_certificate_tells_mutants_apart(name: str, network: Network, data: st.DataObject) -> None:
    other = mutant(network.model, name, data)
    f, g = (recursion_by_hand(model, dtype=object).collapse(Rationals()) for model in (network.model, other))
    certificate = certify(network.model, other, network.example, points=2)
    assert certificate.ok == f.exactly_equals(g)
    assert certificate.ok == (certificate.witness is None)
    CAUGHT[f"modular certificate: {name}"] += not certificate.ok


@pytest.mark.parametrize("name", GROSS)
@FEW
@given(network=SMALL, data=st.data())
def test_the_rounding_bound_tells_mutants_apart(name: str, network: Network, data: st.DataObject) -> None:
    """A mutant further from the original than both bounds must be found outside the original's bound."""
    models, x = (network.model, mutant(network.model, name, data)), network.example
    exact = [recursion_by_hand(m, dtype=object).forward(Rationals().embed(x.numpy()), Rationals()) for m in models]
    bounds = [rounding_bound(trace(model, x), x, torch.float32) for model in models]
    with torch.no_grad():
        outputs = [model(x) for model in models]
    assert within(outputs[0], exact[0], bounds[0])
    far = bool((abs(exact[0] - exact[1]) > Rationals().embed(bounds[0]) + Rationals().embed(bounds[1])).any())
    if far:
        assert not within(outputs[1], exact[0], bounds[0])
    CAUGHT[f"rounding bound: {name}"] += far


def test_every_kind_of_mutant_was_caught_by_every_check() -> None:
    if len(CAUGHT) < 2 * len(GROSS) + len(MUTATIONS):
        pytest.skip("counts the tests above, which did not all run")
    assert min(CAUGHT.values()) > 0, CAUGHT
