"""Rows that repeat a template, found as boxes of output positions and written by strided copies.

template    the slots of one row, in the order of its columns
block       a box of output positions, one run per axis, whose rows all have the same template
start       how many entries of the same output channel come before
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from .pattern import Pattern, PatternRun


@dataclass(frozen=True, eq=False)
class Block:
    """A box of output positions whose rows share one template.

    Attributes:
        start: entries of the same output channel that come before the block's first row.
        counts: rows of the box along each axis.
        jumps: entries from one row to the next along each axis.
        slots: flat slot of each entry of the template, for one input channel.
        columns: columns of the first row, all input channels of the first group.
        shifts: how far the columns move from one row to the next along each axis.
    """

    start: int
    counts: tuple[int, ...]
    jumps: tuple[int, ...]
    slots: NDArray[np.int64]
    columns: NDArray[np.int64]
    shifts: tuple[int, ...]

    def write_values(self, values: NDArray[Any], kernel: NDArray[Any]) -> None:
        """Copy the template of every output channel to all rows of the block.

        Args:
            values: (output channels, entries of a channel), where to write.
            kernel: (output channels, input channels, slots).
        """
        template = kernel[:, :, self.slots].reshape(len(kernel), *(1 for _ in self.counts), -1)
        self._view(values)[...] = template

    def write_columns(self, indices: NDArray[Any]) -> None:
        """Write the columns of all rows of the block, for the first output channel.

        Args:
            indices: (1, entries of a channel), where to write.
        """
        steps = [np.arange(n) * shift for n, shift in zip(self.counts, self.shifts, strict=True)]
        offsets = outer_sum(np.zeros(1, np.int64), *steps).reshape(1, *self.counts, 1)
        np.add(offsets.astype(indices.dtype), self.columns.astype(indices.dtype), out=self._view(indices))

    def _view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """This block's part of ``flat``, (channels, entries of a channel), as (channels, *counts, template)."""
        step = flat.itemsize
        strides = (flat.strides[0], *(jump * step for jump in self.jumps), step)
        return as_strided(flat[:, self.start :], (len(flat), *self.counts, len(self.columns)), strides)


def blocks_of(pattern: Pattern) -> tuple[Block, ...]:
    """The blocks of a pattern, which together cover every row that is not empty.

    Args:
        pattern: any pattern; if it repeats few templates, there are few blocks.

    Returns:
        One block for every choice of a run on each axis.

    >>> from algebraic_cnn.toeplitz.pattern import conv_axis
    >>> axis = conv_axis(5, 3, 1, 1, 1, 1, "zeros")
    >>> [(block.start, block.counts) for block in blocks_of(Pattern((axis,), 1, (1, 1)))]
    [(0, (1,)), (2, (3,)), (11, (1,))]
    """
    axes, inputs = pattern.axes, pattern.channels[1]
    pixels = [prod(axis.length for axis in axes[i + 1 :]) for i in range(len(axes))]
    slots = [prod(len(axis.slots) for axis in axes[i + 1 :]) for i in range(len(axes))]
    inner = [prod(sum(axis.counts) for axis in axes[i + 1 :]) for i in range(len(axes))]
    channels = np.arange(inputs) * prod(axis.length for axis in axes)

    def block(box: tuple[PatternRun, ...]) -> Block:
        # Entries per unit of `before` on axis i: the row lengths of the axes outside it, the totals of those inside.
        outer = [inputs * prod(len(run.slots) for run in box[:i]) for i in range(len(box))]
        scale = [a * b for a, b in zip(outer, inner, strict=True)]
        return Block(
            start=sum(run.before * unit for run, unit in zip(box, scale, strict=True)),
            counts=tuple(run.count for run in box),
            jumps=tuple(run.jump * unit for run, unit in zip(box, scale, strict=True)),
            slots=outer_sum(np.zeros(1, np.int64), *_times([run.slots for run in box], slots)),
            columns=outer_sum(channels, *_times([run.inputs for run in box], pixels)),
            shifts=tuple(run.shift * unit for run, unit in zip(box, pixels, strict=True)),
        )

    return tuple(block(box) for box in product(*(axis.runs for axis in axes)))


def outer_sum(*parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """All sums of one number from each array, the last array's numbers changing fastest.

    >>> outer_sum(np.array([0, 10]), np.array([1, 2]))
    array([ 1,  2, 11, 12])
    """
    return reduce(np.add.outer, parts).reshape(-1)


def _times(numbers: Sequence[Sequence[int]], units: Sequence[int]) -> list[NDArray[np.int64]]:
    return [np.array(many, np.int64) * unit for many, unit in zip(numbers, units, strict=True)]
