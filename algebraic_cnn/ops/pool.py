"""Averages and sums: over windows, over adaptive windows, over whole axes, running along one.

evaluate    the sum, reduced, then the division by the count that torch uses there
operator    rows of weights; where a window reaches outside and is divided by fewer positions, the border is apart
layer       a matrix of ones, the counts divided by afterwards
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..ir.graph import Call, Size
from ..toeplitz import adaptive_avg_pool_matrix, avg_pool_matrix
from . import imaging
from .op import Arguments, CallSite, Op, Sample, along, as_deep, summed
from .reading import Reading
from .traits import Prices, always_local, length, spatial


def _total(site: CallSite) -> Tensor:
    dims = site.raw.get("dim")
    x = site["self"]
    dims = dims if dims else list(range(x.ndim))
    return site.ring.reduce(x.sum(dims, keepdim=bool(site.raw.get("keepdim", False))))


def _averaged(site: CallSite) -> Tensor:
    total = _total(site)
    count = site["self"].numel() // max(total.numel(), 1)
    return site.ring.divide(total, torch.tensor(float(count), device=total.device))


def _pooled(rank: int) -> Callable[[CallSite], Tensor]:
    def apply(site: CallSite) -> Tensor:
        """The sum over the window, then the division by the count that torch uses there."""
        x = site["self"]
        sizes = [site.raw["kernel_size"], site.raw["stride"] or site.raw["kernel_size"], site.raw["padding"]]
        sizes = [list(size) * (rank if len(size) == 1 else 1) for size in sizes]
        pool = torch.ops.aten.avg_pool3d if rank == 3 else torch.ops.aten.avg_pool2d
        if rank == 1:  # avg_pool1d cannot return plain sums
            x, sizes = x.unsqueeze(-2), [[first, *size] for first, size in zip((1, 1, 0), sizes, strict=True)]
        ceil, inside = site.raw["ceil_mode"], site.raw["count_include_pad"]
        ones = torch.ones((1, *x.shape[-len(sizes[0]) :]), dtype=torch.float64, device=x.device)
        sums = pool(ones, *sizes, ceil, inside, 1)
        counts = (sums / pool(ones, *sizes, ceil, inside, site.raw.get("divisor_override"))).round()
        y = site.ring.divide(site.ring.reduce(pool(x, *sizes, ceil, inside, 1)), counts)
        return y.squeeze(-2) if rank == 1 else y

    return apply


def _adaptively_pooled(rank: int) -> Callable[[CallSite], Tensor]:
    def apply(site: CallSite) -> Tensor:
        """Along each axis output o averages the inputs floor(o n / m) .. ceil((o + 1) n / m) - 1."""
        y = site["self"]
        size = site.raw["output_size"]
        for axis, m in zip(range(-rank, 0), size * (rank if len(size) == 1 else 1), strict=True):
            n = y.shape[axis]
            windows = torch.zeros(m, n, dtype=y.dtype, device=y.device)
            for o in range(m):
                windows[o, o * n // m : math.ceil((o + 1) * n / m)] = 1
            sums = site.ring.reduce(y.movedim(axis, -1) @ windows.T)
            y = site.ring.divide(sums, windows.sum(1)).movedim(-1, axis)
        return y

    return apply


def _averages(reading: Reading, call: Call, value: Combination, M: Any) -> Combination:
    """M times the value, where the entries of a row of M are all 1 / (an integer), correctly rounded."""
    rows, sizes = M.tocoo().row, np.rint(1 / M.data)
    divisors = np.ones(M.shape[0])
    divisors[rows] = sizes
    M.data = np.ones_like(M.data)
    return reading.assembly.divided(reading.assembly.mapped(value, M, reading.shape(call)), divisors)


def _pool_layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    names = ("padding", "ceil_mode", "count_include_pad", "divisor_override")
    options = {name: a[name] for name in names if name in a}
    stride = a["stride"] or None
    M = avg_pool_matrix(a["self"].shape, a["kernel_size"], stride=stride, **options, memory_budget=reading.left)
    return _averages(reading, call, a["self"], M)


def _adaptive_layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    M = adaptive_avg_pool_matrix(a["self"].shape, a["output_size"], memory_budget=reading.left)
    return _averages(reading, call, a["self"], M)


def _axes_layer(*, mean: bool) -> Callable[..., Combination]:
    def read(reading: Reading, call: Call, a: Arguments) -> Combination:
        x, rank = a["self"], len(a["self"].shape) + 1
        axes = {dim % rank for dim in a.get("dim") or range(rank)}
        if 0 in axes:
            raise reading.refusal(call, "it sums over the samples of a batch")
        kept = [1 if axis in axes else n for axis, n in enumerate(x.shape, 1)]
        outputs = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), x.shape).reshape(-1)
        places = (outputs, np.arange(x.size))
        M = sp.csr_array((np.ones(x.size), places), shape=(math.prod(kept), x.size))
        total = reading.assembly.mapped(x, M, reading.shape(call))
        return total * Fraction(total.size, x.size) if mean else total

    return read


def _running_layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    """Entry i of an axis becomes the sum of the entries 0 .. i."""
    x = a["self"]
    axis = a["dim"] % (len(x.shape) + 1) - 1
    if axis < 0:
        raise reading.refusal(call, "it sums over the samples of a batch")
    triangle = sp.csr_array(np.tril(np.ones((x.shape[axis], x.shape[axis]))))
    return reading.assembly.mapped(x, reading.along(triangle, x.shape, axis), reading.shape(call))


def _kernel(call: Call, shapes: Mapping[str, Size]) -> list[int]:
    kernel = list(call.bound()["kernel_size"])
    return kernel * (spatial(call.op) if len(kernel) == 1 else 1)


def _adaptive_kernel(call: Call, shapes: Mapping[str, Size]) -> list[int]:
    axes = spatial(call.op)
    sizes = shapes[call.bound()["self"].name][-axes:], call.shape[-axes:]
    return [-(-(n or 1) // (m or 1)) + ((n or 1) % (m or 1) > 0) for n, m in zip(*sizes, strict=True)]


def _per_output(call: Call, shapes: Mapping[str, Size]) -> list[int]:
    inputs = math.prod(n or 1 for n in shapes[call.bound()["self"].name])
    return [inputs // max(1, math.prod(n or 1 for n in call.shape))]


def _running(call: Call, shapes: Mapping[str, Size]) -> list[int]:
    a = call.bound()
    return [shapes[a["self"].name][a["dim"]] or 1]


def _pool_counts(call: Call, shapes: Mapping[str, Size]) -> int:
    a, kernel = call.bound(), _kernel(call, shapes)
    if a.get("divisor_override"):
        return abs(a["divisor_override"])
    sizes = shapes[a["self"].name][-len(kernel) :]
    stride, padding = (list(given) * (len(kernel) if len(given) == 1 else 1) for given in
                       (a["stride"] or a["kernel_size"], a["padding"]))  # fmt: skip
    axes = zip(kernel, sizes, call.shape[-len(kernel) :], stride, padding, strict=True)
    return math.prod(math.lcm(*_window_sizes(*axis, a["count_include_pad"])) for axis in axes)


def _window_sizes(kernel: int, n: int | None, m: int | None, stride: int, padding: int, padded: bool) -> set[int]:
    """How many positions the windows along one axis count."""
    if n is None or m is None:
        return set(range(1, kernel + 1))
    starts = [(o * stride - padding, min(o * stride - padding + kernel, n + padding)) for o in range(m)]
    return {stop - start if padded else min(stop, n) - max(start, 0) for start, stop in starts} - {0}


def _adaptive_counts(call: Call, shapes: Mapping[str, Size]) -> int:
    return math.prod(n * max(1, n - 1) for n in _adaptive_kernel(call, shapes))


def _work(prices: Prices, call: Call, a: Arguments, shapes: Mapping[str, Size], batch: int) -> float:
    outputs, inputs = length(call.shape, batch), length(shapes[a["self"].name], batch)
    return prices.lone * max(outputs * math.prod(_kernel(call, shapes) if "kernel_size" in a else ()), inputs)


_WINDOWED = {"apart": as_deep, "averages": True, "channelwise": True, "work": _work}

OPS: dict[str, Op] = {
    "sum": Op(
        _total,
        operator=imaging.over_axes(mean=False),
        last=imaging.over_first,
        layer=_axes_layer(mean=False),
        apart=along("dim"),
        window=_per_output,
    ),
    "mean": Op(
        _averaged,
        operator=imaging.over_axes(mean=True),
        last=imaging.over_first,
        layer=_axes_layer(mean=True),
        apart=along("dim"),
        window=_per_output,
        counts=lambda call, shapes: _per_output(call, shapes)[0],
    ),
    "cumsum": Op(summed, layer=_running_layer, window=_running),
    **{
        f"avg_pool{n}d": Op(
            _pooled(n),
            operator=imaging.pooled,
            layer=_pool_layer,
            window=_kernel,
            counts=_pool_counts,
            local=always_local,
            **_WINDOWED,
        )
        for n in (1, 2, 3)
    },
    **{
        f"adaptive_avg_pool{n}d": Op(
            _adaptively_pooled(n),
            operator=imaging.adaptively_pooled,
            layer=_adaptive_layer,
            window=_adaptive_kernel,
            counts=_adaptive_counts,
            **_WINDOWED,
        )
        for n in (1, 2, 3)
    },
}

_IMAGE = (4, 6, 6)
SAMPLES: dict[str, Sample] = {
    "sum": (lambda x: x.sum((1, 3)), _IMAGE, ()),
    "mean": (lambda x: x.mean((2, 3), keepdim=True), _IMAGE, ()),
    "cumsum": (lambda x: x.cumsum(2), _IMAGE, ()),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 7), ()),
    "avg_pool1d counting": (lambda x: F.avg_pool1d(x, 3, 2, 1, True, False), (2, 6), ()),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (3, 2), 1, (1, 0)), _IMAGE, ()),
    "avg_pool2d counting": (lambda x: F.avg_pool2d(x, 5, 1, 2, True, False), _IMAGE, ()),
    "avg_pool2d ceil": (lambda x: F.avg_pool2d(x, 4, 3, 1, True, True), _IMAGE, ()),
    "avg_pool2d divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), _IMAGE, ()),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, 1), (2, 3, 3, 3), ()),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 4), (2, 6), ()),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (4, 5)), _IMAGE, ()),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), (2, 3, 4, 5), ()),
}
