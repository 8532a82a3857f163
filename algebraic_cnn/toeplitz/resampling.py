"""The matrix of interpolation: nearest, linear and cubic, on any number of axes.

scale     inputs per output along an axis
centre    where an output lies among the inputs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor, inf
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import GeometryError, UnknownNameError
from .arguments import per_axis, plain, shape_of
from .filling import entry_dtype
from .formats import MEMORY_BUDGET
from .pooling import adaptive_rows
from .separable import Row, separable_matrix

SMOOTH = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
"""The smooth modes for each number of spatial axes; the nearest modes serve any."""


#: Where height and width of the output are at most so much together, torch's nearest neighbours forget the scale factor
#: along an axis that keeps its length or doubles it.
_SMALL = 128


def interpolate_matrix(
    input_shape: Sequence[int],
    *,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of interpolation, the product of one small matrix per axis.

    With scale a = n / m, output o looks at the input axis at a (o + 1/2) - 1/2, or at o (n - 1) / (m - 1) when corners
    are aligned; linear modes weigh its two neighbours, the cubic mode four of them by Keys' kernel with a = -3/4.

    Args:
        input_shape: (c, *spatial).
        size: length of each spatial axis of the output; an int, or one per axis.
        scale_factor: instead of ``size``: outputs per input; a number, or one per axis.
        mode: "nearest", "nearest-exact", "linear" (1 axis), "bilinear", "bicubic" (2), "trilinear" (3), or "area".
        align_corners: whether the corners of input and output coincide; for the smooth modes only; None is False.
        dtype: of the entries; ``object`` gives exact fractions; None is float64, or exact for "sympy" and "domain".
            The nearest modes choose the neighbour that torch chooses on a CPU for an image of this dtype: where a
            centre falls on a border between two inputs, rounding decides, and float32 may decide otherwise.
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (c * prod(size), prod(input_shape)); entry [r, c] = weight of input c in output r, both
        row-major (C, *spatial).  Weights are exact rationals, rounded once; torch rounds its own along the way.

    Raises:
        GeometryError: both or neither of ``size`` and ``scale_factor``, a scale that is not positive, an output or
            input of no length, corners aligned in a mode without corners.
        ShapeError: no shape, or an integer dtype for entries that are fractions.
        UnknownNameError: an unknown mode, format or dtype, or a mode for another number of axes.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> interpolate_matrix((1, 2), scale_factor=2, mode="linear", format="dense")
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])

    References:
        Keys (1981), Cubic convolution interpolation for digital image processing, eq. 15.
    """
    input_shape = shape_of(input_shape)
    spatial = input_shape[1:]
    _check_mode(mode, len(spatial), align_corners)
    sizes, factors = _sizes(spatial, size, scale_factor)
    if min((*spatial, *sizes), default=1) < 1:
        raise GeometryError("interpolation needs positions on both sides", got=(spatial, sizes), where="size")
    real = np.float32 if entry_dtype(dtype, format).itemsize < 8 else np.float64
    if mode == "nearest" and len(spatial) == 2 and sum(sizes) <= _SMALL:
        factors = [None if m in (n, 2 * n) else f for n, m, f in zip(spatial, sizes, factors, strict=True)]
    rows = [
        axis_rows(n, m, f, mode, bool(align_corners), real) for n, m, f in zip(spatial, sizes, factors, strict=True)
    ]
    return separable_matrix(input_shape, rows, dtype=dtype, format=format, memory_budget=memory_budget)


def _check_mode(mode: str, axes: int, align_corners: bool | None) -> None:
    smooth = SMOOTH.get(axes, ())
    known = ("nearest", "nearest-exact", "area", *smooth)
    if mode not in known:
        raise UnknownNameError(f"unknown mode for {axes} spatial axes", expected=known, got=mode, where="mode")
    if align_corners is not None and mode not in smooth:
        raise GeometryError(f"mode {mode!r} has no corners to align", got=align_corners, where="align_corners")


