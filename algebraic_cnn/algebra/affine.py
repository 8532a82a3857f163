"""``AffineMap``: f(x) = W x + b between tensor shapes, a value with an algebra.

    W            matrix of shape (prod(out_shape), prod(in_shape)); entry [r, c]: how much input c counts in output r
    b            vector of length prod(out_shape): the output at x = 0
    g @ f        composition x -> g(f(x));   f + g, f - g, s * f, -f: pointwise
    f.T          the adjoint of the linear part, y -> W^T y
    row-major    tensors are flattened as ``numpy.ravel(order="C")`` and ``torch.flatten`` do

W may be a dense NumPy array, a SciPy sparse array, or an object array of ``Fraction`` or SymPy entries.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..errors import DataError, NonFiniteError, ShapeError, UnknownNameError
from ..files import limits
from ..files.npz import Header, read_npz, write_npz
from ..rings.arrays import whole

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """f(x) = W x + b on row-major flattened tensors [JV24, Thm 3.1].

    Args:
        W: matrix of shape (prod(out_shape), prod(in_shape)), dense, SciPy sparse or of objects; integers of fewer bits
            become int64.
        b: vector of length prod(out_shape).
        in_shape: shape of x without batch axis, such as (c, h, w); default flat.
        out_shape: shape of f(x) without batch axis; default flat.

    Raises:
        ShapeError: if W or b is no array or does not fit the shapes, or a shape is none.
        NonFiniteError: if W or b has NaN or infinite entries.

    >>> f = AffineMap(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([0.5, 0.0]))
    >>> f(np.array([1.0, 1.0]))
    array([3.5, 1. ])
    >>> (f @ f).W
    array([[1., 4.],
           [0., 1.]])
    """

    W: Any
    b: Any
    in_shape: Shape = None  # pyright: ignore[reportAssignmentType]
    out_shape: Shape = None  # pyright: ignore[reportAssignmentType]

    __array_ufunc__ = None  # so that NumPy's numbers leave ``s * f`` to the map

    def __post_init__(self) -> None:
        for name, array in (("W", self.W), ("b", self.b)):
            if isinstance(array, np.ndarray) or (name == "W" and sp.issparse(array)):
                object.__setattr__(self, name, whole(array))
        flat = {"in_shape": np.shape(self.W)[1:2], "out_shape": np.shape(self.W)[:1]}
        for name, default in flat.items():
            given = getattr(self, name)
            object.__setattr__(self, name, _shape(default if given is None else given, name))
        for name, array in (("W", self.W), ("b", self.b)):
            if not (isinstance(array, np.ndarray) or (name == "W" and sp.issparse(array))):
                got = type(array).__name__
                raise ShapeError(f"{name} must be an array", expected="NumPy or SciPy", got=got, where="AffineMap")
        expected = (math.prod(self.out_shape), math.prod(self.in_shape))
        if tuple(self.W.shape) != expected:
            raise ShapeError("W does not fit the shapes", expected=expected, got=tuple(self.W.shape), where="AffineMap")
        if tuple(self.b.shape) != expected[:1]:
            raise ShapeError("b does not fit the output", expected=expected[:1], got=self.b.shape, where="AffineMap")
        for name, array in (("W", self.W.data if sp.issparse(self.W) else self.W), ("b", self.b)):
            if array.dtype.kind in "fc" and not np.isfinite(array).all():
                raise NonFiniteError(f"{name} has NaN or infinite entries", expected="finite", where="AffineMap")

    @classmethod
    def identity(cls, shape: Shape, dtype: Any = np.float64) -> AffineMap:
        """The map x -> x on tensors of the given shape, with a sparse W of the given dtype.

        Raises:
            ShapeError: if it is no shape.

        >>> AffineMap.identity((1, 2, 2))(np.arange(4.0).reshape(1, 2, 2)).ravel()
        array([0., 1., 2., 3.])
        """
        n = math.prod(_shape(shape, "shape"))
        return cls(sp.eye_array(n, dtype=dtype, format="csr"), np.zeros(n, dtype=dtype), shape, shape)

    def __call__(self, x: Any) -> Any:
        """W x + b for one tensor or a batch of them.

        Args:
            x: array of shape ``in_shape``, or (N, *in_shape) for a batch of N; NumPy or torch.

        Returns:
            Array of shape ``out_shape`` or (N, *out_shape), NumPy or torch like x, in the wider of the two dtypes.

        Raises:
            ShapeError: if x has neither shape.
        """
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(x, torch.Tensor):
            host = x.detach().cpu()
            y = self((host.float() if x.dtype == torch.bfloat16 else host).numpy())
            return torch.from_numpy(np.ascontiguousarray(y)).to(x.device)
        x = np.asarray(x)
        batched = x.shape[1:] == self.in_shape and x.ndim == len(self.in_shape) + 1
        if not batched and x.shape != self.in_shape:
            raise ShapeError("x does not fit the map", expected=self.in_shape, got=x.shape, where="AffineMap.__call__")
        if not batched:
            return (self.W @ x.reshape(-1) + self.b).reshape(self.out_shape)
        columns = x.reshape(len(x), -1).T
        return (self.W @ columns + self.b[:, None]).T.reshape(len(x), *self.out_shape)

    def __matmul__(self, other: AffineMap) -> AffineMap:
        """The composition x -> self(other(x)): W = W_g W_f, b = W_g b_f + b_g.

        Raises:
            ShapeError: if the output of ``other`` is not the input of ``self``.
        """
        if not isinstance(other, AffineMap):
            return NotImplemented
        self._require(other.out_shape == self.in_shape, "the maps do not compose", self.in_shape, other.out_shape)
        return AffineMap(self.W @ other.W, self.W @ other.b + self.b, other.in_shape, self.out_shape)

    def __add__(self, other: AffineMap) -> AffineMap:
        """The pointwise sum x -> self(x) + other(x).

        Raises:
            ShapeError: if the maps differ in their shapes.
        """
        if not isinstance(other, AffineMap):
            return NotImplemented
        shapes, others = (self.in_shape, self.out_shape), (other.in_shape, other.out_shape)
        self._require(shapes == others, "the maps cannot be added", shapes, others)
        mixed = sp.issparse(self.W) != sp.issparse(other.W)
        W = (_dense(self.W) + _dense(other.W)) if mixed else self.W + other.W
        return replace(self, W=W, b=self.b + other.b)

    def __mul__(self, scalar: Any) -> AffineMap:
        """The pointwise multiple x -> scalar self(x).

        Raises:
            ShapeError: if the scalar is an array.
        """
        self._require(np.ndim(scalar) == 0, "a map is multiplied by a number", "a scalar", scalar)
        return replace(self, W=self.W * scalar, b=self.b * scalar)

    __rmul__ = __mul__

    def __neg__(self) -> AffineMap:
        return self * -1

    def __sub__(self, other: AffineMap) -> AffineMap:
        return self + -other

    @property
    def T(self) -> AffineMap:
        """The adjoint of the linear part: <W x, y> = <x, W^T y>; its b is 0."""
        zero = self.b[:1] * 0
        b = np.repeat(zero, math.prod(self.in_shape)) if zero.size else np.zeros(math.prod(self.in_shape))
        return AffineMap(self.W.T, b, self.out_shape, self.in_shape)

    def exactly_equals(self, other: AffineMap) -> bool:
        """Whether shapes, every entry of W and every entry of b are equal, whatever the formats; no tolerance.

        >>> f = AffineMap.identity((3,))
        >>> f.exactly_equals(AffineMap(np.eye(3), np.zeros(3), (3,), (3,)))
        True
        """
        if (self.in_shape, self.out_shape) != (other.in_shape, other.out_shape):
            return False
        if sp.issparse(self.W) and sp.issparse(other.W):
            same = (self.W != other.W).nnz == 0
        else:
            same = bool(np.all(_dense(self.W) == _dense(other.W)))
        return same and bool(np.all(self.b == other.b))

    def to(self, format: str) -> AffineMap:
        """The same map with W as "dense" array or as SciPy "csr", "csc" or "coo" array.

        Raises:
            UnknownNameError: if the format is none of these.
            ShapeError: if W holds objects, for a format other than "dense".
        """
        from ..toeplitz import convert

        formats = ("dense", "csr", "csc", "coo")
        if format not in formats:
            raise UnknownNameError("no such format of a map", expected=formats, got=format, where="AffineMap.to")
        return replace(self, W=convert(self.W, format))

    def row_image(self, i: int) -> np.ndarray:
        """Row i of W in ``in_shape``: entry [c, y, x] is how much that input pixel counts in output i.

        Raises:
            ShapeError: if there is no row i.
        """
        rows = math.prod(self.out_shape)
        is_row = hasattr(i, "__index__") and -rows <= i < rows
        self._require(is_row, "there is no such row", f"an integer, -{rows} <= i < {rows}", repr(i))
        row = self.W.tocsr()[[i]].toarray() if sp.issparse(self.W) else self.W[i]
        return np.asarray(row).reshape(self.in_shape)

    def to_module(self, dtype: Any = None, device: Any = None) -> Any:
        """A ``torch.nn.Module`` that computes x -> W x + b on batches (N, *in_shape).

        Args:
            dtype: torch dtype of its weight and bias, or its name; each entry is rounded once; default that of W.
            device: where they live; default the CPU.

        Raises:
            ShapeError, NonFiniteError, UnknownNameError: as ``Dense.of`` raises them.
        """
        from .forms import Dense

        return Dense.of(self, dtype=dtype, device=device)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the map as ``.npz``, whole or not at all; returns the path.

        Args:
            path: of the file; gets the ending ``.npz``, as with NumPy, if it has not got it.

        Raises:
            ShapeError: if W holds objects, which an ``.npz`` cannot carry without pickling.
            DataError: if the file cannot be written.
        """
        pickles = object in (self.W.dtype, self.b.dtype)
        self._require(not pickles, "a map of objects cannot be saved", "numbers", "objects")
        W = {"W": self.W}
        if sp.issparse(self.W):
            csr = self.W.tocsr()
            W = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        shapes = {"in_shape": np.array(self.in_shape, np.int64), "out_shape": np.array(self.out_shape, np.int64)}
        return write_npz(_with_ending(path), {**W, "b": self.b, **shapes})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AffineMap:
        """Reads a map that ``save`` wrote; nothing is unpickled.

        Args:
            path: of the file, with its ending or as it was given to ``save``.

        Raises:
            DataError: if the file is missing, damaged, too large, not such a map, or carries no sum of its content.
        """
        path = path if os.path.exists(path) else _with_ending(path)
        file = read_npz(path, _are_a_map)
        try:
            shapes = [_shape(file[name], name) for name in ("in_shape", "out_shape")]
            if "W" in file:
                return cls(file["W"], file["b"], *shapes)
            parts = (file["data"], file["indices"], file["indptr"])
            W = sp.csr_array(parts, shape=(math.prod(shapes[1]), math.prod(shapes[0])))
            W.check_format()  # SciPy's products trust the indices
            return cls(W, file["b"], *shapes)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError("not a readable map", expected=".npz written by AffineMap.save", where=path) from error

    def _require(self, condition: bool, what: str, expected: object, got: object) -> None:
        if not condition:
            raise ShapeError(what, expected=expected, got=got, where="AffineMap")


