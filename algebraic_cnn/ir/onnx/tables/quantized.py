"""Integers that stand for numbers, scale (q - zero): run as ONNX says them, in integers of 64 bits.

QUANTIZED    operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .functions import pairs_of

Attributes = Mapping[str, Any]
Function = Callable[..., Any]

_CONV = (F.conv1d, F.conv2d, F.conv3d)


def _wide(q: Tensor, zero: Any, axis: int = 0) -> Tensor:
    """q - zero as whole numbers of float64: sums of less than 2**53 are exact."""
    return q.double() if zero is None else q.double() - _along(zero, q, axis).double()


def _along(v: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A number for all, one for each place along an axis, or one for each block of places."""
    if v.numel() == 1:
        return v.reshape(())
    if block:
        return v.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    return v.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)]) if v.ndim == 1 else v


def _rounded(x: Tensor, zero: Any, dtype: torch.dtype) -> Tensor:
    """Whole numbers, ties to even, cut to what the dtype holds."""
    ends = torch.iinfo(dtype)
    whole = torch.round(x) + (0 if zero is None else zero)
    return whole.clamp(ends.min, ends.max).to(dtype)


def _quantize(a: Attributes, version: int) -> Function | None:
    if a.get("output_dtype") or a.get("precision"):
        return None

    def run(x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
        axis, block = a.get("axis", 1), a.get("block_size", 0)
        dtype = torch.uint8 if zero is None else zero.dtype
        shift = None if zero is None else _along(zero, x, axis, block).to(x.dtype)
        return _rounded(x / _along(scale, x, axis, block), shift, dtype)

    return run


def _dequantize(a: Attributes, version: int) -> Function | None:
    def run(q: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
        axis, block = a.get("axis", 1), a.get("block_size", 0)
        whole = q.to(torch.int32) if zero is None else q.to(torch.int32) - _along(zero, q, axis, block).to(torch.int32)
        return whole.to(scale.dtype) * _along(scale, q, axis, block)

    return None if a.get("output_dtype") else run


def _dynamic(a: Attributes, version: int) -> Function | None:
    """Zero is one of the numbers, and the least and the most are the ends of eight bits."""

    def run(x: Tensor) -> Any:
        low, high = x.min().clamp(max=0), x.max().clamp(min=0)
        scale = (high - low) / 255
        zero = torch.where(scale > 0, torch.round((0 - low) / scale), 0).clamp(0, 255)
        y = torch.where(scale > 0, torch.round(x / scale) + zero, zero).clamp(0, 255)
        return y.to(torch.uint8), scale, zero.to(torch.uint8)

    return run


def _product(A: Tensor, B: Tensor, a_zero: Any, b_zero: Any) -> Tensor:
    """Rows of A and columns of B each have a zero of their own, or one for all."""
    rows = a_zero.unsqueeze(-1) if a_zero is not None and a_zero.ndim == 1 and len(a_zero) > 1 else a_zero
    return _wide(A, rows, -1) @ _wide(B, b_zero, -1)


def _matmul_integer(a: Attributes, version: int) -> Function | None:
    def run(A: Tensor, B: Tensor, a_zero: Any = None, b_zero: Any = None) -> Tensor:
        return _product(A, B, a_zero, b_zero).to(torch.int32)

    return run


def _convolved(a: Attributes, x: Tensor, w: Tensor, x_zero: Any, w_zero: Any) -> Tensor:
    kernel, rank = list(w.shape[2:]), w.ndim - 2
    padding = [n for pair in reversed(pairs_of(a, x, kernel)) for n in pair]
    image = F.pad(_wide(x, x_zero), padding)
    how = a.get("strides", [1] * rank), 0, a.get("dilations", [1] * rank), a.get("group", 1)
    return _CONV[rank - 1](image, _wide(w, w_zero, 0), None, *how)


def _conv_integer(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor, w: Tensor, x_zero: Any = None, w_zero: Any = None) -> Tensor:
        return _convolved(a, x, w, x_zero, w_zero).to(torch.int32)

    return run


def _qlinear_matmul(a: Attributes, version: int) -> Function | None:
    def run(A: Tensor, p: Tensor, a0: Tensor, B: Tensor, q: Tensor, b0: Tensor, r: Tensor, y0: Tensor) -> Tensor:
        y = _product(A, B, a0, b0) * (p.double() * q.double() / r.double())
        return _rounded(y, y0.double(), y0.dtype)

    return run


def _qlinear_conv(a: Attributes, version: int) -> Function | None:
    def run(
        x: Tensor, p: Tensor, x0: Tensor, w: Tensor, q: Tensor, w0: Tensor, r: Tensor, y0: Tensor, b: Any = None
    ) -> Tensor:
        y = _convolved(a, x, w, x0, w0)
        y = y if b is None else y + b.double().reshape(1, -1, *[1] * (x.ndim - 2))
        scale = p.double() * _along(q, y, 1).double() / r.double()
        return _rounded(y * scale, y0.double(), y0.dtype)

    return run


QUANTIZED: dict[str, Callable[[Attributes, int], Function | None]] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
}
