"""A second construction of the convolution matrix, sharing nothing with the first: a sum of Kronecker products.

W = sum over taps t of K_t (x) S_{t_1} (x) ... (x) S_{t_N}, where K_t is the channel matrix of the tap and S_t the
matrix that reads, at every output of an axis, the padded input that tap t meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from scipy.linalg import block_diag

NUMPY_MODES: dict[str, Any] = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def shift(n: int, tap: int, kernel: int, stride: int, pair: tuple[int, int], dilation: int, mode: str) -> np.ndarray:
    """S_t of one axis: the padded identity, cut to the rows that tap t meets."""
    padded = np.pad(np.eye(n, dtype=int), (pair, (0, 0)), mode=NUMPY_MODES[mode])
    last = len(padded) - dilation * (kernel - 1)
    return padded[tap * dilation : tap * dilation + last : stride]


def kronecker_matrix(
    weight: np.ndarray,
    spatial: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
    mode: str = "zeros",
) -> np.ndarray:
    """The dense matrix of a convolution; arguments in their long form."""
    kernel = weight.shape[2:]
    total: Any = 0
    for taps in product(*map(range, kernel)):
        channels = block_diag(*np.split(weight[(..., *taps)], groups))
        axes = zip(spatial, taps, kernel, stride, padding, dilation, strict=True)
        total = total + reduce(np.kron, (shift(*axis, mode) for axis in axes), channels)
    return total
