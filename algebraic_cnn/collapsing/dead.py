"""Dead channels: what an activation gives there is 0 for every finite input.

A filter of zeros gives its bias b, and a BatchNorm of scale 0 its shift.  A BatchNorm of the constant c gives

    gamma (c - mean) / sqrt(var + eps) + beta,

whose sign is that of a rational number, and is decided without rounding.  Where it is not positive, a ReLU makes 0 of
it; and no gradient wakes the filter, as the ReLU's slope there is 0 as well.

    Channels    what is known of the channels of a value
    suspect     whether a graph has a filter of zeros at all, which is quickly seen
    channels    graph -> that of every value of which something is known
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from ..derivation.definitions import network_of
from ..ir.graph import Call, Graph, Ref, Size
from ..ops.channels import Role, role
from ..ops.registry import traits
from ..ops.traits import spatial
from .infinities import reached


@dataclass(frozen=True, eq=False)
class Channels:
    """What is known of the channels of a value, whatever finite numbers the network is given.

    Attributes:
        axis: along which they lie.
        zero: which are 0, as an activation makes them.
        low: which are at most 0.
        constant: the number that a channel is, where that is known.
    """

    axis: int
    zero: Tensor
    low: Tensor
    constant: Mapping[int, Fraction] = field(default_factory=dict)

    @classmethod
    def zeros(cls, axis: int, zero: Tensor) -> Channels:
        """Channels of which some are 0."""
        return cls(axis, zero, zero, {int(k): Fraction(0) for k in zero.nonzero()})

    def __len__(self) -> int:
        return len(self.zero)


Known = Mapping[str, Channels]


def suspect(graph: Graph) -> bool:
    """Whether some filter, or the scale of a BatchNorm in a channel, is 0."""
    return any(bool((weight == 0).flatten(1).all(1).any()) for call in graph.calls for weight in _weights(call, graph))


def _weights(call: Call, graph: Graph) -> list[Tensor]:
    named = call.bound().get("weight") if role(call.op) in (Role.MAP, Role.NORM) else None
    weight = graph.constants.get(named.name) if isinstance(named, Ref) else None
    return [] if weight is None or weight.is_meta or not weight.ndim else [weight.reshape(len(weight), -1)]


def channels(graph: Graph) -> dict[str, Channels]:
    """What is known of the channels of every value of which anything is.

    Nothing is known of what an infinite number may reach, for 0 times infinity is not 0.
    """
    infinite, shapes = _infinite(graph), graph.shapes()
    found: dict[str, Channels] = {}
    for call in graph.calls:
        if call.name in infinite or len(call.shape) < 2:
            continue
        rule = _RULES.get(role(call.op))
        known = rule(call, graph, found, shapes) if rule else None
        if known is not None and call.shape[known.axis] == len(known):
            found[call.name] = known
    return found


def _infinite(graph: Graph) -> set[str]:
    """The values that may be infinite on ordinary inputs, and all that are computed from such."""
    found = set(reached(graph, network_of(graph).affine))
    for call in graph.calls:
        if not found.isdisjoint(call.refs()):
            found.add(call.name)
    return found


Rule = Callable[[Call, Graph, Known, Mapping[str, Size]], Channels | None]


def _filtered(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """A convolution or a linear map: a filter that is 0 wherever its channels are not gives its bias."""
    a = call.bound()
    x, weight, bias = a["input"], *(number(a[name], graph) for name in ("weight", "bias"))
    groups, axis = a.get("groups", 1), 1 if "groups" in a else len(call.shape) - 1
    if weight is None or (a["bias"] is not None and bias is None) or ("groups" in a and weight.ndim != len(call.shape)):
        return None
    if not bool(weight.isfinite().all()):
        return None
    given = known.get(x.name)
    count = groups * weight.shape[1]
    silent = given.zero if given is not None and given.axis == axis else torch.zeros(count, dtype=torch.bool)
    nothing = (weight == 0).flatten(2).all(2) if weight.ndim > 2 else weight == 0
    rows = silent.reshape(groups, 1, -1).expand(groups, len(weight) // groups, weight.shape[1]).flatten(0, 1)
    silenced = (nothing | rows).all(1)
    numbers = {int(k): Fraction(0) if bias is None else _exact(bias[k]) for k in silenced.nonzero()}
    known_numbers = {k: number for k, number in numbers.items() if number is not None}
    low = torch.tensor([k in known_numbers and known_numbers[k] <= 0 for k in range(len(weight))])
    return Channels(axis, torch.zeros_like(low), low, known_numbers)


def _normed(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """A BatchNorm: the sign of gamma (c - mean) / sqrt(v) + beta is known where gamma is 0 or c is known."""
    a = call.bound()
    mean, var = (number(a[name], graph) for name in ("running_mean", "running_var"))
    if mean is None or var is None or a["training"] or not bool((var + a["eps"] > 0).all()):
        return None
    gamma, beta = (number(a[name], graph) if a[name] is not None else None for name in ("weight", "bias"))
    if (a["weight"] is not None and gamma is None) or (a["bias"] is not None and beta is None):
        return None
    given = known.get(a["input"].name)
    given = given if given is not None and given.axis == 1 else None
    numbers: dict[int, Fraction] = {}
    low = torch.zeros(len(mean), dtype=torch.bool)
    for k in range(len(mean)):
        scale, shift = (Fraction(each) if x is None else _exact(x[k]) for each, x in ((1, gamma), (0, beta)))
        value = Fraction(0) if scale == 0 else given.constant.get(k) if given else None
        if value is None or scale is None or shift is None or (m := _exact(mean[k])) is None:
            continue
        rise = scale * (value - m)
        if rise == 0:
            numbers[k] = shift
        low[k] = _at_most_zero(rise, shift, _exact(var[k]), Fraction(a["eps"]))
    return Channels(1, torch.zeros_like(low), low, numbers)


def _at_most_zero(rise: Fraction, shift: Fraction, var: Fraction | None, eps: Fraction) -> bool:
    """Whether rise / sqrt(var + eps) + shift <= 0, over the real numbers."""
    if var is None or (rise > 0 and shift >= 0):
        return False
    if rise <= 0 and shift <= 0:
        return True
    square, other = rise * rise, shift * shift * (var + eps)
    return square <= other if rise > 0 else square >= other


def _exact(entry: Tensor) -> Fraction | None:
    value = float(entry)
    return Fraction(value) if math.isfinite(value) else None


def _each(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """A call that takes every channel by itself: what is low becomes 0 in a ReLU, and 0 stays 0 in a pool."""
    names, a, about = list(call.refs()), call.bound(), traits(call.op)
    given = known.get(names[0]) if len(names) == 1 else None
    if given is None or len(shapes[names[0]]) != len(call.shape) or a.get("train"):
        return None
    if about.idle:
        return given
    if about.floor(a) == 0:
        return Channels.zeros(given.axis, given.low)
    if about.activation:
        return Channels.zeros(given.axis, torch.zeros_like(given.zero))
    dilation = a.get("dilation", 1)
    dense = set(dilation if isinstance(dilation, list | tuple) else [dilation]) <= {1}
    pools = dense and given.axis == 1 and spatial(call.op) == len(call.shape) - 2
    return Channels.zeros(1, given.zero) if pools else None


def _averaged(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    a = call.bound()
    given, rank = known.get(a["self"].name), len(shapes[a["self"].name])
    dims = a["dim"] if isinstance(a["dim"], list | tuple) else [a["dim"]]
    if given is None or given.axis != 1 or None in dims or not dims or any(dim % rank < 2 for dim in dims):
        return None
    return Channels.zeros(1, given.zero)


def _joined(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """A concatenation along the channels."""
    parts = [known.get(x.name) for x in call.bound()["tensors"]]
    dim = call.bound()["dim"] % len(call.shape)
    found = [part for part in parts if part is not None and part.axis == dim]
    if len(found) != len(parts):
        return None
    return Channels.zeros(dim, torch.cat([part.zero for part in found]))


def _paired(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """A sum or a product of two values with the same channels: 0 + 0 is 0, and so is 0 times a finite number."""
    names = list(call.refs())
    if len(names) != 2 or call.bound().get("alpha", 1) != 1:
        return None
    if any(name not in known or len(shapes[name]) != len(call.shape) for name in names):
        return None
    one, other = (known[name] for name in names)
    if one.axis != other.axis or len(one) != len(other):
        return None
    return Channels.zeros(one.axis, one.zero & other.zero if role(call.op) is Role.SUM else one.zero | other.zero)


def _flat(call: Call, graph: Graph, known: Known, shapes: Mapping[str, Size]) -> Channels | None:
    """Channels and their pixels as one axis."""
    given, shape = known.get(call.args[0].name), shapes[call.args[0].name]
    if given is None or given.axis != 1 or len(call.shape) != 2 or None in shape[1:] or call.shape[0] != shape[0]:
        return None
    return Channels.zeros(1, given.zero.repeat_interleave(math.prod(int(n or 1) for n in shape[2:])))


def number(value: object, graph: Graph) -> Tensor | None:
    """The numbers of an argument that is a constant of the network."""
    found = graph.constants.get(value.name) if isinstance(value, Ref) else None
    return None if found is None or found.is_meta or not found.is_floating_point() else found.detach().cpu()


_RULES: dict[Role, Rule] = {
    Role.MAP: _filtered,
    Role.NORM: _normed,
    Role.MEAN: _averaged,
    Role.JOIN: _joined,
    Role.SUM: _paired,
    Role.PRODUCT: _paired,
    Role.REGROUP: _flat,
    Role.EACH: _each,
}