def _sizes(
    spatial: tuple[int, ...], size: int | Sequence[int] | None, scale_factor: float | Sequence[float] | None
) -> tuple[tuple[int, ...], Sequence[float | None]]:
    """Output lengths, and the scale factor of each axis where one was given."""
    if (size is None) == (scale_factor is None):
        raise GeometryError("give either size or scale_factor", got=(size, scale_factor), where="size")
    if size is not None:
        return per_axis(size, len(spatial), "size", least=0), [None] * len(spatial)
    scale_factor = plain(scale_factor)
    factors: Sequence[Any] = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor,) * len(spatial)
    if len(factors) != len(spatial):
        got, where = scale_factor, "scale_factor"
        raise GeometryError("scale_factor has the wrong number of entries", expected=len(spatial), got=got, where=where)
    if not all(isinstance(f, int | float | Fraction) and 0 < f < inf for f in factors):
        raise GeometryError("scale factors are positive numbers", got=scale_factor, where="scale_factor")
    return tuple(floor(n * f) for n, f in zip(spatial, factors, strict=True)), factors


def axis_rows(
    n: int, m: int, factor: float | None, mode: str, align_corners: bool, real: type[np.floating[Any]]
) -> list[Row]:
    """The rows of one axis from n inputs to m outputs.

    Args:
        n: number of inputs.
        m: number of outputs.
        factor: outputs per input where it was given; else n and m say it.
        mode: as for ``interpolate_matrix``.
        align_corners: as for ``interpolate_matrix``.
        real: the float dtype in which nearest neighbours are chosen.
    """
    if mode == "area":
        return adaptive_rows(n, m)
    if mode.startswith("nearest"):
        return [{i: Fraction(1)} for i in _nearest(n, m, factor, mode == "nearest-exact", real)]
    cubic = mode == "bicubic"
    weigh: Callable[[Fraction], Sequence[Fraction]] = _cubic if cubic else _linear
    rows = []
    for o in range(m):
        centre = _centre(o, n, m, factor, align_corners)
        if not cubic:
            centre = Fraction(o) if n == m else max(centre, Fraction(0))
        left = min(floor(centre), n - 1)
        row: dict[int, Fraction] = {}
        for i, weight in enumerate(weigh(min(centre - left, Fraction(1))), start=left - cubic):
            if weight:
                at = min(max(i, 0), n - 1)
                row[at] = row.get(at, Fraction(0)) + weight
        rows.append(row)
    return rows


def _centre(o: int, n: int, m: int, factor: float | None, align_corners: bool) -> Fraction:
    if align_corners:
        return Fraction(o * (n - 1), m - 1) if m > 1 else Fraction(0)
    scale = 1 / Fraction(factor) if factor else Fraction(n, m)
    return scale * (o + Fraction(1, 2)) - Fraction(1, 2)


def _linear(t: Fraction) -> tuple[Fraction, ...]:
    """Weights of the neighbours at 0 and 1 for a point at t."""
    return 1 - t, t


def _cubic(t: Fraction) -> tuple[Fraction, ...]:
    """Keys' weights, with a = -3/4, of the neighbours at -1, 0, 1 and 2 for a point at t."""
    a = Fraction(-3, 4)
    near = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (t, 1 - t)]
    far = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (t + 1, 2 - t)]
    return far[0], *near, far[1]


def _nearest(n: int, m: int, factor: float | None, exact: bool, real: type[np.floating[Any]]) -> list[int]:
    """The input that each output copies, in the arithmetic in which torch's CPU kernel chooses it."""
    scale = real(1 / factor) if factor else real(n) / real(m)
    if exact:  # scale (o + 1/2) - 1/2 is rounded once, by a fused multiply-add
        rounded = (real(float(scale) * (o + 0.5) - 0.5) for o in range(m))
        centres = [max(centre, real(0)) + real(0.5) for centre in rounded]
    else:
        centres = [scale * real(o) for o in range(m)]
    return [min(floor(np.float32(centre)), n - 1) for centre in centres]