def _with_ending(path: str | os.PathLike[str]) -> str:
    """The path with the ending that NumPy gives such files."""
    name = os.fspath(path)
    return name if name.endswith(".npz") else f"{name}.npz"


def _are_a_map(headers: Mapping[str, Header]) -> bool:
    """Whether arrays with these headers are W, b and the shapes of a map: asked before any is unpacked."""
    axes = {name: header.shape for name, header in headers.items()}
    shapes = {"b", "in_shape", "out_shape"}
    if not all(axes.get(name, (limits.AXES + 1,)) <= (limits.AXES,) for name in shapes - {"b"}):
        return False
    places = headers.keys() & {"in_shape", "out_shape", "indices", "indptr"}
    if any(headers[name].dtype.kind != "i" for name in places):
        return False
    if axes.keys() == shapes | {"W"}:
        return len(axes["W"]) == 2 and axes["b"] == axes["W"][:1]
    if axes.keys() == shapes | {"data", "indices", "indptr"}:
        return axes["data"] == axes["indices"] and axes["indptr"] == tuple(n + 1 for n in axes["b"])
    return False


def _shape(value: Any, name: str) -> Shape:
    """A shape as a tuple of ints; () is the shape of a number."""
    try:
        shape = tuple(int(n) for n in value)
    except (TypeError, ValueError):
        shape = (-1,)
    if min(shape, default=0) < 0:
        expected, got = "a tuple of ints, none of them negative", repr(value)
        raise ShapeError(f"{name} is no shape", expected=expected, got=got, where="AffineMap")
    return shape


def _dense(W: Any) -> np.ndarray:
    return W.toarray() if sp.issparse(W) else np.asarray(W)
