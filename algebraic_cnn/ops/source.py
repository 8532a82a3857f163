"""Where a reader of calls looks up shapes and constants.

Source     a graph, its shapes, what depends on the input, its constants over any ring
Arguments  of a call, by name
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.operators.blocks import Array, Numbers
from ..ir.graph import Call, Graph, Ref, Size
from .precision import taken

#: The arguments of a call by name.
Arguments = Mapping[str, Any]


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
        return lambda ring: ring.embed(np.zeros(()) if (array := self.array(value, call)) is None else array)

    def array(self, value: Any, call: Call) -> Array | None:
        """The same as an array, in float32 where the call computes in that: no copy, and rings take it faster."""
        found = self._operand(value, call)
        return None if found is None else (found if found.dtype == torch.float32 else found.double()).numpy()

    def _operand(self, value: Any, call: Call) -> Tensor | None:
        constant = self.graph.constants.get(value.name) if isinstance(value, Ref) else value
        if not isinstance(constant, Tensor | bool | int | float):
            return None
        found = taken(call, constant, self.graph)
        return found.detach().cpu()
