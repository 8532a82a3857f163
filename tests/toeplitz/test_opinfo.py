"""PyTorch's own samples: every linear call that torch tests itself with is the matrix that we say.

op         an entry of torch's database of operators, with a generator of sample inputs
adapter    torch's arguments of an op -> the shape of one input, W, and b
scope      what is left out, with the reason
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import floor, prod
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn.ops.layers import affine_map
from algebraic_cnn.toeplitz import (
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    bias_vector,
    channel_shuffle_matrix,
    conv_matrix,
    conv_transpose_matrix,
    interpolate_matrix,
    pad_matrix,
    pixel_shuffle_matrix,
    pixel_unshuffle_matrix,
    unfold_matrix,
)

Adapted = tuple[Sequence[int], Any, Any]
U = 2.0**-53


def conv(axes: int) -> Callable[..., Adapted]:
    def adapt(
        x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ):
        shape = x.shape[-axes - 1 :]
        W = conv_matrix(weight, shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
        return shape, W, bias

    return adapt


def conv_transpose(axes: int) -> Callable[..., Adapted]:
    def adapt(x: Any, weight: Any, bias: Any = None, **how: Any):
        shape = x.shape[-axes - 1 :]
        return shape, conv_transpose_matrix(weight, shape, **how), bias

    return adapt


def avg_pool(axes: int) -> Callable[..., Adapted]:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")

    def adapt(x: Any, *args: Any, **kwargs: Any):
        how = {**dict(zip(names, args, strict=False)), **kwargs}
        shape = x.shape[-axes - 1 :]
        return shape, avg_pool_matrix(shape, how.pop("kernel_size"), **how), None

    return adapt


def adaptive_avg_pool(axes: int) -> Callable[..., Adapted]:
    def adapt(x: Any, output_size: Any):
        shape = x.shape[-axes - 1 :]
        return shape, adaptive_avg_pool_matrix(shape, output_size), None

    return adapt


def pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Adapted:
    """One whole tensor, its first axis being the channels."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    pairs = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    P = pad_matrix(x.shape, pairs, padding_mode="zeros" if mode == "constant" else mode)
    return x.shape, P, (value or 0.0) * (np.diff(P.indptr) == 0)


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Adapted:
    shape = x.shape[1:]
    if recompute_scale_factor:
        factors = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * (len(shape) - 1)
        size, scale_factor = [floor(n * f) for n, f in zip(shape[1:], factors, strict=True)], None
    how = {"size": size, "scale_factor": scale_factor, "mode": mode, "align_corners": align_corners}
    return shape, interpolate_matrix(shape, **how), None


def upsample_bilinear(x: Any, **how: Any) -> Adapted:
    return interpolate(x, **how, mode="bilinear", align_corners=True)


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Adapted:
    shape = x.shape[-3:]
    return shape, unfold_matrix(shape, kernel_size, dilation=dilation, padding=padding, stride=stride), None


def pixel_shuffle(x: Any, upscale_factor: int) -> Adapted:
    return x.shape[-3:], pixel_shuffle_matrix(x.shape[-3:], upscale_factor), None


def pixel_unshuffle(x: Any, downscale_factor: int) -> Adapted:
    return x.shape[-3:], pixel_unshuffle_matrix(x.shape[-3:], downscale_factor), None


def channel_shuffle(x: Any, groups: int) -> Adapted:
    return x.shape[1:], channel_shuffle_matrix(x.shape[1:], groups), None


def linear(x: Any, weight: Any, bias: Any = None) -> Adapted:
    """A convolution without spatial axes."""
    weight = torch.atleast_2d(weight)
    return x.shape[-1:], conv_matrix(weight, x.shape[-1:]), None if bias is None else torch.atleast_1d(bias)


def batch_norm(
    x: Any,
    mean: Any,
    var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0,
    eps: Any = 1e-5,
) -> Adapted:
    module = {1: torch.nn.BatchNorm1d, 2: torch.nn.BatchNorm2d, 3: torch.nn.BatchNorm3d}[max(x.ndim - 2, 1)]
    layer = module(len(mean), eps=eps, affine=weight is not None, dtype=torch.float64).eval()
    layer.running_mean, layer.running_var = mean, var
    if weight is not None:
        layer.weight.data, layer.bias.data = weight, bias
    f = affine_map(layer, x.shape[1:])
    return x.shape[1:], f.W, f.b


