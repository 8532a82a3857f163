"""A pattern and a kernel make a matrix: the one road from geometry to every format.

The kernel may be a NumPy array of any dtype, Python objects included, or a torch tensor; the pattern does not care.

    kernel    (groups, output channels, input channels, *taps)
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ShapeError, UnknownNameError
from ..rings.arrays import magnitude, namespace, whole
from .formats import FORMATS, Entries, check_budget, check_format, index_dtype
from .geometry import Geometry
from .pattern import conv_pattern
from .storage import Storage, merged


@lru_cache(maxsize=128)
def conv_storage(geometry: Geometry, by_columns: bool = False) -> Storage:
    """The memory layout of a geometry's matrix; made once and kept, to be filled with any number of kernels.

    Args:
        geometry: a convolution or a transposed one.
        by_columns: lay out the columns of the matrix (the rows of its transpose) instead of its rows.

    Returns:
        The storage.
    """
    pattern = conv_pattern(geometry)
    return Storage(pattern.transpose() if by_columns else pattern)


def conv_filled(geometry: Geometry, kernel: Any, format: str, memory_budget: int) -> Any:
    """The matrix of a geometry filled with a kernel.

    Args:
        geometry: a convolution or a transposed one.
        kernel: (groups, output channels, input channels, *taps), an array or a torch tensor.
        format: a key of ``FORMATS``.
        memory_budget: bytes that the result may take.

    Returns:
        The matrix, of shape ``geometry.shape``.

    Raises:
        UnknownNameError: an unknown format.
        TooLargeError: the result would take more than ``memory_budget`` bytes.
        ShapeError: Python objects in a format for numbers.
    """
    check_format(format)
    if format == "csc":
        return filled(conv_storage(geometry, by_columns=True), kernel.swapaxes(1, 2), format, memory_budget)
    return filled(conv_storage(geometry), kernel, format, memory_budget)


def filled(storage: Storage, kernel: Any, format: str, memory_budget: int) -> Any:
    """The matrix of a storage filled with a kernel; for "csc" both are those of the transpose.

    Args:
        storage: where the entries lie.
        kernel: (groups, output channels, input channels, *taps), an array or a torch tensor.
        format: a key of ``FORMATS``.
        memory_budget: bytes that the result may take.

    Returns:
        The matrix.

    Raises:
        TooLargeError: the result would take more than ``memory_budget`` bytes.
        ShapeError: Python objects in a format for numbers.
    """
    shape, nnz = storage.pattern.shape, storage.pattern.nnz
    check_budget(shape, nnz, kernel.dtype.itemsize, format, memory_budget)
    data = storage.values(_summed(storage, kernel)) if namespace(kernel) is np else _gathered(storage, kernel)
    dtype = index_dtype(shape, nnz)
    return FORMATS[format](Entries(data, storage.indices(dtype), storage.indptr(dtype), shape))


def _summed(storage: Storage, kernel: NDArray[Any]) -> NDArray[Any]:
    """The kernel by slots; sums of integers that might leave int64 are computed, and if they do, kept, as Python's."""
    axes = storage.pattern.axes
    if kernel.dtype != np.int64:
        return merged(kernel, axes)
    most = prod(max(map(len, axis.slots), default=1) for axis in axes)
    if most == 1 or magnitude(kernel) * most < 2**63:
        return merged(kernel, axes)
    sums = merged(kernel.astype(object), axes)
    return sums.astype(np.int64) if magnitude(sums) < 2**63 else sums


def _gathered(storage: Storage, kernel: Any) -> Any:
    """The values by one gather, which torch differentiates, on the kernel's device."""
    import torch

    kernel = merged(kernel, storage.pattern.axes, torch.stack)
    channels = kernel.reshape(storage.pattern.groups * storage.pattern.channels[0], -1)
    places = torch.from_numpy(storage.places).to(kernel.device)
    return channels.index_select(1, places).reshape(-1)


def kernel_of(weight: Any, format: str) -> Any:
    """The weight as an array, or as the tensor that it is where the result must be differentiable or on its device.

    Args:
        weight: an array, a torch tensor or nested sequences.
        format: a key of ``FORMATS``.

    Returns:
        A NumPy array on the weight's own buffer where possible; a tensor for a torch format if the weight requires
        grad, is on another device than the CPU, or has a dtype that NumPy does not know.
    """
    if namespace(weight) is not np and format.startswith("torch"):
        import torch

        if weight.requires_grad or weight.device.type != "cpu" or weight.dtype == torch.bfloat16:
            return weight
    return as_array(weight)


def as_array(x: Any) -> NDArray[Any]:
    """A NumPy array from an array, nested sequences or a torch tensor (bfloat16, unknown to NumPy, as float32).

    Integers and truth values become int64, or Python's integers where one is beyond: sums of them do not wrap.

    Args:
        x: what to convert.

    Returns:
        The array, on the same buffer where possible.

    Raises:
        ShapeError: ragged sequences, entries such as strings that are no numbers, or a module.
    """
    if hasattr(x, "forward"):
        expected = "its weight, or affine_map(module, input_shape) for the module with its stride, padding and bias"
        raise ShapeError("a module is no array of numbers", expected=expected, got=type(x).__name__, where="weight")
    if namespace(x) is np:
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise ShapeError("the sequences are ragged", got=error, where="weight") from None
        if array.dtype.kind not in "biufcO":
            raise ShapeError("the entries are no numbers", expected="numbers", got=array.dtype, where="weight")
        return whole(array)
    detached = x.detach().cpu()
    return whole((detached.float() if str(x.dtype) == "torch.bfloat16" else detached).numpy())


def entry_dtype(dtype: DTypeLike | None, format: str) -> np.dtype[Any]:
    """The dtype of a matrix whose entries are numbers of the geometry alone, such as 1 and 1/9.

    Args:
        dtype: what the caller asked for; ``object`` stands for exact ``fractions.Fraction``.
        format: a key of ``FORMATS``.

    Returns:
        ``dtype``, or if that is None exact fractions for SymPy's formats and float64 for the others.

    Raises:
        UnknownNameError: NumPy has no such dtype.
    """
    if dtype is None:
        return np.dtype(object if format in ("sympy", "domain") else np.float64)
    try:
        return np.dtype(dtype)
    except TypeError:
        raise UnknownNameError("unknown dtype", expected="one of NumPy's", got=dtype, where="dtype") from None
