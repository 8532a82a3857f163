"""One set of entries, many representations: SciPy, torch, SymPy and plain arrays.

Every representation is built from the same compressed rows, so that they cannot differ in anything but their type.

    entries    compressed rows: values, columns, and where each row begins; canonical (columns strictly increasing)
    format     the name of a representation, a key of ``FORMATS``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import ShapeError, TooLargeError, UnknownNameError
from .arguments import bytes_allowed
from .exact import domain_matrix, sparse_matrix

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)

MEMORY_BUDGET = 4 * 2**30
"""Bytes that an explicit matrix may take unless the caller says otherwise: 4 GiB."""


@dataclass(frozen=True, eq=False)
class Entries:
    """A matrix as compressed rows.

    Attributes:
        data: the value of each entry, row after row: an array of numbers or of Python objects, or a torch tensor.
        indices: the column of each entry.
        indptr: where each row begins in ``data``; one more number than rows.
        shape: rows and columns.
    """

    data: Any
    indices: NDArray[Any]
    indptr: NDArray[Any]
    shape: tuple[int, int]

    def row_numbers(self) -> NDArray[Any]:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=self.indices.dtype), np.diff(self.indptr))


def _csr(entries: Entries) -> sparse.csr_array:
    matrix = sparse.csr_array((_numbers(entries), entries.indices, entries.indptr), shape=entries.shape)
    matrix.has_canonical_format = True
    return matrix


def _csc(columns: Entries) -> sparse.csc_array:
    """Compressed columns of W are the compressed rows of its transpose, which is what ``columns`` holds."""
    matrix = sparse.csc_array((_numbers(columns), columns.indices, columns.indptr), shape=columns.shape[::-1])
    matrix.has_canonical_format = True
    return matrix


def _coo(entries: Entries) -> sparse.coo_array:
    matrix = sparse.coo_array((_numbers(entries), (entries.row_numbers(), entries.indices)), shape=entries.shape)
    matrix.has_canonical_format = True
    return matrix


def _dense(entries: Entries) -> NDArray[Any]:
    if entries.data.dtype != object:
        return _csr(entries).toarray()
    dense = np.full(entries.shape, 0, dtype=object)
    dense[entries.row_numbers(), entries.indices] = entries.data
    return dense


def _torch_csr(entries: Entries) -> Any:
    import torch

    values = _tensor(entries)
    indptr, indices = (torch.from_numpy(a).to(values.device) for a in (entries.indptr, entries.indices))
    return torch.sparse_csr_tensor(indptr, indices, values, entries.shape, check_invariants=False)


def _torch_coo(entries: Entries) -> Any:
    import torch

    values = _tensor(entries)
    places = np.empty((2, len(entries.indices)), np.int64)
    places[0], places[1] = entries.row_numbers(), entries.indices
    return torch.sparse_coo_tensor(
        torch.from_numpy(places).to(values.device), values, entries.shape, is_coalesced=True, check_invariants=False
    )


FORMATS: dict[str, Callable[[Entries], Any]] = {
    "csr": _csr,
    "csc": _csc,
    "coo": _coo,
    "dense": _dense,
    "torch_csr": _torch_csr,
    "torch_coo": _torch_coo,
    "sympy": sparse_matrix,
    "domain": domain_matrix,
}
"""How to build each representation from compressed rows ("csc": from the compressed rows of the transpose)."""


def convert(matrix: Any, format: str) -> Any:
    """The same matrix in another representation; explicit zeros stay where the representation can hold them.

    Args:
        matrix: a SciPy sparse array, or a dense array of numbers or of Python objects (whose zeros are not stored).
        format: a key of ``FORMATS``.

    Returns:
        The matrix in that format.

    Raises:
        UnknownNameError: ``format`` is not one of the formats.
        ShapeError: no matrix, or Python objects in a format that holds numbers only.
        NonFiniteError: NaN or infinity in a SymPy format.

    >>> convert(np.array([[1.0, 0.0], [0.5, 2.0]]), "sympy")
    Matrix([
    [  1, 0],
    [1/2, 2]])
    """
    check_format(format)
    if not sparse.issparse(matrix) and not (isinstance(matrix, np.ndarray) and matrix.ndim == 2):
        expected = "a SciPy sparse array or a NumPy array with two axes"
        raise ShapeError("there is no matrix to convert", expected=expected, got=type(matrix).__name__, where="matrix")
    if isinstance(matrix, np.ndarray) and format == "dense":
        return matrix
    if format == "csc" and sparse.issparse(matrix):
        return sparse.csc_array(matrix)
    return FORMATS[format](_entries(matrix.T if format == "csc" else matrix))


def _entries(matrix: Any) -> Entries:
    if not sparse.issparse(matrix):
        rows, columns = np.nonzero(matrix)
        index = index_dtype(matrix.shape, rows.size)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
        return Entries(matrix[rows, columns], columns.astype(index), indptr.astype(index), matrix.shape)
    rows = sparse.csr_array(matrix)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return Entries(rows.data, rows.indices, rows.indptr, matrix.shape)


def check_format(format: str) -> None:
    """Refuse a name that is not a format.

    Args:
        format: a name.

    Raises:
        UnknownNameError: it is not a key of ``FORMATS``.
    """
    if not isinstance(format, str) or format not in FORMATS:
        raise UnknownNameError("unknown format", expected=tuple(FORMATS), got=format, where="format")


def index_dtype(shape: tuple[int, int], nnz: int) -> np.dtype[Any]:
    """The integer type of a matrix's indices: int32 while every number fits, then int64.

    Args:
        shape: rows and columns.
        nnz: number of entries.

    Returns:
        The dtype.

    >>> index_dtype((10, 2**31), 10)
    dtype('int64')
    """
    return _INT64 if max(*shape, nnz) >= 2**31 else _INT32


def bytes_needed(shape: tuple[int, int], nnz: int, itemsize: int, format: str) -> int:
    """How many bytes a matrix takes in a format; for SymPy's dictionaries an estimate of 100 bytes an entry.

    Args:
        shape: rows and columns ("csc": columns and rows).
        nnz: number of entries.
        itemsize: bytes of one value.
        format: a key of ``FORMATS``.

    Returns:
        Bytes.

    >>> bytes_needed((784, 784), 6724, 8, "csr")
    83828
    """
    index = 8 if format == "torch_coo" else index_dtype(shape, nnz).itemsize
    if format == "dense":
        return shape[0] * shape[1] * itemsize
    if format in ("sympy", "domain"):
        return 100 * nnz
    if format in ("coo", "torch_coo"):
        return nnz * (itemsize + 2 * index)
    return nnz * (itemsize + index) + (shape[0] + 1) * index


def check_budget(shape: tuple[int, int], nnz: int, itemsize: int, format: str, budget: int) -> None:
    """Refuse a matrix that would take more bytes than the budget, before anything is allocated.

    Args:
        shape: rows and columns.
        nnz: number of entries.
        itemsize: bytes of one value.
        format: a key of ``FORMATS``.
        budget: bytes allowed.

    Raises:
        TooLargeError: it would take more.
    """
    needed = bytes_needed(shape, nnz, itemsize, format)
    budget = bytes_allowed(budget)
    if needed > budget:
        what = f"the {shape[0]} x {shape[1]} matrix with {nnz:,} entries in format {format!r} exceeds the memory budget"
        raise TooLargeError(what, needed=needed, budget=budget, where="memory_budget")


def _numbers(entries: Entries) -> Any:
    if entries.data.dtype == object:
        raise ShapeError(
            "SciPy and torch hold numbers, not Python objects",
            expected='format "dense", "sympy" or "domain"',
            got=f"entries of type {type(entries.data.flat[0]).__name__}" if entries.data.size else "Python objects",
            where="format",
        )
    return entries.data


def _tensor(entries: Entries) -> Any:
    """The values as a torch tensor on the same buffer."""
    import torch

    return entries.data if isinstance(entries.data, torch.Tensor) else torch.from_numpy(_numbers(entries))
