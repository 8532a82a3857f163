"""A traced network as layers of the checker: convolutions, dense layers, BatchNorm, average pools, sums, reshapings.

Value      a sum of earlier values with strengths, its shape as the checker has it and as torch has it
spelled    the network as a Program
SPELLINGS  ATen name -> what the call is; whatever is not there is refused by name and source line
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor

from ...errors import NotAffineError
from ...ir.graph import Call, Graph, Ref
from ...ops.norm import batch_norm_scale
from .layers import Axis, Layer, Numbers, Program, Shape, each
from .maps import stored

#: ATen's names of padding modes, as the checker has them.
_MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


@dataclass(frozen=True)
class Value:
    """What a call has made.

    Attributes:
        feeds: values of the program, with strengths; their sum is the value.
        shape: (channels, rows, columns) of each of them.
        seen: the shape that torch sees, without batch axis; the entries are the same in row-major order.
    """

    feeds: tuple[tuple[int, float], ...]
    shape: Shape
    seen: tuple[int, ...]

    @property
    def image(self) -> bool:
        """Whether torch sees it with the axes of the program."""
        return self.seen == self.shape or (self.shape[1] == 1 and self.seen == (self.shape[0], self.shape[2]))


@dataclass
class _Writer:
    graph: Graph
    layers: list[Layer] = field(default_factory=list)

    def add(self, layer: Layer, shape: Shape, axes: int) -> Value:
        """The value of a new layer; torch sees it with one axis, two or three."""
        self.layers.append(layer)
        made = layer.result(shape)
        seen = {1: (math.prod(made),), 2: (made[0], made[2]), 3: made}[axes]
        return Value(((len(self.layers), 1.0),), made, seen)

    def array(self, argument: Any) -> np.ndarray:
        """The numbers of a constant argument."""
        tensor: Tensor = self.graph.constants[argument.name] if isinstance(argument, Ref) else argument
        numbers = tensor.detach().cpu()
        return numbers.double().numpy() if numbers.element_size() > 4 else numbers.float().numpy()


Spelling = Callable[[_Writer, Call, dict[str, Any], Value], Value]


def spelled(graph: Graph) -> Program:
    """The network as a program of the checker; it is the same function over the rational numbers.

    Args:
        graph: an affine network with one input and one output, as ``trace`` gives it.

    Raises:
        NotAffineError: if a call is not among those that the checker knows; names it and its source line.
    """
    in_shape, _ = graph.single()
    shape = stored(in_shape)
    writer = _Writer(graph)
    values = {graph.inputs[0]: Value(((0, 1.0),), shape, in_shape)}
    for call in graph.calls:
        values[call.name] = _value(writer, call, values)
    out = values[graph.outputs[0].name]
    if not writer.layers or out.feeds != ((len(writer.layers), 1.0),):
        writer.layers.append(each(out.feeds, out.shape[0]))
    return Program(shape, tuple(writer.layers))


def _value(writer: _Writer, call: Call, values: dict[str, Value]) -> Value:
    arguments = call.bound()
    main = arguments.get("input", arguments.get("self"))
    if call.op in _SUMS:
        return _sum(writer, call, arguments, values)
    known = SPELLINGS.get(call.op)
    others = [name for name in call.refs() if name in values and not (isinstance(main, Ref) and name == main.name)]
    if known is None or others or not isinstance(main, Ref) or main.name not in values:
        raise _refused(call)
    return known(writer, call, arguments, values[main.name])


def _refused(call: Call, why: str = "a call that the checker does not know") -> NotAffineError:
    return NotAffineError(f"{why}: {call.op}", expected=", ".join(sorted(SPELLINGS)), where=call.where)


def _axes(call: Call, value: Value) -> int:
    if not value.image or len(value.seen) < 2:
        raise _refused(call, "an image was expected, after a reshaping")
    return len(value.seen)


def _pair(numbers: Any, axes: int, one: int) -> tuple[int, int]:
    """An argument for rows and for columns; of one-dimensional calls the rows are trivial."""
    given = [numbers] if isinstance(numbers, int) else list(numbers)
    given = given * (axes - 1) if len(given) == 1 else given
    return (one, given[0]) if axes == 2 else (given[0], given[1])


def _bias(writer: _Writer, argument: Any, channels: int) -> Numbers:
    return Numbers.all(0.0, channels) if argument is None else Numbers.of(writer.array(argument))


def _conv(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    axes = _axes(call, x)
    weight = writer.array(arguments["weight"])
    extents = _pair(weight.shape[2:], axes, 1)
    stride, dilation = (_pair(arguments[name], axes, 1) for name in ("stride", "dilation"))
    padding = arguments["padding"]
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, extents, strict=True)]
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in _pair(padding, axes, 0)]
    rows, columns = (Axis(*p, k, s, d) for p, k, s, d in zip(pads, extents, stride, dilation, strict=True))
    bias = _bias(writer, arguments["bias"], len(weight))
    layer = Layer(x.feeds, Numbers.of(weight), bias, rows, columns, groups=arguments["groups"])
    return writer.add(layer, x.shape, axes)


def _linear(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    if len(x.seen) != 1:
        raise _refused(call, "a dense layer for every position")
    weight = writer.array(arguments["weight"])
    rows, columns = (Axis(extent=n) for n in x.shape[1:])
    layer = Layer(x.feeds, Numbers.of(weight), _bias(writer, arguments["bias"], len(weight)), rows, columns)
    return writer.add(layer, x.shape, 1)


def _batch_norm(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    """scale x + (bias - mean scale): the scale is a float64, the shift exact."""
    axes = _axes(call, x) if len(x.seen) > 1 else 1
    names = ("weight", "bias", "running_mean", "running_var")
    raw = {name: writer.graph.constants[arguments[name].name] if arguments[name] else None for name in names}
    scale = batch_norm_scale(raw | {"eps": arguments["eps"]}).cpu().numpy()
    mean = writer.array(arguments["running_mean"])
    bias = np.zeros(len(scale)) if arguments["bias"] is None else writer.array(arguments["bias"])
    triples = zip(bias.tolist(), mean.tolist(), scale.tolist(), strict=True)
    shift = np.empty(len(scale), dtype=object)
    shift[:] = [Fraction(b) - Fraction(m) * Fraction(s) for b, m, s in triples]
    layer = each(x.feeds, len(scale), Numbers.of(scale), Numbers.of(shift))
    return writer.add(layer, x.shape, axes)


def _average(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    axes = _axes(call, x)
    extents = _pair(arguments["kernel_size"], axes, 1)
    stride = _pair(arguments["stride"] or arguments["kernel_size"], axes, 1)
    pads = _pair(arguments["padding"], axes, 0)
    rows, columns = (Axis(p, p, k, s) for p, k, s in zip(pads, extents, stride, strict=True))
    uneven = any(pads) and not arguments["count_include_pad"]
    if uneven or arguments["ceil_mode"]:
        raise _refused(call, "a pool whose windows are not all divided by the same number")
    area = arguments.get("divisor_override") or math.prod(extents)
    kernel = Numbers.all(1.0, x.shape[0], math.prod(extents), area)
    return writer.add(each(x.feeds, x.shape[0], kernel, rows=rows, columns=columns), x.shape, axes)


def _adaptive_average(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    axes = _axes(call, x)
    sizes = _pair(arguments["output_size"], axes, 1)
    if any(n % m for n, m in zip(x.shape[1:], sizes, strict=True)):
        raise _refused(call, "an adaptive pool with windows of several sizes")
    lengths = [n // m for n, m in zip(x.shape[1:], sizes, strict=True)]
    rows, columns = (Axis(extent=k, stride=k) for k in lengths)
    kernel = Numbers.all(1.0, x.shape[0], math.prod(lengths), math.prod(lengths))
    return writer.add(each(x.feeds, x.shape[0], kernel, rows=rows, columns=columns), x.shape, axes)


def _pad(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    axes = _axes(call, x)
    pads = [*arguments["pad"], 0, 0, 0, 0]
    mode = _MODES.get(arguments["mode"])
    if mode is None or arguments.get("value") or any(pads[2 * (axes - 1) :]) or (min(pads) < 0 and mode != "zeros"):
        raise _refused(call, "a padding that the checker does not know")
    return _windowed(writer, x, axes, ((pads[2], pads[3], 1), (pads[0], pads[1], 1)), mode)


def _windowed(
    writer: _Writer, x: Value, axes: int, walks: tuple[tuple[int, int, int], ...], mode: str = "zeros"
) -> Value:
    """Rows and columns padded, or cut off where that is negative; every so many of them kept.

    A kernel with one 1 and zeros beside it cuts off as many positions as it has zeros, on that side.
    """
    cuts = [(max(-before, 0), max(-after, 0)) for before, after, _ in walks]
    (top, bottom), (left, right) = cuts
    kernel = np.zeros((x.shape[0], top + bottom + 1, left + right + 1), dtype=np.float32)
    kernel[:, top, left] = 1
    rows, columns = (
        Axis(max(before, 0), max(after, 0), sum(cut) + 1, step)
        for (before, after, step), cut in zip(walks, cuts, strict=True)
    )
    layer = each(x.feeds, x.shape[0], Numbers.of(kernel), rows=rows, columns=columns, mode=mode)
    return writer.add(layer, x.shape, axes)


def _reshape(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    """The same entries in the same order, if they are seen as a vector or as they are stored."""
    seen = tuple(n for n in call.shape[1:] if n is not None)
    value = replace(x, seen=seen)
    if "dtype" in arguments or math.prod(seen) != math.prod(x.shape) or (len(seen) > 1 and not value.image):
        raise _refused(call, "a reshaping of one image into another")
    return value


def _slice(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    """Every so many rows or columns of some."""
    axes = _axes(call, x)
    place, step = arguments["dim"] % (axes + 1), arguments["step"]
    walks = [(0, 0, 1), (0, 0, 1)]
    if place > 1:
        n = x.shape[place - axes - 1]
        start, stop, step = slice(arguments["start"], arguments["end"], step).indices(n)
        walks[place - axes - 1] = (-start, min(stop - n, 0), step)
    made = _windowed(writer, x, axes, (walks[0], walks[1]))
    if place < 2 and call.shape[1:] != x.seen:
        raise _refused(call, "a part of the channels")
    return made


def _same(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    return x


def _scaled(writer: _Writer, value: Value, factor: float) -> Value:
    """The value times a number: in the strengths where their products are floats, else by a layer of its own."""
    products = [(k, t, t * factor) for k, t in value.feeds]
    if all(Fraction(t) * Fraction(factor) == Fraction(product) for _, t, product in products):
        return replace(value, feeds=tuple((k, product) for k, _, product in products))
    channels = value.shape[0]
    made = writer.add(each(value.feeds, channels, Numbers.all(factor, channels)), value.shape, 3)
    return replace(made, seen=value.seen)


def _times(writer: _Writer, call: Call, arguments: dict[str, Any], x: Value) -> Value:
    factor = arguments["other"]
    if isinstance(factor, Ref):
        numbers = writer.array(factor)
        if numbers.size != 1:
            raise _refused(call, "a product with an array")
        factor = float(numbers.reshape(()))
    return _scaled(writer, x, float(factor))


def _sum(writer: _Writer, call: Call, arguments: dict[str, Any], values: dict[str, Value]) -> Value:
    factor = _SUMS[call.op] * float(arguments.get("alpha", 1))
    pair = [arguments["self"], arguments["other"]]
    if isinstance(pair[1], int | float) and isinstance(pair[0], Ref):
        return _plus(writer, values[pair[0].name], factor, float(pair[1]))
    if not all(isinstance(each, Ref) and each.name in values for each in pair):
        raise _refused(call, "a sum with a constant")
    first, second = (values[each.name] for each in pair)
    if first.shape != second.shape or first.seen != second.seen:
        raise _refused(call, "a sum that broadcasts")
    second = _scaled(writer, second, factor)
    return replace(first, feeds=first.feeds + second.feeds)


def _plus(writer: _Writer, x: Value, factor: float, number: float) -> Value:
    """The value plus one number everywhere."""
    shift = np.full(x.shape[0], Fraction(factor) * Fraction(number), dtype=object)
    return replace(writer.add(each(x.feeds, x.shape[0], bias=Numbers.of(shift)), x.shape, 3), seen=x.seen)


_SUMS = {"add": 1.0, "sub": -1.0}

SPELLINGS: dict[str, Spelling] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), _adaptive_average),
    **dict.fromkeys(("flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "unflatten"), _reshape),
    **dict.fromkeys(("alias", "clone", "contiguous", "detach", "dropout", "feature_dropout"), _same),
    "mul": _times,
    "batch_norm": _batch_norm,
    "linear": _linear,
    "pad": _pad,
    "slice": _slice,
}
