"""The matrices of average pooling: windows on each axis, and one over the size of the box that they make.

window     (start, stop, size) of one output on one axis: the inputs that it averages, and how many count
divisor    product over the axes of the sizes
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import GeometryError
from ..geometry import per_axis
from ..pattern import Axis, Pattern
from .filling import entry_dtype, filled
from .formats import MEMORY_BUDGET, check_format
from .plan import Plan

Window = tuple[int, int, int]


def avg_pool_matrix(
    input_shape: Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of average pooling: each output is the mean of a box of inputs of its channel.

    Args:
        input_shape: (c, *spatial).
        kernel_size: size of the box; an int, or one per axis.
        stride: step between boxes; None is the kernel size.
        padding: zeros on both sides of each axis; at most half the kernel.
        ceil_mode: also take boxes that hang over the far border, if they begin before it.
        count_include_pad: padded zeros count in the mean.
        divisor_override: divide by this number instead.
        dtype: of the entries; ``object`` gives exact fractions; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (prod(output_shape), prod(input_shape)); entry [r, c] = 1 / (size of box r) if input c is in box
        r, both row-major (C, *spatial).

    Raises:
        GeometryError: arguments that torch refuses too: a kernel larger than the padded input, padding larger than half
            the kernel, a stride below 1, divisor 0.
        UnknownNameError: an unknown format.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> avg_pool_matrix((1, 4), 2, stride=1, format="dense")
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0.5, 0.5, 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    axes = len(input_shape) - 1
    kernel = per_axis(kernel_size, axes, "kernel_size", least=1)
    steps = kernel if stride is None else per_axis(stride, axes, "stride", least=1)
    pads = per_axis(padding, axes, "padding", least=0)
    if divisor_override == 0:
        raise GeometryError("the divisor must not be zero", got=0, where="divisor_override")
    boxes = [
        _windows(n, k, s, p, ceil_mode, count_include_pad)
        for n, k, s, p in zip(input_shape[1:], kernel, steps, pads, strict=True)
    ]
    return _averages(input_shape, boxes, divisor_override, dtype, format, memory_budget)


def adaptive_avg_pool_matrix(
    input_shape: Sequence[int],
    output_size: int | Sequence[int | None] | None,
    *,
    dtype: DTypeLike | None = None,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of adaptive average pooling: output o of m averages inputs floor(o n / m) up to ceil((o + 1) n / m).

    Args:
        input_shape: (c, *spatial).
        output_size: length of each spatial axis of the output; an int, or one per axis; None keeps the input's length.
        dtype: of the entries; ``object`` gives exact fractions; None is float64, or exact for "sympy" and "domain".
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (c * prod(output_size), prod(input_shape)); entry [r, c] = 1 / (size of box r) if input c is in
        box r, both row-major (C, *spatial).

    Raises:
        GeometryError: a wrong number of sizes, a negative one, or an empty spatial axis to average.
        UnknownNameError: an unknown format.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> adaptive_avg_pool_matrix((1, 3), 2, format="dense")
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]])
    """
    spatial = tuple(input_shape[1:])
    asked = output_size if isinstance(output_size, Sequence) else (output_size,) * len(spatial)
    if len(asked) == len(spatial):
        asked = [n if m is None else m for n, m in zip(spatial, asked, strict=True)]
    sizes = per_axis([m for m in asked if m is not None], len(spatial), "output_size", least=0)
    if 0 in spatial:
        raise GeometryError("there is nothing to average", got=tuple(input_shape), where="input_shape")
    boxes = [
        [(o * n // m, -(-(o + 1) * n // m), -(-(o + 1) * n // m) - o * n // m) for o in range(m)]
        for n, m in zip(spatial, sizes, strict=True)
    ]
    return _averages(input_shape, boxes, None, dtype, format, memory_budget)


def _windows(n: int, kernel: int, stride: int, pad: int, ceil_mode: bool, count_pad: bool) -> list[Window]:
    """The windows of one axis, as torch lays them."""
    if 2 * pad > kernel:
        raise GeometryError("padding is larger than half the kernel", expected=kernel // 2, got=pad, where="padding")
    room = n + 2 * pad - kernel
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (outputs - 1) * stride >= n + pad:
        outputs -= 1
    if outputs < 1:
        raise GeometryError(
            "the kernel is larger than the padded input",
            expected=f"at most {n + 2 * pad}",
            got=kernel,
            where="kernel_size",
        )
    windows = []
    for start in range(-pad, -pad + outputs * stride, stride):
        stop = min(start + kernel, n + pad)
        inside = (max(start, 0), min(stop, n))
        windows.append((*inside, stop - start if count_pad else max(inside[1] - inside[0], 0)))
    return windows


def _averages(
    input_shape: Sequence[int],
    boxes: Sequence[Sequence[Window]],
    divisor: int | None,
    dtype: DTypeLike | None,
    format: str,
    memory_budget: int,
) -> Any:
    """The matrix of means over boxes; the taps of an axis are its distinct window sizes."""
    check_format(format)
    sizes = [sorted({size for _, _, size in windows}) for windows in boxes]
    axes = tuple(
        Axis.from_hits(
            n,
            len(windows),
            len(known),
            ((o, i, known.index(size)) for o, (start, stop, size) in enumerate(windows) for i in range(start, stop)),
        )
        for n, windows, known in zip(input_shape[1:], boxes, sizes, strict=True)
    )
    divisors = reduce(np.multiply.outer, (np.array(known) for known in sizes), np.array(1))
    entries = _reciprocals(np.full_like(divisors, divisor) if divisor else divisors, entry_dtype(dtype, format))
    pattern = Pattern(axes, input_shape[0], (1, 1))
    kernel = np.broadcast_to(entries, (input_shape[0], 1, 1, *entries.shape))
    return filled(Plan(pattern.transpose() if format == "csc" else pattern), kernel, format, memory_budget)


def _reciprocals(divisors: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """1 / divisor (0 for no divisor, which no entry uses), correctly rounded or exact."""
    if dtype.kind == "O":
        return np.vectorize(lambda d: Fraction(1, int(d)) if d else Fraction(0), otypes=[object])(divisors)
    return np.divide(1, divisors, where=divisors != 0, out=np.zeros(divisors.shape)).astype(dtype)
