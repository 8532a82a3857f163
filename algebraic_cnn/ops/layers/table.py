"""What each affine module of ``torch.nn`` is as a matrix: the table, and the function of every line of it.

    numbers    what the entries of W and b are: floats in sparse matrices, or exact fractions in dense ones
    rule       (module, input shape, numbers) -> (W, b), b an array that broadcasts to the output shape
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...algebra.affine import Shape
from ...errors import NotAffineError, ShapeError, TrainingModeError
from ...rings.ring import Rationals
from ...toeplitz import (
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    channel_shuffle_matrix,
    conv_matrix,
    conv_transpose_matrix,
    fold_matrix,
    interpolate_matrix,
    pad_matrix,
    pixel_shuffle_matrix,
    pixel_unshuffle_matrix,
    unfold_matrix,
)
from ...toeplitz.filling import as_array
from ...toeplitz.padding import pad_numbers
from ...toeplitz.selection import NOTHING, numbered, selection_matrix


@dataclass(frozen=True)
class EntryType:
    """What the entries of W and b are.

    Attributes:
        dtype: a float dtype, or ``object`` for exact fractions.
        memory_budget: bytes that W may take.
    """

    dtype: np.dtype[Any]
    memory_budget: int

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of the weightless matrices."""
        return {"dtype": self.dtype, **self.form}

    @property
    def form(self) -> dict[str, Any]:
        """Keywords of every matrix: SciPy holds floats, a dense array fractions."""
        return {"format": "dense" if self.dtype.hasobject else "csr", "memory_budget": self.memory_budget}

    def array(self, x: Any) -> NDArray[Any]:
        """A parameter as an array of these numbers.

        Raises:
            ShapeError: if it is complex and they are real.
        """
        array = as_array(x)
        if array.dtype.kind == "c" != self.dtype.kind:
            raise ShapeError(
                "complex weights need a complex dtype", expected=self.dtype, got=array.dtype, where="dtype"
            )
        return Rationals().embed(array) if self.dtype.hasobject else array.astype(self.dtype)


Rule = Callable[[Any, Shape, EntryType], tuple[Any, Any]]


