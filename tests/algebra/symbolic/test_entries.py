"""Entries that are polynomials: against numbers put in, the product of stencils, and what must differ at the border."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import inf

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational, Symbol, expand, lambdify, oo

from algebraic_cnn import Layer, ShapeError, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import Polynomials, entry_map, ring_of, symbol_array
from algebraic_cnn.toeplitz import conv_matrix

K, L, t = symbol_array("k", (3, 3)), symbol_array("l", (3, 3)), Symbol("t")


def convolution(kernel: np.ndarray, size: int) -> np.ndarray:
    return conv_matrix(kernel[None, None], (1, size, size), padding=1, format="dense")


def residual(K: np.ndarray, L: np.ndarray, t: object, size: int) -> SkipRecursion:
    """x -> L * (K * x + t x), a residual block."""
    return SkipRecursion([Layer(convolution(K, size)), Layer(convolution(L, size))], {(0, 2): Skip(t)})


@cache
def generic() -> Callable[..., list[int]]:
    """The entries of W as a Python function of the 19 symbols."""
    return lambdify([*K.ravel(), *L.ravel(), t], list(entry_map(residual(K, L, t, 3)).W.ravel()), modules="math")


@given(st.lists(st.integers(-9, 9), min_size=19, max_size=19))
def test_entries_are_those_of_numbers_put_in(numbers: list[int]) -> None:
    taps = np.array(numbers[:18], dtype=float).reshape(2, 3, 3)
    numeric = residual(*taps, float(numbers[18]), 3).collapse().W
    np.testing.assert_array_equal(np.reshape(generic()(*numbers), (9, 9)), numeric)


def test_the_interior_is_the_stencil_product_and_the_border_is_not() -> None:
    W = entry_map(residual(K, L, t, 6)).W.reshape(6, 6, 6, 6)
    stencil = {(a, b): 0 for a in range(-2, 3) for b in range(-2, 3)}
    for (a, b), (c, d) in ((u, v) for u in np.ndindex(3, 3) for v in np.ndindex(3, 3)):
        stencil[a + c - 2, b + d - 2] += K[a, b] * L[c, d]
    for a, b in np.ndindex(3, 3):
        stencil[a - 1, b - 1] += t * L[a, b]
    for row in ((2, 2), (3, 2), (3, 3)):
        for (a, b), value in stencil.items():
            assert expand(W[row][row[0] + a, row[1] + b] - value) == 0
    centre = expand(stencil[0, 0])
    corner = W[0, 0, 0, 0]
    seen_only_inside = [K[a, b] * L[2 - a, 2 - b] for a, b in np.ndindex(3, 3) if a == 2 or b == 2]
    assert expand(centre - corner - sum(seen_only_inside)) == 0
    assert corner != centre


def test_three_layers_with_one_kernel_are_polynomials_in_its_taps() -> None:
    f = SkipRecursion([Layer(convolution(K, 4))] * 3, {(0, 2): Skip(), (1, 3): Skip(t)})
    entry = entry_map(f).W[5, 5]
    assert entry.free_symbols == {*K.ravel(), t}
    assert entry.as_poly(*K.ravel()).total_degree() == 3
    assert entry.coeff(t) == expand(f.polynomial(ring_of(f))(1).W[5, 5].as_expr()).coeff(t)


def test_the_ring_takes_numbers_symbols_and_expressions_for_what_they_are() -> None:
    x, y = Symbol("x"), Symbol("y")
    ring = Polynomials((x, y))
    element = ring.embed(np.array([y]))[0]
    given_ = np.array([0.1, np.int64(3), Fraction(1, 3), x, x * y + Rational(1, 2), element], dtype=object)
    back = ring.to_sympy(ring.embed(given_))
    assert list(back) == [Rational(*(0.1).as_integer_ratio()), 3, Rational(1, 3), x, x * y + Rational(1, 2), y]
    assert list(ring.to_sympy(ring.embed(sp.csr_array(np.eye(2)))[1])) == [0, 1]
    halves = ring.divide(ring.embed(np.array([x, y])), np.array([2, 4]))
    assert list(ring.to_sympy(ring.negate(ring.reduce(halves)))) == [-x / 2, -y / 4]
    assert ring.exact


@pytest.mark.parametrize("foreign", [Symbol("z"), 1 / Symbol("x"), oo, "x", None, float("nan"), inf])
def test_what_is_no_polynomial_in_the_symbols_is_refused(foreign: object) -> None:
    with pytest.raises(ShapeError, match="not in the ring"):
        Polynomials((Symbol("x"),)).embed(np.array([foreign], dtype=object))


def test_the_names_of_symbols_stay_apart() -> None:
    names = [symbol.name for symbol in symbol_array("k", (12, 12)).ravel()]
    assert len(set(names)) == 144
    assert symbol_array("k", ()).item() == Symbol("k")
