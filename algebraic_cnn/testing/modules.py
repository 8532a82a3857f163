"""Convolutions, by their geometry, and single affine modules of every kind.

kind    (draw, shape, numbers) -> a module for inputs of that shape, its numbers not yet drawn

Shrinking aims at the fewest draws.  So a geometry draws the same for every shape and mode and then uses what it needs:
else the simplest case would be the most constrained one, and an axis could not go without the draws that belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..models.resize import AVERAGE_POOLS, BATCH_NORMS, CONVOLUTIONS
from ..toeplitz.geometry import PADDING_MODES, Geometry, conv_geometry
from .weights import Network, Numbers, Shape, filled, st

_CONV_TRANSPOSE = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_ADAPTIVE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}

#: Least and most of kernel, dilation, stride and padding along an axis.
_PER_AXIS = ((1, 3), (1, 2), (1, 3), (0, 2))


@st.composite
def geometries(
    draw: st.DrawFn,
    *,
    input_shape: Sequence[int] | None = None,
    min_axes: int = 1,
    max_axes: int = 3,
    max_side: int = 6,
    max_channels: int = 4,
) -> Geometry:
    """Geometries of convolutions that torch accepts: any stride, padding and its modes, dilation and groups.

    Args:
        draw: given by Hypothesis.
        input_shape: (c_in, *spatial); drawn if None.
        min_axes: fewest spatial axes to draw.
        max_axes: most spatial axes to draw.
        max_side: longest spatial axis to draw.
        max_channels: most channels, in and out.

    Returns:
        Strategy for ``Geometry``; they shrink to one tap on one position.

    >>> from hypothesis import find
    >>> found = find(geometries(), lambda geometry: geometry.padding_mode == "reflect" and geometry.stride[0] > 1)
    >>> found.input_shape, found.kernel, found.stride
    ((1, 1), (1,), (2,))
    """
    if input_shape is None:
        input_shape = draw(shapes(min_axes, max_axes, max_side, max_channels))
    c_in, *spatial = input_shape
    groups = draw(st.sampled_from([g for g in range(1, c_in + 1) if c_in % g == 0 and g <= max_channels]))
    c_out = groups * min(draw(st.integers(1, max_channels)), max(1, max_channels // groups))
    mode = draw(st.sampled_from(PADDING_MODES))
    same = draw(st.booleans())
    axes = [draw(_axis(n, mode, same)) for n in [*spatial, 1, 1, 1][:3]]
    kernel, stride, padding, dilation = zip(*axes[: len(spatial)], strict=True)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
    return conv_geometry((c_out, c_in // groups, *kernel), input_shape, **options)


@st.composite
def shapes(draw: st.DrawFn, min_axes: int, max_axes: int, max_side: int = 6, max_channels: int = 4) -> Shape:
    """Shapes (c, *spatial)."""
    channels, sides = draw(st.integers(1, max_channels)), [draw(st.integers(1, max_side)) for _ in range(3)]
    return (channels, *sides[: draw(st.integers(min_axes, max_axes))])


@st.composite
def _axis(draw: st.DrawFn, n: int, mode: str, same: bool) -> tuple[int, int, tuple[int, int], int]:
    """Kernel, stride, padding and dilation that fit an axis of length n; ``same`` keeps its length."""
    kernel, dilation, stride, padding = (draw(st.integers(least, most)) for least, most in _PER_AXIS)
    most = {"reflect": min(2, n - 1), "circular": min(2, n)}.get(mode, 2)
    room = 2 * most if same else n + 2 * most - 1  # for the taps after the first
    kernel = min(kernel, room + 1)
    dilation = min(dilation, max(1, room // max(kernel - 1, 1)))
    spread = dilation * (kernel - 1)
    if same:
        return kernel, 1, (spread // 2, spread - spread // 2), dilation
    padding = min(max(padding, -(-(spread + 1 - n) // 2)), most)
    return kernel, stride, (padding, padding), dilation


@st.composite
def affine_modules(
    draw: st.DrawFn, *, numbers: Numbers = "integers", dtype: Any = torch.float64, max_axes: int = 3
) -> Network:
    """Single affine modules of ``torch.nn``: convolutions, transposed ones, linear, BatchNorm, pools, pads, moves.

    Args:
        draw: given by Hypothesis.
        numbers: "integers" or "floats".
        dtype: torch.float32 or torch.float64.
        max_axes: most spatial axes.

    Returns:
        Strategy for ``Network``.

    >>> from hypothesis import find
    >>> find(affine_modules(), lambda network: isinstance(network.model, nn.AvgPool2d)).model
    AvgPool2d(kernel_size=1, stride=1, padding=0)
    """
    shape = draw(shapes(1, max_axes))
    kind = draw(st.sampled_from([conv, norm, linear, conv_transpose, avg_pool, adaptive_avg_pool, pad, move]))
    return draw(filled(kind(draw, shape, numbers), shape, numbers, dtype))


def conv(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A convolution with any of the ``geometries`` of that input shape."""
    geometry = draw(geometries(input_shape=shape))
    symmetric = all(before == after for before, after in geometry.padding)
    return CONVOLUTIONS[len(geometry.kernel)](
        shape[0],
        geometry.out_channels,
        geometry.kernel,
        stride=geometry.stride,
        padding=tuple(before for before, _ in geometry.padding) if symmetric else "same",
        dilation=geometry.dilation,
        groups=geometry.groups,
        bias=draw(st.booleans()),
        padding_mode=geometry.padding_mode,
    )


