"""Where the entries of a patterned matrix lie in memory, so that filling it is nothing but strided copies.

The rows of a convolution matrix repeat a few templates: one for the interior and some for the borders.  A plan finds
the templates of a pattern once and writes any kernel into them, row after row, with no coordinate list and no sort.

    template   the slots of one row, in the order of its columns
    block      a box of output positions, one run per axis, that share a template
    kernel     (groups, output channels, input channels, *slots): any dtype, Python objects included
    values     the entries of the matrix, row after row, columns increasing
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from ..pattern import Axis, Pattern, Run

SMALL = 2**18
"""Matrices of at most so many entries keep their indices in the plan: a refill is then one gather and one copy."""


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
    slots: NDArray[np.intp]
    columns: NDArray[np.int64]
    shifts: tuple[int, ...]

    def view(self, flat: NDArray[Any], length: int) -> NDArray[Any]:
        """This block's part of ``flat``, (channels, entries of a channel), as (channels, *counts, length)."""
        step = flat.itemsize
        strides = (flat.strides[0], *(jump * step for jump in self.jumps), step)
        return as_strided(flat[:, self.start :], (len(flat), *self.counts, length), strides)


@dataclass(frozen=True, eq=False)
class Plan:
    """The memory layout of a pattern's compressed rows.

    Attributes:
        pattern: what it lays out.
    """

    pattern: Pattern

    @cached_property
    def entries_per_channel(self) -> int:
        """Entries in the rows of one output channel."""
        return self.pattern.channels[1] * prod(sum(axis.counts) for axis in self.pattern.axes)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks, which together cover every row that is not empty."""
        axes = self.pattern.axes
        pixels = [prod(axis.length for axis in axes[i + 1 :]) for i in range(len(axes))]
        slots = [prod(len(axis.slots) for axis in axes[i + 1 :]) for i in range(len(axes))]
        channels = np.arange(self.pattern.channels[1]) * prod(axis.length for axis in axes)
        return tuple(self._block(box, channels, pixels, slots) for box in product(*(axis.runs() for axis in axes)))

    def _block(
        self, box: tuple[Run, ...], channels: NDArray[np.int64], pixels: Sequence[int], slots: Sequence[int]
    ) -> Block:
        axes, inputs = self.pattern.axes, self.pattern.channels[1]
        # Entries per step of `before` on axis i: the row lengths of the axes outside it, the totals of those inside.
        scale = [
            inputs * prod(len(run.slots) for run in box[:i]) * prod(sum(axis.counts) for axis in axes[i + 1 :])
            for i in range(len(box))
        ]
        return Block(
            start=sum(run.before * unit for run, unit in zip(box, scale, strict=True)),
            counts=tuple(run.count for run in box),
            jumps=tuple(run.jump * unit for run, unit in zip(box, scale, strict=True)),
            slots=_outer_sum(np.zeros(1, np.int64), [np.multiply(r.slots, u) for r, u in zip(box, slots, strict=True)]),
            columns=_outer_sum(channels, [np.multiply(r.inputs, u) for r, u in zip(box, pixels, strict=True)]),
            shifts=tuple(run.shift * unit for run, unit in zip(box, pixels, strict=True)),
        )

    def values(self, kernel: NDArray[Any]) -> NDArray[Any]:
        """The entries of the matrix, row after row.

        Args:
            kernel: (groups, output channels, input channels, *slots).

        Returns:
            Array of ``pattern.nnz`` entries with the kernel's dtype.
        """
        flat = kernel.reshape(self.pattern.groups * self.pattern.channels[0], self.pattern.channels[1], -1)
        if self.pattern.nnz <= SMALL:
            return flat.reshape(len(flat), -1).take(self.places(), axis=1).reshape(-1)
        return self._copied(flat)

    def places(self) -> NDArray[np.intp]:
        """For each entry of one output channel's rows, its flat position in that channel's (input channels, *slots)."""
        return self._kept_places if self.pattern.nnz <= SMALL else self._written_places()

    @cached_property
    def _kept_places(self) -> NDArray[np.intp]:
        return self._written_places()

    def _written_places(self) -> NDArray[np.intp]:
        size = self.pattern.channels[1] * prod(len(axis.slots) for axis in self.pattern.axes)
        return self._copied(np.arange(size).reshape(1, self.pattern.channels[1], -1))

    def _copied(self, flat: NDArray[Any]) -> NDArray[Any]:
        values = np.empty((len(flat), self.entries_per_channel), flat.dtype)
        for block in self.blocks:
            template = flat[:, :, block.slots].reshape(len(flat), *(1 for _ in block.counts), -1)
            block.view(values, template.shape[-1])[...] = template
        return values.reshape(-1)

    def indices(self, dtype: DTypeLike) -> NDArray[Any]:
        """The column of each entry.

        Args:
            dtype: an integer type wide enough for the columns.

        Returns:
            Fresh array of ``pattern.nnz`` column numbers, increasing within each row.
        """
        if self.pattern.nnz <= SMALL:
            return self._kept_indices.astype(dtype)
        return self._written_indices(np.dtype(dtype))

    @cached_property
    def _kept_indices(self) -> NDArray[np.int64]:
        return self._written_indices(np.dtype(np.int64))

    def _written_indices(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        groups, (outputs, inputs) = self.pattern.groups, self.pattern.channels
        indices = np.empty((groups, outputs, self.entries_per_channel), dtype)
        first = indices[:1, 0] if groups * outputs else np.empty((1, 0), dtype)
        for block in self.blocks:
            steps = [np.arange(n) * shift for n, shift in zip(block.counts, block.shifts, strict=True)]
            offsets = _outer_sum(np.zeros(1, np.int64), steps).reshape(*block.counts, 1)
            np.add(offsets.astype(dtype), block.columns.astype(dtype), out=block.view(first, len(block.columns))[0])
        width = inputs * prod(axis.length for axis in self.pattern.axes)
        for group in range(groups):
            np.add(first, dtype.type(group * width), out=indices[group, 1:])
            np.add(first[0], dtype.type(group * width), out=indices[group, 0])
        return indices.reshape(-1)

    def indptr(self, dtype: DTypeLike) -> NDArray[Any]:
        """Where each row's entries begin; one more number than rows.

        Args:
            dtype: an integer type wide enough for the number of entries.

        Returns:
            Fresh array of ``pattern.shape[0] + 1`` entry numbers.
        """
        if self.pattern.nnz <= SMALL:
            return self._kept_indptr.astype(dtype)
        return self._written_indptr(np.dtype(dtype))

    @cached_property
    def _kept_indptr(self) -> NDArray[np.int64]:
        return self._written_indptr(np.dtype(np.int64))

    def _written_indptr(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        lengths = np.array(self.pattern.channels[1])
        for axis in self.pattern.axes:
            lengths = np.multiply.outer(lengths, np.array(axis.counts, np.int64))
        channels = self.pattern.groups * self.pattern.channels[0]
        ends = np.cumsum(lengths.ravel())
        indptr = np.zeros(channels * lengths.size + 1, dtype)
        starts = np.arange(channels)[:, None] * self.entries_per_channel
        np.add(starts, ends, out=indptr[1:].reshape(channels, lengths.size), casting="unsafe")
        return indptr


def _outer_sum(first: NDArray[np.int64], rest: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All sums of one number from each array, in row-major order."""
    return reduce(np.add.outer, rest, first).reshape(-1)


def merged(kernel: Any, axes: Sequence[Axis], stack: Any = np.stack) -> Any:
    """The kernel with its taps replaced by slots: the values of taps that meet the same input are added.

    Args:
        kernel: (groups, output channels, input channels, *taps), an array or a torch tensor.
        axes: the pattern of each spatial axis.
        stack: ``numpy.stack`` or ``torch.stack``, as the kernel needs.

    Returns:
        (groups, output channels, input channels, *slots).

    >>> from algebraic_cnn.pattern import conv_axis
    >>> axis = conv_axis(3, 3, 1, 1, 1, 1, "replicate")
    >>> merged(np.array([[[[1, 10, 100]]]]), [axis])
    array([[[[  1,  10, 100,  11, 110]]]])
    """
    for i, axis in enumerate(axes, start=3):
        if len(axis.slots) > kernel.shape[i]:
            before = (slice(None),) * i
            sums = [reduce(operator.add, (kernel[(*before, tap)] for tap in taps)) for taps in axis.slots]
            kernel = stack(sums, i)
    return kernel
