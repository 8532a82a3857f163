"""The memory layout of a patterned matrix: made once for a geometry, filled with any number of kernels.

The rows of a convolution matrix repeat a few templates: one for the interior and some for the borders.  Filling them is
strided copying, with no coordinate list and no sort.  All output channels look alike, so only the first is laid out.

    kernel    (groups, output channels, input channels, *slots): any dtype, Python objects included
    values    the entries of the matrix, row after row, columns increasing
    places    for each entry of an output channel, the flat position of its value in that channel's kernel
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .blocks import Block, blocks_of
from .irregular import product_entries
from .pattern import AxisPattern, Pattern

SMALL = 2**18
"""Matrices of at most so many entries are filled from places and columns that their storage keeps."""


@dataclass(frozen=True, eq=False)
class Storage:
    """Where the entries of a pattern's compressed rows lie.

    Attributes:
        pattern: what it lays out.
    """

    pattern: Pattern

    @cached_property
    def entries_per_channel(self) -> int:
        """Entries in the rows of one output channel."""
        return self.pattern.channels[1] * prod(sum(axis.counts) for axis in self.pattern.axes)

    @cached_property
    def is_regular(self) -> bool:
        """Whether the rows repeat so few templates that copying these pays."""
        return prod(len(axis.runs) for axis in self.pattern.axes) <= max(64, self.entries_per_channel // 256)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The templates and where they go."""
        return blocks_of(self.pattern)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """For each entry of an output channel, its value's flat position in (input channels, *slots)."""
        inputs, slots = self.pattern.channels[1], [len(axis.slots) for axis in self.pattern.axes]
        if self.is_regular:
            return self._copied(np.arange(inputs * prod(slots)).reshape(1, inputs, -1))
        return product_entries(inputs, self.pattern.axes, _units(slots), part=1)

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """For each entry of the first output channel, its column."""
        if self.is_regular:
            columns = np.empty((1, self.entries_per_channel), np.int64)
            for block in self.blocks:
                block.write_columns(columns)
            return columns[0]
        lengths = [axis.length for axis in self.pattern.axes]
        return product_entries(self.pattern.channels[1], self.pattern.axes, _units(lengths), part=0)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """For each row of the first output channel, where its entries end."""
        lengths = np.array(self.pattern.channels[1])
        for axis in self.pattern.axes:
            lengths = np.multiply.outer(lengths, np.array(axis.counts, np.int64))
        return np.cumsum(lengths)

    @property
    def _keeps(self) -> bool:
        """Whether matrices are filled from ``places`` and ``columns`` instead of from blocks."""
        return self.pattern.nnz <= SMALL or not self.is_regular

    def values(self, kernel: NDArray[Any]) -> NDArray[Any]:
        """The entries of the matrix, row after row.

        Args:
            kernel: (groups, output channels, input channels, *slots).

        Returns:
            Array of ``pattern.nnz`` entries with the kernel's dtype.
        """
        flat = kernel.reshape(self.pattern.groups * self.pattern.channels[0], self.pattern.channels[1], -1)
        if self._keeps:
            return flat.reshape(len(flat), -1).take(self.places, axis=1).reshape(-1)
        return self._copied(flat)

    def _copied(self, flat: NDArray[Any]) -> NDArray[Any]:
        values = np.empty((len(flat), self.entries_per_channel), flat.dtype)
        for block in self.blocks:
            block.write_values(values, flat)
        return values.reshape(-1)

    def indices(self, dtype: DTypeLike) -> NDArray[Any]:
        """The column of each entry.

        Args:
            dtype: an integer type wide enough for the columns.

        Returns:
            Fresh array of ``pattern.nnz`` column numbers, increasing within each row.
        """
        return self._small[0].astype(dtype) if self.pattern.nnz <= SMALL else self._indices(dtype)

    @cached_property
    def _small(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Columns and beginnings of rows of a matrix that is so small that calls, and not entries, take the time."""
        columns = np.int32 if self.pattern.shape[1] < 2**31 else np.int64
        return self._indices(columns), self._indptr(np.int32)

    def _indices(self, dtype: DTypeLike) -> NDArray[Any]:
        groups, (outputs, inputs) = self.pattern.groups, self.pattern.channels
        indices = np.empty((groups, outputs, self.entries_per_channel), dtype)
        if not indices.size:
            return indices.reshape(-1)
        first = indices[0, :1]
        if self._keeps:
            first[...] = self.columns
        else:
            for block in self.blocks:
                block.write_columns(first)
        width = inputs * prod(axis.length for axis in self.pattern.axes)
        for group in range(1, groups):
            np.add(first, indices.dtype.type(group * width), out=indices[group])
        indices[0, 1:] = first
        return indices.reshape(-1)

    def indptr(self, dtype: DTypeLike) -> NDArray[Any]:
        """Where each row's entries begin; one more number than rows.

        Args:
            dtype: an integer type wide enough for the number of entries.

        Returns:
            Fresh array of ``pattern.shape[0] + 1`` entry numbers.
        """
        return self._small[1].astype(dtype) if self.pattern.nnz <= SMALL else self._indptr(dtype)

    def _indptr(self, dtype: DTypeLike) -> NDArray[Any]:
        channels = self.pattern.groups * self.pattern.channels[0]
        indptr = np.zeros(channels * len(self.ends) + 1, dtype)
        starts = np.arange(channels)[:, None] * self.entries_per_channel
        np.add(starts, self.ends, out=indptr[1:].reshape(channels, -1), casting="unsafe")
        return indptr


def _units(lengths: Sequence[int]) -> list[int]:
    """What one step counts in row-major order: of a channel, then of each axis."""
    return [prod(lengths[i:]) for i in range(len(lengths) + 1)]


def merged(kernel: Any, axes: Sequence[AxisPattern], stack: Any = np.stack) -> Any:
    """The kernel with its taps replaced by slots: the values of taps that meet the same input are added.

    Args:
        kernel: (groups, output channels, input channels, *taps), an array or a torch tensor.
        axes: the pattern of each spatial axis.
        stack: ``numpy.stack`` or ``torch.stack``, as the kernel needs.

    Returns:
        (groups, output channels, input channels, *slots).

    >>> from algebraic_cnn.toeplitz.pattern import conv_axis
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