def conv_norm(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A convolution and its BatchNorm."""
    first = conv(draw, shape, numbers)
    return nn.Sequential(first, BATCH_NORMS[len(shape) - 1](first.out_channels))


def norm(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A BatchNorm, with or without weight and bias."""
    return BATCH_NORMS[len(shape) - 1](shape[0], affine=draw(st.booleans()))


def linear(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A matrix along the last axis."""
    return nn.Linear(shape[-1], draw(st.integers(1, 3)), bias=draw(st.booleans()))


def conv_transpose(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A transposed convolution, dense or one kernel per channel."""
    stride, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, shape[0]]))
    return _CONV_TRANSPOSE[len(shape) - 1](
        shape[0],
        groups if groups > 1 else draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        stride=stride,
        output_padding=draw(st.integers(0, stride - 1)),
        groups=groups,
        bias=draw(st.booleans()),
    )


def avg_pool(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """With integers windows of 1 or 2 along an axis: their means are exact in float64."""
    kernel = draw(st.integers(1, 2 if numbers == "integers" else 3))
    padding = draw(st.integers(0, kernel // 2))
    room = min(shape[1:]) + (0 if len(shape) == 4 else 2 * padding)  # torch.export's avg_pool3d forgets the padding
    kernel, padding = (kernel, padding) if room >= kernel else (1, 0)
    options = {"ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
    return AVERAGE_POOLS[len(shape) - 1](kernel, draw(st.integers(1, 2)), padding, **options)


def adaptive_avg_pool(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """To any smaller size; with integers to one where every window has 1, 2 or 4 positions along an axis."""
    sizes = [[m for m in range(1, n + 1) if numbers == "floats" or n in (m, 2 * m, 4 * m)] for n in shape[1:]]
    return _ADAPTIVE[len(shape) - 1](tuple(draw(st.sampled_from(options)) for options in sizes))


def pad(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """One that every side can supply: at most 2, and n - 1 of a reflection."""
    kind = draw(st.sampled_from(["Zero", "Replication", "Reflection", "Circular", "Constant"]))
    most = min(2, min(shape[1:]) - (kind == "Reflection"))
    pads = tuple(draw(st.integers(0, most)) for _ in range(2 * len(shape) - 2))
    options = {"value": draw(st.integers(1, 2))} if kind == "Constant" else {}
    return getattr(nn, f"{kind}Pad{len(shape) - 1}d")(pads, **options)


def move(draw: st.DrawFn, shape: Shape, numbers: Numbers) -> nn.Module:
    """A module that only copies entries."""
    return draw(st.sampled_from([nn.Flatten(), nn.Identity(), nn.Dropout(), nn.Upsample(scale_factor=2)]))
