"""Laps by hand, on a clock that is told the time."""

from __future__ import annotations

import pytest

from algebraic_cnn.collapsing import stopwatch


def test_a_lap_that_ends_again_takes_what_came_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced at 1, derived at 3, measured at 4, given up; derived at 10, measured at 11, certified at 13."""
    times = iter([0.0, 1.0, 3.0, 4.0, 10.0, 11.0, 13.0])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(times))
    watch = stopwatch.Stopwatch()
    for name in ("trace", "derive", "measure", "derive", "measure", "certify"):
        watch.lap(name)
    assert list(watch.seconds().items()) == [("trace", 1.0), ("derive", 9.0), ("measure", 1.0), ("certify", 2.0)]
