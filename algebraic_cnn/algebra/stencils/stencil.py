"""Translation-equivariant maps as matrices of Laurent polynomials, over any ring.

A shift-invariant map of multichannel images is a c_out x c_in matrix of Laurent polynomials in the shifts z_1 .. z_d:
composition is their product, parallel branches their sum, concatenation stacks rows; a stride keeps every s-th
exponent, and an upsampling or a pixel shuffle gives every phase of the output a matrix of its own (polyphase).

    Footprint    channels, groups and one ``Axis`` per spatial axis: all of a stencil but its numbers
    Stencil      a footprint and its taps, numbers of a ring: the linear part of a map, without its offset
    compose      the product: first ``before``, then ``after``
    add, stack   sum and concatenation of stencils on one input
    told         where the taps tell the map (``Axis.ring``): everywhere, unless phantoms count

Composition away from the border is exact; ``Axis.ring`` says what "away" means.  [proofs/p08_stencils.py]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError
from ...rings.ring import Ring
from .lattice import Axis

Array = NDArray[Any]


@dataclass(frozen=True)
class Footprint:
    """All of a stencil but its numbers.

    Attributes:
        c_in: input channels.
        c_out: output channels.
        groups: output channels of one of ``groups`` equal blocks read the input channels of that block only.
        axes: the spatial axes.
    """

    c_in: int
    c_out: int
    groups: int
    axes: tuple[Axis, ...]

    @property
    def taps_shape(self) -> tuple[int, ...]:
        """(*phases, c_out, c_in / groups, *widths)."""
        phases, widths = (axis.up for axis in self.axes), (axis.width for axis in self.axes)
        return (*phases, self.c_out, self.c_in // self.groups, *widths)

    @property
    def diagonal(self) -> bool:
        """Whether every output entry reads the input entry at its own place alone."""
        return self.c_in == self.c_out == self.groups and all(axis.trivial for axis in self.axes)

    @property
    def exact(self) -> bool:
        """Whether the taps tell every output."""
        return all(axis.ring == (0, 0) for axis in self.axes)

    def then(self, after: Footprint) -> Footprint:
        """The footprint of the composition, first this one."""
        axes = tuple(a.then(b) for a, b in zip(self.axes, after.axes, strict=True))
        return Footprint(self.c_in, after.c_out, gcd(self.groups, after.groups), axes)

    def joined(self, *others: Footprint) -> Footprint | None:
        """The footprint of the sum, or None if the maps have no common lattice."""
        axes = []
        for parallel in zip(self.axes, *(other.axes for other in others), strict=True):
            axis: Axis | None = parallel[0]
            for other in parallel[1:]:
                axis = axis and axis.joined(other)
            if axis is None:
                return None
            axes.append(axis)
        return replace(self, axes=tuple(axes), groups=gcd(self.groups, *(other.groups for other in others)))

    def stacked(self, *others: Footprint) -> Footprint | None:
        """The footprint of the concatenation along channels, or None if the maps have no common lattice."""
        joined = self.joined(*others)
        return joined and replace(joined, groups=1, c_out=self.c_out + sum(other.c_out for other in others))


@dataclass(frozen=True, eq=False)
class Stencil:
    """The linear map y[o, up j + q] = sum over i, t of taps[q, o, i, t] x[i, down j + start + step t].

    Attributes:
        footprint: channels, groups, axes.
        taps: ring elements, shape ``footprint.taps_shape``; entry [*q, o, i, *t] is how much input channel i of o's
            block counts, at tap t, in output channel o at phase q.

    >>> from algebraic_cnn.rings.ring import Float
    >>> edge = Stencil(Footprint(1, 1, 1, (Axis(5, 4, width=2),)), np.array([[[[-1.0, 1.0]]]]))
    >>> again = replace(edge, footprint=Footprint(1, 1, 1, (Axis(4, 3, width=2),)))
    >>> compose(again, edge, Float()).taps.ravel()                     # (z - 1)^2 = z^2 - 2 z + 1
    array([ 1., -2.,  1.])
    """

    footprint: Footprint
    taps: Array

    def __call__(self, x: Array, ring: Ring) -> Array:
        """The image of one input as the taps tell it, x being 0 outside; within the ring that is not the map.

        Args:
            x: ring elements of shape (c_in, *spatial).
            ring: where to compute.

        Returns:
            Ring elements of shape (c_out, *spatial).
        """
        axes = self.footprint.axes
        lows = [max(0, -int(axis.reads.min())) for axis in axes]
        highs = [max(0, int(axis.reads.max()) - axis.n + 1) for axis in axes]
        x = np.pad(x, [(0, 0), *zip(lows, highs, strict=True)])
        y = np.zeros((self.footprint.c_out, *(axis.m for axis in axes)), dtype=self.taps.dtype)
        for phase in _indices(min(axis.up, axis.m) for axis in axes):
            outputs = [np.arange(q, axis.m, axis.up) for q, axis in zip(phase, axes, strict=True)]
            here = np.ix_(np.arange(len(y)), *outputs)
            for t in _indices(axis.width for axis in axes):
                places = [a.reads[p, i] + low for a, p, i, low in zip(axes, outputs, t, lows, strict=True)]
                values = x[np.ix_(range(len(x)), *places)]
                mixed = _product(self.taps[(*phase, ..., *t)], self.footprint.groups, values[:, None], 1, ring)
                y[here] = ring.reduce(y[here] + mixed[:, 0])
        return y


def compose(after: Stencil, before: Stencil, ring: Ring) -> Stencil:
    """The product of the two matrices of polynomials: first ``before``, then ``after``."""
    first, second = before.footprint, after.footprint
    footprint = first.then(second)
    if second.diagonal:
        lead = [1] * len(first.axes)
        scale = after.taps.reshape(*lead, second.c_out, *lead, 1)
        return Stencil(footprint, ring.reduce(scale * before.taps).reshape(footprint.taps_shape))
    taps = np.zeros(footprint.taps_shape, dtype=np.result_type(after.taps, before.taps))
    for meetings in product(*(one.meetings(two) for one, two in zip(first.axes, second.axes, strict=True))):
        q, t, source, phase, places = zip(*meetings, strict=True) if meetings else ((), (), (), (), ())
        block = _product(after.taps[(*q, ..., *t)], second.groups, before.taps[source], first.groups, ring)
        here = (*phase, *np.ix_(range(block.shape[0]), range(block.shape[1]), *places))
        taps[here] = ring.reduce(taps[here] + block)
    return Stencil(footprint, taps)


def add(stencils: Sequence[Stencil], ring: Ring) -> Stencil:
    """The sum of stencils with a common lattice.

    Raises:
        ShapeError: if they have none.
    """
    first, *rest = (stencil.footprint for stencil in stencils)
    footprint = _common(first.joined(*rest))
    aligned = (_aligned(stencil, footprint) for stencil in stencils)
    return Stencil(footprint, reduce(lambda a, b: ring.reduce(a + b), aligned))


def stack(stencils: Sequence[Stencil]) -> Stencil:
    """The stencil whose output channels are those of all the given ones, in order.

    Raises:
        ShapeError: if they have no common lattice.
    """
    first, *rest = (stencil.footprint for stencil in stencils)
    footprint = _common(first.stacked(*rest))
    parts = [_aligned(s, replace(footprint, c_out=s.footprint.c_out)) for s in stencils]
    return Stencil(footprint, np.concatenate(parts, axis=len(footprint.axes)))


def _common(footprint: Footprint | None) -> Footprint:
    if footprint is None:
        raise ShapeError("the stencils have no common lattice", expected="equal shapes and strides", where="stencil")
    return footprint


def _indices(lengths: Iterable[int]) -> Iterator[tuple[int, ...]]:
    return product(*map(range, lengths))


def _aligned(stencil: Stencil, footprint: Footprint) -> Array:
    """The taps in the place that a common footprint has for them."""
    taps = np.zeros(footprint.taps_shape, dtype=stencil.taps.dtype)
    pairs = zip(stencil.footprint.axes, footprint.axes, strict=True)
    for parts in product(*(own.places_in(joined) for own, joined in pairs)):
        source, phase, places = zip(*parts, strict=True) if parts else ((), (), ())
        block = _regrouped(stencil.taps[source], stencil.footprint.groups, footprint.groups)
        taps[(*phase, *np.ix_(range(block.shape[0]), range(block.shape[1]), *places))] = block
    return taps


def _regrouped(matrix: Array, groups: int, coarser: int) -> Array:
    """(c_out, c_in / groups, ...) as (c_out, c_in / coarser, ...), zeros added; ``coarser`` divides ``groups``."""
    if groups == coarser:
        return matrix
    rows, columns, *rest = matrix.shape
    rows, inside = rows // groups, groups // coarser
    wide = np.zeros((groups, rows, inside, columns, *rest), dtype=matrix.dtype)
    wide[np.arange(groups), :, np.arange(groups) % inside] = matrix.reshape(groups, rows, columns, *rest)
    return wide.reshape(len(matrix), inside * columns, *rest)


def _product(a: Array, a_groups: int, b: Array, b_groups: int, ring: Ring) -> Array:
    """The product of block-diagonal matrices a (rows, mid / a_groups) and b (mid, columns / b_groups, *rest)."""
    if a.shape[1] == 1:  # every row takes one channel: no matrix product
        return ring.reduce(a.reshape(-1, *[1] * (b.ndim - 1)) * np.repeat(b, len(a) // len(b), 0))
    if b.shape[1] == 1 and b_groups == len(b):  # every channel is scaled: none either
        columns = b.reshape(a_groups, 1, a.shape[1], *b.shape[2:])
        blocks = a.reshape(a_groups, len(a) // a_groups, a.shape[1], *[1] * (b.ndim - 2))
        return ring.reduce(blocks * columns).reshape(len(a), a.shape[1], *b.shape[2:])
    groups = gcd(a_groups, b_groups)
    a, b = _regrouped(a, a_groups, groups), _regrouped(b, b_groups, groups)
    columns = b.reshape(groups, len(b) // groups, -1)
    blocks = [ring.matmul(block, column) for block, column in zip(np.split(a, groups), columns, strict=True)]
    return np.concatenate(blocks).reshape(len(a), *b.shape[1:])
