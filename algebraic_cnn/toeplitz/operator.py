"""The convolution matrix without the matrix: W x and W^T y straight from the kernel.

The twin of ``conv_matrix``: the same arguments, the same numbers, memory of the size of the input only.

    kernel    the weight as (groups, output channels, input channels, *taps)
    image     a block of columns as (channels, *spatial, columns), or with the groups in front
    source    for each padded position of one axis, the input position that it repeats, or ``NOTHING``
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ..errors import ShapeError
from ..rings.arrays import integral, magnitude, whole
from .arguments import Padding
from .filling import as_array
from .geometry import Geometry, conv_geometry
from .padding import pad_numbers
from .selection import NOTHING, numbered

Kernel = NDArray[Any]
Source = NDArray[np.int64]


def conv_operator(
    weight: Any,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> LinearOperator:
    """The operator W of a cross-correlation: ``W @ x`` and ``W.T @ y`` without an explicit matrix.

    Args:
        weight: (c_out, c_in / groups, *kernel), a NumPy array or a torch tensor of numbers.  Integers, here and in the
            vectors, count as int64, or as Python's integers where sums might leave that: nothing wraps.
        input_shape: (c_in, *spatial), no batch axis.
        stride: step between outputs; an int, or one per axis.
        padding: an int, one int per axis, one (before, after) pair per axis, "same" or "valid".
        dilation: step between taps; an int, or one per axis.
        groups: blocks of channels that do not see each other.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Returns:
        SciPy LinearOperator of shape (prod(output_shape), prod(input_shape)) with ``matvec``, ``matmat`` and their
        adjoints ``rmatvec``, ``rmatmat``; it acts on row-major (C, *spatial) vectors, and raises ShapeError for others.

    Raises:
        ShapeError: weight and input shape do not fit.
        GeometryError: arguments that torch refuses too.
        UnknownNameError: an unknown padding mode or padding word.

    >>> W = conv_operator(np.array([[[1.0, 2.0, 3.0]]]), (1, 5))
    >>> W @ np.ones(5), W.T @ np.ones(3)
    (array([6., 6., 6.]), array([1., 3., 6., 5., 3.]))
    """
    kernel = as_array(weight)
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": padding_mode}
    geometry = conv_geometry(kernel.shape, input_shape, **how)
    kernel = kernel.reshape(geometry.groups, -1, *kernel.shape[1:])
    pairs = zip(geometry.spatial, geometry.padding, strict=True)
    sources = [pad_numbers(numbered((n,)), [pair], padding_mode) for n, pair in pairs]
    return _Convolution(_functions(geometry, kernel, sources), _functions(geometry, abs(kernel), sources), kernel)


def _functions(geometry: Geometry, kernel: Kernel, sources: Sequence[Source]) -> LinearOperator:
    forward = partial(_whole, _convolved, geometry, kernel, sources)
    adjoint = partial(_whole, _correlated, geometry, kernel.conj(), sources)
    functions: dict[str, Any] = {
        "matvec": lambda x: forward(x.reshape(-1, 1)).reshape(-1),
        "rmatvec": lambda y: adjoint(y.reshape(-1, 1)).reshape(-1),
        "matmat": forward,
        "rmatmat": adjoint,
    }
    return LinearOperator(**functions, shape=geometry.shape, dtype=kernel.dtype)


def _whole(product: Any, geometry: Geometry, kernel: Kernel, sources: Sequence[Source], x: NDArray[Any]) -> Any:
    """The product, its integers as int64, or as Python's where sums might leave that."""
    x = whole(x)
    if kernel.dtype == x.dtype == np.int64:
        most = kernel.size * prod(len(source) for source in sources)
        if magnitude(kernel) * magnitude(x) * most >= 2**63:
            kernel = kernel.astype(object)
    return product(geometry, kernel, sources, x)


