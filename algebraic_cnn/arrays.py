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

from .errors import NonFiniteError, ShapeError


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
    largest(x, where)
