"""The stopwatch: functions run in turn, and the median is per call."""

from __future__ import annotations

import time

from algebraic_cnn.bench.timing import interleaved_seconds


def test_functions_run_in_turn() -> None:
    calls: list[str] = []
    functions = {name: lambda name=name: (calls.append(name), time.sleep(0.002)) for name in "ab"}
    found = interleaved_seconds(functions, seconds=0.0)
    assert set(found) == {"a", "b"}
    assert calls[-10:] == ["a", "b"] * 5


def test_the_median_is_per_call() -> None:
    # a sleep never ends early, so this holds on the slowest machine
    assert interleaved_seconds({"sleep": lambda: time.sleep(0.001)}, seconds=0.0)["sleep"] >= 0.001


def test_processor_time_is_not_spent_asleep() -> None:
    found = interleaved_seconds({"sleep": lambda: time.sleep(0.01)}, seconds=0.0, clock=time.process_time)
    assert found["sleep"] < 0.01
