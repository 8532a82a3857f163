"""Elimination: the rank of a large matrix modulo a prime, and the kernel of a sparse system over the rationals.

block       columns of the matrix whose pivots are found first, panel by panel, in a copy of them alone
panel       a few columns of a block: their pivots are found entry by entry
update      the rows that are left, minus multiples of the pivot rows: one product of matrices, so BLAS does it; some
            rows at a time, so that what is reduced is still in the cache
solved      unknown to what it is in terms of the free ones
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rings.prime_field import PrimeField

#: Columns of a panel.
PANEL = 64
#: Columns of a block; sums of so many products must be exact in the field, and the matrix is written once for each.
BLOCK = 256
#: Entries that are updated at a time.
_CACHED = 2**20

Row = Mapping[int, Fraction]


def rank(matrix: NDArray[np.float64], field: PrimeField) -> int:
    """The rank modulo p of a matrix of residues, shape (m, n); the array is used up.

    >>> rank(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, -1.0]]), PrimeField(7))        # -1 = 6 modulo 7
    1
    >>> rank(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, -2.0]]), PrimeField(7))
    2
    """
    found, left = 0, np.arange(len(matrix))
    for start in range(0, matrix.shape[1], BLOCK):
        rows, columns = _independent(matrix[left, start : start + BLOCK], field)
        rows, columns = left[rows], start + np.array(columns, dtype=int)
        found, left = found + len(rows), np.setdiff1d(left, rows)
        if not len(left):
            break
        _eliminate(matrix, rows, columns, left, slice(start + BLOCK, None), field)
    return found


def _independent(block: NDArray[np.float64], field: PrimeField) -> tuple[list[int], list[int]]:
    """Rows and columns of a largest invertible part; the block is used up."""
    rows: list[int] = []
    columns: list[int] = []
    left = np.arange(len(block))
    for start in range(0, block.shape[1], PANEL):
        some, where = _pivots(block[left, start : start + PANEL], field)
        pivots, places = left[some], start + np.array(where, dtype=int)
        rows, columns, left = rows + pivots.tolist(), columns + places.tolist(), np.setdiff1d(left, pivots)
        _eliminate(block, pivots, places, left, slice(start + PANEL, None), field)
    return rows, columns


def _eliminate(
    matrix: NDArray[np.float64], rows: Any, columns: Any, left: Any, rest: slice, field: PrimeField
) -> None:
    """Make the columns of the rows that are left 0, by multiples of other rows; only the rest is written."""
    if not len(rows) or not matrix[:, rest].shape[1]:
        return
    inverse, pivots = _inverse(matrix[np.ix_(rows, columns)], field), matrix[rows, rest]
    step = max(1, _CACHED // pivots.shape[1])
    for start in range(0, len(left), step):
        part = left[start : start + step]
        multiples = field.matmul(matrix[np.ix_(part, columns)], inverse)
        matrix[part, rest] = field.reduce(matrix[part, rest] - field.matmul(multiples, pivots))


def _pivots(panel: NDArray[np.float64], field: PrimeField) -> tuple[list[int], list[int]]:
    """Rows and columns of a largest invertible part; the panel is used up."""
    rows: list[int] = []
    columns: list[int] = []
    for column in range(panel.shape[1]):
        candidates = np.flatnonzero(panel[:, column])
        if not len(candidates):
            continue
        pivot = int(candidates[0])
        rows.append(pivot)
        columns.append(column)
        row = _scaled(panel[pivot], panel[pivot, column], field)
        panel[candidates] = field.reduce(panel[candidates] - np.outer(panel[candidates, column], row))
        panel[pivot] = 0.0
    return rows, columns


def _scaled(row: NDArray[np.float64], pivot: float, field: PrimeField) -> NDArray[np.float64]:
    """The row divided by its pivot."""
    return field.reduce(row * float(field.embed(np.array(pow(int(pivot), -1, field.p)))))


def _inverse(square: NDArray[np.float64], field: PrimeField) -> NDArray[np.float64]:
    """By Gauss and Jordan; the square is invertible, though not every pivot on its diagonal is nonzero."""
    n = len(square)
    both = np.concatenate([square, np.eye(n)], axis=1)
    for column in range(n):
        pivot = column + int(np.flatnonzero(both[column:, column])[0])
        both[[column, pivot]] = both[[pivot, column]]
        row = _scaled(both[column], both[column, column], field)
        both = field.reduce(both - np.outer(both[:, column], row))
        both[column] = row
    return both[:, n:]


def kernel(rows: Iterable[Row], unknowns: int) -> list[dict[int, Fraction]]:
    """A basis of the solutions of sparse linear equations, one for each unknown that stays free.

    Args:
        rows: each the coefficients, by unknown, of what must be 0.
        unknowns: how many there are.

    Returns:
        Sparse vectors, each 1 at an unknown of its own.

    >>> kernel([{0: Fraction(1), 1: Fraction(-2)}], 3)                             # x_0 = 2 x_1, and x_2 is free
    [{0: Fraction(2, 1), 1: Fraction(1, 1)}, {2: Fraction(1, 1)}]
    """
    solved: dict[int, dict[int, Fraction]] = {}
    for row in rows:
        left = _resolved(row, solved)
        if left:
            pivot = min(left)
            solved[pivot] = {name: -value / left[pivot] for name, value in left.items() if name != pivot}
    basis: dict[int, dict[int, Fraction]] = {}
    for name in range(unknowns):
        for free, value in _resolved({name: Fraction(1)}, solved).items():
            basis.setdefault(free, {})[name] = value
    return [basis[free] for free in sorted(basis)]


def _resolved(row: Row, solved: dict[int, dict[int, Fraction]]) -> dict[int, Fraction]:
    """The row in terms of unknowns that are not solved; what it meets on the way is kept so."""
    total: dict[int, Fraction] = {}
    for name, factor in row.items():
        if name in solved:
            if any(other in solved for other in solved[name]):
                solved[name] = _resolved(solved[name], solved)
            terms = solved[name]
        else:
            terms = {name: Fraction(1)}
        for other, value in terms.items():
            total[other] = total.get(other, Fraction(0)) + factor * value
    return {name: value for name, value in total.items() if value}
