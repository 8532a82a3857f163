"""The homotopy polynomial against the collapse at each strength, and its derivative against NumPy's."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import Layer, PrimeField, Rationals, Skip, SkipRecursion
from algebraic_cnn.toeplitz import conv_matrix
from proofs.instances import recursion

RINGS = [Rationals(), PrimeField(65537)]


def with_strength(f: SkipRecursion, t: Fraction) -> SkipRecursion:
    """Every skip that is no feed at t times its strength."""
    strengths = {(k, i): Fraction(skip.t) * (1 if k == i - 1 else t) for (k, i), skip in f.skips.items()}
    return replace(f, skips={edge: Skip(strengths[edge], skip.R, skip.r) for edge, skip in f.skips.items()})


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.fractions(-3, 3, max_denominator=7), st.sampled_from(RINGS))
def test_it_is_the_collapse_at_every_strength(seed: int, depth: int, t: Fraction, ring) -> None:
    f = recursion(np.random.default_rng(seed), depth)
    p = f.polynomial(ring)
    assert p.degree <= depth // 2
    assert p(t).exactly_equals(with_strength(f, t).collapse(ring))
    assert p(1).exactly_equals(f.collapse(ring))
    assert p(0).exactly_equals(p.coefficients[0])


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(-5, 5))
def test_its_derivative_is_numpys(seed: int, depth: int, t: int) -> None:
    p = recursion(np.random.default_rng(seed), depth).polynomial(Rationals())
    q = p.derivative()
    for part in ("W", "b"):
        coefficients = np.stack([getattr(f, part) for f in p.coefficients])
        expected = sum(d * coefficients[d] * Fraction(t) ** (d - 1) for d in range(1, p.degree + 1))
        np.testing.assert_array_equal(getattr(q(t), part), expected + 0 * coefficients[0])
    assert q.degree == max(p.degree - 1, 0)


def test_the_degree_is_attained_with_all_skips_and_0_without() -> None:
    for depth in range(1, 8):
        layers = [Layer(np.ones((1, 1)))] * depth
        skips = {(k, i): Skip() for i in range(depth + 1) for k in range(i - 1)}
        assert SkipRecursion(layers, skips).polynomial().degree == depth // 2
        assert SkipRecursion(layers).polynomial().degree == 0


@pytest.mark.parametrize("ring", [None, PrimeField(101)])
def test_sparse_matrices_stay_sparse(ring) -> None:
    W = conv_matrix(np.arange(9.0).reshape(1, 1, 3, 3), (1, 5, 5), padding=1)
    p = SkipRecursion([Layer(W)] * 3, {(0, 2): Skip(), (1, 3): Skip(2.0)}).polynomial(ring)
    assert all(sp.issparse(f.W) for f in (*p.coefficients, p(0.5), p.derivative()(3)))
