"""The numbers of a piece over any ring: its taps as one stencil, and f(0).

stencil    the taps, composed and added as the piece is
offset     f(0), with every border as the network has it
linear     the linear part on one image, right in every pixel, whether or not one stencil tells it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from ...errors import ShapeError
from ...rings.ring import Ring
from .lattice import Axis
from .pieces import Array, Atom, Branches, Chain, Form, Piece, form
from .stencil import Stencil, add, compose, stack


def stencil(piece: Piece, ring: Ring) -> Stencil:
    """The taps of a piece that has a form, over a ring.

    Raises:
        ShapeError: if it has none.
    """
    match piece:
        case Atom():
            return Stencil(piece.form.footprint, piece.taps(ring).reshape(piece.form.footprint.taps_shape))
        case Chain(parts):
            stencils = [stencil(part, ring) for part in parts]
            axes = max(len(each.footprint.axes) for each in stencils)
            return reduce(lambda a, b: compose(b, a, ring), [_lifted(each, axes) for each in stencils])
        case Branches(kind, parts):
            stencils = [stencil(part, ring) for part in parts]
            return add(stencils, ring) if kind == "sum" else stack(stencils)
    raise ShapeError("the piece is no stencil", got=piece, where="pieces")


def _lifted(whole: Stencil, axes: int) -> Stencil:
    """The stencil on (c, 1, 1) where it was on (c,)."""
    missing = axes - len(whole.footprint.axes)
    footprint = replace(whole.footprint, axes=whole.footprint.axes + (Axis(1, 1),) * missing)
    return Stencil(footprint, whole.taps.reshape(footprint.taps_shape))


def offset(piece: Piece, ring: Ring) -> Array | None:
    """f(0): None if zero, (c,) if constant along each channel, else (c, *spatial); as ``form(piece).offset`` says."""
    match piece:
        case Atom():
            return None if piece.offset is None else piece.offset(ring)
        case Chain(parts):
            value = None
            for part in parts:
                value = _plus([_image(part, value, ring), offset(part, ring)], ring)
            return value
        case Branches("sum", parts):
            return _plus([offset(part, ring) for part in parts], ring)
        case Branches(_, parts):
            values = [offset(part, ring) for part in parts]
            if all(value is None for value in values):
                return None
            prints = [_required(form(part)).footprint for part in parts]
            pairs = zip(values, prints, strict=True)
            values = [np.zeros(p.c_out) if value is None else value for value, p in pairs]
            sizes = max((value.shape[1:] for value in values), key=len)
            return np.concatenate([_spread(value, sizes) for value in values])
    return None


def _image(piece: Piece, value: Array | None, ring: Ring) -> Array | None:
    """The linear part of a piece on an image that is zero, constant along each channel, or any."""
    if value is None:
        return None
    whole = _required(form(piece))
    if value.ndim > 1 or not whole.keeps_constants:
        return linear(piece, _spread(value, tuple(axis.n for axis in whole.footprint.axes)), ring)
    taps = stencil(piece, ring).taps[(0,) * len(whole.footprint.axes)]
    total = ring.reduce(taps.sum(tuple(range(2, taps.ndim))))
    return Stencil(replace(whole.footprint, axes=()), total)(value, ring)


def linear(piece: Piece, x: Array, ring: Ring) -> Array:
    """The linear part of a piece on one image (c_in, *spatial), right in every pixel.

    Raises:
        ShapeError: if a part of it is no stencil.
    """
    match piece:
        case Atom():
            footprint = piece.form.footprint
            x = x.reshape(footprint.c_in, *(axis.n for axis in footprint.axes))
            return piece.linear(x, ring) if piece.linear else stencil(piece, ring)(x, ring)
        case Chain(parts):
            return reduce(lambda y, part: linear(part, y, ring), parts, x)
        case Branches(kind, parts):
            values = [linear(part, x, ring) for part in parts]
            return np.concatenate(values) if kind == "cat" else reduce(lambda a, b: ring.reduce(a + b), values)
    raise ShapeError("the piece is no stencil", got=piece, where="pieces")


def _plus(values: Sequence[Array | None], ring: Ring) -> Array | None:
    known = [value for value in values if value is not None]
    sizes = max((value.shape[1:] for value in known), key=len, default=())
    return reduce(lambda a, b: ring.reduce(a + b), [_spread(value, sizes) for value in known]) if known else None


def _spread(value: Array, sizes: tuple[int, ...]) -> Array:
    if value.ndim > 1 or not sizes:
        return value
    return np.broadcast_to(value.reshape(-1, *[1] * len(sizes)), (len(value), *sizes))


def _required(whole: Form | None) -> Form:
    if whole is None:
        raise ShapeError("the piece is no stencil", where="pieces")
    return whole
