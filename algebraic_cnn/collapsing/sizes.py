"""How many numbers a network keeps, before and after: what a collapse that prefers size must not let grow.

counts     parameters
stored     bytes of parameters and buffers
grown      the calls of regions that would keep more numbers than before
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ..ir.graph import Graph
from .rewriting import Rewrite
from .validation import changed, parameters


def counts(written: Rewrite, original: Graph | None = None) -> tuple[int, int]:
    """Parameters of the network and of the rewritten one; what shares its memory counts once."""
    before, after = original or written.network.graph, written.rewritten.shell()
    return _entries(before, before.parameters), _entries(after, parameters(written))


def stored(written: Rewrite, original: Graph | None = None) -> tuple[int, int]:
    """Bytes of all numbers of the network and of the rewritten one, new numbers in the network's dtype."""
    graph = original or written.network.graph
    return _bytes(graph, graph), _bytes(written.rewritten.shell(), graph)


def grown(written: Rewrite) -> dict[str, str]:
    """The calls of regions that would keep more numbers than before, by name, and why they stay.

    Where no region grows and the network does, as one weight serves several of them, all new forms go.
    """
    pairs, shell, graph = changed(written), written.rewritten.shell(), written.network.graph
    larger = [pair for pair in pairs if _bytes(pair.new(shell), graph) > _bytes(pair.original, graph)]
    before, after = stored(written)
    larger = pairs if not larger and after > before else larger
    why = "its form would keep more numbers"
    return {call.name: why for pair in larger for call in pair.region.calls}


def _entries(graph: Graph, names: Mapping[str, bool]) -> int:
    return sum(_distinct({name: graph.constants[name] for name in names if name in graph.constants}).values())


def _bytes(graph: Graph, original: Graph) -> int:
    tensors = {name: value for name, value in graph.constants.items() if isinstance(value, Tensor)}
    size = {key: (tensors[key].dtype if key in original.constants else original.dtype).itemsize for key in tensors}
    return sum(entries * size[name] for name, entries in _distinct(tensors).items())


def _distinct(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many entries each tensor has, but for those that share the memory of one before."""
    found, seen = {}, set()
    for name, value in tensors.items():
        place = name if value.is_meta else (value.data_ptr(), value.shape, value.stride())
        found[name] = 0 if place in seen else math.prod(value.shape)
        seen.add(place)
    return found
