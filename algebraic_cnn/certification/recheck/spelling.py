"""A traced network as layers of the checker: convolutions, dense layers, BatchNorm, average pools, sums, reshapings.

spelled    the network as a Program
SPELLINGS  ATen name -> what the call is; whatever is not there is refused by name and source line
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from ...errors import NotAffineError
from ...ir.graph import Call, Graph, Ref, Size, needed
from ...ops.norm import batch_norm_scale
from .layers import Coefficients, Convolution, Program, Shape, Window, each
from .maps import stored
from .patterns import concatenated, interpolated, laid_out, transposed
from .writer import Exact, Feeds, Spelling, Writer, axes_of, bias_of, pair, refused, windowed

#: ATen's names of padding modes, as the checker has them.
_MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def spelled(graph: Graph) -> Program:
    """The network as a program of the checker; it is the same function over the rational numbers.

    Args:
        graph: an affine network with one input and one output, as ``trace`` gives it.

    Raises:
        NotAffineError: if a call is not among those that the checker knows; names it and its source line.
    """
    graph.single()
    return spelled_output(graph, graph.outputs[0].name)


def spelled_output(
    graph: Graph, name: str, exact: Exact = MappingProxyType({}), laid: Sequence[Shape] | None = None
) -> Program:
    """One value of a network of any number of inputs, likewise.

    Args:
        graph: affine calls.
        name: of the value.
        exact: numbers in whose place the network has floats: these numbers are written.
        laid: how the entries of the inputs are laid out; by default as torch sees them.

    Raises:
        NotAffineError: likewise, or if the value does not depend on the input.
    """
    seen = [alone(shape) for shape in graph.input_shapes]
    shapes = [stored(shape) for shape in seen] if laid is None else list(laid)
    writer = Writer(graph, len(shapes), exact=exact)
    values = {name: Feeds(((i, 1.0),), shapes[i], seen[i]) for i, name in enumerate(graph.inputs)}
    for call in needed(graph.calls, [name])[0]:
        values[call.name] = _value(writer, call, values)
    if name not in values:
        raise NotAffineError("a value that does not depend on the input", got=name)
    out = values[name]
    if not writer.layers or out.feeds != ((len(shapes) + len(writer.layers) - 1, 1.0),):
        writer.layers.append(each(out.feeds, out.shape[0]))
    return Program(shapes[0], tuple(writer.layers), tuple(shapes[1:]))


def alone(shape: Size) -> tuple[int, ...]:
    """A shape without its batch axis, if it has others: one sample may lie on one axis.

    >>> alone((None, 3, 2)), alone((6,))
    ((3, 2), (6,))
    """
    return tuple(int(n or 0) for n in (shape[1:] if len(shape) > 1 else shape))


def _value(writer: Writer, call: Call, values: dict[str, Feeds]) -> Feeds:
    arguments = call.bound()
    main = arguments.get("input", arguments.get("self"))
    several = _SEVERAL.get(call.op)
    if several is not None:
        return several(writer, call, arguments, values)
    known = SPELLINGS.get(call.op)
    others = [name for name in call.refs() if name in values and not (isinstance(main, Ref) and name == main.name)]
    if known is None or others or not isinstance(main, Ref) or main.name not in values:
        raise refused(call)
    return known(writer, call, arguments, values[main.name])


def _conv(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    axes = axes_of(call, x)
    weight = writer.array(arguments["weight"])
    extents = pair(weight.shape[2:], axes, 1)
    stride, dilation = (pair(arguments[name], axes, 1) for name in ("stride", "dilation"))
    padding = arguments["padding"]
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, extents, strict=True)]
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in pair(padding, axes, 0)]
    rows, columns = (Window(*p, k, s, d) for p, k, s, d in zip(pads, extents, stride, dilation, strict=True))
    bias = bias_of(writer, arguments["bias"], len(weight))
    kernel = writer.numbers(arguments["weight"])
    layer = Convolution(x.feeds, kernel, bias, rows, columns, groups=arguments["groups"])
    return writer.add(layer, x.shape, axes)


def _linear(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    if len(x.seen) != 1:
        raise refused(call, "a dense layer for every position")
    kernel = writer.numbers(arguments["weight"])
    rows, columns = (Window(extent=n) for n in x.shape[1:])
    layer = Convolution(x.feeds, kernel, bias_of(writer, arguments["bias"], kernel.shape[0]), rows, columns)
    return writer.add(layer, x.shape, 1)


def _batch_norm(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """scale x + (bias - mean scale): the scale is a float64, the shift exact."""
    axes = axes_of(call, x) if len(x.seen) > 1 else 1
    names = ("weight", "bias", "running_mean", "running_var")
    if writer.exact.keys() & set(call.refs()):
        raise refused(call, "a normalisation by numbers that were rounded")
    raw = {name: writer.graph.constants[arguments[name].name] if arguments[name] else None for name in names}
    scale = batch_norm_scale(raw | {"eps": arguments["eps"]}).cpu().numpy()
    mean = writer.array(arguments["running_mean"])
    bias = np.zeros(len(scale)) if arguments["bias"] is None else writer.array(arguments["bias"])
    triples = zip(bias.tolist(), mean.tolist(), scale.tolist(), strict=True)
    shift = np.empty(len(scale), dtype=object)
    shift[:] = [Fraction(b) - Fraction(m) * Fraction(s) for b, m, s in triples]
    layer = each(x.feeds, len(scale), Coefficients.of(scale), Coefficients.of(shift))
    return writer.add(layer, x.shape, axes)


def _average(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    axes = axes_of(call, x)
    extents = pair(arguments["kernel_size"], axes, 1)
    stride = pair(arguments["stride"] or arguments["kernel_size"], axes, 1)
    pads = pair(arguments["padding"], axes, 0)
    rows, columns = (Window(p, p, k, s) for p, k, s in zip(pads, extents, stride, strict=True))
    uneven = any(pads) and not arguments["count_include_pad"]
    if uneven or arguments["ceil_mode"]:
        raise refused(call, "a pool whose windows are not all divided by the same number")
    area = arguments.get("divisor_override") or math.prod(extents)
    kernel = Coefficients.all(1.0, x.shape[0], math.prod(extents), area)
    return writer.add(each(x.feeds, x.shape[0], kernel, rows=rows, columns=columns), x.shape, axes)


def _adaptive_average(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    axes = axes_of(call, x)
    sizes = pair(arguments["output_size"], axes, 1)
    if any(n % m for n, m in zip(x.shape[1:], sizes, strict=True)):
        raise refused(call, "an adaptive pool with windows of several sizes")
    lengths = [n // m for n, m in zip(x.shape[1:], sizes, strict=True)]
    rows, columns = (Window(extent=k, stride=k) for k in lengths)
    kernel = Coefficients.all(1.0, x.shape[0], math.prod(lengths), math.prod(lengths))
    return writer.add(each(x.feeds, x.shape[0], kernel, rows=rows, columns=columns), x.shape, axes)


def _mean(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """The mean of every channel: over all rows and columns, or over all columns of what has no rows."""
    axes, dims = axes_of(call, x), arguments["dim"]
    places = [dims] if isinstance(dims, int) else dims or ()
    if sorted(place % (axes + 1) for place in places) != list(range(2, axes + 1)):
        raise refused(call, "a mean over other axes than rows and columns")
    count = math.prod(x.shape[1:])
    rows, columns = (Window(extent=n) for n in x.shape[1:])
    kernel = Coefficients.all(1.0, x.shape[0], count, count)
    made = writer.add(each(x.feeds, x.shape[0], kernel, rows=rows, columns=columns), x.shape, axes)
    return replace(made, seen=alone(call.shape))


def _pad(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    axes = axes_of(call, x)
    pads = [*arguments["pad"], 0, 0, 0, 0]
    mode = _MODES.get(arguments["mode"])
    if mode is None or arguments.get("value") or any(pads[2 * (axes - 1) :]) or (min(pads) < 0 and mode != "zeros"):
        raise refused(call, "a padding that the checker does not know")
    return windowed(writer, x, axes, ((pads[2], pads[3], 1), (pads[0], pads[1], 1)), mode)


def _reshape(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """The same entries in the same order, if they are seen as a vector, as they are stored, or are a vector."""
    seen = alone(call.shape)
    value = replace(x, seen=seen)
    if "dtype" not in arguments and 1 < len(seen) < 4 and not value.image and x.shape[1:] == (1, 1):
        return laid_out(writer, call, x, seen)
    if "dtype" in arguments or math.prod(seen) != math.prod(x.shape) or (len(seen) > 1 and not value.image):
        raise refused(call, "a reshaping of one image into another")
    return value


def _slice(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    """Every so many rows or columns of some."""
    axes = axes_of(call, x)
    place, step = arguments["dim"] % (axes + 1), arguments["step"]
    walks = [(0, 0, 1), (0, 0, 1)]
    if place > 1:
        n = x.shape[place - axes - 1]
        start, stop, step = slice(arguments["start"], arguments["end"], step).indices(n)
        walks[place - axes - 1] = (-start, min(stop - n, 0), step)
    made = windowed(writer, x, axes, (walks[0], walks[1]))
    if place < 2 and call.shape[1:] != x.seen:
        raise refused(call, "a part of the channels")
    return made


def _same(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    return x


def _scaled(writer: Writer, value: Feeds, factor: float) -> Feeds:
    """The value times a number: in the strengths where their products are floats, else by a layer of its own."""
    products = [(k, t, t * factor) for k, t in value.feeds]
    if all(Fraction(t) * Fraction(factor) == Fraction(product) for _, t, product in products):
        return replace(value, feeds=tuple((k, product) for k, _, product in products))
    channels = value.shape[0]
    made = writer.add(each(value.feeds, channels, Coefficients.all(factor, channels)), value.shape, 3)
    return replace(made, seen=value.seen)


def _times(writer: Writer, call: Call, arguments: dict[str, Any], x: Feeds) -> Feeds:
    factor = arguments["other"]
    if isinstance(factor, Ref):
        if writer.array(factor).size != 1:
            raise refused(call, "a product with an array")
        (exactly,) = writer.numbers(factor, lambda numbers: numbers.reshape(1)).fractions()
        factor = float(exactly)
        if Fraction(factor) != exactly:
            raise refused(call, "a product with a number that was rounded")
    return _scaled(writer, x, float(factor))


def _sum(writer: Writer, call: Call, arguments: dict[str, Any], values: dict[str, Feeds]) -> Feeds:
    factor = _SUMS[call.op] * float(arguments.get("alpha", 1))
    pair = [arguments["self"], arguments["other"]]
    if isinstance(pair[1], int | float) and isinstance(pair[0], Ref):
        return _plus(writer, values[pair[0].name], factor, float(pair[1]))
    if not all(isinstance(each, Ref) and each.name in values for each in pair):
        raise refused(call, "a sum with a constant")
    first, second = (values[each.name] for each in pair)
    if first.shape != second.shape or first.seen != second.seen:
        raise refused(call, "a sum that broadcasts")
    second = _scaled(writer, second, factor)
    return replace(first, feeds=first.feeds + second.feeds)


def _plus(writer: Writer, x: Feeds, factor: float, number: float) -> Feeds:
    """The value plus one number everywhere."""
    shift = np.full(x.shape[0], Fraction(factor) * Fraction(number), dtype=object)
    return replace(writer.add(each(x.feeds, x.shape[0], bias=Coefficients.of(shift)), x.shape, 3), seen=x.seen)


_SUMS = {"add": 1.0, "sub": -1.0}

#: Calls of several values.
_SEVERAL = {**dict.fromkeys(_SUMS, _sum), "cat": concatenated, "concat": concatenated}

SPELLINGS: dict[str, Spelling] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), _adaptive_average),
    **dict.fromkeys(("flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "unflatten"), _reshape),
    **dict.fromkeys(("alias", "clone", "contiguous", "detach", "dropout", "feature_dropout"), _same),
    "mul": _times,
    "mean": _mean,
    "batch_norm": _batch_norm,
    "linear": _linear,
    "pad": _pad,
    "slice": _slice,
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), transposed),
    **dict.fromkeys(("upsample_nearest1d", "_upsample_nearest_exact1d", "upsample_linear1d"), interpolated),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d"), interpolated),
    "upsample_bicubic2d": interpolated,
}
