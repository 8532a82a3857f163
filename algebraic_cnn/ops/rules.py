"""The table of affine calls: which ATen calls are affine, in which arguments, and how to compute them over any ring.

A rule sees a ``Step`` and uses four primitives only: call the ATen kernel on carriers, add, multiply by a constant,
then ``ring.reduce``.  So the code that runs the network mod p is the code that runs it in floating point.

    RULES        ATen name -> Rule
    MOVES        the calls that only move, drop and repeat entries; NEAREST among them; REPEATS may repeat
    contraction  a call that sums products with a constant (convolution, linear); its terms limit the modulus

A layer is added to the library by one line of ``RULES``; tests/ops/test_rules.py then checks it in every ring.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .interpolation import NEAREST, WEIGHTED, nearest, weighted
from .step import Rule, Step

#: Inputs of at most so many pixels are convolved by a matrix product.
_FEW_PIXELS = 64

#: Depthwise kernels of at most so many taps are applied tap by tap.
_FEW_TAPS = 16


def _move(step: Step) -> Any:
    return step.call()


def _plus_channels(step: Step, y: Tensor, offset: Any, axis: int) -> Tensor:
    """Sums that are not reduced yet, plus one more term for each channel, then reduced."""
    added = y if offset is None else y + offset.reshape(-1, *[1] * (y.ndim - 1 - axis % y.ndim))
    return step.ring.reduce(added)


def _correlate(step: Step) -> Tensor:
    """The convolution without its bias; as one matrix product for the whole batch where that reads less memory.

    torch's float64 kernel reads the weights once per sample, which dominates where a sample has few pixels.
    """
    x, weight, raw = step["input"], step["weight"], step.raw
    if step.target is not torch.ops.aten.conv2d.default or x.dtype != torch.float64 or x.ndim != 4:
        return step.call(bias=None)
    if weight.shape[1] == 1 and len(weight) == x.shape[1] and math.prod(weight.shape[2:]) <= _FEW_TAPS:
        return _tap_by_tap(x, weight, raw)
    if math.prod(x.shape[2:]) > _FEW_PIXELS or raw["groups"] != 1:
        return step.call(bias=None)
    kernel = list(weight.shape[2:])
    stride, padding, dilation = ([*raw[name]] * (2 // len(raw[name])) for name in ("stride", "padding", "dilation"))
    columns = torch.ops.aten.im2col(x, kernel, dilation, padding, stride)
    pixels = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
              zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]  # fmt: skip
    product = weight.flatten(1) @ columns.transpose(0, 1).flatten(1)
    return product.unflatten(1, (len(x), *pixels)).transpose(0, 1)


def _tap_by_tap(x: Tensor, weight: Tensor, raw: Mapping[str, Any]) -> Tensor:
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


def _convolution(step: Step) -> Tensor:
    spatial = step["weight"].ndim - 2
    return _plus_channels(step, _correlate(step), step.offset("bias"), -1 - spatial)


def _linear(step: Step) -> Tensor:
    return _plus_channels(step, step.call(bias=None), step.offset("bias"), -1)


def _addmm(step: Step) -> Tensor:
    matrix = step.ring.reduce(step["mat2"] * step["alpha"])
    product = step.ring.reduce(step["mat1"] @ matrix)
    return step.ring.reduce(product + step.ring.reduce(step.offset("self") * step["beta"]))


def _product(step: Step) -> Tensor:
    return step.ring.reduce(step.call())


def _multiple(step: Step) -> Tensor:
    return step.ring.reduce(step["self"] * step["other"])


def batch_norm_scale(raw: Mapping[str, Any]) -> Tensor:
    """w / sqrt(var + eps) per channel in float64: what a BatchNorm multiplies by, in every ring.

    NumPy takes the root: torch's may be off by an ulp, differently on every device.
    """
    variance = raw["running_var"]
    deviation = np.sqrt(variance.detach().double().cpu().numpy() + raw["eps"])
    weight = 1.0 if raw["weight"] is None else raw["weight"].detach().double().cpu().numpy()
    return torch.from_numpy(weight / deviation).to(variance.device)


def _batch_norm(step: Step) -> Tensor:
    """x scale + (b - mean scale), where the scale is the one number that is rounded."""
    raw, ring, x = step.raw, step.ring, step["input"]
    scale = ring.embed(batch_norm_scale(raw))
    axes = [1] * (x.ndim - 2)
    if step.linear:
        return ring.reduce(x * scale.reshape(-1, *axes))
    shift = ring.negate(ring.reduce(step["running_mean"] * scale))
    shift = shift if raw["bias"] is None else ring.reduce(shift + step["bias"])
    return ring.reduce(torch.addcmul(shift.reshape(-1, *axes), x, scale.reshape(-1, *axes)))


def _sum(sign: int, factor: str = "other") -> Callable[[Step], Tensor]:
    def apply(step: Step) -> Tensor:
        terms = {name: step.offset(name) for name in ("self", "other")}
        alpha = step.raw.get("alpha", 1)
        if alpha != 1:
            terms[factor] = step.ring.reduce(terms[factor] * step["alpha"])
        if sign < 0:
            terms[factor] = step.ring.negate(terms[factor])
        return step.ring.reduce(terms["self"] + terms["other"])

    return apply


def _divide(step: Step) -> Tensor:
    divisor = step.raw["other"]
    divisor = divisor.detach() if isinstance(divisor, Tensor) else torch.tensor(divisor, dtype=torch.float64)
    return step.ring.divide(step["self"], divisor.double().to(step["self"].device))


def _total(step: Step) -> Tensor:
    dims = step.raw.get("dim")
    x = step["self"]
    dims = dims if dims else list(range(x.ndim))
    return step.ring.reduce(x.sum(dims, keepdim=bool(step.raw.get("keepdim", False))))


def _mean(step: Step) -> Tensor:
    total = _total(step)
    count = step["self"].numel() // max(total.numel(), 1)
    return step.ring.divide(total, torch.tensor(float(count), device=total.device))


def _avg_pool(spatial: int) -> Callable[[Step], Tensor]:
    def apply(step: Step) -> Tensor:
        """The sum over the window, then the division by the count that torch uses there."""
        x = step["self"]
        sizes = [step.raw["kernel_size"], step.raw["stride"] or step.raw["kernel_size"], step.raw["padding"]]
        sizes = [list(size) * (spatial if len(size) == 1 else 1) for size in sizes]
        pool = torch.ops.aten.avg_pool3d if spatial == 3 else torch.ops.aten.avg_pool2d
        if spatial == 1:  # avg_pool1d cannot return plain sums
            x, sizes = x.unsqueeze(-2), [[first, *size] for first, size in zip((1, 1, 0), sizes, strict=True)]
        ceil, inside = step.raw["ceil_mode"], step.raw["count_include_pad"]
        ones = torch.ones((1, *x.shape[-len(sizes[0]) :]), dtype=torch.float64, device=x.device)
        sums = pool(ones, *sizes, ceil, inside, 1)
        counts = (sums / pool(ones, *sizes, ceil, inside, step.raw.get("divisor_override"))).round()
        y = step.ring.divide(step.ring.reduce(pool(x, *sizes, ceil, inside, 1)), counts)
        return y.squeeze(-2) if spatial == 1 else y

    return apply


def _adaptive_avg_pool(spatial: int) -> Callable[[Step], Tensor]:
    def apply(step: Step) -> Tensor:
        """Along each axis output o averages the inputs floor(o n / m) .. ceil((o + 1) n / m) - 1."""
        y = step["self"]
        size = step.raw["output_size"]
        for axis, m in zip(range(-spatial, 0), size * (spatial if len(size) == 1 else 1), strict=True):
            n = y.shape[axis]
            windows = torch.zeros(m, n, dtype=y.dtype, device=y.device)
            for o in range(m):
                windows[o, o * n // m : math.ceil((o + 1) * n / m)] = 1
            sums = step.ring.reduce(y.movedim(axis, -1) @ windows.T)
            y = step.ring.divide(sums, windows.sum(1)).movedim(-1, axis)
        return y

    return apply


def _constant_pad(step: Step) -> Tensor:
    y = step.call(value=0)
    value = step.raw["value"]
    if not value or step.linear:
        return y
    outside = torch.ops.aten.constant_pad_nd(torch.zeros_like(step["self"]), step.raw["pad"], 1)
    return y + outside * step.ring.embed(torch.tensor(float(value), dtype=torch.float64))


def _pad(step: Step) -> Tensor:
    if step.raw["mode"] != "constant":
        return step.call()
    constant = {"self": step.raw["self"], "pad": step.raw["pad"], "value": step.raw["value"] or 0}
    target = torch.ops.aten.constant_pad_nd.default
    return _constant_pad(replace(step, target=target, raw=constant))


def _first_of_three(step: Step) -> tuple[Tensor, None, None]:
    return _batch_norm(step), None, None


def _not_if(name: str, reason: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda raw: reason if raw.get(name) else ""


#: Calls that move, drop and repeat entries.
MOVES = (
    "view _unsafe_view reshape flatten permute transpose t squeeze unsqueeze expand contiguous clone alias detach "
    "lift_fresh_copy select slice narrow split split_with_sizes chunk unbind flip roll pixel_shuffle pixel_unshuffle "
    "index_select channel_shuffle movedim swapaxes repeat unflatten reflection_pad1d reflection_pad2d reflection_pad3d "
    "replication_pad1d replication_pad2d replication_pad3d im2col unfold index tril triu tile repeat_interleave"
).split() + NEAREST

#: Moves that may take an input to several places.
REPEATS = (
    "expand repeat tile repeat_interleave index index_select im2col unfold reflection_pad1d reflection_pad2d "
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"
).split() + NEAREST

DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")

RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, Rule(_move, ("self", "input"))),
    "view": Rule(_move, accepts=_not_if("dtype", "it reinterprets bits")),
    "detach": Rule(lambda step: step["self"]),  # autograd would stop there, the network does not
    **dict.fromkeys(("cat", "concat", "stack"), Rule(_move, ("tensors",))),
    **{f"conv{n}d": Rule(_convolution, ("input",), contraction="weight") for n in (1, 2, 3)},
    **{
        name: Rule(_convolution, ("input",), contraction="weight")
        for name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution")
    },
    "linear": Rule(_linear, ("input",), contraction="weight"),
    "matmul": Rule(_product, ("self", "other"), bilinear=True, contraction="other"),
    "mm": Rule(_product, ("self", "mat2"), bilinear=True, contraction="mat2"),
    "bmm": Rule(_product, ("self", "mat2"), bilinear=True, contraction="mat2"),
    "addmm": Rule(_addmm, ("mat1",), contraction="mat2"),
    "batch_norm": Rule(_batch_norm, ("input",), accepts=_not_if("training", "batch statistics depend on the input")),
    "_native_batch_norm_legit_no_training": Rule(_first_of_three, ("input",)),
    "add": Rule(_sum(1), ("self", "other")),
    "sub": Rule(_sum(-1), ("self", "other")),
    "rsub": Rule(_sum(-1, "self"), ("self", "other")),
    "neg": Rule(lambda step: step.ring.negate(step["self"])),
    "mul": Rule(_multiple, ("self", "other"), bilinear=True),
    "div": Rule(_divide, accepts=_not_if("rounding_mode", "it rounds")),
    "sum": Rule(_total),
    "mean": Rule(_mean),
    "cumsum": Rule(_product),
    "col2im": Rule(_product),
    **{f"avg_pool{n}d": Rule(_avg_pool(n)) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": Rule(_adaptive_avg_pool(n)) for n in (1, 2, 3)},
    **dict.fromkeys(NEAREST, Rule(nearest, ("self", "input"))),
    **dict.fromkeys(WEIGHTED, Rule(weighted, ("self", "input"))),
    "constant_pad_nd": Rule(_constant_pad),
    "pad": Rule(_pad),
    **dict.fromkeys(
        DROPOUTS, Rule(lambda step: step["input"], ("input",), accepts=_not_if("train", "it drops at random"))
    ),
}
