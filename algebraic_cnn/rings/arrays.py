"""Arrays of either kind: NumPy arrays and torch tensors through the same few functions.

torch is recognised here, never imported, so that the algebra works without it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import NonFiniteError, ShapeError


def namespace(x: Any) -> Any:
    """The module whose functions take x: torch if x is a tensor, else NumPy."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def as_float64(x: Any) -> Any:
    """The entries of x as float64, detached from autograd."""
    xp = namespace(x)
    return x.detach().double() if xp is not np else np.asarray(x, dtype=np.float64)


def holds_integers(x: Any) -> bool:
    """Whether x has a dtype of integers."""
    if namespace(x) is np:
        return x.dtype.kind in "iu"
    return not (x.is_floating_point() or x.is_complex() or str(x.dtype) == "torch.bool")


def whole(x: Any) -> Any:
    """Integers and truth values as int64, or as Python's integers where one is beyond it; other arrays as they are.

    Sums and products of shorter integers would wrap.

    Args:
        x: a NumPy array, or a SciPy sparse one, which holds no Python integers.

    >>> int(whole(np.array([100, 100], np.int8)).sum()), whole(np.array([2**63], np.uint64))
    (200, array([9223372036854775808], dtype=object))
    """
    if x.dtype.kind not in "biu" or x.dtype == np.int64:
        return x
    if x.dtype.itemsize < 8 or magnitude(x) < 2**63:
        return x.astype(np.int64)
    return x.astype(object) if isinstance(x, np.ndarray) else x


def integral(x: np.ndarray) -> bool:
    """Whether every entry of an array is an integer, whatever its dtype.

    >>> integral(np.array([1.0, -2.0])), integral(np.array([0.5]))
    (True, False)
    """
    return x.dtype.kind in "biu" or (x.dtype.kind == "f" and bool((x == np.rint(x)).all()))


def magnitude(x: Any) -> int:
    """The largest absolute value of an array of integers, as Python's integer; 0 if there is none.

    >>> magnitude(np.array([-128, 5], np.int8))
    128
    """
    return max(int(x.max()), -int(x.min())) if x.shape and min(x.shape) else (abs(int(x)) if not x.shape else 0)


def fractions(values: Iterable[Any], where: str) -> list[Fraction]:
    """The rationals that numbers are.

    Raises:
        NonFiniteError: if one is NaN or infinite.
        ShapeError: if one is no rational number, such as a symbol.

    >>> fractions([0.5, 3], "here")
    [Fraction(1, 2), Fraction(3, 1)]
    """
    values = list(values)
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise NonFiniteError("the array has NaN or infinite entries", expected="finite numbers", where=where)
    try:
        return [Fraction(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ShapeError("an entry is no rational number", expected="rationals", got=error, where=where) from error


def largest(x: Any, where: str) -> float:
    """The largest magnitude of an array, 0 if it is empty.

    Raises:
        NonFiniteError: if an entry of x is NaN or infinite.
    """
    xp = namespace(x)
    if math.prod(x.shape) == 0:
        return 0.0
    extremes = xp.aminmax(x.detach()) if xp is not np else (np.min(x), np.max(x))  # both pass NaN on
    if not all(bool(xp.isfinite(extreme)) for extreme in extremes):
        raise NonFiniteError("the array has NaN or infinite entries", expected="finite numbers", where=where)
    return max(abs(float(extreme)) for extreme in extremes)


def require_finite(x: Any, where: str) -> None:
    """Refuses NaN and infinity.

    Raises:
        NonFiniteError: if an entry of x is NaN or infinite.
    """
    if not hasattr(x, "dtype") or not holds_integers(x):
        largest(x, where)
