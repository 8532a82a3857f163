"""Independent witnesses of one W and B agree on random networks, exactly, or within the bound that rounding allows.

forward     the network on basis vectors, one probe per input
adjoint     one backward pass per output
recursion   Toeplitz matrices through the skip recursion read off the calls
by hand     the recursion written down from the modules, in exact fractions
torch       the model itself
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.derivation.magnitudes.bounds import majorant
from algebraic_cnn.derivation.methods import derive_graph
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime
from algebraic_cnn.rings.ring import Float, Rationals, Ring
from algebraic_cnn.testing import (
    Network,
    affine_modules,
    assert_collapse_is_exact,
    linear_cnns,
    residual_networks,
)

from .by_hand import recursion_by_hand, rounding_bound, within

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
HALF = settings(max_examples=max(1, settings.default.max_examples // 2))
#: All where the profile is thorough.
SOME = settings(max_examples=n if (n := settings.default.max_examples) >= 40 else max(5, n // 2))
ON_EACH_DEVICE = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
DTYPES = (torch.float32, torch.float64)


def networks(**options: object) -> st.SearchStrategy[Network]:
    return st.one_of(linear_cnns(**options), affine_modules(**options), residual_networks(**options))


def torch_output(network: Network, device: str = "cpu") -> torch.Tensor:
    with torch.no_grad():
        return network.model.to(device)(network.example.to(device)).cpu()


def maps(graph: Graph, ring: Ring, device: str = "cpu") -> list[AffineMap]:
    methods = ("forward", "adjoint", "recursion")
    return [derive_graph(graph, ring, method, device=device).to("dense") for method in methods]


def prime_field(graph: Graph, seed: int) -> PrimeField:
    return PrimeField(random_prime(terms(graph), np.random.default_rng(seed)))


@ON_EACH_DEVICE
@SOME
@given(network=networks())
def test_integers_agree_bit_for_bit(device: str, network: Network) -> None:
    graph, y = trace(*network), torch_output(network, device)
    assert float(majorant(graph, network.example).max()) < 2**53
    forward, adjoint, recursion = maps(graph, Float(), device)
    assert forward.exactly_equals(adjoint)
    assert forward.exactly_equals(recursion)
    assert torch.equal(forward(network.example), y)


@ON_EACH_DEVICE
@SOME
@given(
    network=st.sampled_from(DTYPES).flatmap(lambda dtype: networks(numbers="floats", dtype=dtype)),
    seed=st.integers(0, 2**32),
)
def test_floats_agree_modulo_a_prime(device: str, network: Network, seed: int) -> None:
    graph = trace(*network)
    field = prime_field(graph, seed)
    x = field.embed(network.example)
    y = Evaluator(graph, field, device)(x.to(device)).cpu().numpy()
    forward, adjoint, recursion = maps(graph, field, device)
    assert forward.exactly_equals(adjoint)
    assert forward.exactly_equals(recursion)
    columns = field.matmul(forward.W, x.reshape(2, -1).numpy().T)
    assert np.array_equal(field.reduce(columns + forward.b[:, None]).T, y.reshape(2, -1))


@HALF
@given(
    st.sampled_from(DTYPES).flatmap(lambda dtype: linear_cnns(numbers="floats", dtype=dtype, max_layers=3, max_axes=1)),
    st.integers(0, 2**32),
)
def test_the_numbers_are_those_of_exact_arithmetic(network: Network, seed: int) -> None:
    """Fractions by hand decide: the residues are theirs, and every rounded result is within its bound of theirs."""
    graph = trace(*network)
    exact = recursion_by_hand(network.model, dtype=object).forward(
        Rationals().embed(network.example.numpy()), Rationals()
    )
    field = prime_field(graph, seed)
    assert np.array_equal(field.embed(exact), Evaluator(graph, field)(field.embed(network.example)).numpy())
    own = rounding_bound(graph, network.example, network.example.dtype)
    assert within(torch_output(network), exact, own)
    in_float64 = rounding_bound(graph, network.example, torch.float64)
    for derived in maps(graph, Float()):
        n = derived.W.shape[1] + 1
        applied = in_float64 + n * 2.0**-52 * majorant(graph, network.example).numpy()
        assert within(derived(network.example.double()), exact, in_float64 + applied)


@HALF
@given(networks(numbers="floats", dtype=torch.float32))
def test_what_collapse_gives_is_certified(network: Network) -> None:
    assert_collapse_is_exact(*network, points=2)
    assert network.model.training is False
