"""Maps that act on each channel alike and on each axis apart: I_c (x) A_1 (x) ... (x) A_N, with rational A_i.

Pooling and interpolation are such maps.  Their patterns are filled like a convolution's: on each axis the taps are the
distinct numbers of A_i, and the kernel is the outer product of those numbers.

    row    {input: weight} of one output on one axis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ShapeError
from .filling import entry_dtype, filled
from .formats import check_format
from .pattern import AxisPattern, Pattern
from .storage import Storage

Row = Mapping[int, Fraction]


def separable_matrix(
    input_shape: Sequence[int],
    axes: Sequence[Sequence[Row]],
    *,
    dtype: DTypeLike | None,
    format: str,
    memory_budget: int,
) -> Any:
    """The matrix I_c (x) A_1 (x) ... (x) A_N; every product of weights is exact, then rounded once.

    Args:
        input_shape: (c, *spatial).
        axes: for every spatial axis the rows of its matrix A_i.
        dtype: of the entries; ``object`` gives exact fractions; None for the format's own.
        format: a key of ``FORMATS``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (c * prod(outputs of each axis), prod(input_shape)).

    Raises:
        ShapeError: an integer dtype for entries that are fractions.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> half = Fraction(1, 2)
    >>> separable_matrix((1, 2), [[{0: half, 1: half}]], dtype=None, format="dense", memory_budget=100)
    array([[0.5, 0.5]])
    """
    check_format(format)
    weights = [list(dict.fromkeys(weight for row in rows for weight in row.values())) for rows in axes]
    pattern = Pattern(
        tuple(_axis(n, rows, taps) for n, rows, taps in zip(input_shape[1:], axes, weights, strict=True)),
        input_shape[0],
        (1, 1),
    )
    exact = reduce(np.multiply.outer, (np.array(taps, dtype=object) for taps in weights), np.array(Fraction(1)))
    numbers = entry_dtype(dtype, format)
    if numbers.kind in "biu" and any(weight.denominator > 1 for taps in weights for weight in taps):
        raise ShapeError("the entries are fractions", expected="a dtype for fractions", got=numbers, where="dtype")
    kernel = np.broadcast_to(exact.astype(numbers), (input_shape[0], 1, 1, *exact.shape))
    return filled(Storage(pattern.transpose() if format == "csc" else pattern), kernel, format, memory_budget)


def _axis(length: int, rows: Sequence[Row], weights: Sequence[Fraction]) -> AxisPattern:
    """The pattern of one axis, its taps numbered by their weights."""
    number = {weight: tap for tap, weight in enumerate(weights)}
    hits = ((o, i, number[weight]) for o, row in enumerate(rows) for i, weight in row.items())
    return AxisPattern.from_hits(length, len(rows), len(weights), hits)
