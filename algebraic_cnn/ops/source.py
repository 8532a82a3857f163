"""Where a reader of calls looks up shapes and constants, and how it builds an atom.

Source     a graph, its shapes, what depends on the input, its constants over any ring
Arguments  of a call, by name
Reader     function from (Source, call, arguments) to a piece, or None if the call is no stencil
unmoved    the reader of calls that return their argument
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.operators.blocks import Blocks, pointwise
from ..algebra.stencils.pieces import Array, Atom, Form, Offset, Piece, identity
from ..ir.graph import Call, Graph, Ref, Size
from ..rings.ring import Ring
from .precision import taken

#: The arguments of a call by name.
Arguments = Mapping[str, Any]
Numbers = Callable[[Ring], Array]


@dataclass(frozen=True, eq=False)
class Source:
    """A graph, and what a reader asks of it.

    Attributes:
        graph: the network.
        shapes: shape of every value.
        dependent: names of the values that depend on the input.
    """

    graph: Graph
    shapes: Mapping[str, Size]
    dependent: frozenset[str]

    @classmethod
    def of(cls, graph: Graph) -> Source:
        """The source that a graph is."""
        return cls(graph, graph.shapes(), graph.dependent())

    def varies(self, value: Any) -> bool:
        """Whether an argument depends on the network's input."""
        return isinstance(value, Ref) and value.name in self.dependent

    def shape(self, value: Ref) -> Size:
        """Shape of a value."""
        return self.shapes[value.name]

    def tensor(self, value: Any, call: Call) -> Tensor | None:
        """A constant of the network in float64 on the CPU, its numbers those that the call computes with."""
        found = self._operand(value, call)
        return None if found is None else found.double()

    def numbers(self, value: Any, call: Call) -> Numbers:
        """The same over a ring."""
        return lambda ring: ring.embed(self._array(value, call))

    def _operand(self, value: Any, call: Call) -> Tensor | None:
        constant = self.graph.constants.get(value.name) if isinstance(value, Ref) else value
        if not isinstance(constant, Tensor | bool | int | float):
            return None
        found = taken(call, constant, self.graph)
        return found.detach().cpu()

    def _array(self, value: Any, call: Call) -> Array:
        found = self._operand(value, call)
        if found is None:
            return np.zeros(())
        # Rings take float32 faster than the same numbers in float64.
        return found.numpy() if found.dtype == torch.float32 else found.double().numpy()


Reader = Callable[[Source, Call, Arguments], Piece | None]


def sizes_of(shape: Size) -> list[int]:
    """Lengths of the axes after batch and channels."""
    return [n or 1 for n in shape[2:]]


def atom_of(source: Source, call: Call, x: Ref, blocks: Blocks, **more: Any) -> Atom:
    """The atom of a call on the value x; ``more``: offset, kind, last, and what else ``Atom`` has."""
    offset, last, shape = more.pop("offset", None), more.pop("last", False), source.shape(x)
    kind = Offset.NONE if offset is None else more.pop("kind", Offset.CHANNEL)
    sizes = [n or 1 for n in shape[1:-1]] if last else sizes_of(shape)
    return Atom(Form(blocks, tuple(sizes), last, kind), shape, call.shape, offset, call=call, **more)


def unmoved(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A call that returns its argument, up to axes of length 1 after the channels."""
    x = next(value for value in a.values() if source.varies(value))
    before, after = source.shape(x), call.shape
    if before == after and before[1:].count(None) == 0:
        return identity(before)
    flat = all(n == 1 for n in (*before[2:], *after[2:])) and before[:2] == after[:2]
    if not flat:
        return None
    c, axes = before[1] or 1, max(len(before) - 2, len(after) - 2)
    blocks = pointwise(c, c, c, axes, lambda ring: ring.embed(np.ones(c)))
    return Atom(Form(blocks, (1,) * axes, False, Offset.NONE), before, after, call=call)
