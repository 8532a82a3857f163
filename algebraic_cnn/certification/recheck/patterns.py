"""Calls that meet positions in ways of their own: transposed convolutions, interpolation, concatenation, layouts.

A tap meets one position, or a zero, at every output, and has one weight.  So a transposed convolution leaves zeros
between positions, and interpolation along an axis has a tap for every number among its weights.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

from ...ir.graph import Call, Ref
from ...ops.precision import working_dtype
from ...ops.resize import along_axes
from .layers import Coefficients, Convolution, Table, Window, each
from .maps import stored
from .writer import Feeds, Writer, axes_of, bias_of, pair, refused, windowed


def transposed(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """Output u meets position i by tap a where u = i stride - padding + a dilation."""
    axes = axes_of(call, x)
    weight = writer.array(arguments["weight"])
    groups, extents = arguments["groups"], pair(weight.shape[2:], axes, 1)
    stride, dilation = (pair(arguments[name], axes, 1) for name in ("stride", "dilation"))
    padding, extra = (pair(arguments[name], axes, 0) for name in ("padding", "output_padding"))
    sizes = zip(x.shape[1:], extents, stride, dilation, padding, extra, strict=True)
    rows, columns = (_spread(*axis) for axis in sizes)

    def arranged(weight: np.ndarray) -> np.ndarray:
        inner = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).swapaxes(1, 2)
        return np.ascontiguousarray(inner).reshape(groups * weight.shape[1], -1)

    bias = bias_of(writer, arguments["bias"], groups * weight.shape[1])
    kernel = writer.numbers(arguments["weight"], arranged)
    return writer.add(Convolution(x.feeds, kernel, bias, rows, columns, groups=groups), x.shape, axes)


def _spread(n: int, extent: int, stride: int, dilation: int, padding: int, extra: int) -> Table:
    outputs = (n - 1) * stride - 2 * padding + dilation * (extent - 1) + extra + 1
    moved = np.arange(outputs) + padding - dilation * np.arange(extent)[:, None]
    inside = (moved % stride == 0) & (moved >= 0) & (moved < n * stride)
    return Table(np.where(inside, moved // stride, -1))


def interpolated(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """A layer for every axis, with the weights that torch's kernel has in the network's dtype."""
    axes = axes_of(call, x)
    name = "self" if "self" in arguments else "input"
    image = torch.empty(1, 1, *x.seen[1:], device="meta")
    dtype = working_dtype(call, writer.graph)
    tables = list(along_axes(call.target, {**arguments, name: image}, dtype))
    value = x
    for place, (places, numbers) in enumerate(tables, 4 - axes):
        walk, taps = _tabled(places.numpy(), numbers.numpy())
        kernel = Coefficients.of(np.broadcast_to(taps, (value.shape[0], len(taps))).copy())
        rows, columns = (walk, Window()) if place == 1 else (Window(), walk)
        value = writer.add(each(value.feeds, value.shape[0], kernel, rows=rows, columns=columns), value.shape, axes)
    return value


def _tabled(places: np.ndarray, numbers: np.ndarray) -> tuple[Table, np.ndarray]:
    """The taps and their weights: of every weight as many as one output has."""
    rows = [sorted((weight, place) for weight, place in zip(*row, strict=True) if weight)
            for row in zip(numbers.tolist(), places.tolist(), strict=True)]  # fmt: skip
    often = Counter[float]()
    for row in rows:
        often |= Counter(weight for weight, _ in row)
    taps = sorted(often.elements())
    met = np.full((len(taps), len(rows)), -1, dtype=np.int64)
    for output, row in enumerate(rows):
        seen = Counter[float]()
        for weight, place in row:
            met[taps.index(weight) + seen[weight], output] = place
            seen[weight] += 1
    return Table(met), np.array(taps)


#: The most numbers of a layer that lays out a vector as an image.
_MOST = 1 << 22


def laid_out(writer: Writer, call: Call, x: Feeds, seen: tuple[int, ...]) -> Feeds:
    """A vector as an image: a channel has a tap for every position, which meets one number there alone."""
    c, h, w = stored(seen)
    if c * (h * w) ** 2 > _MOST:
        raise refused(call, "a reshaping of a large vector into an image")
    kernel = np.broadcast_to(np.eye(h * w, dtype=np.float32), (c, h * w, h * w))
    rows, columns = (Table(np.where(np.eye(n, dtype=bool), 0, -1)) for n in (h, w))
    layer = Convolution(x.feeds, Coefficients.of(kernel), Coefficients.all(0.0, c), rows, columns, groups=c)
    return writer.add(layer, x.shape, len(seen))


def concatenated(writer: Writer, call: Call, arguments: dict[str, Any], values: dict[str, Feeds]) -> Feeds:
    """Each part moved to its channels, rows or columns, zeros elsewhere; then their sum."""
    refs = arguments["tensors"]
    if not all(isinstance(ref, Ref) and ref.name in values for ref in refs):
        raise refused(call, "a concatenation with a constant")
    parts = [values[ref.name] for ref in refs]
    vectors = all(part.seen == part.shape[:1] for part in parts)
    axes = 1 if vectors else max(axes_of(call, part) for part in parts)
    place = arguments.get("dim", 0) % (axes + 1)
    if place == 0:
        raise refused(call, "a concatenation of samples")
    at = place - 1 if place == 1 else place - axes + 2
    lengths = [part.shape[at] for part in parts]
    starts = np.cumsum([0, *lengths]).tolist()
    moved = [_placed(writer, part, axes, at, start, starts[-1]) for part, start in zip(parts, starts, strict=False)]
    return Feeds(sum((part.feeds for part in moved), ()), moved[0].shape, moved[0].seen)


def _placed(writer: Writer, x: Feeds, axes: int, at: int, start: int, total: int) -> Feeds:
    if at == 0:
        kernel = np.zeros((total, x.shape[0]), dtype=np.float32)
        kernel[np.arange(x.shape[0]) + start, np.arange(x.shape[0])] = 1
        return writer.add(Convolution(x.feeds, Coefficients.of(kernel), Coefficients.all(0.0, total)), x.shape, axes)
    walks = [(0, 0, 1), (0, 0, 1)]
    walks[at - 1] = (start, total - start - x.shape[at], 1)
    return windowed(writer, x, axes, (walks[0], walks[1]))
