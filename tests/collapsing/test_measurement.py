"""A race under a clock that is not the machine's: bursts, drifts and ties decide nothing; a real loss always shows."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from algebraic_cnn.collapsing.cost import Expense
from algebraic_cnn.collapsing.measurement import Race, race


class Machine:
    """A clock that only its two functions move: by their seconds times what the machine makes of them."""

    def __init__(self, seconds: tuple[float, float], noise: Callable[[Machine], float]) -> None:
        self.now, self.noise = 0.0, noise
        self.sides = [lambda each=each: self.spend(each) for each in seconds]

    def spend(self, seconds: float) -> None:
        self.now += seconds * self.noise(self)

    def race(self) -> Race:
        return race(*self.sides, clock=lambda: self.now)


def bursts(seed: int) -> Callable[[Machine], float]:
    """Every fourth call takes up to six times as long, on either side."""
    generator = random.Random(seed)
    return lambda machine: generator.uniform(2, 6) if generator.random() < 0.25 else generator.uniform(1, 1.1)


def drift(machine: Machine) -> float:
    """Everything slows down as time passes: by a half in every second."""
    return 1 + machine.now / 2


def test_bursts_put_nothing_back_that_is_not_slower() -> None:
    lost = [Machine((0.01, 0.01), bursts(seed)).race().lost for seed in range(500)]
    assert sum(lost) <= 1
    assert not any(Machine((0.01, 0.009), bursts(seed)).race().lost for seed in range(500))


def test_bursts_hide_no_loss() -> None:
    assert all(Machine((0.01, 0.03), bursts(seed)).race().lost for seed in range(20))
    assert all(Machine((0.01, 0.012), lambda machine: 1.0).race().lost for _ in range(2))


def test_a_drift_strikes_both_sides() -> None:
    assert not Machine((0.01, 0.01), drift).race().lost
    assert Machine((0.01, 0.013), drift).race().lost


def test_a_race_that_is_won_ends_early() -> None:
    machine = Machine((1.0, 0.5), lambda machine: 1.0)
    assert machine.race() == Race(1.0, 0.5, lost=False)
    assert machine.now == pytest.approx(1.5 + 9 * 1.5)  # a call of each to warm up, then nine rounds


def test_short_calls_are_timed_many_at_once() -> None:
    machine = Machine((1e-6, 2e-6), lambda machine: 1.0)
    assert machine.race().lost
    assert machine.now >= 25 * 2 * 4e-4


@pytest.mark.parametrize(
    ("after", "within"),
    [((1, 2, 3), True), ((0, 2, 3), True), ((2, 2, 0), False), ((0, 3, 0), False), ((0, 0, 4), False)],
)
def test_spending_more_of_one_kind_is_spending_more(after: tuple[float, ...], within: bool) -> None:
    assert Expense(*after).within(Expense(1.0, 2.0, 3.0)) == within
