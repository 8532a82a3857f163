"""Operators that move a window over an image: convolutions, their transposes, average pools; and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..builder import Builder
from ..nodes import Node, Reader
from ..values import Unread, Value, numbers_of

_ATEN = torch.ops.aten
_CONV = (_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default)
_TRANSPOSED = (_ATEN.conv_transpose1d.default, _ATEN.conv_transpose2d.input, _ATEN.conv_transpose3d.input)
_AVERAGE = (_ATEN.avg_pool1d.default, _ATEN.avg_pool2d.default, _ATEN.avg_pool3d.default)

Pairs = list[tuple[int, int]]


def pads_of(node: Node, x: Value, kernel: Sequence[int]) -> Pairs:
    """The padding before and after each axis.

    Raises:
        Unread: if it depends on a free size.
    """
    rank, auto = len(kernel), node.word("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        pads = node.get("pads", [0] * (2 * rank)) if auto == "NOTSET" else [0] * (2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    stride, dilation = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    pairs = []
    for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True):
        if n is None and s != 1:
            raise Unread("padding that depends on a free size")
        total = (k - 1) * d if n is None else max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pairs.append((total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2))
    return pairs


def flat(pairs: Pairs) -> list[int]:
    """Padding as torch takes it: the last axis first."""
    return [n for pair in reversed(pairs) for n in pair]


def even(b: Builder, x: Value, pairs: Pairs) -> tuple[Value, list[int]]:
    """The input, padded where the two sides of an axis differ, and the padding that is left for the call."""
    if all(before == after for before, after in pairs):
        return x, [before for before, _ in pairs]
    return b.call(_ATEN.constant_pad_nd.default, x, flat(pairs), 0.0), [0] * len(pairs)


def _rank(x: Value, weight: Value | None = None) -> int:
    rank = x.rank - 2
    if rank not in (1, 2, 3) or (weight is not None and (weight.rank != x.rank or None in weight.shape)):
        raise Unread("no image of one to three axes")
    return rank


def _conv(b: Builder, node: Node) -> Value:
    x, weight, bias = node.floating(), node.x(1), node.optional(2)
    rank = _rank(x, weight)
    x, padding = even(b, x, pads_of(node, x, [n or 1 for n in weight.shape[2:]]))
    options = list(node.get("strides", [1] * rank)), padding, list(node.get("dilations", [1] * rank))
    return b.call(_CONV[rank - 1], x, weight, bias, *options, node.get("group", 1))


def _conv_transpose(b: Builder, node: Node) -> Value:
    x, weight, bias = node.floating(), node.x(1), node.optional(2)
    rank = _rank(x, weight)
    kernel = [n or 1 for n in weight.shape[2:]]
    stride, dilation = list(node.get("strides", [1] * rank)), list(node.get("dilations", [1] * rank))
    extra = list(node.get("output_padding", [0] * rank))
    pairs = _cropped(node, x, kernel, stride, dilation, extra)
    group = node.get("group", 1)
    same = all(one == other >= 0 for one, other in pairs)
    padding = [one for one, _ in pairs] if same else [0] * rank
    y = b.call(_TRANSPOSED[rank - 1], x, weight, bias, stride, padding, extra, group, dilation)
    return y if same else b.call(_ATEN.constant_pad_nd.default, y, [-n for n in flat(pairs)], 0.0)


def _cropped(
    node: Node, x: Value, kernel: list[int], stride: list[int], dilation: list[int], extra: list[int]
) -> Pairs:
    """What a transposed convolution cuts off at both ends of every axis."""
    rank, auto, wanted = len(kernel), node.word("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted is None and auto in ("NOTSET", "VALID"):
        pads = node.get("pads", [0] * (2 * rank)) if auto == "NOTSET" else [0] * (2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    wanted = None if wanted is None else list(wanted)[-rank:]
    pairs = []
    for axis, (n, k, s, d, e) in enumerate(zip(x.shape[2:], kernel, stride, dilation, extra, strict=True)):
        if n is None:
            raise Unread("padding that depends on a free size")
        total = s * (n - 1) + e + (k - 1) * d + 1 - (n * s if wanted is None else wanted[axis])
        half = total // 2
        pairs.append((half, total - half) if auto == "SAME_UPPER" else (total - half, half))
    if any(min(pair) < 0 for pair in pairs):
        raise Unread("an output longer than the transposed convolution is")
    return pairs


def _average_pool(b: Builder, node: Node) -> Value:
    x, kernel = node.floating(), list(node.attributes["kernel_shape"])
    rank = _rank(x)
    if any(n != 1 for n in node.get("dilations", [])):
        raise Unread("a dilated average")
    pairs, ceil, inside = pads_of(node, x, kernel), bool(node.get("ceil_mode")), bool(node.get("count_include_pad"))
    uneven = any(before != after for before, after in pairs)
    if uneven and (ceil or not inside):
        raise Unread("an average padded unevenly")
    if any(2 * before > k for (before, _), k in zip(pairs, kernel, strict=True)) and not uneven:
        raise Unread("padding of more than half a window")
    x, padding = even(b, x, pairs)
    strides = list(node.get("strides", [1] * rank))
    return b.call(_AVERAGE[rank - 1], x, kernel, strides, padding, ceil, inside)


def _global_average(b: Builder, node: Node) -> Value:
    x = node.floating()
    return b.call(_ATEN.mean.dim, x, list(range(2, x.rank)), True)


_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _pad(b: Builder, node: Node) -> Value:
    x, mode = node.x(), node.word("mode", "constant")
    pads, axes = node.ints("pads", 1) or [], node.ints("axes", 3)
    axes = list(range(x.rank)) if axes is None else [int(axis) % x.rank for axis in axes]
    pairs: list[tuple[int, int]] = [(0, 0)] * x.rank
    for place, axis in enumerate(axes):
        pairs[axis] = pads[place], pads[place + len(axes)]
    if any(not isinstance(n, int) for pair in pairs for n in pair):
        raise Unread("padding that depends on a free size")
    if mode == "constant":
        value = node.get("value", 0.0) if not node.has(2) else numbers_of(b.sizes(node.x(2)))[0]
        return b.call(_ATEN.constant_pad_nd.default, x, flat(pairs), value)
    first = next((axis for axis, pair in enumerate(pairs) if any(pair)), x.rank - 1)
    axes = list(range(max(first, 1), x.rank))
    if not x.dtype.is_floating_point or first == 0 or len(axes) > 3 or min(n for p in pairs for n in p) < 0:
        raise Unread(f"a padding of mode {mode} that torch does not have")
    lead = x.rank - len(axes)
    if lead not in (1, 2) or mode not in _MODES:
        raise Unread(f"a padding of mode {mode} that torch does not have")
    return b.call(_ATEN.pad.default, x, flat([pairs[axis] for axis in axes]), _MODES[mode])


WINDOWS: dict[str, Reader] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_average,
    "Pad": _pad,
}
