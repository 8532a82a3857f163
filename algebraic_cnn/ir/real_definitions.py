"""Calls that are the same function of real numbers as others, though their floats are rounded elsewhere.

``silu(x)`` is x sigmoid(x), a layer norm sums, squares and a root, y / x is y times 1 / x.  Two networks that are equal
when their calls are written so differ by rounding alone; for bit patterns, composites.py has what gives the same.

    REAL    op -> the function that makes the calls; ``NotImplemented`` for arguments that it does not take
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def _gelu(x: Tensor, *, approximate: str = "none") -> Any:
    if approximate == "none":
        return 0.5 * (x * (1 + torch.erf(x * math.sqrt(0.5))))
    if approximate == "tanh":
        return 0.5 * (x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * (x * x))))))
    return NotImplemented


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    axes = list(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    y = centred / torch.sqrt((centred * centred).mean(axes, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _quotient(x: Any, divisor: Any, *, rounding_mode: str | None = None) -> Any:
    real = isinstance(divisor, Tensor) and divisor.is_floating_point() and rounding_mode is None
    return x * torch.reciprocal(divisor) if real else NotImplemented


def _power(x: Any, exponent: Any) -> Any:
    if exponent == 3 and isinstance(x, Tensor) and x.is_floating_point():
        return x * (x * x)
    return NotImplemented


REAL: Mapping[str, Callable[..., Any]] = {
    "div": _quotient,
    "gelu": _gelu,
    "hardsigmoid": lambda x: torch.clamp(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * torch.nn.functional.hardsigmoid(x),
    "layer_norm": _layer_norm,
    "mish": lambda x: x * torch.tanh(torch.nn.functional.softplus(x)),
    "pow": _power,
    "rsqrt": lambda x: torch.reciprocal(torch.sqrt(x)),
    "silu": lambda x: x * torch.sigmoid(x),
}
