"""The recursion of a LinearCNN written down from its modules, without tracing: the other road to the same map."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.algebra.recursion import Layer, Skip, SkipRecursion
from algebraic_cnn.derivation.magnitudes.bounds import majorant
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.models.resize import Subsample, ZeroChannels
from algebraic_cnn.ops.layers import affine_map
from algebraic_cnn.ops.precision import UNIT_ROUNDOFF
from algebraic_cnn.ops.sums import gamma, roundings


def recursion_by_hand(net: LinearCNN, dtype: Any = np.float64) -> SkipRecursion:
    """One layer for each of the net's, one skip for each of its skips; with ``dtype=object`` in exact fractions."""
    layers, skips = [], {}
    for i, module in enumerate(net.layers, 1):
        entering = net.shapes[i - 1]
        for k, t, resize in net.terms(i):
            R = resizing_by_hand(resize, net.shapes[k], dtype)
            skips[k, i] = Skip(t, R.W, R.b)
            entering = R.out_shape
        f = affine_map(module, entering, dtype=dtype)
        layers.append(Layer(f.W, b=f.b))
    return SkipRecursion(layers, skips, net.in_shape, net.out_shape)


def resizing_by_hand(module: nn.Module, shape: tuple[int, ...], dtype: Any) -> AffineMap:
    """A part that drops positions or appends zeros, by what it does to the numbers 1 .. n; any other from the table."""
    if isinstance(module, nn.Sequential) and len(module):
        f = resizing_by_hand(module[0], shape, dtype)
        for part in module[1:]:
            f = resizing_by_hand(part, f.out_shape, dtype) @ f
        return f
    if not isinstance(module, Subsample | ZeroChannels):
        return affine_map(module, shape, dtype=dtype)
    n = int(np.prod(shape))
    moved = module(torch.arange(1.0, n + 1).reshape(1, *shape))[0].numpy()
    W = (moved.reshape(-1, 1) == np.arange(1, n + 1)).astype(int).astype(dtype)
    return AffineMap(W, np.zeros(len(W), dtype=int).astype(dtype), shape, moved.shape)


def rounding_bound(graph: Graph, x: torch.Tensor, dtype: torch.dtype) -> np.ndarray:
    """gamma_N |f|(|x|): how far N roundings in that dtype can take f(x) (Higham 2002, sec. 3.1)."""
    return gamma(roundings(graph), UNIT_ROUNDOFF[dtype]) * majorant(graph, x).numpy()


def within(computed: torch.Tensor, exact: np.ndarray, bound: np.ndarray) -> bool:
    """Whether every computed number is as near to the exact one as the bound says, decided in exact fractions."""
    errors = [abs(Fraction(c) - e) for c, e in zip(computed.double().ravel().tolist(), exact.ravel(), strict=True)]
    return all(error <= Fraction(b) for error, b in zip(errors, bound.ravel().tolist(), strict=True))
