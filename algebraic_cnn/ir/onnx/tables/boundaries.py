"""Operators that are not affine and that torch has as one call: they are compared with those of torch models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..builder import Builder
from ..nodes import Node, Reader, attribute
from ..values import Unread, Value, numbers_of
from .sums import axes_of, reduced
from .windows import pads_of

_ATEN = torch.ops.aten
_SUM = _ATEN.sum.dim_IntList
_MAX = (_ATEN.max_pool1d.default, _ATEN.max_pool2d.default, _ATEN.max_pool3d.default)


def _entry(target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        return b.call(target, node.floating())

    return read


def _two(target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        if node.version < 7:
            raise Unread("broadcasting as it was before version 7")
        return b.call(target, node.x(), node.x(1))

    return read


def _many(target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        if node.version < 8:
            raise Unread("broadcasting as it was before version 8")
        found = node.x()
        for place in range(1, len(node.given)):
            found = b.call(target, found, node.x(place))
        return found

    return read


def _clip(b: Builder, node: Node) -> Value:
    x, ends = node.x(), []
    bounds = [node.optional(place) for place in (1, 2)]
    if any(bound is not None and bound.constant is None for bound in bounds):
        return b.call(_ATEN.clamp.Tensor, x, *bounds)
    for place, name in ((1, "min"), (2, "max")):
        ends.append(numbers_of(node.sizes(place))[0] if node.has(place) else node.get(name))
    low, high = ends = _ends(x, *ends)
    if low is not None and high is not None and low <= high and x.dtype.is_floating_point:
        return b.call(_ATEN.hardtanh.default, x, low, high)
    if ends == [None, None]:
        return x
    return b.call(_ATEN.clamp.default, x, low, high)


def _ends(x: Value, low: Any, high: Any) -> list[Any]:
    """Bounds without those at the end of all floats: ONNX takes these where none is given."""
    if not x.dtype.is_floating_point:
        return [low, high]
    if x.dtype == torch.float32:  # a bound is the same as an input and as an attribute
        low, high = (None if each is None else attribute(float(each)) for each in (low, high))
    most = torch.finfo(x.dtype).max
    return [None if low is not None and low <= -most else low, None if high is not None and high >= most else high]


def _max_pool(b: Builder, node: Node) -> Value:
    node.only()
    node.refuse("storage_order")
    x, kernel = node.floating(), list(node.attributes["kernel_shape"])
    rank, pairs = x.rank - 2, pads_of(node, x, kernel)
    if rank not in (1, 2, 3) or any(one != other for one, other in pairs):
        raise Unread("a pool padded unevenly")
    if any(2 * one > k for (one, _), k in zip(pairs, kernel, strict=True)):
        raise Unread("padding of more than half a window")
    ones = [1] * rank
    options = list(node.get("strides", ones)), [one for one, _ in pairs], list(node.get("dilations", ones))
    return b.call(_MAX[rank - 1], x, kernel, *options, bool(node.get("ceil_mode")))


def _softmax(target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        x = node.floating()
        axis = node.get("axis", -1 if node.version >= 13 else 1)
        axis = axis % x.rank
        if node.version < 13 and any(n != 1 for n in x.shape[axis + 1 :]):
            raise Unread("a softmax of several axes together")
        return b.call(target, x, axis)

    return read


def _gelu(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.gelu.default, node.floating(), approximate=node.word("approximate", "none"))


def _hard_sigmoid(b: Builder, node: Node) -> Value:
    """clamp(alpha x + beta, 0, 1), which torch has for a slope of one sixth."""
    x, alpha, beta = node.floating(), node.get("alpha", 0.2), node.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=2.0**-20) and beta == 0.5:
        return b.call(_ATEN.hardsigmoid.default, x)
    return b.call(_ATEN.hardtanh.default, b.call(_ATEN.add.Tensor, b.call(_ATEN.mul.Tensor, x, alpha), beta), 0.0, 1.0)


def _prelu(b: Builder, node: Node) -> Value:
    x, slope = node.floating(), node.floating(1)
    shape = [1] * (x.rank - slope.rank) + list(slope.shape)
    varying = [axis for axis, n in enumerate(shape) if n != 1] or [1]
    if slope.constant is None or slope.rank > x.rank or x.rank < 2 or len(varying) > 1 or varying[0] == 0:
        raise Unread("slopes that are not one for every channel")
    slope, (axis,) = b.call(_ATEN.reshape.default, slope, [-1]), varying
    if axis == 1:
        return b.call(_ATEN.prelu.default, x, slope)
    return b.call(_ATEN.movedim.int, b.call(_ATEN.prelu.default, b.call(_ATEN.movedim.int, x, axis, 1), slope), 1, axis)


def _layer_norm(b: Builder, node: Node) -> Value:
    node.only()
    if node.get("stash_type", 1) != 1:
        raise Unread("a normalisation in another precision")
    x = node.floating()
    axis = node.get("axis", -1) % x.rank
    return layer_norm(b, x, node.x(1), node.optional(2), node.get("epsilon", 1e-5), axis)


def layer_norm(b: Builder, x: Value, weight: Value, bias: Value | None, epsilon: float, axis: int = -1) -> Value:
    """The axes from one on, normalised.

    Raises:
        Unread: if they are free, or scaled otherwise than entry by entry.
    """
    lengths = x.shape[axis:]
    if None in lengths or weight.shape != lengths or (bias is not None and bias.shape != lengths):
        raise Unread("a normalisation over free axes")
    return b.call(_ATEN.layer_norm.default, x, list(lengths), weight, bias, epsilon, False)


def _instance_norm(b: Builder, node: Node) -> Value:
    x, weight, bias = node.floating(), node.floating(1), node.floating(2)
    epsilon = node.get("epsilon", 1e-5)
    return b.call(_ATEN.instance_norm.default, x, weight, bias, None, None, True, 0.0, epsilon, False)


def _global_max(b: Builder, node: Node) -> Value:
    x = node.floating()
    return b.call(_ATEN.amax.default, x, list(range(2, x.rank)), True)


def _where(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.where.self, node.x(), node.x(1), node.x(2))


def _leaky(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.leaky_relu.default, node.floating(), node.get("alpha", 0.01))


def _elu(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.elu.default, node.floating(), node.get("alpha", 1.0))


def _selu(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.elu.default, node.floating(), node.get("alpha", 1.6732632), node.get("gamma", 1.050701))


def _thresholded(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.threshold.default, node.floating(), node.get("alpha", 1.0), 0.0)


def _softsign(b: Builder, node: Node) -> Value:
    x = node.floating()
    return b.call(_ATEN.div.Tensor, x, b.call(_ATEN.add.Tensor, b.call(_ATEN.abs.default, x), 1.0))


def _composed(before: Any, reduction: Any, after: Any) -> Reader:
    """A function of every entry, a reduction, and a function of what that gives."""

    def read(b: Builder, node: Node) -> Value:
        x = node.floating()
        axes = axes_of(node, x)
        x = before(b, x)
        x = x if axes is None else b.call(reduction, x, axes, bool(node.get("keepdims", 1)))
        return after(b, x)

    return read


def _is(target: Any) -> Any:
    return lambda b, x: b.call(target, x)


def _same(b: Builder, x: Value) -> Value:
    return x


def _square(b: Builder, x: Value) -> Value:
    return b.call(_ATEN.mul.Tensor, x, x)


def _arg(target: Any) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        node.refuse("select_last_index")
        x = node.x()
        return b.call(target, x, node.get("axis", 0) % x.rank, bool(node.get("keepdims", 1)))

    return read


def _power(b: Builder, node: Node) -> Value:
    x, exponent = node.floating(), node.x(1)
    if exponent.constant is not None and exponent.constant.numel() == 1 and exponent.rank <= x.rank:
        number = exponent.constant.item()
        return b.call(_ATEN.pow.Tensor_Scalar, x, int(number) if number == int(number) else number)
    if exponent.dtype != x.dtype:
        raise Unread("a power of two dtypes")
    return b.call(_ATEN.pow.Tensor_Tensor, x, exponent)


def _not(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.logical_not.default, node.x())


def _one_hot(b: Builder, node: Node) -> Value:
    """Of depth n: where i or i - n is the entry, the second value, else the first."""
    x, depth, values = node.x(), int(numbers_of(node.sizes(1))[0]), node.x(2)
    axis = node.get("axis", -1) % (x.rank + 1)
    b.allow(2 * depth)
    shape = [-1, *[1] * (x.rank - axis)]
    x = b.call(_ATEN.unsqueeze.default, x, axis)
    ways = [torch.arange(depth), torch.arange(depth) - depth]
    hits = [b.call(_ATEN.eq.Tensor, x, b.constant(way.reshape(shape))) for way in ways]
    off, on = (b.call(_ATEN.select.int, values, 0, place) for place in (0, 1))
    return b.call(_ATEN.where.self, b.call(_ATEN.logical_or.default, *hits), on, off)


def _product(b: Builder, node: Node) -> Any:
    if isinstance(node.given[0], np.ndarray):
        if node.given[0].ndim != 1:
            raise Unread("a product of rows of sizes")
        total: Any = 1
        for n in node.given[0]:
            total = total * n
        if (node.ints("axes", 1) or [0]) != [0]:
            raise Unread("a product along another axis")
        found = np.empty((1,) if node.get("keepdims", 1) else (), dtype=object)
        found[...] = total
        return found
    x = node.x()
    for axis in sorted(axes_of(node, x) or (), reverse=True):
        x = b.call(_ATEN.prod.dim_int, x, axis, bool(node.get("keepdims", 1)))
    return x


_ENTRIES = {
    "Abs": "abs", "Acos": "acos", "Asin": "asin", "Atan": "atan", "Cos": "cos", "Cosh": "cosh", "Erf": "erf",
    "Exp": "exp", "HardSwish": "hardswish", "Log": "log", "Mish": "mish", "Reciprocal": "reciprocal", "Relu": "relu",
    "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip

BOUNDARIES: dict[str, Reader] = {
    **{name: _entry(getattr(_ATEN, call).default) for name, call in _ENTRIES.items()},
    "And": _two(_ATEN.logical_and.default),
    "ArgMax": _arg(_ATEN.argmax.default),
    "ArgMin": _arg(_ATEN.argmin.default),
    "Clip": _clip,
    "Elu": _elu,
    "Equal": _two(_ATEN.eq.Tensor),
    "Gelu": _gelu,
    "GlobalMaxPool": _global_max,
    "Greater": _two(_ATEN.gt.Tensor),
    "GreaterOrEqual": _two(_ATEN.ge.Tensor),
    "HardSigmoid": _hard_sigmoid,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky,
    "Less": _two(_ATEN.lt.Tensor),
    "LessOrEqual": _two(_ATEN.le.Tensor),
    "LogSoftmax": _softmax(_ATEN.log_softmax.int),
    "Max": _many(_ATEN.maximum.default),
    "MaxPool": _max_pool,
    "Min": _many(_ATEN.minimum.default),
    "Not": _not,
    "OneHot": _one_hot,
    "Or": _two(_ATEN.logical_or.default),
    "PRelu": _prelu,
    "Pow": _power,
    "ReduceMax": reduced(_ATEN.amax.default, floating=False),
    "ReduceMin": reduced(_ATEN.amin.default, floating=False),
    "ReduceProd": _product,
    "ReduceL1": _composed(_is(_ATEN.abs.default), _SUM, _same),
    "ReduceL2": _composed(_square, _SUM, _is(_ATEN.sqrt.default)),
    "ReduceLogSum": _composed(_same, _SUM, _is(_ATEN.log.default)),
    "ReduceLogSumExp": _composed(_same, _ATEN.logsumexp.default, _same),
    "ReduceSumSquare": _composed(_square, _SUM, _same),
    "Selu": _selu,
    "Softsign": _softsign,
    "ThresholdedRelu": _thresholded,
    "Softmax": _softmax(_ATEN.softmax.int),
    "Where": _where,
}