def _channels(numbers: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """One number per channel, shaped to broadcast over (c, *spatial)."""
    return numbers.reshape(-1, *(1 for _ in shape[1:]))


def _bias(module: Any, shape: Shape, numbers: EntryType) -> Any:
    return 0 if module.bias is None else _channels(numbers.array(module.bias), shape)


def _conv(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    how = {name: getattr(m, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")}
    return conv_matrix(numbers.array(m.weight), shape, **how, **numbers.form), _bias(m, shape, numbers)


def _conv_transpose(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    how = {name: getattr(m, name) for name in ("stride", "padding", "output_padding", "dilation", "groups")}
    return conv_transpose_matrix(numbers.array(m.weight), shape, **how, **numbers.form), _bias(m, shape, numbers)


def _linear(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    """The weight itself, or once for every position of the leading axes."""
    if not shape or shape[-1] != m.in_features:
        raise ShapeError("the input does not fit", expected=(..., m.in_features), got=shape, where="input_shape")
    weight, positions = numbers.array(m.weight), prod(shape[:-1])
    b = 0 if m.bias is None else numbers.array(m.bias)
    if positions == 1:
        return weight, b
    each = np.tile(weight, (positions, 1))
    return conv_matrix(each, (positions * m.in_features,), groups=positions, **numbers.form), b


def _batch_norm(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    if m.training:
        raise TrainingModeError("batch normalisation uses the batch", expected="eval mode", got=m, where="module")
    if m.running_mean is None:
        raise NotAffineError("batch normalisation without running statistics uses the batch", got=m, where="module")
    mean, variance = as_array(m.running_mean), as_array(m.running_var).astype(np.float64)
    weight = 1.0 if m.weight is None else as_array(m.weight)
    bias = np.zeros_like(mean) if m.bias is None else as_array(m.bias)
    scale = numbers.array(weight / np.sqrt(variance + m.eps))
    shift = numbers.array(bias) - numbers.array(mean) * scale
    each = scale.reshape(-1, 1, *(1 for _ in shape[1:]))
    return conv_matrix(each, shape, groups=len(scale), **numbers.form), _channels(shift, shape)


def _avg_pool(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    how = {name: getattr(m, name) for name in ("stride", "padding", "ceil_mode", "count_include_pad")}
    how["divisor_override"] = getattr(m, "divisor_override", None)
    return avg_pool_matrix(shape, m.kernel_size, **how, **numbers.options), 0


def _pad(mode: str) -> Rule:
    def rule(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
        ends = m.padding
        last_first = list(zip(ends[::2], ends[1::2], strict=True))
        pairs = [(0, 0)] * (len(shape) - len(last_first)) + last_first[::-1]
        beside = pad_numbers(numbered(shape), pairs, mode) == NOTHING
        P = pad_matrix(shape, pairs, padding_mode=mode, **numbers.options)
        return P, np.where(beside, getattr(m, "value", 0.0), 0.0)

    return rule


def _upsample(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    size, factor = m.size, m.scale_factor
    if factor is not None and m.recompute_scale_factor:
        factors = factor if isinstance(factor, tuple) else (factor,) * (len(shape) - 1)
        size, factor = [floor(n * f) for n, f in zip(shape[1:], factors, strict=True)], None
    how = {"size": size, "scale_factor": factor, "mode": m.mode, "align_corners": m.align_corners}
    return interpolate_matrix(shape, **how, **numbers.options), 0


def _unfold(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    how = {name: getattr(m, name) for name in ("dilation", "padding", "stride")}
    return unfold_matrix(shape, m.kernel_size, **how, **numbers.options), 0


def _fold(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    how = {name: getattr(m, name) for name in ("dilation", "padding", "stride")}
    return fold_matrix(shape, m.output_size, m.kernel_size, **how, **numbers.options), 0


def _identity(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    """Also for flattening and its inverse, which leave the row-major vector as it is, and for an empty sequence."""
    return selection_matrix(numbered(shape), prod(shape), **numbers.options), 0


def _dropout(m: Any, shape: Shape, numbers: EntryType) -> tuple[Any, Any]:
    if m.training and m.p > 0:
        raise TrainingModeError("dropout is random", expected="eval mode", got=m, where="module")
    return _identity(m, shape, numbers)


@cache
def rules() -> dict[type, Rule]:
    """The table; made on first use, because its keys are torch's classes."""
    from torch import nn

    def _adaptive(m: Any, shape: Shape, n: EntryType) -> tuple[Any, Any]:
        return adaptive_avg_pool_matrix(shape, m.output_size, **n.options), 0

    return {
        **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv),
        **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _conv_transpose),
        nn.Linear: _linear,
        **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
        **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _avg_pool),
        **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive),
        **dict.fromkeys((nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), _pad("zeros")),
        **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d), _pad("reflect")),
        **dict.fromkeys((nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d), _pad("replicate")),
        **dict.fromkeys((nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d), _pad("circular")),
        nn.Upsample: _upsample,
        nn.PixelShuffle: lambda m, shape, n: (pixel_shuffle_matrix(shape, m.upscale_factor, **n.options), 0),
        nn.PixelUnshuffle: lambda m, shape, n: (pixel_unshuffle_matrix(shape, m.downscale_factor, **n.options), 0),
        nn.ChannelShuffle: lambda m, shape, n: (channel_shuffle_matrix(shape, m.groups, **n.options), 0),
        nn.Unfold: _unfold,
        nn.Fold: _fold,
        **dict.fromkeys((nn.Identity, nn.Flatten, nn.Unflatten, nn.Sequential), _identity),
        **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), _dropout),
        nn.FeatureAlphaDropout: _dropout,
    }
