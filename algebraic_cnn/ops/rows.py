"""A call as a stencil, read from the rows of its operator: one entry says both.

read_as     the reader of a stencil, from the reader of an operator
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..algebra.operators.axes import Axis, Leaf
from ..algebra.operators.forms import axis_form
from ..algebra.operators.operator import Operator
from ..algebra.operators.writing import bias_vector
from ..algebra.stencils.pieces import Offset, Piece
from ..ir.graph import Call
from .source import Arguments, Reader, Source, atom_of, sizes_of


def read_as(operator: Callable[[Source, Call, Arguments], Any], *, alike: bool = False) -> Reader:
    """The reader of a stencil, from the reader of an operator.

    Args:
        operator: of a call of one varying argument.
        alike: whether it is one map of the image in every channel that others may pass; else a call none of whose
            rows are the middle one is no stencil.
    """

    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        name = next(name for name, value in a.items() if source.varies(value))
        shape = source.shape(a[name])
        if len(shape) != len(call.shape):
            return None
        f = operator(source, call, {**a, name: Operator.identity(shape[1] or 1, len(shape) - 2)})
        if not isinstance(f, Operator):
            return None
        blocks, sizes = f.blocks, sizes_of(shape)
        axes = [axis_form(axis, n) for axis, n in zip(blocks.axes, sizes, strict=True)]
        if not alike and any(axis.told[0] == axis.told[1] for axis in axes):
            return None
        more: dict[str, Any] = {}
        if alike:
            keeps = all(_keeps_constants(axis, n) for axis, n in zip(blocks.axes, sizes, strict=True))
            more["alike"] = Offset.CHANNEL if keeps else Offset.NONE
        if blocks.biased:
            image = (blocks.c_out, *(axis.m for axis in axes))
            more |= {"offset": lambda ring: bias_vector(blocks, sizes, ring).reshape(image), "kind": Offset.MAP}
        return atom_of(source, call, a[name], blocks, **more)

    return read


def _keeps_constants(axis: Axis, n: int) -> bool:
    """Whether the weights of every output have the sum 1, exactly."""
    return isinstance(axis, Leaf) and all(
        sum((Fraction(weight) for *_, weight in axis.sources[c]), Fraction(0)) == 1 for c in axis.rows(n).places
    )
