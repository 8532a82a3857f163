"""Convolutions: a kernel correlated with an image, or the transpose of that; one matrix per network, never written out.

evaluate    torch's kernel; where images have few pixels, one matrix product for the whole batch, for speed alone
operator    the kernel, thinned where blocks of it are exactly 0
layer       W as a sparse Toeplitz matrix, after P, the padding
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..ir.graph import Call, Size
from ..toeplitz import conv_matrix, conv_transpose_matrix, pad_matrix
from ..toeplitz.arguments import padding_pairs
from . import imaging
from .op import Arguments, CallSite, Op, Sample, as_deep
from .reading import Reading, biases, float64
from .traits import Prices, always_local, length

#: Inputs of at most so many pixels are convolved by a matrix product.
_FEW_PIXELS = 64

#: Depthwise kernels of at most so many taps are applied tap by tap.
_FEW_TAPS = 16


def plus_channels(site: CallSite, y: Tensor, offset: Tensor | None, axis: int) -> Tensor:
    """Sums that are not reduced yet, plus one more term for each channel, then reduced."""
    added = y if offset is None else y + offset.reshape(-1, *[1] * (y.ndim - 1 - axis % y.ndim))
    return site.ring.reduce(added)


def _correlate(site: CallSite) -> Tensor:
    """The convolution without its bias; as one matrix product for the whole batch where that reads less memory.

    torch's float64 kernel reads the weights once per sample, which dominates where a sample has few pixels.
    """
    x, weight, raw = site["input"], site["weight"], site.raw
    if site.target is not torch.ops.aten.conv2d.default or x.dtype != torch.float64 or x.ndim != 4:
        return site.call(bias=None)
    if weight.shape[1] == 1 and len(weight) == x.shape[1] and math.prod(weight.shape[2:]) <= _FEW_TAPS:
        return _tap_by_tap(x, weight, raw)
    if math.prod(x.shape[2:]) > _FEW_PIXELS or raw["groups"] != 1:
        return site.call(bias=None)
    kernel = list(weight.shape[2:])
    stride, padding, dilation = ([*raw[name]] * (2 // len(raw[name])) for name in ("stride", "padding", "dilation"))
    columns = torch.ops.aten.im2col(x, kernel, dilation, padding, stride)
    pixels = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
              zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]  # fmt: skip
    product = weight.flatten(1) @ columns.transpose(0, 1).flatten(1)
    return product.unflatten(1, (len(x), *pixels)).transpose(0, 1)


def _tap_by_tap(x: Tensor, weight: Tensor, raw: Arguments) -> Tensor:
    """A depthwise convolution as a sum of shifted images: torch's float64 kernel takes the channels one by one."""
    stride, padding, dilation = ([*raw[name]] * (2 // len(raw[name])) for name in ("stride", "padding", "dilation"))
    x = torch.nn.functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    lengths = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in
               zip(x.shape[2:], weight.shape[2:], stride, dilation, strict=True)]  # fmt: skip
    total = x.new_zeros((*x.shape[:2], *lengths))
    for tap in itertools.product(*map(range, weight.shape[2:])):
        rows, columns = (
            slice(d * i, d * i + s * (m - 1) + 1, s) for i, d, s, m in zip(tap, dilation, stride, lengths, strict=True)
        )
        total = torch.addcmul(total, x[:, :, rows, columns], weight[:, 0, tap[0], tap[1]].reshape(-1, 1, 1))
    return total


def _evaluate(site: CallSite) -> Tensor:
    spatial = site["weight"].ndim - 2
    return plus_channels(site, _correlate(site), site.offset("bias"), -1 - spatial)


def _layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    x, weight, shape = a["input"], float64(a["weight"]), reading.shape(call)
    geometry = {name: a[name] for name in ("stride", "dilation", "groups")}
    if a.get("transposed", "output_padding" in a):
        extra = {"padding": a["padding"], "output_padding": a["output_padding"]}
        W = conv_transpose_matrix(weight, x.shape, **geometry, **extra, memory_budget=reading.left)
        return reading.assembly.layer(x, shape, reading.spend(W), b=biases(a["bias"], shape))
    pairs = padding_pairs(a["padding"], weight.shape[2:], a["stride"], a["dilation"])
    P = None
    if any(map(any, pairs)):
        P = reading.spend(pad_matrix(x.shape, pairs, memory_budget=reading.left))
    padded = (x.shape[0], *(n + sum(pair) for n, pair in zip(x.shape[1:], pairs, strict=True)))
    W = conv_matrix(weight, padded, **geometry, memory_budget=reading.left)
    return reading.assembly.layer(x, shape, reading.spend(W), P=P, b=biases(a["bias"], shape))


def _work(prices: Prices, call: Call, a: Arguments, shapes: Mapping[str, Size], batch: int) -> float:
    shape, inputs, outputs = shapes[a["weight"].name], length(shapes[a["input"].name], batch), length(call.shape, batch)
    inside, outside = int(shape[1] or 1), int(shape[0] or 1) // a["groups"]
    transposed = call.op.startswith("conv_transpose")
    products = (inputs if transposed else outputs) * inside * math.prod(n or 1 for n in shape[2:])
    if inside * outside == 1:
        return prices.product * products + prices.plane * (outputs + inputs)
    # vector units fill up with channels on both sides
    rate = max(prices.product, min(prices.lone, prices.lone / (min(inside, 8) * min(outside, 8) / 4)))
    if outputs < 8 * int(shape[0] or 1):  # so few positions that reading the weights is what takes time
        rate = max(rate, prices.matrix)
    return products * rate


def _placed(kernel: Any, shape: Sequence[int], a: Arguments) -> Any:
    geometry = {name: a[name] for name in ("stride", "padding", "dilation", "groups")}
    if a.get("transposed", "output_padding" in a):
        return conv_transpose_matrix(kernel, shape, **geometry, output_padding=a["output_padding"])
    return conv_matrix(kernel, shape, **geometry)


def _called(a: Arguments, shapes: Mapping[str, Size]) -> str:
    weight = shapes[a["weight"].name]
    lone = "depthwise " if weight[1] == 1 and a["groups"] > 1 else ""
    kind = "conv_transpose" if a.get("transposed", "output_padding" in a) else "conv"
    return f"{lone}{kind}{len(weight) - 2}d {'x'.join(str(n) for n in weight[2:])}"


_CONV = Op(
    _evaluate,
    ("input",),
    contraction="weight",
    placed=_placed,
    convolves=True,
    called=_called,
    operator=imaging.conv,
    layer=_layer,
    apart=as_deep,
    start=lambda prices: prices.kernel,
    work=_work,
)

_NAMED = replace(_CONV, local=always_local)

OPS: dict[str, Op] = {
    **{f"{kind}{n}d": _NAMED for kind in ("conv", "conv_transpose") for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": replace(_NAMED, overload="input") for n in (2, 3)},
    "convolution": _CONV,
}

_aten = torch.ops.aten
_IMAGE = (4, 6, 6)
SAMPLES: dict[str, Sample] = {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2), (4, 9), [(3, 4, 3), (3,)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, (1, 2), (1, 0), groups=2), _IMAGE, [(6, 2, 3, 2), (6,)]),
    "conv2d of few pixels": (lambda x, w, b: F.conv2d(x, w, b, 2, 1, 2), _IMAGE, [(3, 4, 3, 2), (3,)]),
    "conv2d of many pixels": (lambda x, w: F.conv2d(x, w), (2, 9, 9), [(3, 2, 3, 3)]),
    "conv2d same": (lambda x, w: F.conv2d(x, w, padding="same"), _IMAGE, [(2, 4, 3, 3)]),
    "conv3d": (lambda x, w, b: F.conv3d(x, w, b, padding=1), (2, 3, 3, 4), [(2, 2, 2, 3, 2), (2,)]),
    "conv_transpose1d": (lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1), (3, 5), [(3, 2, 3), (2,)]),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, None, (2, 1), 1, 0, 2), _IMAGE, [(4, 3, 3, 3)]),
    "conv_transpose3d": (lambda x, w: F.conv_transpose3d(x, w, stride=2), (2, 2, 3, 2), [(2, 1, 2, 2, 3)]),
    "convolution": (
        lambda x, w, b: _aten.convolution(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
        _IMAGE,
        [(3, 4, 3, 3), (3,)],
    ),
    "convolution transposed": (
        lambda x, w: _aten.convolution(x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        _IMAGE,
        [(4, 2, 3, 3)],
    ),
}
