"""Entry by entry: sums, multiples, quotients by constants, dropout in evaluation mode.

    x + a c,  a c - x,  x c,  x / c,  -x

A constant that varies along one axis scales or shifts its channels; one that varies along more is a map of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..algebra.stencils.pieces import Array, Atom, Offset, Piece, Scaling, identity, scaling_atom
from ..ir.graph import Call, Ref, Size
from ..rings.ring import Ring
from . import imaging
from .denominators import of_arguments
from .op import Arguments, CallSite, Join, Op, Sample, always, as_deep, not_if
from .precision import taken
from .reading import Reading
from .source import Source


def _evaluated_sum(sign: int, factor: str = "other") -> Callable[[CallSite], Tensor]:
    def apply(site: CallSite) -> Tensor:
        terms = {name: site.offset(name) for name in ("self", "other")}
        alpha = site.raw.get("alpha", 1)
        if alpha != 1:
            terms[factor] = site.ring.reduce(terms[factor] * site["alpha"])
        if sign < 0:
            terms[factor] = site.ring.negate(terms[factor])
        return site.ring.reduce(terms["self"] + terms["other"])

    return apply


def _multiple(site: CallSite) -> Tensor:
    return site.ring.reduce(site["self"] * site["other"])


def _divide(site: CallSite) -> Tensor:
    divisor = site.raw["other"]
    divisor = divisor.detach() if isinstance(divisor, Tensor) else torch.tensor(divisor, dtype=torch.float64)
    return site.ring.divide(site["self"], divisor.double().to(site["self"].device))


def _place(constant: Tensor, shape: Size) -> str:
    """Along which axes a constant that is broadcast to a shape varies: "none", "first", "last", "map" or "unlike"."""
    rank = len(shape)
    sizes = [1] * (rank - constant.ndim) + list(constant.shape)
    if len(sizes) > rank or any(n not in (1, m) for n, m in zip(sizes, shape, strict=True)) or sizes[0] != 1:
        return "unlike"
    varying = [i for i, n in enumerate(sizes) if n > 1]
    return "none" if not varying else "first" if varying == [1] else "last" if varying == [rank - 1] else "map"


def _scaled(source: Source, call: Call, a: Arguments) -> Piece | None:
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


def _negated(source: Source, call: Call, a: Arguments) -> Piece | None:
    return _scaling(call.shape, "none", call, lambda ring, channels: ring.negate(np.ones(channels)))


def _moved(sign: int, scaled: str = "other") -> Callable[..., Piece | None]:
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


def _added_layer(self_sign: int, other_sign: int, scaled: str = "other") -> Callable[..., Combination]:
    def read(reading: Reading, call: Call, a: Arguments) -> Combination:
        shape, work = reading.shape(call), reading.assembly
        factors = {"self": Fraction(self_sign), "other": Fraction(other_sign)}
        factors[scaled] *= reading.strength(call, a.get("alpha", 1))
        values = {name: t for name, t in factors.items() if isinstance(a[name], Combination)}
        total = reduce(work.sum, [reading.expanded(call, a[name], shape) * t for name, t in values.items()])
        for name in factors.keys() - values.keys():
            if factors[name]:  # t c + x = t (c + x / t): the layer adds c itself, so that t c is not rounded
                b = reading.vector(call, a[name], shape)
                one = sp.eye_array(total.size, format="csr")
                total = work.layer(total * (1 / factors[name]), shape, one, b=b) * factors[name]
        return total

    return read


def _scaled_layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    value, factor = (a["self"], a["other"]) if isinstance(a["self"], Combination) else (a["other"], a["self"])
    value = reading.expanded(call, value, reading.shape(call))
    if not isinstance(factor, Tensor) or factor.numel() == 1:
        return value * reading.strength(call, factor)
    W = sp.diags_array(reading.vector(call, factor, value.shape), format="csr")
    return reading.assembly.layer(value, value.shape, W)


def _divided_layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    value = reading.expanded(call, a["self"], reading.shape(call))
    return reading.assembly.divided(value, reading.vector(call, a["other"], value.shape))


def _joined(sign: int, source: Source, call: Call, a: Arguments) -> Join | None:
    x, y = a["self"], a["other"]
    if not (source.varies(x) and source.varies(y)) or source.shape(x) != source.shape(y):
        return None
    scale = multiple(source, call, a.get("alpha", 1), sign)
    return Join("sum", [(x.name, identity(call.shape)), (y.name, scale)])


def _op_of_sum(
    evaluate: Callable[[CallSite], Tensor], piece: Callable, operator: Callable, layer: Callable, **more: Any
) -> Op:
    denominators = of_arguments(("bias", "self", "other"))
    parts = {"piece": piece, "operator": operator, "layer": layer, "apart": as_deep, "denominators": denominators}
    return Op(evaluate, ("self", "other"), **parts, **more)


_DROPOUT = {
    "operator": imaging.same,
    "layer": lambda reading, call, a: a["input"],
    "apart": always,
    "exact": True,
    "idle": True,
    "ordered": True,
    "channelwise": True,
}

OPS: dict[str, Op] = {
    "add": _op_of_sum(
        _evaluated_sum(1),
        _moved(1),
        imaging.added(1, 1),
        _added_layer(1, 1),
        joins=partial(_joined, 1),
        overload="Tensor",
        called="bias map",
    ),
    "sub": _op_of_sum(
        _evaluated_sum(-1), _moved(-1), imaging.added(1, -1), _added_layer(1, -1), joins=partial(_joined, -1)
    ),
    "rsub": _op_of_sum(
        _evaluated_sum(-1, "self"),
        _moved(-1, scaled="self"),
        imaging.added(-1, 1, "self"),
        _added_layer(-1, 1, scaled="self"),
    ),
    "neg": Op(
        lambda site: site.ring.negate(site["self"]),
        piece=_negated,
        operator=lambda source, call, a: imaging.times(a["self"], -1.0),
        layer=lambda reading, call, a: a["self"] * Fraction(-1),
        apart=always,
    ),
    "mul": Op(
        _multiple,
        ("self", "other"),
        bilinear=True,
        broadcasts=True,
        piece=_scaled,
        operator=imaging.multiplied,
        layer=_scaled_layer,
        apart=as_deep,
        overload="Tensor",
        called="scale",
    ),
    "div": Op(
        _divide,
        accepts=not_if("rounding_mode", "it rounds"),
        broadcasts=True,
        piece=_scaled,
        operator=imaging.multiplied,
        layer=_divided_layer,
        apart=as_deep,
        denominators=of_arguments(divisor="other"),
        poles=True,
    ),
    **{
        name: Op(lambda site: site["input"], ("input",), accepts=not_if("train", "it drops at random"), **_DROPOUT)
        for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
    },
}

_IMAGE = (4, 6, 6)
SAMPLES: dict[str, Sample] = {
    "add": (lambda x, c: torch.add(x, c, alpha=3) + 2 + x, _IMAGE, [(4, 1, 1)]),
    "add of values": (lambda x: torch.add(x, 2 * x, alpha=-3), _IMAGE, ()),
    "sub": (lambda x, c: torch.sub(c, x, alpha=2) - 1, _IMAGE, [(4, 1, 1)]),
    "sub of values": (lambda x: x[:, :2] - x[:, 2:], _IMAGE, ()),
    "rsub": (lambda x: torch.rsub(x, 7, alpha=2), _IMAGE, ()),
    "neg": (lambda x: -x, _IMAGE, ()),
    "mul": (lambda x, c: c * x * 3 * 0.5, _IMAGE, [(6,)]),
    "div": (lambda x: x / 3 / torch.tensor([1.0, 2.0, -4.0, 5.0]).double().reshape(4, 1, 1), _IMAGE, ()),
    "alpha_dropout": (lambda x: F.alpha_dropout(x, training=False), _IMAGE, ()),
    "feature_alpha_dropout": (lambda x: F.feature_alpha_dropout(x, training=False), _IMAGE, ()),
}
