"""Entries as SymPy's sparse matrices, exactly: symbols, polynomials, and floats as the rationals that they are.

The rows of these matrices are dictionaries, filled once from compressed rows; values that occur many times, as those of
a kernel do, are converted once.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NonFiniteError, ShapeError

if TYPE_CHECKING:
    from .formats import Entries


def domain_matrix(entries: Entries) -> Any:
    """The entries as a SymPy ``DomainMatrix`` over the smallest domain that holds them.

    Args:
        entries: compressed rows of numbers or Python objects.

    Returns:
        The matrix: over ZZ or QQ for numbers, over a ring of polynomials for symbols.
    """
    from sympy.polys.constructor import construct_domain

    expressions, which = _expressions(entries)
    found: Any = construct_domain(expressions)  # what it gives depends on what it is given
    return _matrix(entries, found[0], list(found[1]), which)


def sparse_matrix(entries: Entries) -> Any:
    """The entries as a SymPy ``SparseMatrix``.

    Args:
        entries: compressed rows of numbers or Python objects.

    Returns:
        The matrix of expressions.
    """
    from sympy import EXRAW, SparseMatrix

    expressions, which = _expressions(entries)
    # SparseMatrix's own constructor visits every entry of the matrix; this takes the representation as it is.
    return SparseMatrix._fromrep(_matrix(entries, EXRAW, expressions, which))


def _matrix(entries: Entries, domain: Any, elements: list[Any], which: list[int]) -> Any:
    """SymPy's sparse rows hold no zeros, so entries that are zero are left out."""
    from sympy.polys.matrices import DomainMatrix
    from sympy.polys.matrices.sdm import SDM

    present = [bool(element) for element in elements]
    columns, bounds, rows = entries.indices.tolist(), entries.indptr.tolist(), {}
    for row, (start, stop) in enumerate(pairwise(bounds)):
        held = {columns[e]: elements[which[e]] for e in range(start, stop) if present[which[e]]}
        if held:
            rows[row] = held
    return DomainMatrix.from_rep(SDM(rows, entries.shape, domain))


def _expressions(entries: Entries) -> tuple[list[Any], list[int]]:
    """The distinct values as SymPy expressions, floats as exact rationals, and which of them each entry has."""
    from sympy import I, Integer, Rational, SympifyError, sympify

    def exact(value: Any) -> Any:
        if isinstance(value, complex):
            return exact(value.real) + I * exact(value.imag)
        if isinstance(value, float) and not isfinite(value):
            raise NonFiniteError("a NaN or infinite entry has no exact value", got=value, where="format")
        if isinstance(value, float | Fraction):
            return Rational(*value.as_integer_ratio())
        try:
            return Integer(value) if isinstance(value, int) else sympify(value, strict=True)
        except SympifyError:
            expected = "numbers or SymPy expressions"
            raise ShapeError("an entry is no number", expected=expected, got=repr(value), where="weight") from None

    data = entries.data
    if data.dtype == object:
        values = data.tolist()
        numbers: dict[int, int] = {}
        which = [numbers.setdefault(id(value), len(numbers)) for value in values]
        distinct = dict(zip(which, values, strict=True))
        return [exact(distinct[i]) for i in range(len(distinct))], which
    distinct, which = np.unique(data, return_inverse=True)
    return [exact(value) for value in distinct.tolist()], which.tolist()
