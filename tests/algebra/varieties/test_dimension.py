"""Dimensions against the published formulas, and against what is counted by hand.

KOHN          arXiv:2304.05752: linear 1-D CNNs of one channel, any strides: sum k - (L - 1)
MONOMIAL      arXiv:2410.00722: the same with x^r
GENERIC       arXiv:2505.11846: a generic polynomial activation is one-to-one: sum k
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.varieties.architecture import Architecture, Draft, polynomial
from algebraic_cnn.algebra.varieties.dimension import BOUND, Dimension, ambient_of, dimension_of
from algebraic_cnn.algebra.varieties.jacobian import Point, growth, longest_sum
from algebraic_cnn.algebra.varieties.symmetries import Action
from algebraic_cnn.errors import AlgebraicError, GeometryError, NotAffineError, TooLargeError
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime
from algebraic_cnn.rings.ring import Rationals

KOHN = [
    ((3, 2), (1, 1)),
    ((3, 2), (2, 1)),
    ((2, 3, 2), (2, 2, 1)),
    ((4, 3, 3, 2), (2, 3, 2, 1)),
    ((5, 5, 5), (1, 1, 1)),
    ((3, 3, 3, 3), (1, 2, 1, 1)),
]
MONOMIAL = [((3, 2), (1, 1), 2), ((3, 2, 2), (1, 1, 1), 2), ((2, 3, 2), (2, 2, 1), 3), ((4, 3, 3), (2, 1, 1), 2)]
GENERIC = [(3, 2), (3, 2, 2), (2, 3, 2)]


def dimension(kernel_sizes: tuple[int, ...], **options: object) -> Dimension:
    return dimension_of(Architecture.chain(kernel_sizes, **options), seed=7)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("kernel_sizes", "strides"), KOHN)
def test_linear_networks_have_the_published_dimension(kernel_sizes: tuple[int, ...], strides: tuple[int, ...]) -> None:
    found = dimension(kernel_sizes, strides=strides)
    assert (found.value, found.certain) == (sum(kernel_sizes) - (len(kernel_sizes) - 1), True)


@pytest.mark.parametrize(("kernel_sizes", "strides", "r"), MONOMIAL)
def test_powers_have_the_published_dimension(kernel_sizes: tuple[int, ...], strides: tuple[int, ...], r: int) -> None:
    found = dimension(kernel_sizes, strides=strides, activation=r)
    assert (found.value, found.certain) == (sum(kernel_sizes) - (len(kernel_sizes) - 1), True)


@pytest.mark.parametrize("kernel_sizes", GENERIC)
def test_a_generic_activation_is_one_to_one(kernel_sizes: tuple[int, ...]) -> None:
    found = dimension(kernel_sizes, activation=[0, 1, 5, 7])
    assert (found.value, found.symmetries, found.certain) == (sum(kernel_sizes), 0, True)


@given(st.integers(0, 10**9))
def test_any_chain_of_one_channel_has_the_published_dimension(seed: int) -> None:
    generator = np.random.default_rng(seed)
    L = int(generator.integers(1, 5))
    kernel_sizes = tuple(int(k) for k in generator.integers(2, 5, L))
    strides = tuple(int(s) for s in generator.integers(1, 3, L))
    assert dimension(kernel_sizes, strides=strides).value == sum(kernel_sizes) - (L - 1)


#: What a skip adds: kernel sizes, options, skips, then the dimension without, with t = 3, with t free.
ALL_OF_THREE = {(0, 2): 3, (1, 3): 3, (0, 3): 3}
SKIPS = [
    ((3, 3), {}, {(0, 2): 3}, (5, 5, 5)),
    ((3, 3), {"strides": (2, 1)}, {(0, 2): 3}, (5, 5, 5)),
    ((3, 3, 2), {}, {(0, 3): 3}, (6, 6, 6)),
    ((3, 3, 2), {"strides": (2, 2, 1)}, {(0, 3): 3}, (6, 7, 7)),
    ((3, 3, 3), {"strides": (2, 3, 1)}, {(0, 3): 3}, (7, 8, 8)),
    (
        (3, 3, 3, 2),
        {"strides": (2, 2, 2, 1)},
        {(0, 2): 3, (0, 3): 5, (1, 3): 7, (0, 4): 2, (1, 4): 3, (2, 4): 5},
        (8, 11, 11),
    ),
    ((3, 3, 3), {"dims": 2}, {(0, 3): 3}, (25, 26, 26)),
    ((3, 3, 3), {"dims": 2}, {(0, 2): 3, (1, 3): 3}, (25, 26, 26)),
    ((3, 3), {"channels": (2, 2, 2)}, {(0, 2): 3}, (20, 20, 20)),
    ((3,) * 5, {"channels": (1, 2, 2, 2, 2, 1)}, {(1, 4): 3}, (11, 11, 11)),
    ((2, 2, 2), {"channels": (2,) * 4}, {(0, 3): 3}, (16, 16, 16)),
    ((2, 2, 2), {"channels": (2,) * 4, "dims": 2}, {(0, 3): 3}, (40, 44, 44)),
    ((3, 3, 1), {"channels": (3,) * 4, "dims": 2}, {(0, 3): 3}, (153, 162, 162)),
    ((3, 3), {"activation": 2}, {(0, 2): 3}, (5, 6, 6)),
    ((3, 3, 2), {"activation": 2}, {(0, 3): 3}, (6, 7, 7)),
    ((3, 3, 2), {"activation": 2}, ALL_OF_THREE, (6, 8, 9)),
]


@pytest.mark.parametrize(("kernel_sizes", "options", "skips", "values"), SKIPS)
def test_what_a_skip_adds(kernel_sizes: tuple[int, ...], options: dict, skips: dict, values: tuple[int, ...]) -> None:
    found = (
        dimension(kernel_sizes, **options).value,
        dimension(kernel_sizes, **options, skips=skips).value,
        dimension(kernel_sizes, **options, skips=skips, strengths="free").value,
    )
    assert found == values


def test_strengths_are_named_and_some_may_be_free() -> None:
    zero = dimension((3, 3, 2), activation=2, skips=ALL_OF_THREE, strengths=dict.fromkeys(ALL_OF_THREE, 0))
    assert zero.value == dimension((3, 3, 2), activation=2).value == 6
    some = dimension((3, 3, 2), activation=2, skips=ALL_OF_THREE, strengths={(0, 3): "free"})
    assert some.parameters == 9


def test_three_axes_groups_and_biases_by_hand() -> None:
    single = dimension((2,), dims=3, channels=(2, 4), groups=(2,), bias=True)
    assert (single.value, single.parameters, single.certain) == (4 * 8 + 4, 36, True)
    biased = dimension((3, 3, 2), strides=(2, 2, 1), bias=True)
    assert (biased.value, biased.symmetries) == (6 + 1, 2 + 2)  # two scalings, two shifts: one bias is left


def test_two_matrices_are_the_matrices_of_their_rank() -> None:
    """r (m + n - r) for m x n matrices of rank r, where few inputs with all outputs would not do."""
    for m, n, r in ((2, 9, 1), (9, 2, 1), (5, 4, 2)):
        assert dimension((1, 1), channels=(n, r, m)).value == r * (m + n - r)


def test_a_rank_that_meets_no_bound_is_only_probable() -> None:
    found = dimension((3, 3, 3), dims=2, skips={(0, 2): 3, (1, 3): 3})
    assert not found.certain
    assert 0 < found.error_probability < 1e-6
    alone = dimension_of(Architecture.chain((3, 3, 3), dims=2, skips={(0, 2): 3, (1, 3): 3}), primes=1, seed=7)
    assert found.error_probability < alone.error_probability < 1e-3


def test_the_jacobian_is_the_derivative() -> None:
    """A polynomial in one parameter is known by its values: differences of all orders at integers, over Q."""
    net = Architecture.chain((2, 2), channels=(1, 2, 1), skips={(0, 2): 3}, bias=True, activation=2, strengths="free")
    field = PrimeField(random_prime(longest_sum(net), np.random.default_rng(0)))
    generator = np.random.default_rng(1)
    theta = generator.integers(-3, 4, net.parameters)
    x, u = (field.embed(generator.integers(-3, 4, (net.size(v), 2))) for v in (0, len(net.steps)))

    def value(letters: np.ndarray) -> np.ndarray:
        return field.reduce(u * Point(net, field, field.embed(letters)).forward(x)[-1]).sum(axis=0)

    rows = Point(net, field, field.embed(theta)).gradients(x, u)
    half = float(field.embed(np.array([0.5]))[0])
    for letter in range(net.parameters):
        step = np.eye(net.parameters, dtype=np.int64)[letter]
        slopes = []
        for h in (1, 2):  # central differences of a polynomial of degree 4 at most: f' h + f''' h^3 / 6
            difference = field.reduce(field.reduce(value(theta + h * step) - value(theta - h * step)) * half)
            slopes.append(field.divide(difference, np.array([h] * 2)))
        expected = field.divide(field.reduce(4 * slopes[0] - slopes[1]), np.array([3, 3]))
        assert (rows[:, letter] == expected).all()


def test_entries_of_the_jacobian_stay_within_their_bounds() -> None:
    net = Architecture.chain((2, 3), skips={(0, 2): 0.75}, bias=True, activation=[1, 0.5, 2])
    size = growth(net, 2)
    p = 2**25 - 39
    field = PrimeField(p)
    generator = np.random.default_rng(3)
    rows = Point(net, field, field.embed(generator.integers(0, 2, net.parameters))).jacobian(50, generator, 2)
    numerators = field.reduce(rows * float(field.embed(np.array([2.0**size.denominator % p]))[0]))
    assert size.denominator == int(size.denominator)
    assert 2 < np.log2(np.abs(numerators).max()) <= size.bits
    assert size.bits < math.log2(p) - 1  # so the residues are the numerators themselves


def test_the_ambient_space_counts_monomials() -> None:
    assert ambient_of(Architecture.chain((3, 3), channels=(2, 3, 4))) == 4 * 2 * 5
    assert ambient_of(Architecture.chain((2, 2), activation=3)) == 10  # cubics of three variables
    assert ambient_of(Architecture.chain((2, 2), activation=2, bias=True)) == 1 + 3 + 6


def mistakes() -> list[tuple[type[AlgebraicError], dict, tuple[int, ...]]]:
    return [
        (GeometryError, {"strides": [1]}, (2, 2)),
        (GeometryError, {"skips": {(0, 1): 1}}, (2, 2)),
        (GeometryError, {"skips": {(0, 4): 1}}, (2, 2)),
        (GeometryError, {"channels": [1, 3, 2], "groups": [1, 2]}, (2, 2)),
        (GeometryError, {}, ()),
        (GeometryError, {"skips": {(0, 2): 1}, "strengths": "fixed"}, (2, 2)),
        (NotAffineError, {"activation": "relu"}, (2, 2)),
        (NotAffineError, {"activation": [3]}, (2, 2)),
        (NotAffineError, {"activation": 0}, (2, 2)),
    ]


@pytest.mark.parametrize(("error", "options", "kernel_sizes"), mistakes())
def test_mistakes_are_named(error: type[AlgebraicError], options: dict, kernel_sizes: tuple[int, ...]) -> None:
    with pytest.raises(error):
        Architecture.chain(kernel_sizes, **options)


def test_budgets_are_kept() -> None:
    net = Architecture.chain((3, 3), channels=(8, 8, 8), dims=2)
    with pytest.raises(TooLargeError, match="Jacobian"):
        dimension_of(net, memory_budget=1_000_000)
    with pytest.raises(GeometryError, match="prime"):
        dimension_of(net, primes=0)
    with pytest.raises(TooLargeError, match="degree"):
        ambient_of(Architecture.chain((2,) * 16, activation=2))


def test_activations_are_polynomials() -> None:
    assert polynomial(1) == (0, 1)
    assert polynomial([1, 0.5]) == (1, Rationals().embed(np.array([0.5]))[0])


def test_what_a_mutant_of_the_network_would_give_is_told_apart() -> None:
    """The ranks see a skip that is forgotten, and a letter that stands in two layers."""
    draft = Draft(1, 5)
    first, shape = draft.convolution(0, (1, 1, 3), (1, 5), bias=False)
    shared = draft.architecture().steps[0]
    pattern = np.zeros((1, 3))
    pattern[0] = [1, 2, 3]
    draft.weights(first, pattern, np.unique(shared.index), None, 1)  # pyright: ignore[reportAttributeAccessIssue]
    tied = draft.architecture()
    found = dimension_of(tied, seed=1)
    assert shape == (1, 3)
    assert (found.value, found.parameters, found.symmetries) == (3, 3, 0)  # squares of polynomials of degree 2
    assert Action.of(tied).generators == ()
    assert BOUND == 2**26
