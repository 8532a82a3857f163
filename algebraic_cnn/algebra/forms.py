"""``Dense``: an affine map as an ordinary torch module that computes y = x W^T + b exactly as the map says."""

from __future__ import annotations

import math
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


def _require_shape(x: Tensor, form: Dense) -> None:
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
