"""Maps that only move, drop and repeat entries: matrices of zeros and ones with at most one 1 in a row.

Such a map is known once it is known where each output comes from, and that is found by applying the map to the array
of the inputs' own numbers.

    source    array of the output's shape: the number of the input that each output copies, or ``NOTHING``
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import TooLargeError
from .arguments import bytes_allowed
from .filling import entry_dtype
from .formats import FORMATS, MEMORY_BUDGET, Entries, check_budget, check_format, index_dtype

NOTHING = -1
"""The source of an output that is zero whatever the input."""


def numbered(shape: Sequence[int], memory_budget: int = MEMORY_BUDGET) -> NDArray[np.int64]:
    """The array whose entry at each position is that position's row-major number.

    Args:
        shape: of the array.
        memory_budget: bytes that it may take; a selection matrix takes more.

    Returns:
        ``arange(prod(shape))`` in that shape.

    Raises:
        TooLargeError: it would take more; nothing was allocated.

    >>> numbered((2, 3))
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    memory_budget = bytes_allowed(memory_budget)
    if 8 * prod(shape) > memory_budget:
        what = f"numbering the {prod(shape):,} inputs exceeds the memory budget"
        raise TooLargeError(what, needed=8 * prod(shape), budget=memory_budget, where="memory_budget")
    return np.arange(prod(shape), dtype=np.int64).reshape(tuple(shape))


def selection_matrix(
    source: NDArray[np.integer[Any]], inputs: int, *, dtype: DTypeLike | None, format: str, memory_budget: int
) -> Any:
    """The matrix S with ``(S x)[r] = x[source[r]]``, or 0 where the source is ``NOTHING``.

    Args:
        source: number of the input that each output copies, of the output's shape.
        inputs: number of inputs.
        dtype: of the entries; None for the format's own.
        format: a key of ``FORMATS``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (source.size, inputs).

    Raises:
        UnknownNameError: unknown format or dtype.
        TooLargeError: over the budget.

    >>> selection_matrix(np.array([1, -1, 1]), 2, dtype=int, format="dense", memory_budget=1000)
    array([[0, 1],
           [0, 0],
           [0, 1]])
    """
    check_format(format)
    source = source.reshape(-1)
    rows = np.flatnonzero(source != NOTHING)
    return matrix_of_ones(rows, source[rows], (source.size, inputs), dtype, format, memory_budget)


def matrix_of_ones(
    rows: NDArray[np.integer[Any]],
    columns: NDArray[np.integer[Any]],
    shape: tuple[int, int],
    dtype: DTypeLike | None,
    format: str,
    memory_budget: int,
) -> Any:
    """The matrix with a 1 at each of the given places.

    Args:
        rows: row of each 1.
        columns: column of each 1; sorted by rows, then by columns, no place twice.
        shape: rows and columns of the matrix.
        dtype: of the entries; None for the format's own.
        format: a key of ``FORMATS``.
        memory_budget: bytes that the result may take.

    Returns:
        The matrix.

    Raises:
        UnknownNameError: unknown dtype.
        TooLargeError: over the budget.
    """
    if format == "csc":
        order = np.argsort(columns, kind="stable")
        rows, columns, shape = columns[order], rows[order], (shape[1], shape[0])
    numbers = entry_dtype(dtype, format)
    check_budget(shape, rows.size, numbers.itemsize, format, memory_budget)
    index = index_dtype(shape, rows.size)
    indptr = np.zeros(shape[0] + 1, index)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return FORMATS[format](Entries(np.ones(rows.size, numbers), columns.astype(index), indptr, shape))
