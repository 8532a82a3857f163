"""Factorisations: what was composed is found again, exactly; what is no composition is refused; roots are counted."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import factor_filter, is_realisable
from algebraic_cnn.algebra.varieties.factoring import composed, count_real
from algebraic_cnn.errors import AlgebraicError, GeometryError, NonFiniteError, ShapeError, UnknownNameError


def scaled(layers: list[np.ndarray]) -> list[list[Fraction]]:
    """Every layer divided by its last tap."""
    return [[Fraction(tap) / Fraction(layer[-1]) for tap in layer] for layer in layers]


def drawn(generator: np.random.Generator, sizes: list[int]) -> list[np.ndarray]:
    layers = [generator.integers(-9, 10, k).astype(object) for k in sizes]
    for layer in layers:
        layer[:] = [int(tap) for tap in layer]
        layer[-1] = int(generator.integers(1, 9))
    return layers


@given(st.integers(0, 10**9))
def test_strided_layers_are_found_again_and_no_others(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = [int(k) for k in generator.integers(2, 5, generator.integers(2, 4))]
    strides = [*(int(s) for s in generator.integers(2, 4, len(sizes) - 1)), 1]
    layers = drawn(generator, sizes)
    w = composed(layers, strides)
    found = factor_filter(w, sizes, strides)
    assert scaled(layers) in [scaled(list(each)) for each in found]
    assert all((composed(each, strides) == w).all() for each in found)
    assert all(layer[-1] == 1 for each in found for layer in each[1:])
    assert is_realisable(w, sizes, strides)


@given(st.integers(0, 10**9))
def test_a_filter_of_seven_random_taps_is_no_composition_with_a_stride(seed: int) -> None:
    """w = u(x) v(x^2) with three taps each needs both polyphase parts to be multiples of one quadratic."""
    taps = [int(tap) for tap in np.random.default_rng(seed).integers(-99, 100, 7)]
    taps[-1] = taps[-1] or 1
    even, odd = (sympy.Poly(list(reversed(taps[r::2])), sympy.Symbol("x")) for r in (0, 1))
    fits = sympy.gcd(even, odd).degree() >= 2
    assert bool(factor_filter(taps, [3, 3], [2, 1])) == is_realisable(taps, [3, 3], [2, 1]) == fits


def test_all_rational_factorisations_without_strides() -> None:
    x = sympy.Symbol("x")
    taps = [int(c) for c in reversed(sympy.Poly((x - 1) * (x - 2) * (x**2 - 2) * (3 * x + 1), x).all_coeffs())]
    found = factor_filter(taps, [3, 4])
    assert len(found) == 1 + 3  # x^2 - 2 and the rest, or two of the three linear ones and the rest
    assert all((composed(each, [1, 1]) == taps).all() for each in found)
    assert len(factor_filter([1, 3, 3, 1], [2, 2, 2])) == 1  # (x + 1)^3
    assert len(factor_filter([-1, 0, 0, 0, 1], [3, 2], [2, 1])) == 2  # y - 1 or y + 1, y = x^2
    assert len(factor_filter([-1, 0, 0, 0, 1], [1, 2], [4, 1])) == 1


SIZES = [[3, 3], [2, 2, 2], [3, 3, 3], [2, 3], [4, 2, 3], [3, 3, 3, 3]]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_real_factorisations_are_counted_by_brute_force(sizes: list[int]) -> None:
    generator = np.random.default_rng(len(sizes))
    counts = Counter()
    for _ in range(4):
        w = generator.integers(-1000, 1001, sum(sizes) - len(sizes) + 1).tolist()
        w[-1] = w[-1] or 1
        roots = np.roots(w[::-1])
        real = sum(abs(root.imag) < 1e-9 for root in roots)  # only to know how many are to be dealt
        kinds = [1] * real + [2] * ((len(roots) - real) // 2)
        expected = sum(
            all(sum(d for d, at in zip(kinds, dealt, strict=True) if at == i) == k - 1 for i, k in enumerate(sizes))
            for dealt in np.ndindex(*[len(sizes)] * len(kinds))
        )
        assert count_real(w, sizes) == expected
        assert is_realisable(w, sizes, ring="RR") == (expected > 0)
        if expected <= 30:
            assert len(factor_filter(w, sizes, ring="RR")) == expected
        counts[real] += 1
    assert sum(counts.values()) == 4


def test_real_layers_compose_to_the_filter() -> None:
    """Every tap is within the rounding of sums of products of rounded taps."""
    w = np.random.default_rng(3).normal(size=7)
    found = factor_filter(w, [4, 4], ring="RR")
    assert found
    for layers in found:
        sizes = composed([[abs(tap) for tap in layer] for layer in layers], [1, 1]).astype(float)
        assert (np.abs(composed(layers, [1, 1]).astype(float) - w) <= 32 * 2.0**-53 * sizes).all()


def test_real_layers_behind_strides_are_rational_together() -> None:
    layers = [[1, 2, 3], [-2, 1], [-3, 1]]
    w = [float(tap) for tap in composed(layers, [2, 1, 1])]
    first = factor_filter(w, [3, 2, 2], [2, 1, 1], "RR")[0][0]
    assert first.tolist() == [1, 2, 3]
    assert count_real(w, [3, 2, 2], [2, 1, 1]) == 2
    assert count_real([1, 2, 3, 4, 5], [3, 2], [2, 1]) == 0
    assert factor_filter([1, 2, 3, 4, 5], [3, 2], [2, 1], "RR") == []


def test_a_last_tap_of_zero_is_a_root_at_infinity() -> None:
    layers = [np.array([2, 1, 0]), np.array([3, 1])]
    w = composed(layers, [2, 1])
    [found] = factor_filter(w, [3, 2], [2, 1])
    assert (composed(found, [2, 1]) == w).all()
    assert found[1].tolist() == [3, 1]


def test_multiple_roots_are_said_and_still_decided() -> None:
    assert is_realisable([1, 0, 2, 0, 1], [3, 3], ring="RR")  # (x^2 + 1)^2
    assert not is_realisable([1, 0, 2, 0, 1], [2, 4], ring="RR")
    with pytest.raises(GeometryError, match="discriminant"):
        factor_filter([1, 0, 2, 0, 1], [3, 3], ring="RR")
    with pytest.raises(GeometryError, match="multiple"):
        count_real([1, 2, 1], [2, 2])


MISTAKES = [
    (ShapeError, ([1, 2, 3], [3, 3]), {}),
    (ShapeError, ([1.0, 2.0, 1.0], [2, 2]), {}),
    (ShapeError, (["a", 2, 1], [2, 2]), {}),
    (NonFiniteError, ([math.nan, 2, 1], [2, 2]), {"ring": "RR"}),
    (GeometryError, ([0, 2, 0], [2, 2]), {}),
    (GeometryError, ([1, 2, 1], [2, 2], [1]), {}),
    (GeometryError, ([1], []), {}),
    (UnknownNameError, ([1, 2, 1], [2, 2]), {"ring": "CC"}),
    (GeometryError, ([1, 0, -3, 0, 2], [3, 2], [2, 1]), {"ring": "RR"}),  # both divisors of the gcd do
]


@pytest.mark.parametrize(("error", "arguments", "options"), MISTAKES)
def test_mistakes_are_named(error: type[AlgebraicError], arguments: tuple, options: dict) -> None:
    with pytest.raises(error):
        factor_filter(*arguments, **options)
