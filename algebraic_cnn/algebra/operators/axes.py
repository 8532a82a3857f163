"""One axis of a map of images, at every length: finitely many classes of rows, integers alone.

    read      where a row looks, (kind, o): at anchor + o (HERE), at o (NEAR, from the first input), at n + o (FAR)
    class     the reads of a row and what it does with them; numbered once for all lengths, by where it comes from
    rows(n)   class and anchor of every output of an input of length n
    period    (up, down): away from the ends, row p + up has the class of row p and an anchor ``down`` further
    reach     (before, after): how far from input j down the outputs up j .. up j + up - 1 look, the ends far away
    Leaf      the rule of one layer;  ComposedAxis, JoinedAxis: composition and sum, which stay inside the type

Where [j down - before, j down + after] lies inside the axis, the outputs of that period are therefore no border rows.

The classes of g f: row p of g has a class c and reads outputs j of f; its class in g f is c and, of each j, the class
in f and the anchor relative to its own.  So a class of g f is a finite word of integers, and there are finitely many.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from math import gcd, lcm
from typing import Any

from ...errors import GeometryError

HERE, NEAR, FAR = range(3)

Read = tuple[int, int]
Period = tuple[int, int] | None
Reach = tuple[int, int]

#: (kind, position, tap, weight): this tap, times the weight, counts what is read there; FAR positions are less than 0.
Hit = tuple[int, int, int, int | Fraction]

#: The field of the residues that stand for taps.
P = 2**61 - 1

#: How many axes of a kind are kept, so that layers with equal rules share theirs.
KEPT = 2048

#: How many periods long an axis is at which the reach of a rule is measured that does not say it.
_PROBE = 64


@cache
def _residue(place: int, tap: int) -> int:
    """What stands for a tap of the layer at one place of a composition."""
    return 1 + secrets.randbelow(P - 1)


@dataclass(frozen=True)
class AxisRows:
    """One axis at one length.

    Attributes:
        n: length of the input.
        classes: of every output.
        anchors: of every output.
    """

    n: int
    classes: tuple[int, ...]
    anchors: tuple[int, ...]

    @property
    def m(self) -> int:
        """Length of the output."""
        return len(self.classes)

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """The outputs of every class, classes in the order in which they occur."""
        found: dict[int, list[int]] = {}
        for p, c in enumerate(self.classes):
            found.setdefault(c, []).append(p)
        return found


class Axis(ABC):
    """One axis of a map, at every length.

    Args:
        period: (up, down), or None if the length changes the rows everywhere.
        layers: how many layers it is made of.
    """

    def __init__(self, period: Period, layers: int) -> None:
        self.period, self.layers = period, layers
        self.sources: list[Any] = []
        self.reads: list[tuple[Read, ...]] = []
        self._numbers: dict[Hashable, int] = {}
        self._rows: dict[int, AxisRows] = {}
        self._contents: dict[tuple[int, int], dict[Read, int]] = {}

    @property
    @abstractmethod
    def reach(self) -> Reach:
        """(before, after): outputs up j .. up j + up - 1 read between j down - before and j down + after.

        So it is far from the ends; of every j for which these lie inside the axis, the outputs are there.
        """

    @abstractmethod
    def period_at(self, n: int) -> tuple[int, int]:
        """The period of the rows at one length, where every length may have one of its own."""

    def rows(self, n: int) -> AxisRows:
        """The rows for an input of length n.

        Raises:
            GeometryError: if there is no output of that length.
        """
        if n not in self._rows:
            found = list(self._find(n)) if n > 0 else []
            if not found:
                raise GeometryError("the map has no output of this size", got=n, where="rows")
            classes, anchors = zip(*found, strict=True)
            self._rows[n] = AxisRows(n, classes, anchors)
        return self._rows[n]

    def moves(self, c: int) -> bool:
        """Whether rows of a class read anything relative to their anchors; if not, these mean nothing."""
        return any(kind == HERE for kind, _ in self.reads[c])

    def positions(self, rows: AxisRows, p: int) -> list[int]:
        """What output p reads, in the order of the reads of its class."""
        origin = (rows.anchors[p], 0, rows.n)
        return [origin[kind] + o for kind, o in self.reads[rows.classes[p]]]

    def content(self, c: int, place: int = 0) -> dict[Read, int]:
        """The weights of a class modulo a prime, one random residue standing for every tap of every layer.

        Two classes with equal contents are equal for all taps, but for a chance below 2^-50 (Schwartz, Zippel).  The
        residues of a layer are those of its place in the composition, so that a monomial is a word, and layers with
        equal rules may be one object.

        Args:
            c: the class.
            place: how many layers come before.
        """
        if (c, place) not in self._contents:
            total: dict[Read, int] = {}
            for read, value in self._terms(self.sources[c], place):
                total[read] = (total.get(read, 0) + value) % P
            self._contents[c, place] = total
        return self._contents[c, place]

    def row(self, rows: AxisRows, p: int) -> dict[int, int]:
        """The content of output p by positions, those that cancel left out."""
        origin, total = (rows.anchors[p], 0, rows.n), {}
        for (kind, o), value in self.content(rows.classes[p]).items():
            at = origin[kind] + o
            total[at] = (total.get(at, 0) + value) % P
        return {at: value for at, value in total.items() if value}

    def _class(self, source: Hashable, reads: Iterable[Read]) -> int:
        if source not in self._numbers:
            self._numbers[source] = len(self.sources)
            self.sources.append(source)
            self.reads.append(tuple(sorted(set(reads))))
        return self._numbers[source]

    @abstractmethod
    def _find(self, n: int) -> Iterator[tuple[int, int]]:
        """Class and anchor of every output at length n."""

    @abstractmethod
    def _terms(self, source: Any, place: int) -> Iterator[tuple[Read, int]]:
        """Reads and residues of the class with that source, after so many layers."""


class Leaf(Axis):
    """The axis of one layer.

    Args:
        taps: how many the kernel has along it.
        period: see ``Axis``.
        rule: n -> the hits of every output.
        reach: see ``Axis``; measured where it is not given.

    >>> padded = Leaf(2, (1, 1), lambda n: ([(HERE, p + t, t, 1) for t in (0, 1) if p + t < n] for p in range(n)))
    >>> padded.rows(4).classes, padded.reads
    ((0, 0, 0, 1), [((0, 0), (0, 1)), ((0, 0),)])
    """

    def __init__(
        self, taps: int, period: Period, rule: Callable[[int], Iterable[Iterable[Hit]]], reach: Reach | None = None
    ) -> None:
        super().__init__(period, 1)
        self.taps, self.rule, self._reach = taps, rule, reach

    def period_at(self, n: int) -> tuple[int, int]:
        """Outputs and inputs, shortened, where there is no period."""
        m = self.rows(n).m if self.period is None else 0
        return self.period or (m // gcd(n, m), n // gcd(n, m))

    @cached_property
    def reach(self) -> Reach:
        """As given, or as the rows of a long axis have it."""
        if self._reach is not None or self.period is None:
            return self._reach or (0, 0)
        up, down = self.period
        rows = [list(row) for row in self.rule(_PROBE * down)]
        steps = [at - p // up * down for p, row in enumerate(rows) for kind, at, *_ in row if kind == HERE]
        missing = _PROBE - len(rows) // up
        return max(0, -min(steps, default=0)), max(0, *steps, down * missing)

    def _find(self, n: int) -> Iterator[tuple[int, int]]:
        for row in self.rule(n):
            hits = list(row)
            anchor = min((at for kind, at, *_ in hits if kind == HERE), default=0)
            moved = sorted((kind, at - anchor * (kind == HERE), tap, weight) for kind, at, tap, weight in hits)
            yield self._class(tuple(moved), (hit[:2] for hit in moved)), anchor

    def _terms(self, source: Any, place: int) -> Iterator[tuple[Read, int]]:
        for kind, o, tap, weight in source:
            factor = Fraction(weight)
            yield (kind, o), _residue(place, tap) * factor.numerator * pow(factor.denominator, -1, P) % P


#: A row of an earlier map as a later one sees it: its class, how it is reached, and its anchor from there.
Mid = tuple[int, int, int]


def moved(axis: Axis, mid: Mid) -> list[Read]:
    """The reads of a row of ``axis`` as reads of the row that it is a part of."""
    c, kind, d = mid
    return [(kind, d + o) if own == HERE else (own, o) for own, o in axis.reads[c]]


class ComposedAxis(Axis):
    """First ``f``, then ``g``.

    >>> step = lambda: Leaf(1, (1, 2), lambda n: ([(HERE, 2 * p, 0, 1)] for p in range(n // 2)))
    >>> twice = ComposedAxis(step(), step())
    >>> twice.period, twice.rows(9).anchors
    ((1, 4), (0, 4))
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        super().__init__(_composed(f.period, g.period) if f.period and g.period else None, f.layers + g.layers)
        self.f, self.g = f, g

    def period_at(self, n: int) -> tuple[int, int]:
        """That of both, at the lengths that they have."""
        return self.period or _composed(self.f.period_at(n), self.g.period_at(self.f.rows(n).m))

    @cached_property
    def reach(self) -> Reach:
        """That of the first, about the outputs of it between which the second looks."""
        (up, down), (before, after) = self.f.period or (1, 1), self.f.reach
        low, high = self.g.reach
        wide = (self.g.period or (1, 1))[1] * (up // gcd(up, (self.g.period or (1, 1))[1]) - 1)
        return before + down * -(-low // up), after + down * ((high + wide) // up)

    def _find(self, n: int) -> Iterator[tuple[int, int]]:
        f, first = self.f, self.f.rows(n)
        after = self.g.rows(first.m)
        moves = [f.moves(c) for c in range(len(f.reads))]
        for c, base in zip(after.classes, after.anchors, strict=True):
            mids = [(kind, o + (base, 0, first.m)[kind]) for kind, o in self.g.reads[c]]
            here = (j for kind, j in mids if kind == HERE)
            anchor = next((first.anchors[j] for j in here if moves[first.classes[j]]), 0)
            origin = (anchor, 0, n)
            parts = tuple(
                (first.classes[j], kind, first.anchors[j] - origin[kind] if moves[first.classes[j]] else 0)
                for kind, j in mids
            )
            yield self._class((c, parts), (read for mid in parts for read in moved(f, mid))), anchor

    def _terms(self, source: Any, place: int) -> Iterator[tuple[Read, int]]:
        c, mids = source
        content = self.g.content(c, place + self.f.layers)
        for read, mid in zip(self.g.reads[c], mids, strict=True):
            own = self.f.content(mid[0], place)
            for inner, at in zip(self.f.reads[mid[0]], moved(self.f, mid), strict=True):
                yield at, content[read] * own[inner]


class JoinedAxis(Axis):
    """Two maps of one input: a row's class is those of both, and where their anchors are from its own.

    >>> one = lambda at: Leaf(1, (1, 1), lambda n: ([(HERE, p + at, 0, 1)] for p in range(n - 1)))
    >>> both = JoinedAxis(one(0), one(1))
    >>> both.rows(3).classes, both.reads
    ((0, 0), [((0, 0), (0, 1))])
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        super().__init__(_common(f.period, g.period) if f.period and g.period else None, f.layers + g.layers + 2)
        self.parts = f, g

    def period_at(self, n: int) -> tuple[int, int]:
        """That of both; that of the first where they have none in common."""
        pair = [part.period_at(n) for part in self.parts]
        return self.period or _common(*pair) or pair[0]

    @cached_property
    def reach(self) -> Reach:
        """The larger one, both counted in periods that they have in common."""
        down = (self.period or (1, 1))[1]
        found = [(part.reach, (part.period or (1, 1))[1]) for part in self.parts]
        return max(before for (before, _), _ in found), max(after + down - own for (_, after), own in found)

    def _find(self, n: int) -> Iterator[tuple[int, int]]:
        f, g = self.parts
        first, second = f.rows(n), g.rows(n)
        if first.m != second.m:
            raise GeometryError("maps side by side have outputs of one size", got=(first.m, second.m), where="sum")
        pairs = zip(first.classes, second.classes, first.anchors, second.anchors, strict=True)
        for c, d, a, b in pairs:
            anchor = a if f.moves(c) else b
            mids = (c, HERE, 0), (d, HERE, b - anchor if g.moves(d) else 0)
            yield self._class(mids, (*moved(f, mids[0]), *moved(g, mids[1]))), anchor

    def _terms(self, source: Any, place: int) -> Iterator[tuple[Read, int]]:
        for at, (part, mid) in enumerate(zip(self.parts, source, strict=True)):
            start = place + at * (self.parts[0].layers + 1)
            content, factor = part.content(mid[0], start), _residue(start + part.layers, 0)
            for inner, read in zip(part.reads[mid[0]], moved(part, mid), strict=True):
                yield read, factor * content[inner]


def _composed(f: tuple[int, int], g: tuple[int, int]) -> tuple[int, int]:
    """The period of a composition, first ``f``."""
    shared = gcd(f[0], g[1])
    return g[0] * (f[0] // shared), f[1] * (g[1] // shared)


def _common(f: tuple[int, int], g: tuple[int, int]) -> Period:
    """The period of a sum; None where one map moves faster than the other."""
    up = lcm(f[0], g[0])
    return (up, f[1] * up // f[0]) if f[0] * g[1] == g[0] * f[1] else None


@lru_cache(maxsize=KEPT)
def then(f: Axis, g: Axis) -> ComposedAxis:
    """First ``f``, then ``g``; the same object for the same axes, so that rows are found once."""
    return ComposedAxis(f, g)


@lru_cache(maxsize=KEPT)
def beside(f: Axis, g: Axis) -> JoinedAxis:
    """``f`` and ``g`` on one input; the same object for the same axes."""
    return JoinedAxis(f, g)
