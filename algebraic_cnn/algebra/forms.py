"""Deployable forms of an affine map: ordinary torch modules that compute it exactly as the map says.

Dense    y = x W^T + b, one matrix product
Sparse   the same with the zeros of W left out
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..rings.arrays import fractions
from ..rings.crt import nearest
from ..rings.ring import Float
from .affine import AffineMap


class Dense(nn.Module):
    """x -> W x + b on batches, as one ``addmm``.

    Attributes:
        weight: W, shape (prod(out_shape), prod(in_shape)); not trainable until its ``requires_grad`` is set.
        bias: b, shape (prod(out_shape),).
        in_shape: shape of x without batch axis.
        out_shape: shape of the result without batch axis.
    """

    def __init__(self, weight: Tensor, bias: Tensor, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.in_shape, self.out_shape = in_shape, out_shape

    @classmethod
    def of(cls, affine: AffineMap, *, dtype: torch.dtype | str | None = None, device: Any = None) -> Dense:
        """The module of a map, every entry rounded once to ``dtype``.

        Args:
            affine: numbers in W and b, or rationals.
            dtype: a torch dtype or its name; default that of W, float64 for rationals.
            device: where weight and bias live; default the CPU.

        Raises:
            ShapeError: if an entry is no number.
            NonFiniteError: if a rational is beyond float64.
            UnknownNameError: if there is no such floating dtype.

        >>> Dense.of(AffineMap(np.array([[2.0]]), np.array([1.0]), (1,), (1,)))(torch.tensor([[3.0]]).double())
        tensor([[7.]], dtype=torch.float64)
        """
        W = affine.W.toarray() if sp.issparse(affine.W) else affine.W
        to = floating(dtype) if dtype is not None else None
        arrays = (_numbers(array, to) for array in (W, affine.b))
        weight, bias = (torch.from_numpy(np.array(array)).to(device, to) for array in arrays)
        return cls(weight, bias, affine.in_shape, affine.out_shape).eval()

    def affine(self) -> AffineMap:
        """The map whose W and b are the module's own numbers, in float64."""
        W, b = (tensor.detach().cpu().double().numpy() for tensor in (self.weight, self.bias))
        return AffineMap(W, b, self.in_shape, self.out_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Batches (N, *in_shape) -> (N, *out_shape).

        Raises:
            ShapeError: if x has another shape.
        """
        _require_shape(x, self)
        y = nn.functional.linear(x.reshape(-1, math.prod(self.in_shape)), self.weight, self.bias)
        return y if len(self.out_shape) == 1 else y.reshape(-1, *self.out_shape)

    def extra_repr(self) -> str:
        """The shapes, as ``print`` shows them."""
        return f"{self.in_shape} -> {self.out_shape}"


class Sparse(nn.Module):
    """x -> W x + b on batches, W stored by its entries other than zero, row by row (CSR).

    ``collapse`` does not choose it: where a few images are small enough for it, one convolution is as fast or faster,
    and under export and compilation, where torch has no product with a sparse matrix, every entry is gathered,
    multiplied and added by itself.  A 3x3 convolution in float32 took, in eager torch on one core, as this form over
    ``conv2d`` and over ``Dense``: 2.1 and 0.6 (1 channel of 28x28, one image), 0.5 and 0.4 (32 images); 3.5 and 0.4
    (8 channels of 14x14, one image), 1.2 and 0.03 (32 images).

    Attributes:
        weight: the entries of W, shape (count,), row after row; not trainable until its ``requires_grad`` is set.
        columns: int32 (count,), the input that each entry multiplies.
        offsets: int32 (prod(out_shape) + 1,), where the entries of each row begin, and where the last end.
        bias: b, shape (prod(out_shape),).
        in_shape: shape of x without batch axis.
        out_shape: shape of the result without batch axis.
    """

    columns: Tensor
    offsets: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        columns: Tensor,
        offsets: Tensor,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.register_buffer("columns", columns)
        self.register_buffer("offsets", offsets)
        self.in_shape, self.out_shape = in_shape, out_shape
        _announced()

    @classmethod
    def of(cls, affine: AffineMap, *, dtype: torch.dtype | str | None = None, device: Any = None) -> Sparse:
        """The module of a map, every entry rounded once to ``dtype``; entries that are exactly 0 are left out.

        Args:
            affine: numbers in W and b, or rationals.
            dtype: a torch dtype or its name; default that of W, float64 for rationals.
            device: where the numbers live; default the CPU.

        Raises:
            ShapeError, NonFiniteError, UnknownNameError: as ``Dense.of`` raises them.

        >>> blur = AffineMap(np.array([[1.0, 2.0, 0.0], [0.0, 2.0, 1.0]]), np.zeros(2), (3,), (2,))
        >>> Sparse.of(blur), Sparse.of(blur)(torch.eye(3).double()).tolist()
        (Sparse((3,) -> (2,), 4 of 6 entries), [[1.0, 0.0], [2.0, 2.0], [0.0, 1.0]])
        """
        to = floating(dtype) if dtype is not None else None
        W = affine.W if sp.issparse(affine.W) else _numbers(affine.W, to)
        W = sp.csr_array(W)
        W.sum_duplicates()
        W.eliminate_zeros()
        weight, bias = (torch.from_numpy(np.array(each)).to(device, to) for each in (W.data, _numbers(affine.b, to)))
        places = (np.array(each, dtype=np.int32) for each in (W.indices, W.indptr))
        columns, offsets = (torch.from_numpy(each).to(device) for each in places)
        return cls(weight, bias, columns, offsets, affine.in_shape, affine.out_shape).eval()

    def affine(self) -> AffineMap:
        """The map whose W (a CSR array) and b are the module's own numbers, in float64."""
        size = math.prod(self.out_shape), math.prod(self.in_shape)
        columns, offsets = (tensor.cpu().numpy() for tensor in (self.columns, self.offsets))
        entries, b = (tensor.detach().cpu().double().numpy() for tensor in (self.weight, self.bias))
        return AffineMap(sp.csr_array((entries, columns, offsets), shape=size), b, self.in_shape, self.out_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Batches (N, *in_shape) -> (N, *out_shape).

        Raises:
            ShapeError: if x has another shape.
        """
        _require_shape(x, self)
        n, m = math.prod(self.in_shape), math.prod(self.out_shape)
        x = x.reshape(-1, n)
        if torch.compiler.is_compiling() or self.weight.requires_grad:
            places = torch.arange(self.weight.shape[0], device=x.device)
            rows = torch.searchsorted(self.offsets.long()[1:].contiguous(), places, right=True)
            y = self.bias.expand(x.shape[0], m).index_add(1, rows, x.index_select(1, self.columns) * self.weight)
        else:
            W = torch.sparse_csr_tensor(self.offsets, self.columns, self.weight, (m, n), check_invariants=False)
            y = (W @ x.T).T + self.bias
        return y.reshape(-1, *self.out_shape)

    def extra_repr(self) -> str:
        """The shapes and the number of entries, as ``print`` shows them."""
        entries = math.prod(self.in_shape) * math.prod(self.out_shape)
        return f"{self.in_shape} -> {self.out_shape}, {len(self.weight):,} of {entries:,} entries"


@lru_cache(maxsize=1)
def _announced() -> None:
    """Takes torch's one warning that its CSR tensors may change: what is used of them is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([]), (1, 1))


def _require_shape(x: Tensor, form: Dense | Sparse) -> None:
    if x.shape[1:] != form.in_shape:
        expected, where = ("N", *form.in_shape), type(form).__name__
        raise ShapeError("an input of another shape", expected=expected, got=tuple(x.shape), where=where)


def floating(dtype: torch.dtype | str) -> torch.dtype:
    """The floating torch dtype of that name.

    Raises:
        UnknownNameError: if there is none.

    >>> floating("float32")
    torch.float32
    """
    return getattr(torch, Float(str(dtype).removeprefix("torch.")).dtype)


def _numbers(array: Any, dtype: torch.dtype | None) -> Any:
    """The array; one of rationals as the floats nearest to them."""
    if array.dtype != object:
        return array
    rationals = np.array(fractions(array.ravel().tolist(), "Dense.of"), dtype=object).reshape(array.shape)
    return nearest(rationals, str(dtype or torch.float64).removeprefix("torch."))
