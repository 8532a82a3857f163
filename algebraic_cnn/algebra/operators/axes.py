"""One axis of a map of images, at every length: finitely many classes of rows, integers alone.

    read      where a row looks, (kind, o): at anchor + o (HERE), at o (NEAR, from the first input), at n + o (FAR)
    class     the reads of a row and what it does with them; numbered once for all lengths, by where it comes from
    rows(n)   class and anchor of every output of an input of length n
    period    (up, down): away from the ends, row p + up has the class of row p and an anchor ``down`` further
    Leaf      the rule of one layer;  Then, Beside: composition and sum, which stay inside the type

The classes of g f: row p of g has a class c and reads outputs j of f; its class in g f is c and, of each j, the class
in f and the anchor relative to its own.  So a class of g f is a finite word of integers, and there are finitely many.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import Any

from ...errors import GeometryError

HERE, NEAR, FAR = range(3)

Read = tuple[int, int]
Period = tuple[int, int] | None

#: (kind, position, tap, weight): this tap, times the weight, counts what is read there; FAR positions are less than 0.
Hit = tuple[int, int, int, int | Fraction]

#: The field of the residues that stand for taps.
P = 2**61 - 1


@dataclass(frozen=True)
class Rows:
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
    """

    def __init__(self, period: Period) -> None:
        self.period = period
        self.sources: list[Any] = []
        self.reads: list[tuple[Read, ...]] = []
        self._numbers: dict[Hashable, int] = {}
        self._rows: dict[int, Rows] = {}
        self._contents: dict[int, dict[Read, int]] = {}

    def rows(self, n: int) -> Rows:
        """The rows for an input of length n.

        Raises:
            GeometryError: if there is no output of that length.
        """
        if n not in self._rows:
            found = list(self._find(n)) if n > 0 else []
            if not found:
                raise GeometryError("the map has no output of this size", got=n, where="rows")
            classes, anchors = zip(*found, strict=True)
            self._rows[n] = Rows(n, classes, anchors)
        return self._rows[n]

    def moves(self, c: int) -> bool:
        """Whether rows of a class read anything relative to their anchors; if not, these mean nothing."""
        return any(kind == HERE for kind, _ in self.reads[c])

    def positions(self, rows: Rows, p: int) -> list[int]:
        """What output p reads, in the order of the reads of its class."""
        origin = (rows.anchors[p], 0, rows.n)
        return [origin[kind] + o for kind, o in self.reads[rows.classes[p]]]

    def content(self, c: int) -> dict[Read, int]:
        """The weights of a class modulo a prime, one random residue standing for every tap of every layer.

        Two classes with equal contents are equal for all taps, but for a chance below 2^-50 (Schwartz, Zippel).  The
        residues of a call are its own, and calls follow one another in one order, so that a monomial is a word.
        """
        if c not in self._contents:
            total: dict[Read, int] = {}
            for read, value in self._terms(self.sources[c]):
                total[read] = (total.get(read, 0) + value) % P
            self._contents[c] = total
        return self._contents[c]

    def row(self, rows: Rows, p: int) -> dict[int, int]:
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
    def _terms(self, source: Any) -> Iterator[tuple[Read, int]]:
        """Reads and residues of the class with that source."""


class Leaf(Axis):
    """The axis of one layer.

    Args:
        taps: how many the kernel has along it.
        period: see ``Axis``.
        rule: n -> the hits of every output.

    >>> padded = Leaf(2, (1, 1), lambda n: ([(HERE, p + t, t, 1) for t in (0, 1) if p + t < n] for p in range(n)))
    >>> padded.rows(4).classes, padded.reads
    ((0, 0, 0, 1), [((0, 0), (0, 1)), ((0, 0),)])
    """

    def __init__(self, taps: int, period: Period, rule: Callable[[int], Iterable[Iterable[Hit]]]) -> None:
        super().__init__(period)
        self.taps, self.rule = taps, rule

    def _find(self, n: int) -> Iterator[tuple[int, int]]:
        for row in self.rule(n):
            hits = list(row)
            anchor = min((at for kind, at, *_ in hits if kind == HERE), default=0)
            moved = sorted((kind, at - anchor * (kind == HERE), tap, weight) for kind, at, tap, weight in hits)
            yield self._class(tuple(moved), (hit[:2] for hit in moved)), anchor

    @cached_property
    def _residues(self) -> list[int]:
        return [1 + secrets.randbelow(P - 1) for _ in range(self.taps)]

    def _terms(self, source: Any) -> Iterator[tuple[Read, int]]:
        for kind, o, tap, weight in source:
            factor = Fraction(weight)
            yield (kind, o), self._residues[tap] * factor.numerator * pow(factor.denominator, -1, P) % P


#: A row of an earlier map as a later one sees it: its class, how it is reached, and its anchor from there.
Mid = tuple[int, int, int]


def moved(axis: Axis, mid: Mid) -> list[Read]:
    """The reads of a row of ``axis`` as reads of the row that it is a part of."""
    c, kind, d = mid
    return [(kind, d + o) if own == HERE else (own, o) for own, o in axis.reads[c]]


class Then(Axis):
    """First ``f``, then ``g``.

    >>> step = lambda: Leaf(1, (1, 2), lambda n: ([(HERE, 2 * p, 0, 1)] for p in range(n // 2)))
    >>> twice = Then(step(), step())
    >>> twice.period, twice.rows(9).anchors
    ((1, 4), (0, 4))
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        period = None
        if f.period and g.period:
            shared = gcd(f.period[0], g.period[1])
            period = g.period[0] * (f.period[0] // shared), f.period[1] * (g.period[1] // shared)
        super().__init__(period)
        self.f, self.g = f, g

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

    def _terms(self, source: Any) -> Iterator[tuple[Read, int]]:
        c, mids = source
        content = self.g.content(c)
        for read, mid in zip(self.g.reads[c], mids, strict=True):
            own = self.f.content(mid[0])
            for inner, at in zip(self.f.reads[mid[0]], moved(self.f, mid), strict=True):
                yield at, content[read] * own[inner]


class Beside(Axis):
    """Two maps of one input: a row's class is those of both, and where their anchors are from its own.

    >>> one = lambda at: Leaf(1, (1, 1), lambda n: ([(HERE, p + at, 0, 1)] for p in range(n - 1)))
    >>> both = Beside(one(0), one(1))
    >>> both.rows(3).classes, both.reads
    ((0, 0), [((0, 0), (0, 1))])
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        period = None
        if f.period and g.period and f.period[0] * g.period[1] == g.period[0] * f.period[1]:
            up = lcm(f.period[0], g.period[0])
            period = up, f.period[1] * up // f.period[0]
        super().__init__(period)
        self.parts = f, g

    @cached_property
    def _residues(self) -> list[int]:
        return [1 + secrets.randbelow(P - 1) for _ in self.parts]

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

    def _terms(self, source: Any) -> Iterator[tuple[Read, int]]:
        for part, mid, factor in zip(self.parts, source, self._residues, strict=True):
            content = part.content(mid[0])
            for inner, at in zip(part.reads[mid[0]], moved(part, mid), strict=True):
                yield at, factor * content[inner]