ADAPTERS: dict[str, Callable[..., Adapted]] = {
    **{f"nn.functional.conv{n}d": conv(n) for n in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{n}d": conv_transpose(n) for n in (1, 2, 3)},
    **{f"nn.functional.avg_pool{n}d": avg_pool(n) for n in (1, 2, 3)},
    **{f"nn.functional.adaptive_avg_pool{n}d": adaptive_avg_pool(n) for n in (1, 2, 3)},
    "nn.functional.pad": pad,
    "constant_pad_nd": lambda x, pads, value=0.0: pad(x, pads, "constant", value),
    "nn.functional.interpolate": interpolate,
    "nn.functional.upsample_nearest": interpolate,
    "nn.functional.upsample_bilinear": upsample_bilinear,
    "nn.functional.unfold": unfold,
    "nn.functional.pixel_shuffle": pixel_shuffle,
    "nn.functional.pixel_unshuffle": pixel_unshuffle,
    "nn.functional.channel_shuffle": channel_shuffle,
    "nn.functional.linear": linear,
    "nn.functional.batch_norm": batch_norm,
    "_upsample_bilinear2d_aa": interpolate,
}

OUT_OF_SCOPE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "nn.functional.batch_norm": (
        lambda sample: sample.kwargs.get("training", False) or sample.input.ndim < 2,
        "normalise by the statistics of the batch, which is not affine, or have no channels",
    ),
    "nn.functional.linear": (lambda sample: not sample.args[0].numel(), "have no numbers"),
    "_upsample_bilinear2d_aa": (lambda sample: True, "interpolate with antialiasing, which no layer of torch.nn does"),
}
"""Which samples of an op no matrix is given for, and why."""


def samples() -> Iterator[tuple[str, Any, Any]]:
    """(name, op, sample) of every op with an adapter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

        for op in op_db:
            if op.name in ADAPTERS:
                for i, sample in enumerate(op.sample_inputs("cpu", torch.float64, requires_grad=False)):
                    yield f"{op.name}{'.' if op.variant_test_name else ''}{op.variant_test_name}[{i}]", op, sample


def as_integers(value: Any) -> Any:
    """Tensors rounded to small integers, everything else as it is."""
    return torch.round(value) if isinstance(value, torch.Tensor) else value


def is_out_of_scope(op: Any, sample: Any) -> bool:
    return op.name in OUT_OF_SCOPE and OUT_OF_SCOPE[op.name][0](sample)


def rounding_bound(W: Any, magnitude: np.ndarray, x: np.ndarray, kwargs: dict[str, Any], shape: Sequence[int]) -> Any:
    """How far torch may be from W x + b, transposed: nothing if no number is rounded.

    A sum of n products errs by gamma_n |W| |x|; our entries and torch's divisions add a few factors 1 + u.
    Interpolation errs besides in the centre of an output, by at most 3u (n + 1) on an axis of n inputs; Keys' kernel
    has slope at most 1.35, absolute values that sum to at most 1.75, and 8 operations on numbers below 36 to evaluate;
    the linear one is tamer.
    """
    resamples = {"mode", "scale_factor", "size"} & set(kwargs) and "nearest" not in kwargs.get("mode", "")
    if not resamples and all(np.array_equal(a, np.round(a)) for a in (W.data, magnitude)):
        return 0.0
    terms = max(np.diff(W.indptr), default=0) + 16
    gamma = terms * U / (1 - terms * U)
    bound = 2 * gamma * (abs(W) @ abs(x) + magnitude[:, None])
    if resamples:
        axes = len(shape) - 1
        per_axis = 4 * (1.35 * 3 * U * (max(shape[1:]) + 1) + 36 * 8 * U)
        bound = bound + axes * 1.75 ** (axes - 1) * per_axis * abs(x).max(initial=0)
    return bound.T


def check(op: Any, sample: Any) -> None:
    integral = as_integers if op.name != "nn.functional.batch_norm" else lambda value: value
    x, args = integral(sample.input), [*map(integral, sample.args)]
    kwargs = {name: integral(value) for name, value in sample.kwargs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = op(x, *args, **kwargs)
    shape, W, b = ADAPTERS[op.name](x, *args, **kwargs)
    batch = x.numel() // prod(shape) if prod(shape) else prod(x.shape[: x.ndim - len(shape)])
    columns = x.numpy().reshape(batch, prod(shape)).T
    bias = bias_vector(b, (len(b), W.shape[0] // len(b))) if b is not None and len(b) else np.zeros(W.shape[0])
    y = (W @ columns + bias[:, None]).T
    assert expected.numel() == y.size
    difference = abs(y - expected.numpy().reshape(y.shape))
    magnitude = abs(bias)
    if op.name == "nn.functional.batch_norm":  # b = bias - W mean is a difference of larger numbers
        magnitude += 2 * (abs(W) @ abs(bias_vector(args[0], shape)))
    assert (difference <= rounding_bound(W, magnitude, columns, kwargs, shape)).all()


@pytest.mark.thorough
def test_every_linear_sample_of_torch_passes(capsys: pytest.CaptureFixture[str]) -> None:
    passed: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failures = []
    for name, op, sample in samples():
        if is_out_of_scope(op, sample):
            refused[op.name] += 1
            continue
        try:
            check(op, sample)
            passed[op.name] += 1
        except Exception as error:
            failures.append(f"{name}: {sample.args} {sample.kwargs}: {error}")
    with capsys.disabled():
        print(f"\n{passed.total()} of {passed.total() + len(failures)} linear samples of torch pass")
        for name, count in refused.items():
            print(f"    {count} of {name} are left out: {OUT_OF_SCOPE[name][1]}")
    assert not failures, "\n".join(failures)
    assert set(passed) | set(OUT_OF_SCOPE) == set(ADAPTERS)
    assert passed.total() > 650
