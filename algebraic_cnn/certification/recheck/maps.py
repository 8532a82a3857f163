"""Explicit maps W x + b as programs of one layer, whose kernel is as large as the image."""

from __future__ import annotations

import math

import numpy as np

from ...errors import NotAffineError
from .layers import Coefficients, Convolution, Program, Shape, Window


def mapped(W: np.ndarray, b: np.ndarray, shape: Shape) -> Program:
    """The map x -> W x + b of inputs of a shape, flattened row by row.

    Args:
        W: (m, c h w) of float32, float64 or ``Fraction``, or residues as int64.
        b: (m,) likewise.
        shape: (c, h, w).
    """
    rows, columns = (Window(extent=n) for n in shape[1:])
    return Program(shape, (Convolution(((0, 1.0),), Coefficients.of(W), Coefficients.of(b), rows, columns),))


def stored(seen: tuple[int, ...]) -> Shape:
    """A shape without batch axis as channels, rows and columns.

    Raises:
        NotAffineError: if it has more than three axes.

    >>> stored((64,)), stored((3, 32)), stored((1, 28, 28))
    ((64, 1, 1), (3, 1, 32), (1, 28, 28))
    """
    if len(seen) > 3:
        raise NotAffineError("the checker knows values of at most three axes", got=seen)
    if len(seen) < 2:
        return math.prod(seen), 1, 1
    return (seen[0], 1, seen[1]) if len(seen) == 2 else (seen[0], seen[1], seen[2])
