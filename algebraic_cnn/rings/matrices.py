"""Matrices over a ring: dense or SciPy sparse arrays of floats, or None for the identity.

in_ring       every entry embedded; a sparse matrix stays sparse unless the elements of the ring are Python objects
product       matrix times columns that are in the ring already
multiple      scalar times columns
total         sum of columns, None counting as 0
transpose     of a matrix or of None
reduced       the representatives of every entry
require_axes  refuses what is no array of so many axes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..errors import ShapeError
from .ring import Ring


def in_ring(x: Any, ring: Ring) -> Any:
    """The image of a matrix or vector in the ring.

    Raises:
        NonFiniteError: if an entry is NaN or infinite.
    """
    return _entrywise(ring.embed, x)


def reduced(x: Any, ring: Ring) -> Any:
    """x with the representative of every entry, after additions and multiplications."""
    return _entrywise(ring.reduce, x)


def product(matrix: Any, x: Any, ring: Ring) -> Any:
    """The matrix, or the identity if None, times columns x of shape (n, N) in the ring."""
    return x if matrix is None else ring.matmul(in_ring(matrix, ring), x)


def multiple(scalar: Any, x: Any, ring: Ring) -> Any:
    """The scalar, a number or what the ring embeds, times x."""
    if isinstance(scalar, int | float) and scalar == 1:
        return x
    return reduced(x * ring.embed(np.array([scalar]))[0], ring)


def total(x: Any, y: Any, ring: Ring) -> Any:
    """x + y; an x of None counts as 0."""
    return y if x is None else reduced(x + y, ring)


def transpose(matrix: Any) -> Any:
    """The transpose of a matrix, or None, the identity."""
    return None if matrix is None else matrix.T


def require_axes(where: str, **arrays: tuple[Any, int]) -> None:
    """Refuses what is no NumPy or SciPy array with so many axes; None passes for all but W.

    Raises:
        ShapeError: names the array and ``where`` it belongs.
    """
    for name, (array, axes) in arrays.items():
        known = isinstance(array, np.ndarray) or sp.issparse(array)
        if not (known and array.ndim == axes) and (array is not None or name == "W"):
            got = f"{type(array).__name__} of shape {getattr(array, 'shape', None)}"
            expected = f"a NumPy or SciPy array with {axes} axes"
            raise ShapeError(f"{name} {where} is no such array", expected=expected, got=got, where="SkipRecursion")


def _entrywise(function: Callable[[Any], Any], x: Any) -> Any:
    """The function on the entries of a dense array or on the stored entries of a sparse one."""
    if not sp.issparse(x):
        return function(x)
    x = sp.csr_array(x)
    entries = function(x.data)
    if entries.dtype == object:  # SciPy's sparse arrays hold numbers only
        return function(x.toarray())
    return sp.csr_array((entries, x.indices, x.indptr), shape=x.shape)
