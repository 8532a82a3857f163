"""The numbers of a quasi-Toeplitz map: for every choice of classes a block K_c and a vector b_c, over any ring.

    block(ring, c)    K_c of shape (c_out, c_in / groups, *reads): what row p of these classes does with what it reads
    bias(ring, c)     b_c of shape (c_out,)
    Kernel            one layer: the kernel contracted with one small matrix of integers for each axis
    Then              K = sum over mids t of K_g[t] K_f(class of t), laid where f reads;  b = sum_t K_g[t] b_f + b_g
    Beside            sum or concatenation of two maps of one input
    Pick              some of the output channels

A block is computed when it is first asked for, and kept: plans touch no numbers, a convolution asks for the middle
alone, a matrix for all that occur.  Groups stay groups; sums of kernels add, they never assign, because reads that are
counted from the two ends may meet at a small size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import gcd, lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rings.ring import Ring
from . import axes
from .axes import Axis, Mid, Read, moved

Array = NDArray[Any]
Classes = tuple[int, ...]
Numbers = Callable[[Ring], Array]


class Blocks(ABC):
    """Channels, axes and lazy numbers of a map.

    Args:
        c_in: input channels.
        c_out: output channels.
        groups: as torch has it: blocks of channels that do not see each other.
        along: the spatial axes.
        biased: False where every bias is known to be 0.
    """

    def __init__(self, c_in: int, c_out: int, groups: int, along: Sequence[Axis], biased: bool) -> None:
        self.c_in, self.c_out, self.groups, self.axes, self.biased = c_in, c_out, groups, tuple(along), biased
        self._blocks: dict[tuple[Ring, Classes], Array] = {}
        self._biases: dict[tuple[Ring, Classes], Array] = {}

    def block(self, ring: Ring, c: Classes) -> Array:
        """K_c over a ring, of shape (c_out, c_in / groups, *reads)."""
        if (ring, c) not in self._blocks:
            self._blocks[ring, c] = self._block(ring, c)
        return self._blocks[ring, c]

    def bias(self, ring: Ring, c: Classes) -> Array:
        """b_c over a ring, of shape (c_out,)."""
        if (ring, c) not in self._biases:
            self._biases[ring, c] = self._bias(ring, c) if self.biased else zeros(ring, (self.c_out,))
        return self._biases[ring, c]

    @abstractmethod
    def _block(self, ring: Ring, c: Classes) -> Array:
        """K_c, computed."""

    @abstractmethod
    def _bias(self, ring: Ring, c: Classes) -> Array:
        """b_c, computed."""

    def _places(self, c: Classes) -> list[dict[Read, int]]:
        """Along each axis, the place of every read in a block of these classes."""
        return [{read: j for j, read in enumerate(axis.reads[i])} for axis, i in zip(self.axes, c, strict=True)]


def zeros(ring: Ring, shape: Sequence[int]) -> Array:
    """An array of the ring's 0."""
    return ring.embed(np.zeros(tuple(shape)))


