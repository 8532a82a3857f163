"""The stopwatch: functions run in turn, and the median is per call."""

from __future__ import annotations

import time

from algebraic_cnn.collapsing.measurement import interleaved_seconds


def test_functions_run_in_turn() -> None:
    calls: list[str] = []
    functions = {name: lambda name=name: (calls.append(name), time.sleep(0.002)) for name in "ab"}
    found = interleaved_seconds(functions, seconds=0.0)
    assert set(found) == {"a", "b"}
    assert calls[-20:] == ["a", "a", "b", "b"] * 5


def test_what_ran_before_is_not_paid_for() -> None:
    last = [""]

    def of(name: str) -> None:
        time.sleep(0.02 if last[0] != name else 0.001)
        last[0] = name

    found = interleaved_seconds({name: lambda name=name: of(name) for name in "ab"}, seconds=0.0)
    assert max(found.values()) < 0.02


def test_the_median_is_per_call() -> None:
    # a sleep never ends early, so this holds on the slowest machine
    assert interleaved_seconds({"sleep": lambda: time.sleep(0.001)}, seconds=0.0)["sleep"] >= 0.001


def test_processor_time_is_not_spent_asleep() -> None:
    found = interleaved_seconds({"sleep": lambda: time.sleep(0.01)}, seconds=0.0, clock=time.process_time)
    assert found["sleep"] < 0.01


def test_a_clock_that_stands_still_does_not_make_a_sample_endless() -> None:
    calls: list[int] = []
    found = interleaved_seconds({"still": lambda: (calls.append(0), time.sleep(1e-4))}, seconds=0.0, clock=lambda: 1.0)
    assert found == {"still": 0.0}
    assert len(calls) <= 1 + 3 + 5 * (1 + 10)  # a sample lasts a millisecond by the clock on the wall
