"""Kernels with exact zeros in them: the same map as a smaller kernel, or as more groups.

Thin     which taps of a kernel remain, and in how many groups its channels fall apart
thin     weight -> Thin; None where no smaller kernel has the same taps

A 3x3 kernel with zeros all around its middle is a 1x1 kernel; one whose blocks off the diagonal are zero is grouped,
at most one channel for each group: depthwise.  A zero is meant literally: no number is called small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from .pieces import Array

Pair = tuple[int, int]


@dataclass(frozen=True)
class Thin:
    """What remains of a kernel (c_out, c_in / groups, *sizes).

    Attributes:
        taps: along each spatial axis, the first tap that remains and the one after the last.
        groups: of the network's own convolution.
        blocks: into how many each group falls apart.
    """

    taps: tuple[tuple[int, int], ...]
    groups: int
    blocks: int

    def __call__(self, weight: Array) -> Array:
        """The smaller weight, (c_out, c_in / (groups blocks), *smaller sizes)."""
        kept = weight[(..., *(slice(*pair) for pair in self.taps))]
        rows, columns, *sizes = kept.shape
        split = kept.reshape(self.groups, self.blocks, rows // (self.groups * self.blocks), self.blocks, -1, *sizes)
        each = np.arange(self.blocks)
        blocks = np.moveaxis(split[:, each, :, each], 0, 1)
        return np.ascontiguousarray(blocks).reshape(rows, columns // self.blocks, *sizes)

    def padding(self, pairs: Sequence[Pair], sizes: Sequence[int], dilation: Sequence[int]) -> list[Pair]:
        """The padding, negative where it crops, with which the smaller kernel reads what the larger one did."""
        taps = zip(pairs, self.taps, sizes, dilation, strict=True)
        return [(a - d * first, b - d * (k - stop)) for (a, b), (first, stop), k, d in taps]


def thin(weight: Array, groups: int = 1) -> Thin | None:
    """The smallest kernel with the same taps other than 0; None if that is the kernel itself, or all are 0.

    Args:
        weight: (c_out, c_in / groups, *sizes).
        groups: of the convolution.

    >>> thin(np.eye(4)[:, :, None, None] * np.array([0.0, 1.0, 0.0]))
    Thin(taps=((0, 1), (1, 2)), groups=1, blocks=4)
    """
    there = weight != 0
    if there.all() or not there.any():
        return None
    axes = range(2, weight.ndim)
    lines = (np.flatnonzero(there.any(tuple(a for a in range(weight.ndim) if a != axis))) for axis in axes)
    taps = tuple((int(line[0]), int(line[-1]) + 1) for line in lines)
    met = there.any(tuple(axes))
    rows, columns = met.shape[0] // groups, met.shape[1]
    blocks = next(h for h in range(gcd(rows, columns), 0, -1) if gcd(rows, columns) % h == 0 and _apart(met, groups, h))
    found = Thin(taps, groups, blocks)
    smaller = blocks > 1 or prod(stop - first for first, stop in taps) < prod(weight.shape[2:])
    return found if smaller else None


def _apart(met: Array, groups: int, blocks: int) -> bool:
    """Whether every group of channels is block diagonal."""
    rows, columns = met.shape[0] // (groups * blocks), met.shape[1] // blocks
    split = np.asarray(met.reshape(groups, blocks, rows, blocks, columns).any((0, 2, 4)))
    return not split[~np.eye(blocks, dtype=bool)].any()