class Kernel(Blocks):
    """One layer.

    Args:
        shape: of the kernel, (c_out, c_in / groups, *taps).
        along: the spatial axes, ``Leaf`` each.
        kernel: the numbers over a ring; None for ones.
        groups: as torch has it.
        bias: a vector over a ring, or None.
        outside: what is added where a row of some axis reads nothing, over a ring (1,): a padding with constants.
        divisor: what every number is divided by.
    """

    def __init__(
        self,
        shape: Sequence[int],
        along: Sequence[axes.Leaf],
        kernel: Numbers | None = None,
        *,
        groups: int = 1,
        bias: Numbers | None = None,
        outside: Numbers | None = None,
        divisor: int = 1,
    ) -> None:
        super().__init__(shape[1] * groups, shape[0], groups, along, bias is not None or outside is not None)
        self.shape, self.layers, self.kernel = tuple(shape), tuple(along), kernel
        self.vector, self.outside, self.divisor = bias, outside, divisor
        self._kernels: dict[Ring, Array] = {}

    def _numbers(self, ring: Ring) -> Array:
        if ring not in self._kernels:
            K = ring.embed(np.ones(self.shape)) if self.kernel is None else self.kernel(ring)
            self._kernels[ring] = K.reshape(self.shape)
        return self._kernels[ring]

    def _block(self, ring: Ring, c: Classes) -> Array:
        K = self._numbers(ring)
        divisors = [self.divisor]
        for axis, i in zip(self.layers, c, strict=True):
            table, divisor = _table(axis, i)
            divisors.append(divisor)
            K = np.moveaxis(K, 2, -1)
            if table.shape[0] != table.shape[1] or (table != np.eye(len(table))).any():
                K = ring.matmul(K.reshape(-1, axis.taps), ring.embed(table)).reshape(*K.shape[:-1], table.shape[1])
        whole = prod(divisors)
        for divisor in [whole] if int(float(whole)) == whole else divisors:
            K = K if divisor == 1 else ring.divide(K, np.array(float(divisor)))
        return K

    def _bias(self, ring: Ring, c: Classes) -> Array:
        b = zeros(ring, (self.c_out,)) if self.vector is None else self.vector(ring)
        empty = any(not axis.reads[i] for axis, i in zip(self.axes, c, strict=True))
        return ring.reduce(b + self.outside(ring)) if empty and self.outside is not None else b


def _table(axis: axes.Leaf, c: int) -> tuple[Array, int]:
    """The matrix (taps, reads) of a class as integers, and their common denominator."""
    weights = [Fraction(weight) for *_, weight in axis.sources[c]]
    divisor = lcm(1, *(weight.denominator for weight in weights))
    at = {read: j for j, read in enumerate(axis.reads[c])}
    table = np.zeros((axis.taps, len(at)))
    for (kind, o, tap, _), weight in zip(axis.sources[c], weights, strict=True):
        table[tap, at[kind, o]] += float(weight * divisor)
    return table, divisor


class Identity(Kernel):
    """The map that returns its input."""

    def __init__(self, channels: int, along: Sequence[axes.Leaf]) -> None:
        super().__init__((channels, 1, *[1] * len(along)), along, groups=channels)


