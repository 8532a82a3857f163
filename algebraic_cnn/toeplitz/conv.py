"""The matrix of a convolution, of a transposed convolution, and the vector of a bias.

weight    (c_out, c_in / groups, *kernel); transposed: (c_in, c_out / groups, *kernel)
kernel    the weight as the storage wants it: (groups, output channels, input channels, *kernel)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from .arguments import Padding, shape_of
from .filling import as_array, conv_filled, kernel_of
from .formats import MEMORY_BUDGET
from .geometry import conv_geometry, conv_transpose_geometry


def conv_matrix(
    weight: Any,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    r"""The matrix W of a cross-correlation, padding included: ``vec(conv(X)) = W vec(X)``.

    On one axis, three taps on five inputs give a Toeplitz matrix, constant along its diagonals:

    .. math::

        \begin{pmatrix} w_0 & w_1 & w_2 & & \\ & w_0 & w_1 & w_2 & \\ & & w_0 & w_1 & w_2 \end{pmatrix}

    On two axes, a 2 x 2 kernel on a 3 x 3 image gives a Toeplitz matrix of Toeplitz blocks, "doubly block Toeplitz":

    .. math::

        \begin{pmatrix} T_0 & T_1 & \\ & T_0 & T_1 \end{pmatrix},
        \qquad T_i = \begin{pmatrix} w_{i0} & w_{i1} & \\ & w_{i0} & w_{i1} \end{pmatrix}

    Stride keeps some of the rows, dilation spreads the taps, zero padding cuts taps off at the borders, the other
    padding modes fold them back; c_out x c_in channels make a matrix of such matrices, groups a block diagonal.

    Args:
        weight: (c_out, c_in / groups, *kernel), any number of spatial axes: a NumPy array, a torch tensor, or an object
            array of SymPy expressions, fractions or ints.  Integers of any width count as int64, so that entries in
            which padding adds taps do not wrap; as Python's integers, for "dense" and SymPy's formats, beyond that.
        input_shape: (c_in, *spatial), no batch axis.
        stride: step between outputs; an int, or one per axis.
        padding: an int, one int per axis, one (before, after) pair per axis, "same" or "valid".
        dilation: step between taps; an int, or one per axis.
        groups: blocks of channels that do not see each other.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        format: "csr", "csc", "coo" (SciPy), "dense", "torch_csr", "torch_coo", "sympy" (SparseMatrix) or "domain"
            (DomainMatrix).  The torch formats are differentiable in a weight that requires grad, on its device.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (prod(output_shape), prod(input_shape)); entry [r, c] = how much input c counts in output r,
        both row-major (C, *spatial).  Every entry that the geometry allows is stored, be it zero or not.

    Raises:
        ShapeError: weight and input shape do not fit, Python objects in a format for numbers, or entries that are no
            numbers.
        GeometryError: arguments that torch refuses too.
        UnknownNameError: an unknown format, padding mode or padding word.
        TooLargeError: the result would take more than ``memory_budget`` bytes; nothing was allocated.
        NonFiniteError: NaN or infinity among the entries of a SymPy format.

    >>> conv_matrix(np.array([[[1, 2, 3]]]), (1, 5)).toarray()
    array([[1, 2, 3, 0, 0],
           [0, 1, 2, 3, 0],
           [0, 0, 1, 2, 3]])
    >>> from sympy import symbols
    >>> w = np.array(symbols("w:2:2")).reshape(1, 1, 2, 2)
    >>> conv_matrix(w, (1, 2, 3), format="sympy")
    Matrix([
    [w00, w01,   0, w10, w11,   0],
    [  0, w00, w01,   0, w10, w11]])

    References:
        Joyce and Verschelde (2024), arXiv:2408.07815, the matrices W^(i) P^(i) of the skip recursion.
    """
    weight = kernel_of(weight, format)
    geometry = conv_geometry(
        weight.shape,
        input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
    )
    kernel = weight.reshape(geometry.groups, -1, *weight.shape[1:])
    return conv_filled(geometry, kernel, format, memory_budget)


def conv_transpose_matrix(
    weight: Any,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    format: str = "csr",
    memory_budget: int = MEMORY_BUDGET,
) -> Any:
    """The matrix of a transposed convolution: the transpose of a convolution's matrix with the same weight.

    Args:
        weight: (c_in, c_out / groups, *kernel), torch's order; the kinds of array that ``conv_matrix`` takes.
        input_shape: (c_in, *spatial), no batch axis.
        stride: step between inputs as seen by the output; an int, or one per axis.
        padding: how much of the output is cropped on both sides; an int, or one per axis.
        output_padding: positions appended to the output; an int, or one per axis.
        dilation: step between taps; an int, or one per axis.
        groups: blocks of channels that do not see each other.
        format: as for ``conv_matrix``.
        memory_budget: bytes that the result may take.

    Returns:
        Matrix of shape (prod(output_shape), prod(input_shape)); entry [r, c] = how much input c counts in output r,
        both row-major (C, *spatial).

    Raises:
        ShapeError: weight and input shape do not fit, Python objects in a format for numbers, or entries that are no
            numbers.
        GeometryError: arguments that torch refuses too.
        UnknownNameError: an unknown format.
        TooLargeError: the result would take more than ``memory_budget`` bytes; nothing was allocated.
        NonFiniteError: NaN or infinity among the entries of a SymPy format.

    >>> conv_transpose_matrix(np.array([[[1, 2, 3]]]), (1, 3)).toarray()
    array([[1, 0, 0],
           [2, 1, 0],
           [3, 2, 1],
           [0, 3, 2],
           [0, 0, 3]])
    """
    weight = kernel_of(weight, format)
    geometry = conv_transpose_geometry(
        weight.shape,
        input_shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    kernel = weight.reshape(geometry.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    return conv_filled(geometry, kernel, format, memory_budget)


def bias_vector(bias: Any, output_shape: Sequence[int]) -> NDArray[Any]:
    """The vector B of a per-channel bias: each channel's number, repeated over its positions.

    Args:
        bias: (c_out,), a NumPy array, a torch tensor or a sequence; or None, which stands for zeros.
        output_shape: (c_out, *spatial).

    Returns:
        Vector of length prod(output_shape), row-major (C, *spatial).

    Raises:
        ShapeError: not one number per channel, or no shape.

    >>> bias_vector([1, 2], (2, 3))
    array([1, 1, 1, 2, 2, 2])
    """
    output_shape = shape_of(output_shape, "output_shape")
    if bias is None:
        return np.zeros(prod(output_shape))
    numbers = as_array(bias)
    if numbers.shape != (output_shape[0],):
        expected, got = (output_shape[0],), numbers.shape
        raise ShapeError("a bias has one number per output channel", expected=expected, got=got, where="bias")
    return np.repeat(numbers, prod(output_shape[1:]))
