"""Where a reader of calls looks up shapes and constants, and how it builds an atom.

Source     a graph, its shapes, what depends on the input, its constants over any ring
Reader     function from (Source, call, arguments) to a piece, or None if the call is no stencil
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluate import scalar
from ..graph import Call, Graph, Ref, Size
from ..ring import Ring
from ..stencils.pieces import Array, Atom, Form, Offset, Piece
from ..stencils.stencil import Footprint

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

    def tensor(self, value: Any) -> Tensor | None:
        """A constant of the network in float64 on the CPU; a number becomes what it is to the network's kernels."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return torch.tensor(scalar(self.graph, value), dtype=torch.float64)
        constant = self.graph.constants.get(value.name) if isinstance(value, Ref) else None
        return constant.detach().cpu().double() if isinstance(constant, Tensor) else None

    def numbers(self, value: Any) -> Numbers:
        """The same over a ring."""
        return lambda ring: ring.embed(self._array(value))

    def _array(self, value: Any) -> Array:
        constant = self.graph.constants.get(value.name) if isinstance(value, Ref) else None
        if isinstance(constant, Tensor) and constant.dtype == torch.float32:
            return constant.detach().cpu().numpy()  # rings take float32 faster than the same numbers in float64
        tensor = self.tensor(value)
        return np.zeros(()) if tensor is None else tensor.numpy()


Reader = Callable[[Source, Call, Arguments], Piece | None]


def sizes_of(shape: Size) -> list[int]:
    """Lengths of the axes after batch and channels."""
    return [n or 1 for n in shape[2:]]


def atom_of(source: Source, call: Call, x: Ref, footprint: Footprint, taps: Numbers, **more: Any) -> Atom:
    """The atom of a call on the value x; ``more``: offset, kind, last, and what else ``Atom`` has."""
    offset = more.pop("offset", None)
    kind = Offset.NONE if offset is None else more.pop("kind", Offset.CHANNEL)
    form = Form(footprint, more.pop("last", False), kind)
    return Atom(form, taps, source.shape(x), call.shape, offset, call=call, **more)
