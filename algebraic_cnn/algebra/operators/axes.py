"""One axis of a map of images, at every length: finitely many classes of rows, integers alone.

    read      where a row looks, (kind, o): at anchor + o (HERE), at o (NEAR, from the first input), at n + o (FAR)
    class     the reads of a row and what it does with them; numbered once for all lengths, by where it comes from
    rows(n)   class and anchor of every output of an input of length n
    period    (up, down): away from the ends, row p + up has the class of row p and an anchor ``down`` further
    reach     (before, after): how far from input j down the outputs up j .. up j + up - 1 look, the ends far away
    Leaf      the rule of one layer;  compositions and sums of rules stay inside the type (compositions.py)

Where [j down - before, j down + after] lies inside the axis, the outputs of that period are therefore no border rows.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property
from math import gcd
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

#: How many periods of its middle a short axis shows before a long one is taken to repeat them.
_MIDDLE = 8

#: How many periods long an axis is at which the reach of a rule is measured that does not say it.
_PROBE = 64


@cache
def residue(place: int, tap: int) -> int:
    """What stands for a tap of the layer at one place of a composition."""
    return 1 + secrets.randbelow(P - 1)


@dataclass(frozen=True)
class AxisRows:
    """One axis at one length.

    Attributes:
        n: length of the input.
        classes: of every output.
        anchors: of every output.
        repeats: outputs that are known to repeat those one period before them.
    """

    n: int
    classes: tuple[int, ...]
    anchors: tuple[int, ...]
    repeats: range = field(default=range(0), repr=False, compare=False)

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
            self._rows[n] = self._stretched(n) or self._found(n)
        return self._rows[n]

    @property
    @abstractmethod
    def declared(self) -> bool:
        """Whether period and reach are those of a rule that says them, and not measured at one length."""

    def _found(self, n: int) -> AxisRows:
        """The rows, output by output."""
        found = list(self._find(n)) if n > 0 else []
        if not found:
            raise GeometryError("the map has no output of this size", got=n, where="rows")
        classes, anchors = zip(*found, strict=True)
        return AxisRows(n, classes, anchors)

    def _stretched(self, n: int) -> AxisRows | None:
        """The rows of a long axis from those of a short one, whose middle is repeated; None where that saves little."""
        if self.period is None or not self.declared:
            return None
        (up, down), (before, after) = self.period, self.reach
        first = -(-before // down)
        more = (n - 1 - after) // down - first + 1 - _MIDDLE
        if more <= _MIDDLE:
            return None
        try:
            short = self.rows(n - more * down)
        except GeometryError:  # its border is wider than a short axis
            return None
        start, stop = up * first, up * (first + 1)
        if not self._repeats(short, range(start, stop), up, down):
            return None
        by = [down * self.moves(c) for c in range(len(self.reads))]
        outputs = list(zip(short.classes, short.anchors, strict=True))
        middle = [a + i * by[c] for i in range(more + 1) for c, a in outputs[start:stop]]
        anchors = (*short.anchors[:start], *middle, *(a + more * by[c] for c, a in outputs[stop:]))
        classes = short.classes[:start] + short.classes[start:stop] * (more + 1) + short.classes[stop:]
        return AxisRows(n, classes, anchors, range(stop, stop + more * up))

    def _repeats(self, rows: AxisRows, outputs: range, up: int, down: int) -> bool:
        """Whether the outputs, which look nowhere but from their anchors, come again ``_MIDDLE`` times, moved."""
        if any(kind != HERE for p in outputs for kind, _ in self.reads[rows.classes[p]]):
            return False
        first = [(rows.classes[p], rows.anchors[p]) for p in outputs]
        return all(
            (rows.classes[p + i * up], rows.anchors[p + i * up]) == (c, a + i * down * self.moves(c))
            for i in range(1, _MIDDLE)
            for p, (c, a) in zip(outputs, first, strict=True)
        )

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

    @property
    def declared(self) -> bool:
        """Whether the rule says its reach."""
        return self._reach is not None

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
            yield (kind, o), residue(place, tap) * factor.numerator * pow(factor.denominator, -1, P) % P
