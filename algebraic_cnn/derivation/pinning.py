"""A piecewise-linear network with its activations pinned to what they do at one input: an affine network.

pattern    for every ReLU unit whether it is open, for every max-pool window which of its entries is the largest
pinned     the network with each activation replaced by the affine call that it is there
margins    the affine map whose values are nonnegative exactly where the network has this pattern: s z for a unit
           with value z and state s = +-1, z_best - z_other for every other entry of a window
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NotAffineError
from ..ir.graph import Call, Graph, Ref, needed
from ..ops.evaluate import scalar
from ..ops.registry import traits
from ..ops.traits import spatial
from .splitting import boundary_calls

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class ActivationPattern:
    """What one activation does.

    Attributes:
        call: the activation.
        states: of ReLU units: True where open, of the shape of the value; of max-pool windows: the position of the
            largest entry among all entries of the value, of the shape of the result.
        shape: of the value that the activation is given.
    """

    call: Call
    states: np.ndarray
    shape: tuple[int, ...]


def pattern_at(call: Call, z: np.ndarray) -> ActivationPattern:
    """What an activation does at a value z of shape (C, *spatial), of floats or of ``Fraction``."""
    if traits(call.op).unit:
        return ActivationPattern(call, np.asarray(z > 0, dtype=bool), z.shape)
    members = windows(call, z.shape)
    values = np.where(members >= 0, z.ravel()[members], -np.inf)
    best = np.take_along_axis(members, values.argmax(1)[:, None], 1)[:, 0]
    return ActivationPattern(call, best.reshape([n or 1 for n in call.shape[1:]]), z.shape)


def activations(graph: Graph) -> tuple[Call, ...]:
    """The calls that are not affine, all of them piecewise linear.

    Raises:
        NotAffineError: if one is neither a ReLU, a LeakyReLU nor a max-pool; names the call and its source line.
    """
    foreign = boundary_calls(graph)
    calls = tuple(call for call in graph.calls if call.name in foreign)
    for call in calls:
        if not (traits(call.op).unit or traits(call.op).largest):
            raise NotAffineError(f"{call.op} is no ReLU, LeakyReLU or max-pool", where=call.where)
    return calls


def windows(call: Call, shape: Sequence[int]) -> np.ndarray:
    """The entries of every max-pool window: positions in the flat value, -1 for padding; shape (windows, taps).

    >>> from algebraic_cnn.ir.trace import trace
    >>> call = trace(torch.nn.MaxPool1d(2).eval(), torch.zeros(1, 1, 4)).calls[0]
    >>> windows(call, (1, 4)).tolist()
    [[0, 1], [2, 3]]
    """
    arguments = call.bound()
    rank = spatial(call.op)
    sizes = [arguments[name] for name in ("kernel_size", "stride", "padding", "dilation")]
    sizes[1] = sizes[1] or sizes[0]
    kernel, stride, padding, dilation = ([*size] * (rank // len(size)) for size in sizes)
    axes = []
    for n, o, k, s, p, d in zip(shape[-rank:], call.shape[-rank:], kernel, stride, padding, dilation, strict=True):
        places = np.arange(o or 1)[:, None] * s - p + np.arange(k) * d
        axes.append(np.where((places >= 0) & (places < n), places, -1))
    channels = math.prod(shape[:-rank])
    index = np.arange(channels).reshape(channels, *[1] * (2 * rank))
    inside = np.ones_like(index, dtype=bool)
    for axis, (places, n) in enumerate(zip(axes, shape[-rank:], strict=True)):
        layout = [1] * (1 + 2 * rank)
        layout[1 + axis], layout[1 + rank + axis] = places.shape
        index = index * n + places.reshape(layout)
        inside = inside & (places >= 0).reshape(layout)
    return np.where(inside, index, -1).reshape(-1, math.prod(kernel))


@dataclass(frozen=True, eq=False)
class Pinned:
    """An affine network and where it agrees with the piecewise-linear one.

    Attributes:
        network: the affine network.
        margins: the affine map from (N, *in_shape) to (N, margins), nonnegative where the pattern holds; None if there
            is no activation.
        given: for each activation what it is given, flat, as an affine map that the earlier activations decide.
        counts: how many margins each activation has.
    """

    network: Graph
    margins: Graph | None
    given: tuple[Graph, ...]
    counts: tuple[int, ...]


def pin(graph: Graph, patterns: Sequence[ActivationPattern]) -> Pinned:
    """The network with these patterns, and their margins."""
    by_name = {pattern.call.name: pattern for pattern in patterns}
    writer = _Writer(graph, [], dict(graph.constants))
    margins = []
    for call in graph.calls:
        if call.name in by_name:
            margins.append(writer.activation(by_name[call.name]))
        else:
            writer.calls.append(call)
    counts = tuple(writer.width(margin) for margin in margins)
    network = writer.graph(graph.outputs)
    if not margins:
        return Pinned(network, None, (), ())
    given = tuple(writer.graph((Ref(f"{pattern.call.name}__flat"),)) for pattern in patterns)
    joined = writer.emit("margins__", aten.cat.default, sum(counts), margins, 1)
    return Pinned(network, writer.graph((joined,)), given, counts)


@dataclass(eq=False)
class _Writer:
    """Calls written one after the other, on values flattened to (N, entries)."""

    source: Graph
    calls: list[Call]
    constants: dict[str, Tensor]

    def emit(self, name: str, target: Any, width: int, *args: Any) -> Ref:
        """One call; its result has ``width`` entries."""
        op = target.overloadpacket.__name__
        self.calls.append(Call(name, op, target, args, {}, (self.source.batch, width), "an activation pinned", ""))
        return Ref(name)

    def constant(self, name: str, value: np.ndarray) -> Ref:
        """Numbers under a name."""
        self.constants[name] = torch.from_numpy(np.ascontiguousarray(value))
        return Ref(name)

    def width(self, value: Ref) -> int:
        """How many entries a value has in each sample."""
        return next(int(call.shape[1] or 0) for call in self.calls if call.name == value.name)

    def activation(self, pattern: ActivationPattern) -> Ref:
        """The activation as an affine call; the margins of its pattern."""
        call, name = pattern.call, f"{pattern.call.name}__"
        given, entries = Ref(next(call.refs())), math.prod(pattern.shape)
        flat = self.emit(f"{name}flat", aten.reshape.default, entries, given, [-1, entries])
        if traits(call.op).unit:
            slope = scalar(self.source, call.bound().get("negative_slope", 0.0), call)
            state = pattern.states.ravel()
            factors = self.constant(f"{name}factors", np.where(state, 1.0, slope))
            value = self.emit(f"{name}value", aten.mul.Tensor, entries, flat, factors)
            signs = self.constant(f"{name}signs", np.where(state, 1.0, -1.0))
            margin = self.emit(f"{name}margin", aten.mul.Tensor, entries, flat, signs)
        else:
            value = self._chosen(f"{name}value", flat, pattern.states.ravel())
            winners, rivals = _rivals(pattern.states.ravel(), windows(call, pattern.shape))
            pair = [self._chosen(f"{name}{side}", flat, at) for side, at in (("winner", winners), ("rival", rivals))]
            margin = self.emit(f"{name}margin", aten.sub.Tensor, len(winners), *pair)
        size = [-1, *(n or 1 for n in call.shape[1:])]
        self.calls.append(replace(call, op="reshape", target=aten.reshape.default, args=(value, size), kwargs={}))
        return margin

    def _chosen(self, name: str, flat: Ref, positions: np.ndarray) -> Ref:
        return self.emit(name, aten.index_select.default, len(positions), flat, 1, self.constant(f"{name}s", positions))

    def graph(self, outputs: tuple[Any, ...]) -> Graph:
        """The calls and constants that the outputs need."""
        calls, used = needed(self.calls, [out.name for out in outputs if isinstance(out, Ref)])
        constants = {name: value for name, value in self.constants.items() if name in used}
        return replace(self.source, calls=calls, constants=constants, outputs=outputs)


def _rivals(best: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every window and every entry of it but the best one: the positions of the best and of the other."""
    rival = (members >= 0) & (members != best[:, None])
    return np.broadcast_to(best[:, None], members.shape)[rival], members[rival]
