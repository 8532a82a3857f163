"""Nodes that are no single call of torch, run by torch all the same: for users, not for the algebra.

A node of these stays opaque in the graph; that torch can compute it lets a file with it be run, probed and compared.

    FUNCTIONS    operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attributes = Mapping[str, Any]
Function = Callable[..., Any]


def _text(a: Attributes, name: str, default: str) -> str:
    value = a.get(name, default)
    return value.decode() if isinstance(value, bytes) else value


def _softmax(kind: Function) -> Callable[[Attributes, int], Function | None]:
    """Before version 13, of all axes from one on together."""

    def made(a: Attributes, version: int) -> Function | None:
        def run(x: Tensor) -> Tensor:
            axis = a.get("axis", 1) % x.ndim
            return kind(x.flatten(axis) if axis < x.ndim else x.unsqueeze(-1), -1).reshape(x.shape)

        return run if version < 13 else None

    return made


def pairs_of(a: Attributes, x: Tensor, kernel: list[int]) -> list[tuple[int, int]]:
    """Padding of a pool before and after each axis; with ceil_mode, as much more as the last window needs."""
    rank, auto = len(kernel), _text(a, "auto_pad", "NOTSET")
    stride, dilation = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    pads = a.get("pads", [0] * (2 * rank)) if auto == "NOTSET" else [0] * (2 * rank)
    pairs = []
    for axis, (n, k, s, d) in enumerate(zip(x.shape[2:], kernel, stride, dilation, strict=True)):
        low, high, reach = pads[axis], pads[axis + rank], (k - 1) * d + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max((math.ceil(n / s) - 1) * s + reach - n, 0)
            low = total // 2 if auto == "SAME_UPPER" else total - total // 2
            high = total - low
        if a.get("ceil_mode"):
            windows = math.ceil((n + low + high - reach) / s) + 1
            windows -= (windows - 1) * s >= n + low  # the last window starts inside the image or its padding before
            high = max(high, (windows - 1) * s + reach - n - low)
        pairs.append((low, high))
    return pairs


def _windows(x: Tensor, a: Attributes, fill: float) -> tuple[Tensor, list[int]]:
    """Every window of a padded image, entries last."""
    kernel = list(a["kernel_shape"])
    rank = len(kernel)
    stride, dilation = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    pairs = pairs_of(a, x, kernel)
    x = F.pad(x, [n for pair in reversed(pairs) for n in pair], value=fill)
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        x = x.unfold(axis, (k - 1) * d + 1, s)[..., ::d]
    return x, list(range(-rank, 0))


def _max_pool(a: Attributes, version: int) -> Function | None:
    """The greatest entries, and their places in the whole of x."""

    def run(x: Tensor) -> Any:
        windows, axes = _windows(x, a, -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min)
        count = torch.arange(x.numel(), device=x.device).reshape(x.shape)
        y, first = windows.flatten(axes[0]).max(-1, keepdim=True)
        return y[..., 0], _windows(count, a, -1)[0].flatten(axes[0]).gather(-1, first)[..., 0]

    return None if a.get("storage_order") else run


def _average_pool(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor) -> Tensor:
        windows, axes = _windows(x, a, 0.0)
        inside = torch.ones(x.shape[2:], dtype=x.dtype, device=x.device)[None, None]
        if a.get("count_include_pad"):
            pads = {**a, "ceil_mode": 0, "kernel_shape": a["kernel_shape"]}
            pairs = pairs_of(pads, x, list(a["kernel_shape"]))
            inside = F.pad(inside, [n for pair in reversed(pairs) for n in pair], value=1.0)
            counted = {**a, "pads": [0] * (2 * len(axes)), "auto_pad": b"NOTSET"}
            return windows.sum(axes) / _windows(inside, counted, 0.0)[0].sum(axes)
        return windows.sum(axes) / _windows(inside, a, 0.0)[0].sum(axes)

    return run


def _hard_sigmoid(a: Attributes, version: int) -> Function | None:
    return lambda x: torch.clamp(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1)


def _prelu(a: Attributes, version: int) -> Function | None:
    return lambda x, slope: torch.where(x < 0, x * slope, x)


def _batch_norm(a: Attributes, version: int) -> Function | None:
    """Of version 14 and later, in training: the batch's own mean and variance, and the running ones."""

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Any:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape, keep = [1, -1, *[1] * (x.ndim - 2)], a.get("momentum", 0.9)
        own, spread = x.mean(axes), x.var(axes, correction=0)
        y = (x - own.reshape(shape)) / torch.sqrt(spread.reshape(shape) + a.get("epsilon", 1e-5))
        y = y * scale.reshape(shape) + bias.reshape(shape)
        return y, mean * keep + own * (1 - keep), variance * keep + spread * (1 - keep)

    return run if a.get("training_mode") and version >= 14 else None


def _pad(a: Attributes, version: int) -> Function | None:
    """Of any mode, along any axes: every axis reads the places that the mode says."""
    mode = _text(a, "mode", "constant")

    def run(x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
        pairs = a["pads"] if pads is None else _listed(pads)
        places = list(range(x.ndim)) if axes is None else _listed(axes)
        fill = a.get("value", 0.0) if value is None else value.item()
        for low, high, axis in zip(pairs, pairs[len(places) :], places, strict=False):
            x = _padded(x, axis, low, high, mode, fill)
        return x

    return run if mode in ("constant", "edge", "reflect", "wrap") else None


def _listed(numbers: Any) -> list[Any]:
    """The numbers of a tensor, or sizes, which are free while torch traces."""
    return numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)


def _padded(x: Tensor, axis: int, low: int, high: int, mode: str, fill: Any) -> Tensor:
    n = x.shape[axis]
    i = torch.arange(-low, n + high, device=x.device)
    if mode == "edge":
        return x.index_select(axis, i.clamp(0, n - 1))
    if mode == "wrap":
        return x.index_select(axis, i % n)
    if mode == "reflect":
        turn = max(2 * (n - 1), 1)
        return x.index_select(axis, n - 1 - (n - 1 - i % turn).abs())
    inside = x.narrow(axis, max(-low, 0), max(n + min(low, 0) + min(high, 0), 0))
    ends = [max(m, 0) if k == axis % x.ndim else 0 for k in reversed(range(x.ndim)) for m in (low, high)]
    return F.pad(inside, ends, value=fill)


FUNCTIONS: dict[str, Callable[[Attributes, int], Function | None]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "HardSigmoid": _hard_sigmoid,
    "LogSoftmax": _softmax(torch.log_softmax),
    "MaxPool": _max_pool,
    "PRelu": _prelu,
    "Pad": _pad,
    "Softmax": _softmax(torch.softmax),
}
