"""Affine calls of a network as pieces: the table from ATen names to stencils.

READERS     name of a call -> its reader
piece_of    any affine call of one varying argument as a piece
"""

from __future__ import annotations

from ..graph import Call
from ..stencils.pieces import Other, Piece
from .mixing import MIXING
from .source import Reader, Source
from .spacing import SPACING

READERS: dict[str, Reader] = {**MIXING, **SPACING}


def piece_of(source: Source, call: Call) -> Piece | None:
    """An affine call as a piece, or None if not exactly one of its arguments depends on the input."""
    arguments = call.bound()
    varying = [value for value in arguments.values() if source.varies(value)]
    if len(varying) != 1 or sum(name in source.dependent for name in call.refs()) != 1:
        return None
    shape = source.shape(varying[0])
    fixed = len(shape) > 1 and len(call.shape) > 1 and None not in (*shape[1:], *call.shape[1:])
    reader = READERS.get(call.op) if fixed else None
    return (reader and reader(source, call, arguments)) or Other(shape, call.shape, call)
