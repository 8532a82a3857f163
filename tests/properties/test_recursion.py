"""The paper's recursion on random networks, built from their modules: no tracing, so very many of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.ring import Rationals
from algebraic_cnn.testing import Network, linear_cnns

from .by_hand import recursion_by_hand

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
MANY = settings(max_examples=10 * settings.default.max_examples)
MORE = settings(max_examples=3 * settings.default.max_examples)
PRIME = PrimeField(1_000_003)


def torch_output(network: Network) -> np.ndarray:
    with torch.no_grad():
        return network.model(network.example).numpy()


@MANY
@given(linear_cnns())
def test_the_collapse_is_the_network(network: Network) -> None:
    recursion, x = recursion_by_hand(network.model), network.example.numpy()
    y = torch_output(network)
    f = recursion.collapse()
    assert np.array_equal(recursion.forward(x), y)
    assert np.array_equal(f(x), y)
    assert f.exactly_equals(recursion.adjoint())


@MORE
@given(linear_cnns(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))
def test_the_polynomial_in_t_is_the_network_at_every_strength(network: Network, t: float) -> None:
    polynomial = recursion_by_hand(network.model).polynomial()
    for edge, strength in network.model.strengths.items():
        if edge[0] < edge[1] - 1:
            network.model.strengths[edge] = t * strength
    assert np.array_equal(polynomial(t)(network.example.numpy()), torch_output(network))


@given(linear_cnns(numbers="floats", max_layers=3, max_axes=1))
def test_collapse_commutes_with_residues(network: Network) -> None:
    exact = recursion_by_hand(network.model, dtype=object)
    over_q, modulo_p = exact.collapse(Rationals()), exact.collapse(PRIME)
    assert np.array_equal(PRIME.embed(over_q.W), modulo_p.W)
    assert np.array_equal(PRIME.embed(over_q.b), modulo_p.b)
    x = Rationals().embed(network.example.numpy())
    assert np.array_equal(over_q(x), exact.forward(x, Rationals()))