class Then(Blocks):
    """First ``f``, then ``g``."""

    def __init__(self, f: Blocks, g: Blocks) -> None:
        along = [axes.Then(a, b) for a, b in zip(f.axes, g.axes, strict=True)]
        super().__init__(f.c_in, g.c_out, gcd(f.groups, g.groups), along, f.biased or g.biased)
        self.f, self.g = f, g

    def _mids(self, c: Classes) -> Iterator[tuple[tuple[int, ...], list[Mid]]]:
        """Every read of g, one for each axis, and the row of f that lies there."""
        mids = [axis.sources[i][1] for axis, i in zip(self.axes, c, strict=True)]
        for t in product(*(range(len(along)) for along in mids)):
            yield t, [along[i] for i, along in zip(t, mids, strict=True)]

    def _after(self, c: Classes) -> Classes:
        return tuple(axis.sources[i][0] for axis, i in zip(self.axes, c, strict=True))

    def _block(self, ring: Ring, c: Classes) -> Array:
        G, at = self.g.block(ring, self._after(c)), self._places(c)
        K = zeros(ring, (self.c_out, self.c_in // self.groups, *map(len, at)))
        for t, mids in self._mids(c):
            F = self.f.block(ring, tuple(mid[0] for mid in mids))
            where = [
                [place[read] for read in moved(axis, mid)]
                for place, axis, mid in zip(at, self.f.axes, mids, strict=True)
            ]
            if F.size:
                here = (slice(None), slice(None), *np.ix_(*where))
                K[here] = ring.reduce(K[here] + mixed(G[(..., *t)], self.g.groups, F, self.f.groups, ring))
        return K

    def _bias(self, ring: Ring, c: Classes) -> Array:
        after = self._after(c)
        b = self.g.bias(ring, after)
        if self.f.biased:
            G = self.g.block(ring, after)
            for t, mids in self._mids(c):
                v = self.f.bias(ring, tuple(mid[0] for mid in mids))
                b = ring.reduce(b + mixed(G[(..., *t)], self.g.groups, v[:, None], 1, ring)[:, 0])
        return b


class Beside(Blocks):
    """Two maps of one input, added, or one after the other along the channels if ``stacked``."""

    def __init__(self, f: Blocks, g: Blocks, *, stacked: bool) -> None:
        along = [axes.Beside(a, b) for a, b in zip(f.axes, g.axes, strict=True)]
        groups, c_out = (1, f.c_out + g.c_out) if stacked else (gcd(f.groups, g.groups), f.c_out)
        super().__init__(f.c_in, c_out, groups, along, f.biased or g.biased)
        self.parts, self.stacked = (f, g), stacked

    def _each(self, c: Classes) -> Iterator[tuple[Blocks, list[Mid]]]:
        for i, part in enumerate(self.parts):
            yield part, [axis.sources[j][i] for axis, j in zip(self.axes, c, strict=True)]

    def _block(self, ring: Ring, c: Classes) -> Array:
        at, done = self._places(c), []
        for part, mids in self._each(c):
            B = regrouped(part.block(ring, tuple(mid[0] for mid in mids)), part.groups, self.groups, ring)
            where = [
                [place[read] for read in moved(axis, mid)] for place, axis, mid in zip(at, part.axes, mids, strict=True)
            ]
            K = zeros(ring, (*B.shape[:2], *map(len, at)))
            K[(slice(None), slice(None), *np.ix_(*where))] = B
            done.append(K)
        return np.concatenate(done) if self.stacked else ring.reduce(done[0] + done[1])

    def _bias(self, ring: Ring, c: Classes) -> Array:
        first, second = (part.bias(ring, tuple(mid[0] for mid in mids)) for part, mids in self._each(c))
        return np.concatenate([first, second]) if self.stacked else ring.reduce(first + second)


class Pick(Blocks):
    """Some output channels of a map, in the given order: slices, shuffles, repetitions."""

    def __init__(self, f: Blocks, channels: Sequence[int]) -> None:
        super().__init__(f.c_in, len(channels), 1, f.axes, f.biased)
        self.f, self.channels = f, list(channels)

    def _block(self, ring: Ring, c: Classes) -> Array:
        return regrouped(self.f.block(ring, c), self.f.groups, 1, ring)[self.channels]

    def _bias(self, ring: Ring, c: Classes) -> Array:
        return self.f.bias(ring, c)[self.channels]


def regrouped(K: Array, groups: int, fewer: int, ring: Ring) -> Array:
    """A block (c_out, c_in / groups, ...) as (c_out, c_in / fewer, ...), zeros added; ``fewer`` divides ``groups``."""
    if groups == fewer:
        return K
    rows, inside = len(K) // groups, groups // fewer
    wide = zeros(ring, (groups, rows, inside, *K.shape[1:]))
    wide[np.arange(groups), :, np.arange(groups) % inside] = K.reshape(groups, rows, *K.shape[1:])
    return wide.reshape(len(K), inside * K.shape[1], *K.shape[2:])


def mixed(A: Array, ga: int, B: Array, gb: int, ring: Ring) -> Array:
    """The product of block diagonal matrices, (rows, mid / ga) and (mid, columns / gb, ...); diagonal ones scale."""
    if A.shape[1] == 1 and ga == len(B):
        return ring.reduce(A.reshape(-1, *[1] * (B.ndim - 1)) * np.repeat(B, len(A) // len(B), 0))
    if B.shape[1] == 1 and gb == len(B):
        scale = B.reshape(ga, 1, A.shape[1], *B.shape[2:])
        product_ = A.reshape(ga, -1, A.shape[1], *[1] * (B.ndim - 2)) * scale
        return ring.reduce(product_).reshape(len(A), A.shape[1], *B.shape[2:])
    groups = gcd(ga, gb)
    A, B = regrouped(A, ga, groups, ring), regrouped(B, gb, groups, ring)
    parts = [
        ring.matmul(a, b.reshape(len(b), -1)) for a, b in zip(np.split(A, groups), np.split(B, groups), strict=True)
    ]
    return np.concatenate(parts).reshape(len(A), *B.shape[1:])
