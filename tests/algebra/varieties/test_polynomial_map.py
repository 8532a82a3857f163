"""Polynomial maps: the recursion's values and its W and B, compositions, and the published degrees."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import Layer, PolynomialMap, Rationals, Skip, SkipRecursion, conv_matrix
from algebraic_cnn.errors import NotAffineError, ShapeError, TooLargeError


def network(generator: np.random.Generator, depth: int) -> SkipRecursion:
    def whole(*shape: int) -> np.ndarray:
        return generator.integers(-3, 4, shape).astype(float)

    skips = {(k, i): Skip(0.5, whole(2, 2), whole(2)) for i in range(2, depth + 1) for k in range(i - 1)}
    return SkipRecursion([Layer(whole(2, 2), b=whole(2)) for _ in range(depth)], skips)


def run(f: SkipRecursion, x: list[Fraction], act: list[Fraction]) -> list[Fraction]:
    """The recursion by hand: lists of fractions."""

    def times(matrix: np.ndarray, vector: list[Fraction]) -> list[Fraction]:
        return [
            sum((Fraction(a) * v for a, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix.tolist()
        ]

    values = [x]
    for i, layer in enumerate(f.layers, 1):
        fed = list(values[-1])
        for (k, j), skip in f.skips.items():
            if j == i and k < i - 1:
                resized = [a + Fraction(b) for a, b in zip(times(skip.R, values[k]), skip.r.tolist(), strict=True)]
                fed = [a + Fraction(skip.t) * b for a, b in zip(fed, resized, strict=True)]
        y = [a + Fraction(b) for a, b in zip(times(layer.W, fed), layer.b.tolist(), strict=True)]
        values.append([sum(c * v**r for r, c in enumerate(act)) for v in y] if i < len(f.layers) else y)
    return values[-1]


@given(st.integers(0, 10**9), st.sampled_from([[0, 0, 1], [1, -2, 0, 1], [0, 1]]))
def test_values_are_those_of_the_recursion(seed: int, act: list[int]) -> None:
    generator = np.random.default_rng(seed)
    f = network(generator, int(generator.integers(1, 4)))
    x = [Fraction(int(v), 4) for v in generator.integers(-9, 10, 2)]
    found = PolynomialMap.of(f, act)
    assert found(np.array(x)).tolist() == run(f, x, [Fraction(c) for c in act])
    assert found.degree <= (len(act) - 1) ** (len(f.layers) - 1)


@given(st.integers(0, 10**9))
def test_w_and_b_are_the_case_of_degree_one(seed: int) -> None:
    f = network(np.random.default_rng(seed), 3)
    assert PolynomialMap.of(f).affine().exactly_equals(f.collapse(Rationals()))
    assert PolynomialMap.of(f, 1).exactly_equals(PolynomialMap.of(f))


def test_maps_compose() -> None:
    generator = np.random.default_rng(5)
    f, g = (PolynomialMap.of(network(generator, 2), 2) for _ in range(2))
    x = np.array([Fraction(1, 3), Fraction(-2)])
    assert ((g @ f)(x) == g(f(x))).all()
    assert (g @ f).degree == 4
    assert not (g @ f).exactly_equals(f @ g)


@pytest.mark.parametrize("r", [2, 3])
def test_two_layers_of_two_taps_have_the_published_degree(r: int) -> None:
    """Degree (|k| - L)! prod r^((L-j)(k_j - 1)) / (k_j - 1)! of arXiv:2410.00722: 2 r for k = (2, 2).

    Two linear conditions on the coefficients, with first layer (s, 1) and second b, are two equations linear in b: they
    have a common solution where a determinant vanishes, a polynomial in s, whose roots are counted.
    """
    generator = np.random.default_rng(r)
    first = conv_matrix(np.array([[[1.0, 2.0]]]), (1, 3), format="dense")
    monomials = sorted(PolynomialMap.of(SkipRecursion([Layer(first), Layer(np.ones((1, 2)))]), r).terms[0])
    assert len(monomials) <= math.comb(3 + r - 1, r)
    every = [e for e in np.ndindex(*[r + 1] * 3) if sum(e) == r]
    conditions = generator.integers(-9, 10, (2, len(every)))

    def determinant(s: int) -> Fraction:
        def image(b: list[float]) -> list[Fraction]:
            layer = Layer(conv_matrix(np.array([[[float(s), 1.0]]]), (1, 3), format="dense"))
            terms = PolynomialMap.of(SkipRecursion([layer, Layer(np.array([b]))]), r)
            coefficients = [terms.coefficient(0, e) for e in every]
            return [sum(int(c) * v for c, v in zip(row, coefficients, strict=True)) for row in conditions]

        (a, c), (b, d) = image([1.0, 0.0]), image([0.0, 1.0])
        return a * d - b * c

    s = sympy.Symbol("s")
    points = [(n, sympy.Rational(determinant(n).numerator, determinant(n).denominator)) for n in range(2 * r + 3)]
    polynomial = sympy.Poly(sympy.interpolate(points, s), s)
    assert polynomial.degree() == 2 * r
    assert polynomial.is_sqf


def test_mistakes_are_named() -> None:
    f = network(np.random.default_rng(1), 2)
    with pytest.raises(NotAffineError, match="degree 1"):
        PolynomialMap.of(f, 2).affine()
    with pytest.raises(NotAffineError, match="polynomial"):
        PolynomialMap.of(f, "relu")
    with pytest.raises(TooLargeError, match="coefficients"):
        PolynomialMap.of(f, 2, memory_budget=1000)
    with pytest.raises(ShapeError, match="fit"):
        PolynomialMap.of(f, 2)(np.ones(3))
    with pytest.raises(ShapeError, match="compose"):
        _ = PolynomialMap.of(f) @ PolynomialMap(({(1,): Fraction(1)},), (1,), (1,))
