"""Drawn numbers: the entries of weights and inputs.

integers    of magnitude at most 2: float64 computes with them without rounding, so equality means ==
floats      such an integer plus a fraction: equality modulo a prime, or within a computed bound
Network     (model, example): a module in evaluation mode with all its numbers drawn, and inputs (2, *in_shape)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import MissingExtraError

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise MissingExtraError("hypothesis is not installed", expected="pip install 'algebraic_cnn[test]'") from error

Numbers = Literal["integers", "floats"]
Shape = tuple[int, ...]

_FRACTION_BYTES = {torch.float32: 2, torch.float64: 6}


class Network(NamedTuple):
    """A module in evaluation mode, and inputs of shape (2, *in_shape) for it."""

    model: nn.Module
    example: Tensor


@st.composite
def kernels(
    draw: st.DrawFn, shape: Sequence[int], *, numbers: Numbers = "integers", dtype: Any = torch.float64
) -> Tensor:
    """Tensors of a shape, entry by entry from drawn bytes.

    Args:
        draw: given by Hypothesis.
        shape: of the tensor, such as (c_out, c_in / groups, *kernel).
        numbers: "integers" -2 .. 2, or "floats": such an integer plus a fraction in [0, 1) of 16 bits (float32) or 48
            bits (float64).
        dtype: torch.float32 or torch.float64; either holds the numbers exactly.

    Returns:
        Strategy for tensors; they shrink to 0.

    >>> from hypothesis import find
    >>> find(kernels((2,)), lambda kernel: bool(kernel[1] > 1))
    tensor([0., 2.], dtype=torch.float64)
    """
    width = 1 + (_FRACTION_BYTES[dtype] if numbers == "floats" else 0)
    size = math.prod(shape) * width
    drawn = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=np.uint8).reshape(-1, width)
    values = (drawn[:, 0].astype(np.int64) + 2) % 5 - 2 + drawn[:, 1:] @ 256.0 ** -np.arange(1, width)
    return torch.from_numpy(values).to(dtype).reshape(tuple(shape))


@st.composite
def filled(draw: st.DrawFn, module: nn.Module, shape: Shape, numbers: Numbers, dtype: Any) -> Network:
    """The module with every parameter and running statistic drawn, and an example drawn for it."""
    module = module.to(dtype).eval()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            drawn = draw(kernels(tensor.shape, numbers=numbers, dtype=dtype))
            if name.endswith("running_var"):  # with integers and eps 1 or 4: BatchNorm's scale is an integer or a half
                drawn = 3 * (drawn % 2) if numbers == "integers" else drawn.abs() + 0.25
            tensor.data.copy_(drawn)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and numbers == "integers":
            part.eps = 1.0
    return Network(module, draw(kernels((2, *shape), numbers=numbers, dtype=dtype)))