class _Convolution(LinearOperator):
    """A convolution that says in our words which vectors it takes; so do its transpose and its adjoint.

    Args:
        of: what computes it.
        absolute: what computes it with the absolute values of its weights.
        kernel: its weights.

    Attributes:
        magnitudes: the operator with the absolute values of its weights; its entries bound those of the operator.
        integral: whether its weights are integers.
        terms: products that an entry of W x or W^T y sums, at most, beside those of two inputs or outputs.
    """

    def __init__(self, of: LinearOperator, absolute: LinearOperator, kernel: Kernel) -> None:
        super().__init__(of.dtype, of.shape)
        self.of, self.magnitudes, self.kernel = of, absolute, kernel
        self.integral, self.terms = integral(kernel), kernel.size

    def _matvec(self, x: Any) -> Any:
        return self.of.matvec(x)

    def _rmatvec(self, x: Any) -> Any:
        return self.of.rmatvec(x)

    def _matmat(self, X: Any) -> Any:
        return self.of.matmat(X)

    def _rmatmat(self, X: Any) -> Any:
        return self.of.rmatmat(X)

    def matvec(self, x: Any) -> Any:
        """W x; x of shape (columns,) or (columns, 1)."""
        return super().matvec(self._fitting(x, self.shape[1]))

    def rmatvec(self, x: Any) -> Any:
        """W^T x; x of shape (rows,) or (rows, 1)."""
        return super().rmatvec(self._fitting(x, self.shape[0]))

    def matmat(self, X: Any) -> Any:
        """W X; X of shape (columns, k)."""
        return super().matmat(self._fitting(X, self.shape[1]))

    def rmatmat(self, X: Any) -> Any:
        """W^T X; X of shape (rows, k)."""
        return super().rmatmat(self._fitting(X, self.shape[0]))

    def _transpose(self) -> LinearOperator:
        return _Convolution(self.of.T, self.magnitudes.T, self.kernel)

    def _adjoint(self) -> LinearOperator:
        return _Convolution(self.of.H, self.magnitudes.H, self.kernel)

    def _fitting(self, x: Any, length: int) -> Any:
        if np.ndim(x) not in (1, 2) or np.shape(x)[0] != length:
            expected = f"({length},) or ({length}, columns)"
            raise ShapeError("x does not fit the operator", expected=expected, got=np.shape(x), where="conv_operator")
        return x


def _convolved(g: Geometry, kernel: Kernel, sources: Sequence[Source], x: NDArray[Any]) -> NDArray[Any]:
    """W x: pad each axis, then add up what every tap makes of the positions that it meets."""
    image = x.reshape(*g.input_shape, -1)
    for axis, source in enumerate(sources, start=1):
        image = _padded(image, source, axis)
    image = image.reshape(g.groups, -1, *image.shape[1:])
    y = np.zeros((g.groups, kernel.shape[1], *g.output_shape[1:], x.shape[1]), np.result_type(kernel, x))
    for tap, met in _taps(g):
        seen = image[(..., *met, slice(None))]
        y += (kernel[(..., *tap)] @ seen.reshape(*seen.shape[:2], -1)).reshape(y.shape)
    return y.reshape(-1, x.shape[1])


def _correlated(g: Geometry, kernel: Kernel, sources: Sequence[Source], y: NDArray[Any]) -> NDArray[Any]:
    """W^T y: every tap sends the outputs back to the positions that it met, then each axis folds its padding."""
    outputs = y.reshape(g.groups, kernel.shape[1], -1)
    padded = (len(source) for source in sources)
    image = np.zeros((g.groups, kernel.shape[2], *padded, y.shape[1]), np.result_type(kernel, y))
    for tap, met in _taps(g):
        seen = image[(..., *met, slice(None))]
        seen += (kernel[(..., *tap)].swapaxes(1, 2) @ outputs).reshape(seen.shape)
    image = image.reshape(-1, *image.shape[2:])
    for axis, (source, n) in enumerate(zip(sources, g.spatial, strict=True), start=1):
        image = _folded(image, source, n, axis)
    return image.reshape(-1, y.shape[1])


def _taps(g: Geometry) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap with the padded positions that it meets, a slice per axis."""
    for tap in product(*map(range, g.kernel)):
        axes = zip(tap, g.dilation, g.stride, g.output_shape[1:], strict=True)
        yield tap, tuple(slice(t * d, t * d + (m - 1) * s + 1, s) for t, d, s, m in axes)


def _padded(image: NDArray[Any], source: Source, axis: int) -> NDArray[Any]:
    padded = image.take(source, axis=axis, mode="clip")
    padded[(slice(None),) * axis + (source == NOTHING,)] = 0
    return padded


def _folded(image: NDArray[Any], source: Source, n: int, axis: int) -> NDArray[Any]:
    """The adjoint of ``_padded``: every padded position is added to the one that it repeats."""
    first = np.moveaxis(image, axis, 0)
    folded = np.zeros((n, *first.shape[1:]), image.dtype)
    np.add.at(folded, source[source != NOTHING], first[source != NOTHING])
    return np.moveaxis(folded, 0, axis)
