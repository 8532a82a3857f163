"""Is this operator the adjoint of that one?  The dot-product test, with a bound that is computed.

    <A x, y> = <x, A^T y>      both sides are sums of the products y_r a_rc x_c
    mass                       |y|^T |A| |x|: what rounding is measured by
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..errors import ShapeError
from ..rings.arrays import integral

#: Columns of an operator that are looked at together.
_TOGETHER = 64


@dataclass(frozen=True)
class DotTest:
    """Both sides of <A x, y> = <x, A^T y>, and how far apart rounding allows them to be.

    Attributes:
        forward: <A x, y>.
        backward: <x, A^T y>.
        bound: 0 for an operator of integers, as long as no sum reaches 2^53; else the rounding bound.
    """

    forward: float
    backward: float
    bound: float

    @property
    def ok(self) -> bool:
        """Whether the two sides agree."""
        return abs(self.forward - self.backward) <= self.bound < np.inf


def dot_test(operator: Any, *, magnitudes: Any = None, seed: int | None = None) -> DotTest:
    """The adjoint test <A x, y> = <x, A^T y> for random vectors of small integers.

    Both sides are sums of the products y_r a_rc x_c, so that with floats they differ by at most
    2 gamma_{m + n + t} |y|^T |A| |x|, gamma_k = k u / (1 - k u) and t the products of which an entry of A is made; and
    with integers, below 2^53, by nothing.

    Args:
        operator: a LinearOperator or a matrix, with ``@``, ``.T`` and ``.shape``; real.
        magnitudes: the same operator with the absolute values of its entries; None: they are taken from a matrix or
            from what ``conv_operator`` gave, and found column by column for any other operator.
        seed: of the random vectors; None draws one from the system.

    Returns:
        Both sides and the bound; ``.ok`` is the verdict.

    Raises:
        ShapeError: if it is no operator.

    >>> from algebraic_cnn.toeplitz import conv_operator
    >>> W = conv_operator(np.array([[[1.0, 2.0]]]), (1, 8), padding=2, padding_mode="reflect")
    >>> dot_test(W).ok, dot_test(W).bound
    (True, 0.0)

    References:
        Claerbout (1992), Earth Soundings Analysis, the dot-product test; Higham (2002), eq. 3.5.
    """
    if len(getattr(operator, "shape", ())) != 2:
        expected, got = "a matrix or a LinearOperator", type(operator).__name__
        raise ShapeError("there is no operator to test", expected=expected, got=got, where="dot_test")
    rows, columns = operator.shape
    random = np.random.default_rng(seed)
    x, y = random.integers(-9, 10, columns).astype(np.float64), random.integers(-9, 10, rows).astype(np.float64)
    forward, backward = float((operator @ x) @ y), float(x @ (operator.T @ y))
    known, integers = magnitudes, False
    if known is None:
        known, integers = _magnitudes(operator)
    mass = float((known @ abs(x)) @ abs(y))
    if integers and mass < 2.0**53:
        return DotTest(forward, backward, 0.0)
    dtype = np.dtype(getattr(operator, "dtype", None) or np.float64)
    eps = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    unit = (rows + columns + getattr(operator, "terms", 0)) * eps
    return DotTest(forward, backward, unit / (1 - unit) * mass if unit < 1 else np.inf)


def _magnitudes(operator: Any) -> tuple[Any, bool]:
    """The absolute values of the entries, and whether they are integers."""
    if hasattr(operator, "magnitudes"):
        return operator.magnitudes, operator.integral
    if isinstance(operator, np.ndarray) or sp.issparse(operator):
        entries: Any = operator.data if sp.issparse(operator) else operator
        return abs(operator), integral(entries)
    found = []
    for start in range(0, operator.shape[1], _TOGETHER):
        count = min(_TOGETHER, operator.shape[1] - start)
        found.append(np.asarray(operator @ np.eye(operator.shape[1], count, -start)))
    entries = np.concatenate(found, axis=1) if found else np.zeros(operator.shape)
    return abs(entries), integral(entries)
