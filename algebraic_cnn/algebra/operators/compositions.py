"""Compositions and sums of the rules of axes, which are such rules.

    ComposedAxis    first one, then another
    JoinedAxis      both on one input
    then, beside    the same, one object for the same axes

The classes of g f: row p of g has a class c and reads outputs j of f; its class in g f is c and, of each j, the class
in f and the anchor relative to its own.  So a class of g f is a finite word of integers, and there are finitely many.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from math import gcd, lcm
from typing import Any

from ...errors import GeometryError
from .axes import HERE, KEPT, Axis, Period, Reach, Read, residue

#: A row of an earlier map as a later one sees it: its class, how it is reached, and its anchor from there.
Mid = tuple[int, int, int]


def moved(axis: Axis, mid: Mid) -> list[Read]:
    """The reads of a row of ``axis`` as reads of the row that it is a part of."""
    c, kind, d = mid
    return [(kind, d + o) if own == HERE else (own, o) for own, o in axis.reads[c]]


class ComposedAxis(Axis):
    """First ``f``, then ``g``.

    >>> from .axes import Leaf
    >>> step = lambda: Leaf(1, (1, 2), lambda n: ([(HERE, 2 * p, 0, 1)] for p in range(n // 2)))
    >>> twice = ComposedAxis(step(), step())
    >>> twice.period, twice.rows(9).anchors
    ((1, 4), (0, 4))
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        super().__init__(_composed(f.period, g.period) if f.period and g.period else None, f.layers + g.layers)
        self.f, self.g = f, g

    @property
    def declared(self) -> bool:
        """Whether that of both is."""
        return self.f.declared and self.g.declared

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

    >>> from .axes import Leaf
    >>> one = lambda at: Leaf(1, (1, 1), lambda n: ([(HERE, p + at, 0, 1)] for p in range(n - 1)))
    >>> both = JoinedAxis(one(0), one(1))
    >>> both.rows(3).classes, both.reads
    ((0, 0), [((0, 0), (0, 1))])
    """

    def __init__(self, f: Axis, g: Axis) -> None:
        super().__init__(_common(f.period, g.period) if f.period and g.period else None, f.layers + g.layers + 2)
        self.parts = f, g

    @property
    def declared(self) -> bool:
        """Whether that of both is."""
        return all(part.declared for part in self.parts)

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
            content, factor = part.content(mid[0], start), residue(start + part.layers, 0)
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
