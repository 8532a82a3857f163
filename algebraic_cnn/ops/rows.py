"""A call as a piece of an image map, read from the rows of its operator: one entry says both.

read_as     the piece of a call of one varying argument, from the reader of its operator
"""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from ..algebra.operators.axes import Axis, Leaf
from ..algebra.operators.blocks import Blocks, Identity, Kernel
from ..algebra.operators.forms import axis_form
from ..algebra.operators.operator import Operator
from ..algebra.operators.writing import bias_vector
from ..algebra.stencils.pieces import Atom, Form, Offset, Piece, identity
from ..ir.graph import Call, Ref
from .op import Op
from .source import Arguments, Source


def read_as(op: Op, source: Source, call: Call, a: Arguments) -> Piece | None:
    """A call of one varying argument as a piece, or None if it is no map of images.

    A call none of whose rows are the middle one is none either, unless other maps may pass through it.
    """
    name = next(name for name, value in a.items() if source.varies(value))
    shape = source.shape(a[name])
    if op.operator is None or len(call.shape) not in (2, len(shape)):
        return None
    last = op.last(a, shape) and len(shape) > 2
    place = len(shape) - 1 if last else 1
    f = op.operator(source, call, {**a, name: Operator.identity(shape[place] or 1, len(shape) - 2)})
    if not isinstance(f, Operator):
        return None
    blocks, sizes = f.blocks, [n or 1 for axis, n in enumerate(shape) if axis not in (0, place)]
    if isinstance(blocks, Identity) and shape == call.shape:
        return identity(shape)
    axes, more = [axis_form(axis, n) for axis, n in zip(blocks.axes, sizes, strict=True)], {}
    if op.alike(a):
        keeps = all(_keeps_constants(axis, n) for axis, n in zip(blocks.axes, sizes, strict=True))
        more["alike"] = Offset.CHANNEL if keeps else Offset.NONE
    elif any(axis.told[0] == axis.told[1] for axis in axes):
        return None
    kind, offset = _offset(blocks, sizes, [axis.m for axis in axes])
    form = Form(blocks, tuple(sizes), last, kind)
    return Atom(form, shape, call.shape, offset, call=call, thin=_thin(source, blocks, a), **more)


def _offset(blocks: Blocks, sizes: list[int], lengths: list[int]) -> tuple[Offset, Any]:
    """What f(0) is, and its numbers."""
    if not blocks.biased:
        return Offset.NONE, None
    if isinstance(blocks, Kernel) and blocks.outside is None:
        return Offset.CHANNEL, blocks.vector
    image = (blocks.c_out, *lengths)
    return Offset.MAP, lambda ring: bias_vector(blocks, sizes, ring).reshape(image)


def _thin(source: Source, blocks: Blocks, a: Arguments) -> bool:
    """Whether the taps are fewer than those of the call's weight."""
    weight = a.get("weight")
    if not isinstance(weight, Ref) or not isinstance(blocks, Kernel):
        return False
    return prod(blocks.shape) < prod(n or 1 for n in source.shape(weight))


def _keeps_constants(axis: Axis, n: int) -> bool:
    """Whether the weights of every output have the sum 1, exactly."""
    return isinstance(axis, Leaf) and all(
        sum((Fraction(weight) for *_, weight in axis.sources[c]), Fraction(0)) == 1 for c in axis.rows(n).places
    )
