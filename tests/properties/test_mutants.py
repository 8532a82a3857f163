"""The checks are checked: networks with one planted mistake, which every check must tell from the right one.

Whether a mutant really is another function is decided without the code under test: for whole numbers by torch on all
basis vectors, else by the recursion written down by hand in exact fractions.  A check says "different" then and only
then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.collapsing.certifying import certify
from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.rings.ring import Rationals
from algebraic_cnn.testing import Network, linear_cnns

from .by_hand import recursion_by_hand, rounding_bound, within
from .mutants import MUTATIONS, Choose, drawn_by, every_place, first, mutants

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
SOME = settings(max_examples=max(6, settings.default.max_examples * 2 // 5))
SMALL = linear_cnns(numbers="floats", dtype=torch.float32, max_layers=3, max_axes=1)
GROSS = sorted(MUTATIONS.keys() - {"one weight by 1 ulp"})


def on_the_basis(model: nn.Module, in_shape: tuple[int, ...]) -> Tensor:
    """The outputs at 0 and at every basis vector: all that there is to know about an affine map."""
    n = int(np.prod(in_shape))
    with torch.no_grad():
        return model(torch.cat([torch.zeros(1, n), torch.eye(n)]).double().reshape(-1, *in_shape))


def on_networks(
    networks: st.SearchStrategy[Network], dtype: torch.dtype, check: Callable[[Network, Choose], None]
) -> None:
    """Check a network in which every mistake is sure to be made, then those that are drawn."""
    check(every_place(dtype), first)
    SOME(given(networks, st.data())(lambda network, data: check(network, drawn_by(data))))()


def test_equality_of_derived_maps_tells_mutants_apart(record_property: Callable) -> None:
    caught: Counter[str] = Counter()

    def tell_apart(network: Network, choose: Choose) -> None:
        in_shape, graph = network.model.in_shape, trace(*network)
        maps = {method: derive(graph, method=method) for method in ("forward", "adjoint", "recursion")}
        for name, other, changed in mutants(network.model, graph, GROSS, choose):
            same = torch.equal(on_the_basis(network.model, in_shape), on_the_basis(other, in_shape))
            for method, f in maps.items():
                assert f.exactly_equals(derive(changed, method=method)) == same, name
            caught[f"equality of derived maps: {name}"] += not same

    on_networks(linear_cnns(), torch.float64, tell_apart)
    record_property("mutants", dict(caught))
    assert each_was_caught(caught, GROSS)


def test_certificates_and_bounds_tell_mutants_apart(record_property: Callable) -> None:
    """The modular certificate says what exact fractions say.

    A mutant further from the original than both rounding bounds must be found outside the original's bound.
    """
    refused: Counter[str] = Counter()
    outside: Counter[str] = Counter()

    def tell_apart(network: Network, choose: Choose) -> None:
        (model, x), graph = network, trace(*network)
        f, exact, y, bound = known(model, graph, x)
        assert within(y, exact, bound)
        for name, other, changed in mutants(model, graph, sorted(MUTATIONS), choose):
            g, mutated, z, its_bound = known(other, changed, x)
            certificate = certify(graph, changed, level="modular", points=2)
            assert certificate.ok == f.exactly_equals(g), name
            assert certificate.ok == (certificate.witness is None)
            refused[f"modular certificate: {name}"] += not certificate.ok
            far = bool((abs(exact - mutated) > Rationals().embed(bound) + Rationals().embed(its_bound)).any())
            if far:
                assert not within(z, exact, bound), name
            if name in GROSS:
                outside[f"rounding bound: {name}"] += far

    on_networks(SMALL, torch.float32, tell_apart)
    record_property("mutants", dict(refused + outside))
    assert each_was_caught(refused, MUTATIONS)
    assert each_was_caught(outside, GROSS)


def each_was_caught(caught: Counter[str], names: Iterable[str]) -> bool:
    """Whether every kind of mistake was made, and found at least once."""
    return {name.split(": ")[1] for name, count in caught.items() if count} == set(names)


def known(model: LinearCNN, graph: Graph, x: Tensor) -> tuple[AffineMap, np.ndarray, Tensor, np.ndarray]:
    """The exact map and outputs by hand, torch's outputs, and how far rounding can take these."""
    recursion = recursion_by_hand(model, dtype=object)
    exact = recursion.forward(Rationals().embed(x.numpy()), Rationals())
    with torch.no_grad():
        y = model(x)
    return recursion.collapse(Rationals()), exact, y, rounding_bound(graph, x, torch.float32)
