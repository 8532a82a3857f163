"""Rows that repeat no template, as in interpolation by an odd ratio: their entries by index arithmetic.

ragged    rows of unequal length: how many numbers each has, and all numbers, row after row
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from .pattern import AxisPattern

Ragged = tuple[NDArray[np.int64], NDArray[np.int64]]


def product_entries(channels: int, axes: Sequence[AxisPattern], units: Sequence[int], part: int) -> NDArray[np.int64]:
    """A number for every entry of one output channel's rows: the sum of one number from each axis times its unit.

    Args:
        channels: number of input channels.
        axes: the pattern of each spatial axis.
        units: what one step counts: of a channel, then of each axis.
        part: 0 adds up the inputs of each entry, 1 its slots.

    Returns:
        Row-major columns, or flat slots, row after row.

    >>> axis = AxisPattern(3, (((0, 1),), ((0, 0), (2, 1))), ((0,), (1,)))
    >>> product_entries(2, [axis], [3, 1], 0)
    array([0, 3, 0, 2, 3, 5])
    """
    ragged = (_ragged(axis, unit, part) for axis, unit in zip(axes, units[1:], strict=True))
    first = np.array([channels]), np.arange(channels) * units[0]
    return reduce(_product, ragged, first)[1]


def _ragged(axis: AxisPattern, unit: int, part: int) -> Ragged:
    numbers = [pair[part] * unit for row in axis.rows for pair in row]
    return np.array(axis.counts, np.int64), np.array(numbers, np.int64)


def _product(outer: Ragged, inner: Ragged) -> Ragged:
    """For each row of the outer and each of the inner one, all sums of their numbers, the inner changing fastest."""
    (outer_counts, outer_numbers), (inner_counts, inner_numbers) = outer, inner
    outer_starts, inner_starts = np.cumsum(outer_counts) - outer_counts, np.cumsum(inner_counts) - inner_counts
    counts = np.multiply.outer(outer_counts, inner_counts).reshape(-1)
    row = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    outer_row, inner_row = np.divmod(row, max(len(inner_counts), 1))
    a, b = np.divmod(within, inner_counts[inner_row])
    return counts, outer_numbers[outer_starts[outer_row] + a] + inner_numbers[inner_starts[inner_row] + b]
