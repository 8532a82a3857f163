"""Calls that mix or scale channels, as stencils: convolutions, matrices, BatchNorm, multiples, added constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.stencils.kernels import conv_footprint, conv_transpose_footprint, pointwise, transposed_taps
from ..algebra.stencils.pieces import Array, Atom, Offset, Piece, Scaling, identity, scaling_atom
from ..algebra.stencils.zeros import thin
from ..ir.graph import Call, Ref, Size
from ..rings.ring import Ring
from ..toeplitz.arguments import padding_pairs, per_axis
from .precision import taken
from .rules import batch_norm_scale
from .source import Arguments, Reader, Source, atom_of, sizes_of


def _convolution(source: Source, call: Call, a: Arguments) -> Piece | None:
    weight, x = source.tensor(a["weight"], call), a["input"]
    if weight is None or len(source.shape(x)) != weight.ndim or (a["bias"] and source.tensor(a["bias"], call) is None):
        return None
    rank, sizes = weight.ndim - 2, sizes_of(source.shape(x))
    stride, dilation = (per_axis(a[name], rank, name, least=1) for name in ("stride", "dilation"))
    offset = source.numbers(a["bias"], call) if a["bias"] is not None else None
    if a.get("transposed", "output_padding" in a):
        padding = per_axis(a["padding"], rank, "padding", least=0)
        extra = per_axis(a["output_padding"], rank, "output_padding", least=0)
        options = {"stride": stride, "dilation": dilation, "groups": a["groups"]}
        footprint = conv_transpose_footprint(weight.shape, sizes, padding=padding, output_padding=extra, **options)
        embed = source.numbers(a["weight"], call)
        taps = lambda ring: transposed_taps(embed(ring), footprint, padding, dilation)  # noqa: E731
        return atom_of(source, call, x, footprint, taps, offset=offset)
    padding = padding_pairs(a["padding"], weight.shape[2:], stride, dilation)
    less, groups, taps = thin(weight.numpy(), a["groups"]), a["groups"], source.numbers(a["weight"], call)
    shape: Sequence[int] = weight.shape
    if less is not None:
        shape, groups = less(np.empty(weight.shape)).shape, groups * less.blocks
        padding = less.padding(padding, tuple(weight.shape[2:]), dilation)
        taps = lambda ring: less(source.numbers(a["weight"], call)(ring))  # noqa: E731
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    footprint = conv_footprint(shape, sizes, **options)
    return atom_of(source, call, x, footprint, taps, offset=offset, thin=less is not None)


def _matrix(factor: str, weight: str, bias: str = "", *, transposed: bool = False) -> Callable[..., Piece | None]:
    """x A along the last axis of x; the weight is A or its transpose."""

    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        x, matrix = a[factor], source.tensor(a[weight], call)
        added = a.get(bias)
        if matrix is None or matrix.ndim != 2 or not source.varies(x):
            return None
        if added is not None and ((b := source.tensor(added, call)) is None or b.ndim > 1):
            return None
        if a.get("alpha", 1) != 1 or a.get("beta", 1) != 1:
            return None
        shape, embed = source.shape(x), source.numbers(a[weight], call)
        c_out, c_in = matrix.shape if transposed else matrix.shape[::-1]
        footprint = pointwise(c_in, c_out, 1, [n or 1 for n in shape[1:-1]])
        taps = embed if transposed else lambda ring: np.ascontiguousarray(embed(ring).T)
        offset = source.numbers(added, call) if added is not None else None
        if offset is not None and b.numel() == 1 < c_out:
            offset = lambda ring: np.repeat(source.numbers(added, call)(ring).reshape(-1), c_out)  # noqa: E731
        return atom_of(source, call, x, footprint, taps, offset=offset, last=len(shape) > 2)

    return read


def _batch_norm(source: Source, call: Call, a: Arguments) -> Piece | None:
    raw = {name: source.tensor(a[name], call) for name in ("weight", "bias", "running_mean", "running_var")}
    if raw["running_var"] is None or raw["running_mean"] is None or a.get("training"):
        return None
    scale = batch_norm_scale({**raw, "eps": a["eps"]}).numpy()
    mean, bias = source.numbers(a["running_mean"], call), source.numbers(a["bias"], call)

    def offset(ring: Ring) -> Array:
        shift = ring.negate(ring.reduce(mean(ring) * ring.embed(scale)))
        return shift if raw["bias"] is None else ring.reduce(shift + bias(ring))

    shape = source.shape(a["input"])
    footprint = pointwise(len(scale), len(scale), len(scale), sizes_of(shape))
    return atom_of(source, call, a["input"], footprint, lambda ring: ring.embed(scale), offset=offset)


def _place(constant: Tensor, shape: Size) -> str:
    """Along which axes a constant that is broadcast to a shape varies: "none", "first", "last", "map" or "unlike"."""
    rank = len(shape)
    sizes = [1] * (rank - constant.ndim) + list(constant.shape)
    if len(sizes) > rank or any(n not in (1, m) for n, m in zip(sizes, shape, strict=True)) or sizes[0] != 1:
        return "unlike"
    varying = [i for i, n in enumerate(sizes) if n > 1]
    return "none" if not varying else "first" if varying == [1] else "last" if varying == [rank - 1] else "map"


def _product(source: Source, call: Call, a: Arguments) -> Piece | None:
    x, factor = (a["self"], a["other"]) if source.varies(a["self"]) else (a["other"], a["self"])
    constant, shape = source.tensor(factor, call), source.shape(x)
    if constant is None or shape != call.shape or a.get("rounding_mode") or (call.op == "div" and x is not a["self"]):
        return None
    place, embed = _place(constant, shape), source.numbers(factor, call)
    if place in ("map", "unlike"):
        return None

    def scale(ring: Ring, channels: int) -> Array:
        ones = np.ones(channels)
        if call.op != "div":
            return ring.reduce(embed(ring).reshape(-1) * ones)
        return ring.divide(ring.embed(ones), np.broadcast_to(constant.numpy().reshape(-1), ones.shape))

    return _scaling(shape, place, call, scale)


def _scaling(shape: Size, place: str, call: Call, scale: Callable[[Ring, int], Array], **more: Any) -> Piece:
    def at(last: bool) -> Atom:
        return scaling_atom(shape, last, scale, call=call, **more)

    return Scaling(at, shape, shape, call) if place == "none" else at(place == "last")


def multiple(source: Source, call: Call, number: float, sign: int) -> Piece:
    """x times a number of the network and a sign."""
    factor = sign * taken(call, number, source.graph).item()
    if factor == 1:
        return identity(call.shape)
    scale = lambda ring, channels: np.repeat(ring.embed(np.array(factor)), channels)  # noqa: E731
    return Scaling(lambda last: scaling_atom(call.shape, last, scale), call.shape, call.shape, number=factor)


def _negative(source: Source, call: Call, a: Arguments) -> Piece | None:
    return _scaling(call.shape, "none", call, lambda ring, channels: ring.negate(np.ones(channels)))


def _sum(sign: int, scaled: str = "other") -> Callable[..., Piece | None]:
    """x + a c, x - a c or a c - x with a constant c, or the same with x and c exchanged."""

    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        x, name = (a["self"], "other") if source.varies(a["self"]) else (a["other"], "self")
        constant, shape = source.tensor(a[name], call), source.shape(x)
        alpha = source.tensor(a.get("alpha", 1), call)
        if constant is None or alpha is None or shape != call.shape or _place(constant, shape) == "unlike":
            return None
        factor = {each: sign * alpha if each == scaled else torch.ones(()) for each in ("self", "other")}
        own, added = factor["self" if name == "other" else "other"], factor[name]
        if not constant.any() and own == 1:
            return identity(shape)
        return _shifted(source, call, shape, a[name], (own.double().numpy(), added.double().numpy()))

    return read


def _shifted(source: Source, call: Call, shape: Size, constant: Ref, factors: tuple[Array, Array]) -> Piece:
    """own x + added c, ``factors`` being own and added."""
    tensor = source.tensor(constant, call)
    place = "none" if tensor is None else _place(tensor, shape)
    embed = source.numbers(constant, call)

    def at(last: bool) -> Atom:
        axis = len(shape) - 1 if last else 1

        def offset(ring: Ring) -> Array:
            value = ring.reduce(embed(ring) * ring.embed(factors[1]))
            if whole:
                sizes = [n or 1 for n in shape[1:]]
                return np.moveaxis(np.broadcast_to(value.reshape(value.shape[-len(sizes) :]), sizes), axis - 1, 0)
            return np.broadcast_to(value.reshape(-1), (shape[axis] or 1,))

        whole = place == "map" or (place in ("first", "last") and (place == "last") != last and len(shape) > 2)
        kind = Offset.MAP if whole else Offset.CHANNEL
        scale = lambda ring, channels: np.repeat(ring.embed(factors[0]), channels)  # noqa: E731
        return scaling_atom(shape, last, scale, call=call, offset=offset, offset_is=kind)

    return at(place == "last") if place in ("first", "last") else Scaling(at, shape, shape, call)


MIXING: dict[str, Reader] = {
    **dict.fromkeys([f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)], _convolution),
    "convolution": _convolution,
    "linear": _matrix("input", "weight", "bias", transposed=True),
    "matmul": _matrix("self", "other"),
    "mm": _matrix("self", "mat2"),
    "addmm": _matrix("mat1", "mat2", "self"),
    "batch_norm": _batch_norm,
    "mul": _product,
    "div": _product,
    "neg": _negative,
    "add": _sum(1),
    "sub": _sum(-1),
    "rsub": _sum(-1, scaled="self"),
}
