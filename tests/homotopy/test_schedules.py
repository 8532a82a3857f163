"""Schedules begin at the start, end at the end, never leave [0, 1], never stall, and go on where they were left."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import HomotopyError
from algebraic_cnn.homotopy import Adaptive, Constant, Cosine, Exponential, Linear, Schedule, Step

CURVES = [Linear, Cosine, Exponential, Step]
sixteenths = st.integers(0, 16).map(lambda k: k / 16)


@given(
    kind=st.sampled_from(CURVES),
    steps=st.integers(4, 40),
    start=sixteenths,
    end=sixteenths,
    wait=st.integers(0, 3),
)
def test_a_curve_goes_from_start_to_end(kind: type[Schedule], steps: int, start: float, end: float, wait: int) -> None:
    schedule = kind(steps, start, end, wait)
    values = [schedule.value]
    while not schedule.done:
        values.append(schedule.step())
    assert len(values) == schedule.length + 1 == wait + steps + 1
    assert values[: wait + 1] == [start] * (wait + 1)
    assert values[-1] == schedule.step() == end
    ways = [b - a for a, b in itertools.pairwise(values)]
    assert all(way * (end - start) >= 0 for way in ways)


def test_values_are_those_of_the_formulas() -> None:
    assert [Fraction(t) for t in _values(Linear(8))] == [Fraction(8 - k, 8) for k in range(9)]
    assert _values(Step(6, 0.5, 0.0, stairs=2)) == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.0]
    assert _values(Cosine(2)) == [1.0, 1 - (1 - math.cos(math.pi / 2)) / 2, 0.0]
    drops = [a - b for a, b in itertools.pairwise(_values(Exponential(3, rate=math.log(27))))]
    assert [round(13 * drop) for drop in drops] == [9, 3, 1]
    assert _values(Constant(0.25)) == [0.25]


def _values(schedule: Schedule) -> list[float]:
    values = [schedule.value]
    while not schedule.done:
        values.append(schedule.step())
    return values


@pytest.mark.parametrize("make", [Linear, Cosine, Exponential, Step, lambda n: Adaptive(size=1 / n)])
def test_a_schedule_is_taken_up_where_it_was_put_down(make: type[Schedule]) -> None:
    losses = [1.0, 1.2, 9.0, 1.0, 2.0, 1.1]
    whole, first, second = make(8), make(8), make(8)
    expected = [whole.step(loss) for loss in losses]
    for loss in losses[:3]:
        first.step(loss)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [second.step(loss) for loss in losses[3:]] == expected[3:]
    with pytest.raises(HomotopyError, match="another schedule"):
        second.load_state_dict({"steps": 3})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Linear(0), "never ends"),
        (lambda: Linear(math.inf), "never ends"),
        (lambda: Linear(2, wait=-1), "never begins"),
        (lambda: Linear(2, start=1.5), "outside"),
        (lambda: Cosine(2, end=-0.5), "outside"),
        (lambda: Constant(math.nan), "outside"),
        (lambda: Exponential(2, rate=0.0), "leads nowhere"),
        (lambda: Step(2, stairs=3), "drops without steps"),
        (lambda: Adaptive(size=0.0), "cannot be followed"),
        (lambda: Adaptive(shrink=1.0), "cannot be followed"),
        (lambda: Adaptive(factor=math.inf), "cannot be followed"),
        (lambda: Adaptive(corrections=0), "cannot be followed"),
        (lambda: Adaptive().step(), "steps by the loss"),
    ],
)
def test_a_way_that_leads_nowhere_is_refused(make: object, reason: str) -> None:
    with pytest.raises(HomotopyError, match=reason):
        make()  # type: ignore[operator]


@given(losses=st.lists(st.integers(0, 64).map(lambda k: k / 8) | st.just(math.nan), min_size=1, max_size=60))
def test_an_adaptive_way_never_stalls(losses: list[float]) -> None:
    """Whatever the losses, it arrives or gives up within the steps that its own numbers allow."""
    fade = Adaptive(size=0.25, smallest=0.05, corrections=2, factor=1.5)
    most = 2 * (math.ceil(1 / 0.05) + 1) * (math.ceil(math.log2(1 / 0.05)) + 2)
    accepted = [fade.accepted]
    for count in range(most + 1):
        if fade.done:
            break
        try:
            value = fade.step(losses[count % len(losses)])
        except HomotopyError:
            break
        assert 0 <= value <= fade.accepted <= accepted[-1]
        assert not fade.rejected or fade.accepted == accepted[-1]
        accepted.append(fade.accepted)
    else:
        raise AssertionError(f"still at {fade.value} after {most} steps")


def test_an_adaptive_way_follows_a_path_that_is_narrow_in_the_middle() -> None:
    """A model that forgets when t moves too far at once, near 0.5: small steps there, large ones elsewhere."""
    fade, trained_at, tried = Adaptive(size=0.25, corrections=1, factor=2.0, floor=0.1), 1.0, []
    while not fade.done:
        reach = 0.05 if 0.4 <= trained_at <= 0.6 else 0.3
        good = abs(fade.value - trained_at) <= reach
        tried.append((fade.value, good))
        at = fade.value
        fade.step(0.1 if good else 5.0)
        trained_at = at if good else trained_at
    steps = [a - b for (a, _), (b, _) in itertools.pairwise(tried) if a > b]
    assert not all(good for _, good in tried)
    assert max(steps) > 4 * min(steps)
    assert fade.value == fade.accepted == 0.0


def test_a_path_that_cannot_be_followed_says_where() -> None:
    fade = Adaptive(size=0.25, smallest=0.1, corrections=1, grow=1.0)
    assert [fade.step(1.0), fade.step(1.0)] == [0.75, 0.5]
    with pytest.raises(HomotopyError, match=r"beyond 0.75: .* got loss 8 at 0.625, best 1"):
        while True:
            fade.step(8.0)


def test_losses_below_the_floor_are_equally_good() -> None:
    strict, lenient = Adaptive(floor=1e-9, corrections=1), Adaptive(floor=0.1, corrections=1)
    for fade in (strict, lenient):
        fade.step(0.001)
        fade.step(0.05)
    assert strict.rejected
    assert not lenient.rejected
