"""The registry: every affine ATen call by its name, and what is known of it.

OPS         name -> Op
SAMPLES     name, or name and what is special, -> Sample
traits      what is known of any call, affine or not, by its name
title       what a report calls a call
piece_of    a call of one varying argument as a piece of an image map
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..algebra.stencils.pieces import Other, Piece
from ..errors import GeometryError, ShapeError
from ..ir.graph import Call, Size
from . import conv, linear, moves, norm, pad, pointwise, pool, rearrange, resize
from .op import Op, Sample
from .others import OTHERS
from .rows import read_as
from .source import Source
from .traits import Traits

_FAMILIES = (conv, linear, norm, pointwise, pool, pad, resize, rearrange, moves)

OPS: dict[str, Op] = {name: op for family in _FAMILIES for name, op in family.OPS.items()}
SAMPLES: dict[str, Sample] = {name: sample for family in _FAMILIES for name, sample in family.SAMPLES.items()}


_UNKNOWN = Traits()


def traits(op: str) -> Traits:
    """What is known of calls of a name; arithmetic on sizes is idle."""
    if op.startswith("operator."):
        return OTHERS["sym_size"]
    return OPS.get(op) or OTHERS.get(op, _UNKNOWN)


def title(call: Call, shapes: Mapping[str, Size]) -> str:
    """What a report calls a call; "" for one that only moves entries."""
    called = traits(call.op).called
    return call.op if called is None else called if isinstance(called, str) else called(call.bound(), shapes)


def piece_of(source: Source, call: Call) -> Piece | None:
    """An affine call as a piece, or None if not exactly one of its arguments depends on the input."""
    arguments = call.bound()
    varying = [value for value in arguments.values() if source.varies(value)]
    if len(varying) != 1 or sum(name in source.dependent for name in call.refs()) != 1:
        return None
    shape, op = source.shape(varying[0]), OPS.get(call.op)
    fixed = len(shape) > 1 and len(call.shape) > 1 and None not in (*shape[1:], *call.shape[1:])
    try:
        found = op and fixed and (op.piece or partial(read_as, op))(source, call, arguments)
    except (ShapeError, GeometryError) as error:
        return Other(shape, call.shape, call, missed=error.what)
    return found or Other(shape, call.shape, call)
