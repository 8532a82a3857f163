"""The operator of a call, its map of images of every size: what an entry of the registry says as its ``operator``.

A reader is given the arguments of a call with operators where values depend on the network's input, batch first,
channels second; it returns the operator of the result, a list of them for a tuple, or None where the call is none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from ..algebra.operators import layers
from ..algebra.operators.blocks import Numbers
from ..algebra.operators.operator import Operator
from ..algebra.stencils.zeros import thin
from ..ir.graph import Call, Size
from ..toeplitz.arguments import padding_pairs, per_axis
from .source import Arguments, Source


def given(a: Arguments) -> Operator:
    """The map that a call of one varying argument is given."""
    return next(value for value in a.values() if isinstance(value, Operator))


def same(source: Source, call: Call, a: Arguments) -> Operator | None:
    """A call that returns what it is given."""
    name = next((name for name in call.refs() if name in source.dependent), "")
    return given(a) if source.shapes[name] == call.shape else None


def conv(source: Source, call: Call, a: Arguments) -> Operator | None:
    """A convolution, transposed or not."""
    weight, f = source.array(a["weight"], call), a["input"]
    if weight is None or len(f.period) != weight.ndim - 2:
        return None
    bias = None if a["bias"] is None else source.numbers(a["bias"], call)
    how: dict[str, Any] = {name: a[name] for name in ("stride", "dilation", "groups", "padding")}
    how["shape"] = tuple(weight.shape)
    numbers = source.numbers(a["weight"], call)
    if a.get("transposed", "output_padding" in a):
        return f.then(layers.conv_transpose(numbers, bias, output_padding=a["output_padding"], **how))
    less = thin(weight, a["groups"])
    if less is None:
        return f.then(layers.conv(numbers, bias, **how))
    rank, sizes = weight.ndim - 2, tuple(weight.shape[2:])
    stride, dilation = (per_axis(a[name], rank, name, least=1) for name in ("stride", "dilation"))
    how["padding"] = less.padding(padding_pairs(a["padding"], sizes, stride, dilation), sizes, dilation)
    how |= {"groups": a["groups"] * less.blocks, "shape": less(np.empty(weight.shape)).shape}
    return f.then(layers.conv(lambda ring: less(numbers(ring)), bias, **how))


def linear(factor: str, weight: str, bias: str = "", *, transposed: bool = False) -> Callable[..., Operator | None]:
    """The reader of x A along the channels, the last axis of x; the weight is A or its transpose."""

    def read(source: Source, call: Call, a: Arguments) -> Operator | None:
        f, matrix, added = a[factor], source.array(a[weight], call), a.get(bias)
        plain = a.get("alpha", 1) == a.get("beta", 1) == 1
        if matrix is None or matrix.ndim != 2 or not isinstance(f, Operator) or not plain:
            return None
        if added is not None and ((b := source.tensor(added, call)) is None or b.ndim > 1):
            return None
        embed, shape = source.numbers(a[weight], call), tuple(matrix.shape if transposed else matrix.T.shape)
        shape += (1,) * len(f.period)
        numbers = embed if transposed else lambda ring: np.ascontiguousarray(embed(ring).T)
        shift = source.numbers(added, call)
        b = lambda ring: np.broadcast_to(shift(ring).reshape(-1), shape[:1])  # noqa: E731
        return f.then(layers.conv(numbers, None if added is None else b, shape=shape))

    return read


def scaled_by(scale: np.ndarray, shift: Numbers, a: Arguments) -> Operator:
    """x scale + shift, a number for each channel."""
    f = given(a)
    return f.then(layers.scaling(len(scale), len(f.period), scale, shift))


def times(f: Operator, number: float) -> Operator:
    """A map times a number."""
    return f if number == 1 else f.then(layers.scaling(f.channels[1], len(f.period), np.repeat(number, f.channels[1])))


def _vector(source: Source, call: Call, constant: Any, channels: int) -> Numbers | None:
    """A constant as a number for each channel; None if it varies along another axis."""
    tensor, numbers = source.tensor(constant, call), source.numbers(constant, call)
    rank = len(call.shape)
    if tensor is None or tensor.ndim > rank:
        return None
    sizes = [1] * (rank - tensor.ndim) + list(tensor.shape)
    if any(n > 1 for i, n in enumerate(sizes) if i != 1) or (rank > 1 and sizes[1] not in (1, channels)):
        return None
    return lambda ring: np.broadcast_to(numbers(ring).reshape(-1), (channels,))


def added(self_sign: int, other_sign: int, scaled: str = "other") -> Callable[..., Operator | None]:
    """The reader of ``self_sign self + other_sign other``, the one that is ``scaled`` times alpha."""

    def read(source: Source, call: Call, a: Arguments) -> Operator | None:
        alpha = source.tensor(a.get("alpha", 1), call)
        if alpha is None:
            return None
        factors = {"self": float(self_sign), "other": float(other_sign)}
        factors[scaled] *= float(alpha)
        maps = [times(a[name], factor) for name, factor in factors.items() if isinstance(a[name], Operator)]
        if len(maps) == 2:
            return maps[0] + maps[1] if maps[0].channels == maps[1].channels else None
        name = "other" if isinstance(a["self"], Operator) else "self"
        c, factor = maps[0].channels[1], np.array([factors[name]])
        vector = _vector(source, call, a[name], c)
        if vector is None:
            return None
        shift = lambda ring: ring.reduce(vector(ring) * ring.embed(factor))  # noqa: E731
        return maps[0].then(layers.scaling(c, len(maps[0].period), None, shift))

    return read


def multiplied(source: Source, call: Call, a: Arguments) -> Operator | None:
    """A product with a constant, or a quotient by one, that is a number for each channel."""
    f = given(a)
    constant = a["other"] if f is a["self"] else a["self"]
    c, tensor = f.channels[1], source.tensor(constant, call)
    vector = _vector(source, call, constant, c)
    if vector is None or tensor is None or a.get("rounding_mode"):
        return None
    if call.op != "div":
        return f.then(layers.scaling(c, len(f.period), vector))
    divisor = np.broadcast_to(tensor.numpy().reshape(-1), (c,))
    return f.then(layers.scaling(c, len(f.period), lambda ring: ring.divide(ring.embed(np.ones(c)), divisor)))


#: Ends of slices that take all that there is.
_OPEN = (None, sys.maxsize)

_MODES = {"con": "zeros", "ref": "reflect", "rep": "replicate", "cir": "circular"}


def padded(source: Source, call: Call, a: Arguments) -> Operator | None:
    """Padding of spatial axes in any mode."""
    f, pad = given(a), list(a.get("padding") or a.get("pad") or ())
    d, mode = len(f.period), _MODES[str(a.get("mode") or call.op)[:3]]
    pairs = [(0, 0)] * (d - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    if len(pairs) != d and any(map(any, pairs[: len(pairs) - d])):
        return None
    constant = bool(a.get("value")) and mode == "zeros"
    numbers = source.numbers(a.get("value"), call)
    value = (lambda ring: numbers(ring).reshape(-1)) if constant else 0
    return f.then(layers.pad(f.channels[1], pairs[len(pairs) - d :], mode, value))


def pooled(source: Source, call: Call, a: Arguments) -> Operator:
    """Averages over windows."""
    f = given(a)
    kernel, stride, padding = (
        list(each) * (len(f.period) if len(each) == 1 else 1)
        for each in (a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"])
    )
    how: dict[str, Any] = {name: a.get(name) for name in ("ceil_mode", "count_include_pad", "divisor_override")}
    return f.then(layers.avg_pool(f.channels[1], kernel, stride=stride, padding=padding, **how))


def adaptively_pooled(source: Source, call: Call, a: Arguments) -> Operator:
    """Averages over adaptive windows."""
    f, size = given(a), list(a["output_size"])
    return f.then(layers.adaptive_avg_pool(f.channels[1], size * (len(f.period) if len(size) == 1 else 1)))


def shuffled(source: Source, call: Call, a: Arguments) -> Operator | None:
    """A pixel shuffle, its inverse, or a shuffle of channels."""
    f = given(a)
    c, d = f.channels[1], len(f.period)
    if call.op == "channel_shuffle":
        return f.pick(np.arange(c).reshape(a["groups"], -1).T.ravel().tolist())
    if d != 2:
        return None
    if call.op == "pixel_shuffle":
        return f.then(layers.pixel_shuffle(c // a["upscale_factor"] ** 2, a["upscale_factor"]))
    return f.then(layers.pixel_unshuffle(c, a["downscale_factor"]))


def joined(source: Source, call: Call, a: Arguments) -> Operator | None:
    """Channels beside one another; no constants among them."""
    parts = list(a["tensors"])
    if a["dim"] % len(call.shape) != 1 or not all(isinstance(part, Operator) for part in parts):
        return None
    return reduce(Operator.beside, parts)


def sliced(source: Source, call: Call, a: Arguments) -> Operator | None:
    """A range of channels, or of the positions along an axis."""
    f, ends, axis = given(a), (a["start"], a["end"], a["step"]), a["dim"] % len(call.shape)
    if not a["start"] and a["step"] == 1 and a["end"] in _OPEN:
        return f
    if axis == 0 or not all(isinstance(end, int | None) for end in ends):
        return None
    return (
        f.pick(range(f.channels[1])[slice(*ends)])
        if axis == 1
        else f.then(
            layers.cropped(
                f.channels[1], [slice(*ends) if i == axis - 2 else slice(None) for i in range(len(f.period))]
            )
        )
    )


def over_first(a: Arguments, shape: Size) -> bool:
    """Whether a sum goes over the first axis after the batch, so that channels are the last."""
    return 1 in {dim % len(shape) for dim in a.get("dim") or ()}


def over_axes(*, mean: bool) -> Callable[..., Operator | None]:
    """The reader of sums, or means, over axes of the image, whose lengths become 1."""

    def read(source: Source, call: Call, a: Arguments) -> Operator | None:
        f = given(a)
        rank = len(f.period) + 2
        dims = {dim % rank for dim in a.get("dim") or ()}
        if not dims or 0 in dims or (1 in dims and rank - 1 in dims):
            return None
        first = 1 if 1 in dims else 2
        return f.then(layers.totals(f.channels[1], [axis + first in dims for axis in range(rank - 2)], mean=mean))

    return read


def parts(source: Source, call: Call, a: Arguments) -> list[Operator] | None:
    """Ranges of channels, one after the other."""
    f = given(a)
    if a.get("dim", 0) % (len(f.period) + 2) != 1:
        return None
    c = f.channels[1]
    if call.op == "split_with_sizes":
        lengths = list(a["split_sizes"])
    else:
        each = -(-c // a["chunks"]) if call.op == "chunk" else a["split_size"]
        lengths = [min(each, c - start) for start in range(0, c, each)]
    stops = np.cumsum(lengths).tolist()
    return [f.pick(range(stop - n, stop)) for n, stop in zip(lengths, stops, strict=True)]
