"""Seconds per call of several functions, measured in turn so that a change of the machine's pace strikes all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

Clock = Callable[[], float]


def interleaved_seconds(
    functions: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """The median seconds per call of each function.

    In every round each function runs in its turn: once untimed, so that it does not pay for caches that the one before
    it filled, or for threads that this one left waiting; then often enough to last a millisecond.  Rounds go on until
    the time is up, five at least.

    Args:
        functions: name to function; a function on a GPU must wait for its result.
        seconds: time to spend on all of them together.
        clock: what is measured; ``time.process_time`` does not see what other processes take from a thread.

    >>> found = interleaved_seconds({"short": lambda: None, "long": lambda: sum(range(1000))}, seconds=0.01)
    >>> found["short"] < found["long"]
    True
    """
    calls = {name: _calls_per_millisecond(function, clock) for name, function in functions.items()}
    samples: dict[str, list[float]] = {name: [] for name in functions}
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 5 or time.perf_counter() < end:
        for name, function in functions.items():
            function()
            samples[name].append(_timed(function, calls[name], clock) / calls[name])
        rounds += 1
    return {name: statistics.median(values) for name, values in samples.items()}


def _timed(function: Callable[[], object], calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        function()
    return clock() - start


def _calls_per_millisecond(function: Callable[[], object], clock: Clock) -> int:
    function()
    once = min(_timed(function, 1, clock) for _ in range(3))
    return max(1, math.ceil(1e-3 / max(once, 1e-9)))
