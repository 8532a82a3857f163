"""A form that is written for several image sizes, as one that takes them all.

    Sheet       what a form writes at one image size
    lifted      the same form written at many sizes -> calls whose numbers do not depend on the size, or None

What the sheets have in common stays.  A number that differs is understood in three cases: a bound of a slice is
counted from the far end, a length of a reshape is asked of the value that is reshaped, a bias map is a small one
whose middle is repeated.  In any other case the form speaks of one size, and is none.
"""

from __future__ import annotations

import operator
import sys
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..algebra.stencils.moves import with_length
from ..algebra.stencils.pieces import Array, Piece, form
from ..ir.graph import Call, Graph, Ref, Size
from ..ir.resizing import Length
from ..rings.ring import Ring
from .building import LIKE, Emit, GraphBuilder
from .elsewhere import aligned
from .writing import leaves

#: Calls whose arguments may be numbers of the network; a number that is a length is then none of its constants.
_NUMBERED = frozenset("add sub rsub mul div addmm pad constant_pad_nd".split())


class _SizeBound(Exception):
    """A form that speaks of one image size."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a form writes at one image size.

    Attributes:
        piece: the piece at that size.
        builder: the calls.
        out: the value that they give.
    """

    piece: Piece
    builder: GraphBuilder
    out: Ref

    @classmethod
    def of(cls, graph: Graph, piece: Piece, emit: Emit) -> Sheet:
        """The form of a piece, on a sheet of its own."""
        builder = GraphBuilder(graph, ChainMap({"x": piece.source}, graph.shapes()))
        return cls(piece, builder, emit(builder, Ref("x"), LIKE))

    def shape(self, value: Any) -> Size:
        """The shape of a value."""
        return self.builder.shapes[value.name]


def lifted(sheets: Sequence[Sheet]) -> Emit | None:
    """Writes a form for every image size, or None if it speaks of one.

    Args:
        sheets: the form at several sizes, first the one where costs are compared.
    """
    first = sheets[0]
    plans = {(tuple(call.op for call in sheet.builder.calls), sheet.out.name) for sheet in sheets}
    if len(plans) > 1 or any(map(_counts_lengths, leaves(first.piece))):
        return None

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        return _Lift(sheets, builder, like, {"x": x}).all()

    try:
        Sheet.of(first.builder.graph, first.piece, emit)
    except _SizeBound:
        return None
    return emit


def _counts_lengths(call: Call) -> bool:
    """Whether a call computes with the length of an axis as with a number of the network."""
    return call.op in _NUMBERED and any(isinstance(value, Length) for value in call.bound().values())


