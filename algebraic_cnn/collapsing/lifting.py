"""A form that is written for several image sizes, as one that takes them all.

    Writing     what a form writes at one image size
    lifted      the same form written at many sizes -> calls whose numbers do not depend on the size, or None

What the writings have in common stays.  A number that differs is understood in three cases: a bound of a slice is
counted from the far end, a length of a reshape is asked of the value that is reshaped, a bias map is a small one
whose middle is repeated.  In any other case the form speaks of one size, and is none.
"""

from __future__ import annotations

import operator
import sys
from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..algebra.operators.forms import Ends
from ..algebra.stencils.moves import with_length
from ..algebra.stencils.pieces import Array, Form, Piece, form
from ..ir.graph import Call, Graph, Ref, Size
from ..ir.resizing import Length
from ..rings.ring import Ring
from .building import LIKE, Emit, GraphBuilder
from .writing import leaves

#: Calls whose arguments may be numbers of the network; a number that is a length is then none of its constants.
_NUMBERED = frozenset("add sub rsub mul div addmm pad constant_pad_nd".split())


class _SizeBound(Exception):
    """A form that speaks of one image size."""


@dataclass(frozen=True, eq=False)
class Writing:
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
    def of(cls, graph: Graph, shapes: MutableMapping[str, Size], piece: Piece, emit: Emit) -> Writing:
        """The form of a piece of a graph whose values have these shapes, written by itself."""
        builder = GraphBuilder(graph, ChainMap({"x": piece.source}, shapes))
        return cls(piece, builder, emit(builder, Ref("x"), LIKE))

    def shape(self, value: Any) -> Size:
        """The shape of a value."""
        return self.builder.shapes[value.name]


def lifted(writings: Sequence[Writing]) -> Emit | None:
    """Writes a form for every image size, or None if it speaks of one.

    Args:
        writings: the form at several sizes, first the one where costs are compared.
    """
    first = writings[0]
    plans = {(tuple(call.op for call in writing.builder.calls), writing.out.name) for writing in writings}
    if len(plans) > 1 or any(map(_counts_lengths, leaves(first.piece))):
        return None

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        return _Lift(writings, builder, like, {"x": x}).all()

    try:
        Writing.of(first.builder.graph, first.builder.graph.shapes(), first.piece, emit)
    except _SizeBound:
        return None
    return emit


def _counts_lengths(call: Call) -> bool:
    """Whether a call computes with the length of an axis as with a number of the network."""
    return call.op in _NUMBERED and any(isinstance(value, Length) for value in call.bound().values())


@dataclass(eq=False)
class _Lift:
    """Writings on their way into a builder.

    Attributes:
        writings: the form at several sizes.
        builder: where the calls go.
        like: the call whose place they take.
        values: what the builder calls the values of the writings.
    """

    writings: Sequence[Writing]
    builder: GraphBuilder
    like: Call
    values: dict[str, Ref]

    def all(self) -> Ref:
        """Writes every call; the value of the last."""
        for calls in zip(*(writing.builder.calls for writing in self.writings), strict=True):
            arguments = [(call.args, dict(call.kwargs)) for call in calls]
            args, kwargs = self._joint(arguments, calls)
            call = calls[0]
            place = {"where": call.where or self.like.where, "module": call.module or self.like.module}
            new = replace(call, args=args, kwargs=kwargs, **place)
            self.values[call.name] = self.builder.repeat(replace(new, name=self.builder.fresh(self.like.name)), {})
        return self.values[self.writings[0].out.name]

    def _joint(self, items: Sequence[Any], calls: Sequence[Call]) -> Any:
        """An argument that stands for those of all writings."""
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
        writing = self.writings[0]
        if name not in writing.builder.recipes:
            return items[0]
        recipe, shape = writing.builder.recipes[name], writing.builder.shapes[name]
        if len({each.builder.shapes[name] for each in self.writings}) > 1:
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
        shapes = [writing.shape(call.args[0]) for writing, call in zip(self.writings, calls, strict=True)]
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
        whole, along = form(self.writings[0].piece), _ends([form(writing.piece) for writing in self.writings])
        if whole is None or whole.last or along is None:
            raise _SizeBound
        kept = [each.kept(axis.m) for each, axis in zip(along, whole.axes, strict=True)]
        small, keep = (whole.c_out, *map(len, kept)), np.ix_(range(whole.c_out), *kept)
        value = self.builder.constant(self.like, "bias_map", small, lambda ring: recipe(ring)[keep])
        for axis, each in enumerate(along, 1):
            value = self._repeated(value, axis, each, self.values[calls[0].args[0].name])
        return value

    def _repeated(self, value: Ref, axis: int, ends: Ends, like: Ref) -> Ref:
        """A map whose middle along one axis is repeated until it is as long as a value."""
        shape = self.builder.shapes[value.name]
        length = int(self.builder.shapes[like.name][axis + 1] or 0)

        def part(start: int, stop: int, count: int) -> Ref:
            return self._call("slice", value, axis, start, stop, shape=with_length(shape, axis, count))

        size = self._computed(torch.ops.aten.sym_size.int, like, axis + 1)
        first, up, last = map(len, (ends.first, ends.period, ends.last))
        count = self._computed(operator.sub, size, first + last)
        inner = part(first, first + up, up)
        if up == 1:
            sizes = [count if at == axis else -1 for at in range(len(shape))]
            longer = with_length(shape, axis, length - first - last)
            inner = self._call("expand", inner, sizes, shape=longer)
        else:
            inner = self._periods(inner, axis, up, count, length - first - last)
        near = [part(0, first, first)] if first else []
        far = [part(first + up, sys.maxsize, last)] if last else []
        return self._call("cat", [*near, inner, *far], axis, shape=with_length(shape, axis, length))

    def _periods(self, inner: Ref, axis: int, up: int, count: Ref, length: int) -> Ref:
        """A period of rows, again and again."""
        shape, times = self.builder.shapes[inner.name], length // up
        often = self._computed(operator.floordiv, count, up)
        apart = (*shape[:axis], 1, *shape[axis:])
        inner = self._call("unsqueeze", inner, axis, shape=apart)
        sizes = [often if at == axis else -1 for at in range(len(apart))]
        inner = self._call("expand", inner, sizes, shape=with_length(apart, axis, times))
        return self._call("flatten", inner, axis, axis + 1, shape=with_length(shape, axis, times * up))

    def _call(self, op: str, *args: Any, shape: Size) -> Ref:
        return self.builder.call(self.like, op, *args, shape=shape)


def _ends(forms: Sequence[Form | None]) -> list[Ends] | None:
    """Along each axis the first rows, the period and the last rows, if they are those of every size."""
    known, found = [each for each in forms if each is not None], []
    if len(known) < len(forms):
        return None
    for place, axis in enumerate(known[0].blocks.axes):
        sizes = [(each.sizes[place], each.axes[place].m) for each in known]
        ends = Ends.of(axis, sizes[0][0])
        if ends is None or not all(ends.fit(axis, *pair) for pair in sizes):
            return None
        found.append(ends)
    return found
