"""Products of block diagonal matrices over a ring: groups of channels stay groups, diagonal ones only scale.

zeros       the ring's 0, as often as asked
regrouped   a block with fewer groups, zeros added
mixed       the product of two blocks
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rings.ring import Ring

Array = NDArray[Any]


def zeros(ring: Ring, shape: Sequence[int]) -> Array:
    """An array of the ring's 0."""
    zero = np.asarray(ring.embed(np.zeros(1)))
    return np.full(tuple(shape), zero[0], dtype=zero.dtype)


def regrouped(K: Array, groups: int, fewer: int, ring: Ring) -> Array:
    """A block (c_out, c_in / groups, ...) as (c_out, c_in / fewer, ...), zeros added; ``fewer`` divides ``groups``."""
    if groups == fewer:
        return K
    rows, inside = len(K) // groups, groups // fewer
    wide = zeros(ring, (groups, rows, inside, *K.shape[1:]))
    wide[np.arange(groups), :, np.arange(groups) % inside] = K.reshape(groups, rows, *K.shape[1:])
    return wide.reshape(len(K), inside * K.shape[1], *K.shape[2:])


def mixed(A: Array, ga: int, B: Array, gb: int, ring: Ring) -> Array:
    """The product of block diagonal matrices, (rows, mid / ga) and (mid, columns / gb, ...); diagonal ones scale."""
    if A.shape[1] == 1 and ga == len(B):
        return ring.reduce(A.reshape(-1, *[1] * (B.ndim - 1)) * np.repeat(B, len(A) // len(B), 0))
    if B.shape[1] == 1 and gb == len(B):
        scale = B.reshape(ga, 1, A.shape[1], *B.shape[2:])
        product_ = A.reshape(ga, -1, A.shape[1], *[1] * (B.ndim - 2)) * scale
        return ring.reduce(product_).reshape(len(A), A.shape[1], *B.shape[2:])
    groups = gcd(ga, gb)
    A, B = regrouped(A, ga, groups, ring), regrouped(B, gb, groups, ring)
    parts = [
        ring.matmul(a, b.reshape(len(b), -1)) for a, b in zip(np.split(A, groups), np.split(B, groups), strict=True)
    ]
    return np.concatenate(parts).reshape(len(A), *B.shape[1:])
