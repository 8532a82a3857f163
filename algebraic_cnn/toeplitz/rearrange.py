"""The permutations of pixel shuffling, and im2col with its adjoint: entries only change their places.

unfold    every patch that a kernel would see, as a column: (c, *spatial) -> (c * prod(kernel), positions)
fold      its adjoint, which adds overlapping patches up
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from ..errors import GeometryError, ShapeError
from .arguments import integer, per_axis, plain, shape_of
from .formats import MEMORY_BUDGET, check_format
from .geometry import conv_geometry
from .padding import pad_numbers
from .selection import NOTHING, matrix_of_ones, numbered, selection_matrix


def pixel_shuffle_matrix(
    input_shape: Sequence[int],
    upscale_factor: int,
    *,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The permutation that spreads r^2 channels over r x r pixels: (c r^2, h, w) -> (c, h r, w r).

    Args:
        input_shape: (c r^2, h, w).
        upscale_factor: r.
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Permutation matrix; entry [r, c] = 1 where output r is input c.

    Raises:
        ShapeError: not (channels, height, width).
        GeometryError: the factor is below 1, or its square does not divide the channels.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> pixel_shuffle_matrix((4, 1, 2), 2).indices
    array([0, 2, 1, 3, 4, 6, 5, 7], dtype=int32)
    """
    r = integer(upscale_factor, "upscale_factor")
    c, h, w = _image(input_shape)
    _check_divides("upscale_factor ** 2", r * r if r > 0 else r, "the channels", c)
    source = numbered((c // r**2, r, r, h, w), memory_budget).transpose(0, 3, 1, 4, 2)
    return selection_matrix(source, source.size, dtype=dtype, format=format, memory_budget=memory_budget)


def pixel_unshuffle_matrix(
    input_shape: Sequence[int],
    downscale_factor: int,
    *,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The permutation that gathers r x r pixels into r^2 channels: (c, h r, w r) -> (c r^2, h, w).

    Args:
        input_shape: (c, h r, w r).
        downscale_factor: r.
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Permutation matrix, the transpose of the one of ``pixel_shuffle_matrix``.

    Raises:
        ShapeError: not (channels, height, width).
        GeometryError: the factor is below 1, or does not divide height and width.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> pixel_unshuffle_matrix((1, 2, 4), 2).indices
    array([0, 2, 1, 3, 4, 6, 5, 7], dtype=int32)
    """
    r = integer(downscale_factor, "downscale_factor")
    c, h, w = _image(input_shape)
    _check_divides("downscale_factor", r, "the height", h)
    _check_divides("downscale_factor", r, "the width", w)
    source = numbered((c, h // r, r, w // r, r), memory_budget).transpose(0, 2, 4, 1, 3)
    return selection_matrix(source, source.size, dtype=dtype, format=format, memory_budget=memory_budget)


def channel_shuffle_matrix(
    input_shape: Sequence[int],
    groups: int,
    *,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The permutation that deals the channels of g groups out in turn: channel (i, j) becomes channel (j, i).

    Args:
        input_shape: (c, *spatial).
        groups: g, a divisor of c.
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Permutation matrix.

    Raises:
        ShapeError: no shape.
        GeometryError: the groups do not divide the channels.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> channel_shuffle_matrix((6,), 2).indices
    array([0, 3, 1, 4, 2, 5], dtype=int32)
    """
    input_shape, groups = shape_of(input_shape), integer(groups, "groups")
    _check_divides("groups", groups, "the channels", input_shape[0])
    source = numbered((groups, input_shape[0] // groups, *input_shape[1:]), memory_budget).swapaxes(0, 1)
    return selection_matrix(source, source.size, dtype=dtype, format=format, memory_budget=memory_budget)


def unfold_matrix(
    input_shape: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of im2col: output (c, t, o) is the input of channel c that tap t meets at position o.

    Args:
        input_shape: (c, *spatial), any number of spatial axes.
        kernel_size: taps; an int, or one per axis.
        dilation: step between taps.
        padding: zeros on both sides of each axis.
        stride: step between positions.
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (c * prod(kernel) * positions, prod(input_shape)), zeros and ones.

    Raises:
        ShapeError: an empty axis.
        GeometryError: arguments that torch refuses too: a kernel larger than the padded input, a stride below 1.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> unfold_matrix((1, 3), 2).toarray()
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    input_shape = shape_of(input_shape)
    source = _patches(input_shape, kernel_size, dilation, padding, stride, memory_budget)
    return selection_matrix(source, prod(input_shape), dtype=dtype, format=format, memory_budget=memory_budget)


def fold_matrix(
    input_shape: Sequence[int],
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of col2im, the transpose of ``unfold_matrix``: overlapping patches add up.

    Args:
        input_shape: (c * prod(kernel), positions).
        output_size: lengths of the output's spatial axes; an int stands for (height, width) alike.
        kernel_size: taps; an int, or one per axis.
        dilation: step between taps.
        padding: zeros that unfolding put on both sides of each axis.
        stride: step between positions.
        dtype: of the entries; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (c * prod(output_size), prod(input_shape)), zeros and ones.

    Raises:
        ShapeError: the input is not what unfolding the output would give.
        GeometryError: arguments that torch refuses too.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> fold_matrix((2, 2), (3,), 2).toarray()
    array([[1., 0., 0., 0.],
           [0., 1., 1., 0.],
           [0., 0., 0., 1.]])
    """
    check_format(format)
    input_shape, size = shape_of(input_shape), plain(output_size)
    spatial = shape_of(size if isinstance(size, Sequence) else (size, size), "output_size")
    taps = prod(per_axis(kernel_size, len(spatial), "kernel_size", least=1))
    channels = max(input_shape[0] // taps, 1)
    source = _patches((channels, *spatial), kernel_size, dilation, padding, stride, memory_budget)
    expected = (source.shape[0] * taps, source.size // (source.shape[0] * taps))
    if input_shape != expected:
        raise ShapeError("the input is no unfolded image", expected=expected, got=input_shape, where="input_shape")
    kept = np.flatnonzero(source != NOTHING)
    pixels = source.reshape(-1)[kept]
    order = np.argsort(pixels, kind="stable")
    shape = (channels * prod(spatial), source.size)
    return matrix_of_ones(pixels[order], kept[order], shape, dtype, format, memory_budget)


def _patches(
    input_shape: Sequence[int], kernel: Any, dilation: Any, padding: Any, stride: Any, memory_budget: int
) -> NDArray[np.int64]:
    """The source of unfolding, (c, *kernel, *positions)."""
    axes, channels = len(input_shape) - 1, input_shape[0]
    taps = per_axis(kernel, axes, "kernel_size", least=1)
    g = conv_geometry((1, channels, *taps), input_shape, stride=stride, padding=padding, dilation=dilation)
    padded = pad_numbers(numbered(input_shape, memory_budget), [(0, 0), *g.padding], "zeros")
    spans = tuple(d * (k - 1) + 1 for k, d in zip(g.kernel, g.dilation, strict=True))
    windows = sliding_window_view(padded, spans, tuple(range(1, axes + 1)))
    seen = windows[(slice(None), *(slice(None, None, step) for step in (*g.stride, *g.dilation)))]
    return seen.transpose(0, *range(axes + 1, 2 * axes + 1), *range(1, axes + 1))


def _image(input_shape: Sequence[int]) -> tuple[int, int, int]:
    shape = shape_of(input_shape)
    if len(shape) != 3:
        raise ShapeError("not an image", expected="(channels, height, width)", got=shape, where="input_shape")
    return shape[0], shape[1], shape[2]


def _check_divides(name: str, divisor: int, what: str, number: int) -> None:
    if divisor < 1 or number % divisor:
        raise GeometryError(f"{name} must divide {what}", expected=f"a divisor of {number}", got=divisor, where=name)
