"""Layers of a network as stencils: where their taps lie, and the numbers in them.

conv_footprint            a convolution's channels, groups, stride, padding (of any size, negative crops), dilation
conv_transpose_footprint  a transposed convolution's: its stride makes phases
transposed_taps           its weight, sorted by phase; ``weight_of_phases`` is the inverse
pointwise                 a footprint that keeps every position
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lattice import Axis
from .stencil import Footprint

Array = NDArray[Any]
Pairs = Sequence[tuple[int, int]]


def pointwise(c_in: int, c_out: int, groups: int, sizes: Sequence[int]) -> Footprint:
    """A map of channels that is the same at every position; taps of shape (1.., c_out, c_in / groups, 1..).

    >>> pointwise(3, 3, 3, (5, 5)).diagonal
    True
    """
    return Footprint(c_in, c_out, groups, tuple(Axis(n, n) for n in sizes))


def conv_footprint(
    weight_shape: Sequence[int],
    sizes: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    groups: int = 1,
) -> Footprint:
    """The footprint of a convolution; its taps are its weight, (1.., c_out, c_in / groups, *kernel).

    Args:
        weight_shape: (c_out, c_in / groups, *kernel).
        sizes: of the input's spatial axes.
        stride: one for each axis.
        padding: zeros (before, after) each axis; a negative number crops.
        dilation: one for each axis.
        groups: as torch has it.

    >>> conv_footprint((1, 1, 3), (8,), stride=(2,), padding=[(1, 1)], dilation=(1,)).axes
    (Axis(n=8, m=4, down=2, up=1, start=-1, width=3, step=1, ring=(0, 0), used=()),)
    """
    axes = []
    for n, k, s, (before, after), d in zip(sizes, weight_shape[2:], stride, padding, dilation, strict=True):
        m = (n + before + after - d * (k - 1) - 1) // s + 1
        axes.append(Axis(n, m, down=s, start=-before, width=k, step=d if k > 1 else 1))
    return Footprint(weight_shape[1] * groups, weight_shape[0], groups, tuple(axes))


def conv_transpose_footprint(
    weight_shape: Sequence[int],
    sizes: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> Footprint:
    """The footprint of a transposed convolution: x[j + start + t] meets weight tap (q + p - s (start + t)) / d.

    Args:
        weight_shape: (c_in, c_out / groups, *kernel).
        sizes: of the input's spatial axes.
        stride: s, one for each axis.
        padding: p, one for each axis.
        output_padding: one for each axis.
        dilation: d, one for each axis.
        groups: as torch has it.
    """
    axes = []
    numbers = zip(sizes, weight_shape[2:], stride, padding, output_padding, dilation, strict=True)
    for n, k, s, p, extra, d in numbers:
        start, last = -((d * (k - 1) - p) // s), (s - 1 + p) // s
        m = (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        width = last - start + 1
        q = np.arange(s)  # tap (q + p - s x) / d is one of the kernel's only for these x; for no x, if there is none
        axis = Axis(n, m, up=s, start=start, width=width)
        axes.append(axis.bounded(-((d * (k - 1) - p - q) // s), (q + p) // s))
    return Footprint(weight_shape[0], weight_shape[1] * groups, groups, tuple(axes))


def transposed_taps(weight: Array, footprint: Footprint, padding: Sequence[int], dilation: Sequence[int]) -> Array:
    """The taps of a transposed convolution, from its weight (c_in, c_out / groups, *kernel)."""
    axes, groups = footprint.axes, footprint.groups
    kernel = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    kernel = kernel.reshape(footprint.c_out, -1, *weight.shape[2:])
    taps = np.zeros(footprint.taps_shape, dtype=weight.dtype)
    for index in np.ndindex(*(axis.up for axis in axes), *(axis.width for axis in axes)):
        phase, t = index[: len(axes)], index[len(axes) :]
        places = [
            divmod(q + p - axis.up * (axis.start + i), d)
            for q, p, axis, i, d in zip(phase, padding, axes, t, dilation, strict=True)
        ]
        if all(rest == 0 and 0 <= k < size for (k, rest), size in zip(places, kernel.shape[2:], strict=True)):
            taps[(*phase, ..., *t)] = kernel[(..., *(k for k, _ in places))]
    return taps


def weight_of_phases(taps: Array, footprint: Footprint) -> Array:
    """The inverse: the weight, without dilation, of the transposed convolution with these taps; axes need ``down`` 1.

    Output up j + q reads x[j + start + t] through weight tap q + up (width - 1 - t) - idle.

    Returns:
        (c_in, c_out / groups, *kernel), kernel = up width less the idle taps; ``transposed_padding`` goes with it.
    """
    axes, groups = footprint.axes, footprint.groups
    d = len(axes)
    order = [d, d + 1, *(axis for i in range(d) for axis in (d + 2 + i, i))]
    flipped = np.flip(taps, tuple(range(d + 2, 2 * d + 2))).transpose(order)
    kernel = flipped.reshape(footprint.c_out, -1, *(axis.up * axis.width for axis in axes))
    kernel = kernel[(..., *(slice(a.idle[0], a.up * a.width - a.idle[1]) for a in axes))]
    kernel = kernel.reshape(groups, -1, *kernel.shape[1:]).swapaxes(1, 2)
    return kernel.reshape(footprint.c_in, -1, *kernel.shape[3:])


def transposed_padding(axis: Axis) -> tuple[int, int]:
    """Padding and output padding of the transposed convolution with ``weight_of_phases``; either may be impossible."""
    padding = axis.up * (axis.width - 1 + axis.start) - axis.idle[0]
    length = (axis.n - 1) * axis.up - 2 * padding + axis.up * axis.width - sum(axis.idle)
    return padding, axis.m - length