@dataclass(eq=False)
class _Lift:
    """Sheets on their way into a builder.

    Attributes:
        sheets: the form at several sizes.
        builder: where the calls go.
        like: the call whose place they take.
        values: what the builder calls the values of the sheets.
    """

    sheets: Sequence[Sheet]
    builder: GraphBuilder
    like: Call
    values: dict[str, Ref]

    def all(self) -> Ref:
        """Writes every call; the value of the last."""
        for calls in zip(*(sheet.builder.calls for sheet in self.sheets), strict=True):
            arguments = [(call.args, dict(call.kwargs)) for call in calls]
            args, kwargs = self._joint(arguments, calls)
            call = calls[0]
            place = {"where": call.where or self.like.where, "module": call.module or self.like.module}
            new = replace(call, args=args, kwargs=kwargs, **place)
            self.values[call.name] = self.builder.repeat(replace(new, name=self.builder.fresh(self.like.name)), {})
        return self.values[self.sheets[0].out.name]

    def _joint(self, items: Sequence[Any], calls: Sequence[Call]) -> Any:
        """An argument that stands for those of all sheets."""
        first = items[0]
        if isinstance(first, Ref):
            return self._value(items, calls)
        if isinstance(first, tuple | list) and all(len(item) == len(first) for item in items):
            return type(first)(self._joint(parts, calls) for parts in zip(*items, strict=True))
        if isinstance(first, dict):
            return {key: self._joint([item[key] for item in items], calls) for key in first}
        if isinstance(first, Length) or all(item == first for item in items):
            return first
        if calls[0].op == "slice":
            return self._bound(items, calls)
        return self._length(items, calls)

    def _value(self, items: Sequence[Ref], calls: Sequence[Call]) -> Ref:
        name = items[0].name
        if any(item.name != name for item in items):
            raise _SizeBound
        if name in self.values:
            return self.values[name]
        sheet = self.sheets[0]
        if name not in sheet.builder.recipes:
            return items[0]
        recipe, shape = sheet.builder.recipes[name], sheet.builder.shapes[name]
        if len({each.builder.shapes[name] for each in self.sheets}) > 1:
            if calls[0].op != "add":
                raise _SizeBound
            return self._map(recipe, calls)
        what = name.removeprefix(f"{LIKE.name}_").rstrip("_0123456789")
        self.values[name] = self.builder.constant(self.like, what, tuple(int(n or 0) for n in shape), recipe)
        return self.values[name]

    def _bound(self, items: Sequence[int], calls: Sequence[Call]) -> int:
        """A bound of a slice, counted from the far end."""
        axis = calls[0].args[1]
        behind = {item - int(n or 0) for item, n in zip(items, self._lengths(calls, axis), strict=True)}
        if len(behind) > 1 or max(behind) > 0:
            raise _SizeBound
        return behind.pop() or sys.maxsize

    def _lengths(self, calls: Sequence[Call], axis: int) -> list[int]:
        shapes = [sheet.shape(call.args[0]) for sheet, call in zip(self.sheets, calls, strict=True)]
        return [int(shape[axis] or 0) if axis < len(shape) else 0 for shape in shapes]

    def _length(self, items: Sequence[int], calls: Sequence[Call]) -> Ref:
        """A length that a reshape gives: a multiple of one that its argument has."""
        if calls[0].op != "reshape":
            raise _SizeBound
        x = self.values[calls[0].args[0].name]
        for axis in range(1, len(self.builder.shapes[x.name])):
            lengths = self._lengths(calls, axis)
            if len(set(lengths)) > 1 and all(n and item % n == 0 for item, n in zip(items, lengths, strict=True)):
                factors = {item // n for item, n in zip(items, lengths, strict=True)}
                if len(factors) == 1:
                    size = self._computed(torch.ops.aten.sym_size.int, x, axis)
                    factor = factors.pop()
                    return size if factor == 1 else self._computed(operator.mul, size, factor)
        raise _SizeBound

    def _computed(self, target: Any, *args: Any) -> Ref:
        """A number that the network works out from sizes."""
        op = "sym_size" if target is torch.ops.aten.sym_size.int else f"operator.{target.__name__}"
        name = self.builder.fresh(f"{self.like.name}_size")
        return self.builder.repeat(Call(name, op, target, args, {}, (), self.like.where, self.like.module), {})

    def _map(self, recipe: Callable[[Ring], Array], calls: Sequence[Call]) -> Ref:
        """A bias map as a small one, its middle repeated as often as the value is long to which it is added."""
        whole = form(self.sheets[0].piece)
        if whole is None or whole.last or not aligned([sheet.piece for sheet in self.sheets]):
            raise _SizeBound
        middles = [_Middle.of(axis.up, axis.m, *axis.interior) for axis in whole.footprint.axes]
        small = (whole.footprint.c_out, *(middle.stop + middle.last for middle in middles))
        keep = np.ix_(range(small[0]), *(middle.kept for middle in middles))
        value = self.builder.constant(self.like, "bias_map", small, lambda ring: recipe(ring)[keep])
        for axis, middle in enumerate(middles):
            value = self._repeated(value, axis + 1, middle, self.values[calls[0].args[0].name])
        return value

    def _repeated(self, value: Ref, axis: int, middle: _Middle, like: Ref) -> Ref:
        """A map whose middle along one axis is repeated until it is as long as a value."""
        shape = self.builder.shapes[value.name]
        length = int(self.builder.shapes[like.name][axis + 1] or 0)

        def part(start: int, stop: int) -> Ref:
            shorter = with_length(shape, axis, middle.count(start, stop))
            return self._call("slice", value, axis, start, stop, shape=shorter)

        size = self._computed(torch.ops.aten.sym_size.int, like, axis + 1)
        count = self._computed(operator.sub, size, middle.first + middle.last)
        inner = part(middle.first, middle.stop)
        if middle.up == 1:
            sizes = [count if at == axis else -1 for at in range(len(shape))]
            longer = with_length(shape, axis, length - middle.first - middle.last)
            inner = self._call("expand", inner, sizes, shape=longer)
        else:
            inner = self._periods(inner, axis, middle, count, length)
        ends = [part(0, middle.first)] if middle.first else []
        far = [part(middle.stop, sys.maxsize)] if middle.last else []
        return self._call("cat", [*ends, inner, *far], axis, shape=with_length(shape, axis, length))

    def _periods(self, inner: Ref, axis: int, middle: _Middle, count: Ref, length: int) -> Ref:
        """A period of rows, again and again."""
        shape, times = self.builder.shapes[inner.name], (length - middle.first - middle.last) // middle.up
        often = self._computed(operator.floordiv, count, middle.up)
        apart = (*shape[:axis], 1, *shape[axis:])
        inner = self._call("unsqueeze", inner, axis, shape=apart)
        sizes = [often if at == axis else -1 for at in range(len(apart))]
        inner = self._call("expand", inner, sizes, shape=with_length(apart, axis, times))
        return self._call("flatten", inner, axis, axis + 1, shape=with_length(shape, axis, times * middle.up))

    def _call(self, op: str, *args: Any, shape: Size) -> Ref:
        return self.builder.call(self.like, op, *args, shape=shape)


@dataclass(frozen=True)
class _Middle:
    """Along one axis of a map: ``first`` rows at the near end, a period of ``up`` rows, ``last`` rows at the far one.

    Attributes:
        up: length of the period.
        first: a multiple of it.
        last: rows behind all periods.
        m: length of the map.
    """

    up: int
    first: int
    last: int
    m: int

    @classmethod
    def of(cls, up: int, m: int, low: int, stop: int) -> _Middle:
        """From the outputs that meet no border."""
        first = -(-low // up) * up
        periods = (stop - first) // up
        if periods < 1:
            raise _SizeBound
        return cls(up, first, m - first - periods * up, m)

    @property
    def stop(self) -> int:
        """Where the period ends."""
        return self.first + self.up

    @property
    def kept(self) -> list[int]:
        """The rows of the small map in the large one."""
        return [*range(self.stop), *range(self.m - self.last, self.m)]

    def count(self, start: int, stop: int) -> int:
        """How many rows of the small map a slice has."""
        return min(stop, self.stop + self.last) - start
