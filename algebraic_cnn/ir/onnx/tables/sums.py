"""Operators that add, scale and contract: arithmetic, matrices, batch normalisation, sums along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..builder import Builder
from ..nodes import Node, Reader
from ..values import Size, Unread, Value, quotient

_ATEN = torch.ops.aten


def _numbers(node: Node) -> bool:
    """Whether all it is given are numbers that sizes decide, or small constants, and one of them is no constant."""
    sized = [isinstance(given, np.ndarray) for given in node.given]
    small = all(
        isinstance(given, np.ndarray)
        or (given is not None and given.constant is not None and given.constant.numel() < 64)
        for given in node.given
    )
    return any(sized) and small


def _arithmetic(target: Any, of_sizes: Callable[[Any, Any], Any]) -> Reader:
    def read(b: Builder, node: Node) -> Any:
        if node.version < 7:
            raise Unread("broadcasting as it was before version 7")
        if _numbers(node):
            one, other = node.sizes(0), node.sizes(1)
            return np.asarray(np.frompyfunc(of_sizes, 2, 1)(one, other), dtype=object)
        return b.call(target, node.x(), node.x(1))

    return read


def _divide(b: Builder, node: Node) -> Any:
    if not _numbers(node) and node.version >= 7 and not node.x().dtype.is_floating_point:
        return b.call(_ATEN.div.Tensor_mode, node.x(), node.x(1), rounding_mode="trunc")
    return _arithmetic(_ATEN.div.Tensor, quotient)(b, node)


def _sum(b: Builder, node: Node) -> Value:
    if node.version < 8:
        raise Unread("broadcasting as it was before version 8")
    total = node.x()
    for place in range(1, len(node.given)):
        total = b.call(_ATEN.add.Tensor, total, node.x(place))
    return total


def _mean(b: Builder, node: Node) -> Value:
    total = _sum(b, node)
    return total if len(node.given) == 1 else b.call(_ATEN.div.Tensor, total, len(node.given))


def _negative(b: Builder, node: Node) -> Any:
    if _numbers(node):
        return np.asarray(np.frompyfunc(lambda n: -n, 1, 1)(node.sizes(0)), dtype=object)
    return b.call(_ATEN.neg.default, node.x())


def _gemm(b: Builder, node: Node) -> Value:
    A, B, C = node.floating(), node.x(1), node.optional(2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    A = b.call(_ATEN.t.default, A) if node.get("transA") else A
    rows = B if node.get("transB") else b.call(_ATEN.t.default, B)
    plain = C is None or (beta == 1 and C.rank == 1 and C.shape[0] == rows.shape[0] is not None)
    if alpha == 1 and plain:
        return b.call(_ATEN.linear.default, A, rows, C)
    y = b.call(_ATEN.linear.default, A, rows)
    y = y if alpha == 1 else b.call(_ATEN.mul.Tensor, y, alpha)
    if C is None or beta == 0:
        return y
    return b.call(_ATEN.add.Tensor, y, C if beta == 1 else b.call(_ATEN.mul.Tensor, C, beta))


def _matmul(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.matmul.default, node.floating(), node.floating(1))


def _batch_norm(b: Builder, node: Node) -> Value:
    x, scale, shift, mean, variance = (node.floating(place) for place in range(5))
    if node.version < 7 or node.get("training_mode") or node.get("spatial", 1) != 1 or node.outputs > 1:
        raise Unread("a batch normalisation that trains")
    if len({each.dtype for each in (x, scale, shift, mean, variance)}) > 1 or x.rank < 2:
        raise Unread("a batch normalisation of several dtypes")
    epsilon = node.get("epsilon", 1e-5)
    return b.call(_ATEN.batch_norm.default, x, scale, shift, mean, variance, False, 0.0, epsilon, False)


def axes_of(node: Node, x: Value) -> list[int] | None:
    """The axes of a reduction: all of them where none is named; None where nothing is reduced.

    Raises:
        Unread: if they are not known.
    """
    axes, idle = node.ints("axes", 1), node.get("noop_with_empty_axes")
    if any(isinstance(axis, Size) for axis in axes or ()):
        raise Unread("axes that depend on a free size")
    if not axes:
        return None if idle else list(range(x.rank))
    return [int(axis) % x.rank for axis in axes]


def reduced(target: Any, *, floating: bool = True) -> Reader:
    """A reduction over the axes that a node names; of floats alone, unless it is said otherwise."""

    def read(b: Builder, node: Node) -> Value:
        x = node.floating() if floating else node.x()
        axes = axes_of(node, x)
        return x if axes is None else b.call(target, x, axes, bool(node.get("keepdims", 1)))

    return read


SUMS: dict[str, Reader] = {
    "Add": _arithmetic(_ATEN.add.Tensor, lambda x, y: x + y),
    "BatchNormalization": _batch_norm,
    "Div": _divide,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mean": _mean,
    "Mul": _arithmetic(_ATEN.mul.Tensor, lambda x, y: x * y),
    "Neg": _negative,
    "ReduceMean": reduced(_ATEN.mean.dim),
    "ReduceSum": reduced(_ATEN.sum.dim_IntList),
    "Sub": _arithmetic(_ATEN.sub.Tensor, lambda x, y: x - y),
    "Sum": _sum,
}
