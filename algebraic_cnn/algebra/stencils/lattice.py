"""One axis of a translation-equivariant map: which inputs an output reads, and where borders break the pattern.

Axis        y[up j + q] = sum over t < width of k[q, t] x[down j + start + step t]
phase       q = p mod up: outputs of one phase share their taps
phantom     a position between two maps that the second reads as 0, and that the taps alone would fill
ring        how many outputs at each end the taps do not tell, because they meet phantoms
Meeting     one tap of a map, applied to all taps of the map before it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import gcd, lcm
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Axis:
    """One axis of a map: y[up j + q] = sum_t k[q, t] x[down j + start + step t], x zero outside 0 .. n - 1.

    Attributes:
        n: length of the input.
        m: length of the output.
        down: step of the windows between two outputs of one phase: the stride of a convolution.
        up: number of phases: the stride of a transposed convolution, the factor of a pixel shuffle.
        start: first position that output 0 reads; minus the padding of a convolution.
        width: how many taps.
        step: distance of two taps: the dilation.
        ring: at each end, how many outputs the taps do not tell.
        used: with phases, the first and the last tap of each that may be other than 0 (the last before the first where
            none may); empty if all may.

    >>> Axis(5, 5, start=-1, width=3).reads[0]                   # a padded convolution with 3 taps
    array([-1,  0,  1])
    """

    n: int
    m: int
    down: int = 1
    up: int = 1
    start: int = 0
    width: int = 1
    step: int = 1
    ring: tuple[int, int] = (0, 0)
    used: tuple[tuple[int, int], ...] = ()

    @cached_property
    def reads(self) -> np.ndarray:
        """Integers (m, width): entry [p, t] is the position that output p reads with tap t."""
        return self.window(np.arange(self.m))

    def window(self, p: np.ndarray) -> np.ndarray:
        """Integers (*p.shape, width): the positions that outputs p read; p may lie outside 0 .. m - 1."""
        return (p // self.up * self.down)[..., None] + self.start + self.step * np.arange(self.width)

    def hull(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Integers (*p.shape,) twice: the lowest and the highest position that outputs p may read.

        >>> Axis(4, 8, up=2).then(Axis(8, 8, start=-1, width=3)).hull(np.arange(2))           # x[-1], x[0]; x[0], x[1]
        (array([-1,  0]), array([0, 1]))
        """
        origin = p // self.up * self.down + self.start
        first, last = np.array(self.used or [(0, self.width - 1)] * self.up).T
        return origin + self.step * first[p % self.up], origin + self.step * last[p % self.up]

    def bounded(self, low: np.ndarray, high: np.ndarray) -> Axis:
        """The same axis, knowing that outputs 0 .. up - 1 read positions ``low`` to ``high`` at most."""
        taps = ((each - self.start) // self.step for each in (low, high))
        used = tuple(zip(*(each.tolist() for each in taps), strict=True))
        return self if set(used) == {(0, self.width - 1)} else replace(self, used=used)

    @property
    def idle(self) -> tuple[int, int]:
        """How many taps are surely 0 at each end of the transposed convolution's kernel.

        There output up j + q reads x[j + start + t] through tap q + up (width - 1 - t).
        """
        q, (first, last) = np.arange(self.up), np.array(self.used or [(0, self.width - 1)] * self.up).T
        low, high = (q + self.up * (self.width - 1 - taps) for taps in (last, first))
        return int(low.min()), int(self.up * self.width - 1 - high.max())

    @property
    def inside(self) -> bool:
        """Whether no output reads outside."""
        return bool(self.reads.min() >= 0 and self.reads.max() < self.n)

    @property
    def trivial(self) -> bool:
        """Whether every output reads its own position alone."""
        return self.n == self.m and (self.down, self.up, self.start, self.width) == (1, 1, 0, 1)

    @property
    def told(self) -> tuple[int, int]:
        """The range of outputs that the taps tell, empty if the ring is everything."""
        return self.ring[0], max(self.ring[0], self.m - self.ring[1])

    @property
    def interior(self) -> tuple[int, int]:
        """The outputs that the taps tell and that read nothing outside: (first, stop), empty if there are none."""
        inside = np.flatnonzero(((self.reads >= 0) & (self.reads < self.n)).all(1))
        first, stop = self.told
        return (max(first, int(inside[0])), min(stop, int(inside[-1]) + 1)) if len(inside) else (0, 0)

    def then(self, after: Axis) -> Axis:
        """The axis of the composition, first this map, then ``after``; its ring is where phantoms count.

        >>> Axis(8, 8, start=-1, width=3).then(Axis(8, 8, start=-1, width=3))
        Axis(n=8, m=8, down=1, up=1, start=-2, width=5, step=1, ring=(1, 1), used=())
        """
        return _composed(self, after)

    def meetings(self, after: Axis) -> list[Meeting]:
        """How the taps of both make those of ``self.then(after)``, whose phases are q + after.up i, i < r."""
        low, _, step = self._span(after)
        found = []
        for i, window in enumerate(self._between(after)):
            for t, read in enumerate(window.tolist()):
                places = (self.down * (read // self.up) - low + self.step * np.arange(self.width)) // step
                found += [Meeting(q, t, read % self.up, q + after.up * i, places) for q in range(after.up)]
        return found

    def _between(self, after: Axis) -> np.ndarray:
        """Integers (r, after.width): which outputs of this map ``after`` reads, in each of its r new phases."""
        return after.window(np.arange(self.up // gcd(self.up, after.down)) * after.up)

    def _span(self, after: Axis) -> tuple[int, int, int]:
        """Lowest and highest origin of this map's windows under the composition, and the distance of its taps."""
        origins = np.unique(self.down * (self._between(after) // self.up))
        step = gcd(*np.diff(origins).tolist(), self.step if self.width > 1 else 0) or 1
        return int(origins[0]), int(origins[-1]), step

    def _ring(self, after: Axis) -> tuple[int, int]:
        reads = after.reads
        outside = (reads < 0) | (reads >= self.m)
        first, last = self.told
        untold = ~outside & ((reads < first) | (reads >= last))
        windows = self.window(reads)
        sees_the_image = ((windows >= 0) & (windows < self.n)).any(-1)
        told: np.ndarray = np.all(~(untold | (outside & sees_the_image)), axis=-1)
        told[: after.told[0]] = told[after.told[1] :] = False
        return _ends(told)

    def refined(self, factor: int) -> Axis:
        """The same axis with ``factor`` times as many phases.

        >>> Axis(4, 4).refined(2)
        Axis(n=4, m=4, down=2, up=2, start=0, width=2, step=1, ring=(0, 0), used=((0, 0), (1, 1)))
        """
        step = gcd(self.step if self.width > 1 else 0, self.down if factor > 1 else 0) or 1
        span = self.step * (self.width - 1) + self.down * (factor - 1)
        phases = {"up": self.up * factor, "down": self.down * factor}
        finer = replace(self, **phases, width=span // step + 1, step=step, used=())
        return finer.bounded(*self.hull(np.arange(finer.up)))

    def joined(self, other: Axis) -> Axis | None:
        """An axis that holds the taps of both, or None if they have no common lattice."""
        if (self.n, self.m, self.down * other.up) != (other.n, other.m, other.down * self.up):
            return None
        phases = lcm(self.up, other.up)
        a, b = self.refined(phases // self.up), other.refined(phases // other.up)
        start = min(a.start, b.start)
        stop = max(axis.start + axis.step * (axis.width - 1) for axis in (a, b))
        steps = [axis.step for axis in (a, b) if axis.width > 1]
        step = gcd(*steps, a.start - b.start) or 1
        ring = (max(a.ring[0], b.ring[0]), max(a.ring[1], b.ring[1]))
        whole = replace(a, start=start, width=(stop - start) // step + 1, step=step, ring=ring, used=())
        (low, high), (least, most) = (axis.hull(np.arange(phases)) for axis in (a, b))
        return whole.bounded(np.minimum(low, least), np.maximum(high, most))

    def places_in(self, joined: Axis) -> list[tuple[int, int, np.ndarray]]:
        """Where the taps lie in an axis that ``joined`` returned: (phase here, phase there, indices of the taps)."""
        taps = self.start - joined.start + self.step * np.arange(self.width)
        splits = range(joined.up // self.up)
        return [(q, q + self.up * i, (taps + self.down * i) // joined.step) for i in splits for q in range(self.up)]


class Meeting(NamedTuple):
    """Tap ``t`` of phase ``q`` of the later map, applied to phase ``source`` of the earlier one.

    Attributes:
        q: phase of the later map.
        t: tap of the later map.
        source: phase of the earlier map that it reads.
        phase: phase of the composition.
        places: which taps of the composition the taps of the earlier map become.
    """

    q: int
    t: int
    source: int
    phase: int
    places: np.ndarray


def _ends(told: np.ndarray) -> tuple[int, int]:
    """How many outputs to give up at each end so that the rest is told; everything if nothing long remains."""
    if told.all():
        return 0, 0
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], told.view(np.int8), [0]])))
    runs = bounds.reshape(-1, 2)
    if not len(runs):
        return len(told), 0
    first, stop = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return int(first), int(len(told) - stop)


@lru_cache(maxsize=4096)
def _composed(first: Axis, after: Axis) -> Axis:
    """Of a network's many layers the axes are few, and plans compose them over and over."""
    low, high, step = first._span(after)
    shared = gcd(first.up, after.down)
    whole = Axis(
        first.n,
        after.m,
        down=first.down * after.down // shared,
        up=after.up * first.up // shared,
        start=low + first.start,
        width=(high - low + first.step * (first.width - 1)) // step + 1,
        step=step,
        ring=first._ring(after),
    )
    between = after.hull(np.arange(whole.up))
    return whole.bounded(first.hull(between[0])[0], first.hull(between[1])[1])
