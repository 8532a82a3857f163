"""Affine calls of a network as pieces: the table from ATen names to stencils.

READERS     name of a call -> its reader
piece_of    any affine call of one varying argument as a piece
"""

from __future__ import annotations

from ..algebra.stencils.pieces import Move, Other, Piece
from ..errors import GeometryError, ShapeError
from ..ir.graph import Call, Ref
from .mixing import MIXING
from .resampling import RESAMPLING
from .source import Arguments, Reader, Source
from .spacing import SPACING

READERS: dict[str, Reader] = {**MIXING, **SPACING, **RESAMPLING}

_RESHAPES = frozenset("view _unsafe_view reshape flatten unflatten squeeze unsqueeze".split())


def piece_of(source: Source, call: Call) -> Piece | None:
    """An affine call as a piece, or None if not exactly one of its arguments depends on the input."""
    arguments = call.bound()
    varying = [value for value in arguments.values() if source.varies(value)]
    if len(varying) != 1 or sum(name in source.dependent for name in call.refs()) != 1:
        return None
    shape = source.shape(varying[0])
    fixed = len(shape) > 1 and len(call.shape) > 1 and None not in (*shape[1:], *call.shape[1:])
    reader = READERS.get(call.op) if fixed else None
    try:
        found = reader and reader(source, call, arguments)
    except (ShapeError, GeometryError) as error:
        return Other(shape, call.shape, call, missed=error.what)
    return found or (fixed and _move(source, call, arguments)) or Other(shape, call.shape, call)


def _move(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A reshape, or a permutation of the axes after the batch."""
    x = a.get("self")
    if not isinstance(x, Ref) or not source.varies(x) or call.op not in (*_RESHAPES, "permute", "transpose"):
        return None
    order = None
    if call.op == "permute":
        order = tuple(dim % len(call.shape) for dim in a["dims"])
    elif call.op == "transpose":
        swapped = {a[one] % len(call.shape): a[other] % len(call.shape) for one, other in _PAIRS}
        order = tuple(swapped.get(axis, axis) for axis in range(len(call.shape)))
    return None if order and order[0] else Move(source.shape(x), call.shape, order, call)


_PAIRS = (("dim0", "dim1"), ("dim1", "dim0"))
