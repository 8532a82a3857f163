"""The numbers of a quasi-Toeplitz map: for every choice of classes a block K_c and a vector b_c, over any ring.

    block(ring, c)    K_c of shape (c_out, c_in / groups, *reads): what row p of these classes does with what it reads
    bias(ring, c)     b_c of shape (c_out,)
    Kernel            one layer: the kernel contracted with one small matrix of integers for each axis
    Then              K = sum over mids t of K_g[t] K_f(class of t), laid where f reads;  b = sum_t K_g[t] b_f + b_g
    Beside            sum or concatenation of two maps of one input
    Pick              some of the output channels
    Everywhere        a map of channels on images of more axes;  Copies: one map of the image in any number of channels
    composed          first f, then g, associated to the left

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
from . import compositions
from .axes import Axis, Leaf, Read
from .compositions import Mid, moved
from .products import mixed, regrouped, zeros
from .rules import windows

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

    def forget(self) -> None:
        """Drops what is kept; it is computed again when it is asked for."""
        self._blocks.clear()
        self._biases.clear()
        for part in self.parts:
            part.forget()

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The maps that this one is made of."""
        return ()

    @abstractmethod
    def _block(self, ring: Ring, c: Classes) -> Array:
        """K_c, computed."""

    def _bias(self, ring: Ring, c: Classes) -> Array:
        """b_c, computed."""
        return zeros(ring, (self.c_out,))

    def _places(self, c: Classes) -> list[dict[Read, int]]:
        """Along each axis, the place of every read in a block of these classes."""
        return [{read: j for j, read in enumerate(axis.reads[i])} for axis, i in zip(self.axes, c, strict=True)]


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
        along: Sequence[Leaf],
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

    def forget(self) -> None:
        """Drops the kernel too."""
        super().forget()
        self._kernels.clear()

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


def _table(axis: Leaf, c: int) -> tuple[Array, int]:
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

    def __init__(self, channels: int, along: Sequence[Leaf]) -> None:
        super().__init__((channels, 1, *[1] * len(along)), along, groups=channels)


class Then(Blocks):
    """First ``f``, then ``g``."""

    def __init__(self, f: Blocks, g: Blocks) -> None:
        along = [compositions.then(a, b) for a, b in zip(f.axes, g.axes, strict=True)]
        super().__init__(f.c_in, g.c_out, gcd(f.groups, g.groups), along, f.biased or g.biased)
        self.f, self.g = f, g

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The two."""
        return self.f, self.g

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
        every = list(self._mids(c))
        for t, mids in every:
            F = self.f.block(ring, tuple(mid[0] for mid in mids))
            where = [
                [place[read] for read in moved(axis, mid)]
                for place, axis, mid in zip(at, self.f.axes, mids, strict=True)
            ]
            if F.size:
                whole = len(every) == 1 and all(
                    p == list(range(len(places))) for p, places in zip(where, at, strict=True)
                )
                here = ... if whole else (slice(None), slice(None), *np.ix_(*where))
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
        along = [compositions.beside(a, b) for a, b in zip(f.axes, g.axes, strict=True)]
        groups, c_out = (1, f.c_out + g.c_out) if stacked else (gcd(f.groups, g.groups), f.c_out)
        super().__init__(f.c_in, c_out, groups, along, f.biased or g.biased)
        self.pair, self.stacked = (f, g), stacked

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The two."""
        return self.pair

    def _each(self, c: Classes) -> Iterator[tuple[Blocks, list[Mid]]]:
        for i, part in enumerate(self.pair):
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

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The map that they are of."""
        return (self.f,)

    def _block(self, ring: Ring, c: Classes) -> Array:
        return regrouped(self.f.block(ring, c), self.f.groups, 1, ring)[self.channels]

    def _bias(self, ring: Ring, c: Classes) -> Array:
        return self.f.bias(ring, c)[self.channels]


class Everywhere(Blocks):
    """The linear part of a map of channels alone, on images of other axes: the same at every position.

    Args:
        f: the map.
        c: the classes of its rows.
        axes: how many axes.
    """

    def __init__(self, f: Blocks, c: Classes, axes: int) -> None:
        super().__init__(f.c_in, f.c_out, f.groups, [windows(1) for _ in range(axes)], biased=False)
        self.f, self.c = f, c

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The map."""
        return (self.f,)

    def _block(self, ring: Ring, c: Classes) -> Array:
        K = self.f.block(ring, self.c)
        return K.reshape(*K.shape[:2], *[1] * len(self.axes))


class Copies(Blocks):
    """The linear part of one map of the image in every channel, of another number of channels.

    Args:
        f: the map.
        channels: how many.
    """

    def __init__(self, f: Blocks, channels: int) -> None:
        super().__init__(channels, channels, channels, f.axes, biased=False)
        self.f = f

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The map."""
        return (self.f,)

    def _block(self, ring: Ring, c: Classes) -> Array:
        return np.repeat(self.f.block(ring, c)[:1], self.c_out, axis=0)


def pointwise(c_in: int, c_out: int, groups: int, axes: int, numbers: Numbers) -> Blocks:
    """A map of channels that is the same at every position; numbers that reshape to (c_out, c_in / groups)."""
    return Kernel((c_out, c_in // groups, *[1] * axes), [windows(1) for _ in range(axes)], numbers, groups=groups)


def composed(f: Blocks, g: Blocks) -> Blocks:
    """First f, then g; associated to the left, so that biases meet blocks of single layers alone."""
    if isinstance(f, Identity):
        return g
    if isinstance(g, Identity):
        return f
    return composed(composed(f, g.f), g.g) if isinstance(g, Then) else Then(f, g)
