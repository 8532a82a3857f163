"""Arrays of either kind: NumPy arrays and torch tensors through the same few functions.

torch is recognised here, never imported, so that the algebra works without it.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from .errors import NonFiniteError


def namespace(x: Any) -> Any:
    """The module whose functions take x: torch if x is a tensor, else NumPy."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def as_float64(x: Any) -> Any:
    """The entries of x as float64, detached from autograd."""
    xp = namespace(x)
    return x.detach().double() if xp is not np else np.asarray(x, dtype=np.float64)


def require_finite(x: Any, where: str) -> None:
    """Refuses NaN and infinity.

    Raises:
        NonFiniteError: if an entry of x is NaN or infinite.
    """
    xp = namespace(x)
    if math.prod(x.shape) == 0:
        return
    extremes = xp.aminmax(x.detach()) if xp is not np else (np.min(x), np.max(x))  # both pass NaN on
    if not all(bool(xp.isfinite(extreme)) for extreme in extremes):
        raise NonFiniteError("the array has NaN or infinite entries", expected="finite numbers", where=where)
