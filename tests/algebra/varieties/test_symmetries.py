"""Symmetries: every generator is tangent to the fibre, modulo a prime, and one that is changed is not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from algebraic_cnn.algebra.varieties.architecture import Architecture
from algebraic_cnn.algebra.varieties.elimination import rank
from algebraic_cnn.algebra.varieties.jacobian import Point, longest_sum
from algebraic_cnn.algebra.varieties.symmetries import Action, Family, symmetries_of
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime

NETWORKS = {
    "channels": Architecture.chain((2, 2, 2), channels=(2, 3, 2, 1)),
    "groups": Architecture.chain((2, 2, 2), channels=(2, 4, 4, 2), groups=(1, 2, 1)),
    "depthwise": Architecture.chain((2, 2, 2), channels=(3, 3, 3, 1), groups=(3, 1, 1)),
    "a power": Architecture.chain((2, 2, 2), channels=(1, 2, 2, 1), activation=3, bias=True),
    "biases": Architecture.chain((2, 3, 2), channels=(1, 2, 2, 1), strides=(2, 1, 1), bias=True, skips={(1, 3): 2}),
    "two axes": Architecture.chain((2, 2, 2), channels=(2, 2, 2, 2), dims=2, skips={(0, 3): 3}),
    "blocks": Architecture.chain((3,) * 5, channels=(1, 2, 2, 2, 2, 1), skips={(1, 4): 0.5}),
    "absorbed": Architecture.chain((3, 3, 2), channels=(2, 2, 2, 1), skips={(0, 2): 5}),
    "more channels": Architecture.chain((2, 2, 2, 2), channels=(1, 2, 2, 3, 1), skips={(1, 4): 2}),
    "fewer channels": Architecture.chain((2, 2, 2, 2), channels=(1, 3, 2, 2, 1), skips={(1, 4): 2}),
    "free": Architecture.chain(
        (2, 2, 2), channels=(1, 2, 2, 1), strides=(2, 2, 1), skips={(0, 3): 1}, strengths="free"
    ),
    "free, absorbed": Architecture.chain((3, 3), channels=(2, 2, 2), skips={(0, 2): 1}, strengths="free"),
    "free, a power": Architecture.chain((2, 2, 2), activation=2, skips={(0, 2): 1, (0, 3): 2}, strengths="free"),
}


def point_of(net: Architecture, seed: int = 3) -> Point:
    generator = np.random.default_rng(seed)
    field = PrimeField(random_prime(longest_sum(net), generator))
    return Point(net, field, field.embed(generator.integers(0, 2**26, net.parameters)))


def pushed(net: Architecture, fields: np.ndarray, point: Point) -> np.ndarray:
    rows = point.jacobian(net.parameters, np.random.default_rng(4), 2**26)
    return point.field.matmul(rows, np.ascontiguousarray(fields.T))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_generator_moves_the_function(name: str) -> None:
    net = NETWORKS[name]
    action, point = Action.of(net), point_of(net)
    fields = action.fields(point)
    assert len(fields) == sum(family.dimension for family in action.families()) > 0
    assert not pushed(net, fields, point).any()
    assert rank(fields.copy(), point.field) == action.orbit(point) == len(fields)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_generator_that_forgets_a_side_moves_it(name: str) -> None:
    net = NETWORKS[name]
    action, point = Action.of(net), point_of(net)
    fields = action.fields(point)
    wrong = fields.copy()
    wrong[:, : net.parameters // 2] = 0
    kept = np.flatnonzero((wrong != fields).any(axis=1) & wrong.any(axis=1))
    assert len(kept)
    assert pushed(net, wrong[kept], point).any(axis=0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_there_are_no_more_than_the_fibre_has_room_for(name: str) -> None:
    net, point = NETWORKS[name], point_of(NETWORKS[name])
    value = rank(point.jacobian(net.parameters, np.random.default_rng(5), 2**26), point.field)
    assert value <= net.parameters - Action.of(net).orbit(point)


def test_what_the_families_are() -> None:
    assert symmetries_of(NETWORKS["channels"]).families == (Family("GL", (1,), 9), Family("GL", (2,), 4))
    assert symmetries_of(NETWORKS["groups"]).families == (Family("GL", (1,), 8), Family("GL", (2,), 8))
    assert symmetries_of(NETWORKS["depthwise"]).families == (Family("scaling", (1,), 3), Family("GL", (2,), 9))
    assert {family.kind for family in symmetries_of(NETWORKS["a power"]).families} == {"scaling"}
    assert symmetries_of(NETWORKS["free, absorbed"]).families[-1] == Family("strength", ((0, 2),), 1)


def test_a_skip_ties_two_layers_or_holds_one() -> None:
    tied = symmetries_of(NETWORKS["blocks"])
    assert Family("GL", (1, 3), 4) in tied.families
    assert tied.broken == {(1, 4): (Family("GL", (1,), 4), Family("GL", (3,), 4))}
    assert tied.dimension == sum(family.dimension for family in tied.without_skips) - 4
    held = symmetries_of(NETWORKS["two axes"])
    assert (held.families, held.absorbed) == ((Family("GL", (1,), 4),), ())


def test_a_skip_over_one_layer_breaks_nothing() -> None:
    found = symmetries_of(NETWORKS["absorbed"])
    assert found.absorbed == ((0, 2),)
    assert found.broken == {(0, 2): ()}
    assert found.families == found.without_skips


def test_what_stands_in_the_way_of_taking_a_skip_over() -> None:
    """An activation, or a second use of the layer's output; a stride does not."""
    even = Architecture.chain((1, 2), strides=(2, 1), skips={(0, 2): 1})
    assert symmetries_of(even).absorbed == ((0, 2),)
    x2 = Architecture.chain((3, 3), skips={(0, 2): 3}, activation=2)
    assert symmetries_of(x2).absorbed == ()
    again = Architecture.chain((3, 3, 2), skips={(0, 2): 3, (1, 3): 3})
    assert symmetries_of(again).absorbed == ()


def test_the_generator_of_a_power_scales_by_the_power() -> None:
    (generator,) = Action.of(Architecture.chain((2, 2), activation=3)).generators
    assert sorted(generator.values()) == [Fraction(1, 3), Fraction(1)] or sorted(generator.values()) == [1, 3]
