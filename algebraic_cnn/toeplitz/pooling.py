"""The matrices of average pooling: windows on each axis, and one over the size of the box that they make.

window     (start, stop, size) of one output on one axis: the inputs that it averages, and how many count
divisor    product over the axes of the sizes
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from numpy.typing import DTypeLike

from ..errors import GeometryError
from .arguments import integer, per_axis, plain, shape_of
from .formats import MEMORY_BUDGET
from .separable import Row, separable_matrix


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
        stride: step between boxes; None (or, as in torch, nothing in a tuple) is the kernel size.
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
        ShapeError: no shape, or an integer dtype for entries that are fractions.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> avg_pool_matrix((1, 4), 2, stride=1, format="dense")
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0.5, 0.5, 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    input_shape, stride = shape_of(input_shape), plain(stride)
    axes = len(input_shape) - 1
    kernel = per_axis(kernel_size, axes, "kernel_size", least=1)
    steps = kernel if stride in (None, (), []) else per_axis(stride, axes, "stride", least=1)
    pads = per_axis(padding, axes, "padding", least=0)
    divisor = None if divisor_override is None else integer(divisor_override, "divisor_override")
    if divisor == 0:
        raise GeometryError("the divisor must not be zero", got=0, where="divisor_override")
    rows = [
        pool_rows(n, k, s, p, ceil_mode, count_include_pad)
        for n, k, s, p in zip(input_shape[1:], kernel, steps, pads, strict=True)
    ]
    if divisor is not None:
        sums = [[dict.fromkeys(row, Fraction(1)) for row in axis] for axis in rows]
        rows = [[dict.fromkeys(row, Fraction(1, divisor)) for row in sums[0]], *sums[1:]]
    return separable_matrix(input_shape, rows, dtype=dtype, format=format, memory_budget=memory_budget)


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
        ShapeError: no shape, or an integer dtype for entries that are fractions.
        UnknownNameError: an unknown format or dtype.
        TooLargeError: the result would take more than ``memory_budget`` bytes.

    >>> adaptive_avg_pool_matrix((1, 3), 2, format="dense")
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]])
    """
    input_shape, output_size = shape_of(input_shape), plain(output_size)
    spatial = input_shape[1:]
    asked = output_size if isinstance(output_size, Sequence) else (output_size,) * len(spatial)
    if len(asked) != len(spatial):
        expected, where = len(spatial), "output_size"
        raise GeometryError("output_size has the wrong number of entries", expected=expected, got=asked, where=where)
    sizes = [n if m is None else integer(m, "output_size") for n, m in zip(spatial, asked, strict=True)]
    if 0 in spatial or min(sizes, default=0) < 0:
        raise GeometryError("there is nothing to average", got=(input_shape, sizes), where="output_size")
    rows = [adaptive_rows(n, m) for n, m in zip(spatial, sizes, strict=True)]
    return separable_matrix(input_shape, rows, dtype=dtype, format=format, memory_budget=memory_budget)


def adaptive_rows(n: int, m: int) -> list[Row]:
    """The rows of adaptive averaging from n inputs to m outputs.

    Args:
        n: number of inputs.
        m: number of outputs.

    Returns:
        For each output, 1 / size at every input of its window.

    >>> [list(row) for row in adaptive_rows(5, 3)]
    [[0, 1], [1, 2, 3], [3, 4]]
    """
    windows = [range(o * n // m, -(-(o + 1) * n // m)) for o in range(m)]
    return [dict.fromkeys(window, Fraction(1, len(window))) for window in windows]


def pool_rows(n: int, kernel: int, stride: int, pad: int, ceil_mode: bool, count_pad: bool) -> list[Row]:
    """The rows of one axis, its windows laid as torch lays them.

    Args:
        n: number of inputs.
        kernel: length of a window.
        stride: between windows.
        pad: padded positions at both ends.
        ceil_mode: whether a last window may reach further.
        count_pad: whether padded positions count.

    Raises:
        GeometryError: if the padding is more than half the kernel, or there is no window.
    """
    if 2 * pad > kernel:
        raise GeometryError("padding is larger than half the kernel", expected=kernel // 2, got=pad, where="padding")
    room = n + 2 * pad - kernel
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (outputs - 1) * stride >= n + pad:
        outputs -= 1
    if outputs < 1:
        expected = f"at most {n + 2 * pad}"
        raise GeometryError("the kernel exceeds the padded input", expected=expected, got=kernel, where="kernel_size")
    rows = []
    for start in range(-pad, -pad + outputs * stride, stride):
        stop = min(start + kernel, n + pad)
        inside = range(max(start, 0), min(stop, n))
        rows.append(dict.fromkeys(inside, Fraction(1, max(stop - start if count_pad else len(inside), 1))))
    return rows
