"""Where the time of a collapse goes: laps with names, one after the other.

    Stopwatch    starts when it is made; each lap lasts from the end of the one before it
"""

from __future__ import annotations

import itertools
import time


class Stopwatch:
    """Named laps.

    A lap that is finished again ends anew, and what was done in between belongs to it: where a first attempt is given
    up, its time is that of the first lap of the second.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._ends: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """The lap of that name ends now."""
        self._ends[name] = time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """How long every lap took, in the order in which they first ended."""
        spans = itertools.pairwise((self._start, *self._ends.values()))
        return {name: end - start for name, (start, end) in zip(self._ends, spans, strict=True)}
