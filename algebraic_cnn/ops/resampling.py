"""Calls that resize images, as stencils: copies of neighbours, or neighbours times weights.

Along one axis a resizing is a matrix.  From n to m positions it has up = m / gcd(m, n) phases; where the rows of each
phase are the same numbers, moved, it is a transposed convolution: a bilinear upsampling by 2 has the taps 3/4 and 1/4.
Along the border torch repeats the last pixel, so the rows there are none of those (``Axis.ring``).  In every case it
is one map of the image in every channel, so maps of channels pass through (moves.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import reduce

import numpy as np
import torch

from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Array, Offset, Piece
from ..ir.graph import Call
from ..rings.ring import Ring
from .interpolation import WEIGHTED, along_axes
from .source import Arguments, Reader, Source, atom_of, sizes_of
from .spacing import per_channel

#: Weights with more bits than this depend on rounding, hence on the position: their rows are taken for unlike.
_BITS = 2.0**16


def _copies(source: Source, call: Call, a: Arguments) -> Piece | None:
    x = a.get("self", a.get("input"))
    pairs = list(zip(sizes_of(source.shape(x)), sizes_of(call.shape), strict=True))
    if any(m % n for n, m in pairs):
        return None
    # torch computes the positions in floating point, so it is asked for them
    positions = np.arange(math.prod(n for n, _ in pairs)).reshape([n for n, _ in pairs])
    expected = positions[np.ix_(*(np.arange(m) // (m // n) for n, m in pairs))]
    found = call.target(*(torch.from_numpy(positions)[None, None].double() if v == x else v for v in a.values()))
    if not np.array_equal(found[0, 0].numpy(), expected):
        return None
    footprint = per_channel(source, x, [Axis(n, m, up=m // n) for n, m in pairs])
    return atom_of(source, call, x, footprint, lambda ring: np.ones(footprint.taps_shape), alike=Offset.CHANNEL)


def _weighted(source: Source, call: Call, a: Arguments) -> Piece | None:
    name = "self" if "self" in a else "input"
    x, sizes = a[name], sizes_of(source.shape(a[name]))
    image = torch.empty([1, 1, *sizes], device="meta")
    neighbours = [
        (places.numpy(), weights.numpy())
        for places, weights in along_axes(call.target, {**a, name: image}, source.graph.dtype)
    ]
    lengths = zip(sizes, neighbours, strict=True)
    axes, tables = zip(*(_periodic(n, *pair) for n, pair in lengths), strict=True)
    footprint = per_channel(source, x, axes)

    def taps(ring: Ring) -> Array:
        d = len(tables)
        placed = (
            ring.embed(table).reshape([*(-1 if i == axis else 1 for i in range(d)), 1, 1,
                                       *(table.shape[1] if i == axis else 1 for i in range(d))])
            for axis, table in enumerate(tables)
        )  # fmt: skip
        each = reduce(lambda one, other: ring.reduce(one * other), placed)
        return np.ascontiguousarray(np.broadcast_to(each, footprint.taps_shape))

    def linear(values: Array, ring: Ring) -> Array:
        for axis, (places, weights) in enumerate(neighbours, 1):
            total, factors = np.zeros(()), ring.embed(weights)
            for place, factor in zip(places.T, factors.T, strict=True):
                along = factor.reshape(-1, *[1] * (values.ndim - 1 - axis))
                total = ring.reduce(total + ring.reduce(np.take(values, place, axis) * along))
            values = total
        return values

    alike = Offset.CHANNEL if all(_keeps_constants(weights) for _, weights in neighbours) else Offset.NONE
    return atom_of(source, call, x, footprint, taps, linear=None if footprint.exact else linear, alike=alike)


def _keeps_constants(weights: Array) -> bool:
    """Whether the weights (m, taps) of every output have the sum 1, exactly."""
    rows = np.unique(np.sort(weights, axis=1), axis=0).tolist()
    return all(sum(map(Fraction, row), Fraction(0)) == 1 for row in rows)


def _periodic(n: int, places: Array, weights: Array) -> tuple[Axis, Array]:
    """The matrix with these entries (m, taps) as an axis and its taps (up, width), those of the rows in the middle.

    Rows that are unlike them are its ring.
    """
    m = len(places)
    up, down = m // math.gcd(m, n), n // math.gcd(m, n)
    p = np.arange(m)
    moved = places - (p // up * down)[:, None]
    lowest = int(moved[weights != 0].min())
    moved = np.where(weights != 0, moved - lowest, 0)
    rows = np.zeros((m, int(moved.max()) + 1))
    np.add.at(rows, (p[:, None], moved), weights)
    middle = slice(m // up // 2 * up, m // up // 2 * up + up)
    spans = [np.flatnonzero(row)[[0, -1]] + lowest for row in rows[middle]]
    low, high = np.array(spans).T
    axis = Axis(n, m, down=down, up=up, start=int(low.min()), width=int(high.max() - low.min()) + 1)
    used = slice(axis.start - lowest, axis.start - lowest + axis.width)
    table = rows[middle, used]
    expected = np.zeros_like(rows)
    expected[:, used] = np.where((axis.reads >= 0) & (axis.reads < n), table[p % up], 0)
    told = (rows == expected).all(1) & (rows * _BITS % 1 == 0).all(1)
    return replace(axis, ring=_span(told)).bounded(low, high), table


def _span(told: Array) -> tuple[int, int]:
    """How many outputs at each end are not told, if all between are; else all of them."""
    found = np.flatnonzero(told)
    if not len(found) or len(found) != found[-1] - found[0] + 1:
        return len(told), 0
    return int(found[0]), int(len(told) - 1 - found[-1])


RESAMPLING: dict[str, Reader] = {
    **{f"upsample_nearest{n}d": _copies for n in (1, 2, 3)},
    **dict.fromkeys(WEIGHTED, _weighted),
}
