"""f(0) of a piece over any ring, and its linear part on one image: with every border as the network has it.

offset     f(0)
linear     the linear part on one image, right in every pixel, whether or not one convolution tells it
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from ...errors import ShapeError
from ...rings.ring import Ring
from ..operators.operator import applied
from ..operators.products import mixed
from .pieces import Array, Atom, Branches, Chain, Form, Piece, form


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
            channels = [sure_form(part).c_out for part in parts]
            values = [np.zeros(c) if value is None else value for value, c in zip(values, channels, strict=True)]
            sizes = max((value.shape[1:] for value in values), key=len)
            return np.concatenate([_spread(value, sizes) for value in values])
    return None


def _image(piece: Piece, value: Array | None, ring: Ring) -> Array | None:
    """The linear part of a piece on an image that is zero, constant along each channel, or any."""
    if value is None:
        return None
    whole = sure_form(piece)
    if value.ndim > 1 or not whole.keeps_constants:
        return linear(piece, _spread(value, whole.sizes), ring)
    taps = whole.taps(ring)[(0,) * len(whole.axes)]
    total = ring.reduce(taps.sum(tuple(range(2, taps.ndim))))
    return mixed(total, whole.groups, value[:, None], 1, ring)[:, 0]


def linear(piece: Piece, x: Array, ring: Ring) -> Array:
    """The linear part of a piece on one image (c_in, *spatial), right in every pixel.

    Raises:
        ShapeError: if a part of it is no map of images.
    """
    match piece:
        case Atom(form=whole):
            y = applied(whole.blocks, x.reshape(1, whole.c_in, *whole.sizes), ring, linear=True)[0]
            whole.blocks.forget()
            return y
        case Chain(parts):
            return reduce(lambda y, part: linear(part, y, ring), parts, x)
        case Branches(kind, parts):
            values = [linear(part, x, ring) for part in parts]
            return np.concatenate(values) if kind == "cat" else reduce(lambda a, b: ring.reduce(a + b), values)
    raise ShapeError("the piece is no map of images", got=piece, where="pieces")


def sure_form(piece: Piece) -> Form:
    """The form of a piece.

    Raises:
        ShapeError: if it has none.
    """
    whole = form(piece)
    if whole is None:
        raise ShapeError("the piece is no map of images", got=piece, where="pieces")
    return whole


def _plus(values: Sequence[Array | None], ring: Ring) -> Array | None:
    known = [value for value in values if value is not None]
    sizes = max((value.shape[1:] for value in known), key=len, default=())
    return reduce(lambda a, b: ring.reduce(a + b), [_spread(value, sizes) for value in known]) if known else None


def _spread(value: Array, sizes: tuple[int, ...]) -> Array:
    if value.ndim > 1 or not sizes:
        return value
    return np.broadcast_to(value.reshape(-1, *[1] * len(sizes)), (len(value), *sizes))
