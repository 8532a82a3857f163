"""The affine regions of a network, as graphs of their own.

    region    a connected set of affine calls: a map from the values that other calls give it to those that others read
    start     a value at which regions begin: an input of the network, or what a call that is not affine returns
    part      the calls between starts and some outputs, as a graph with the starts for inputs

A region need not be convex: a call that is not affine may stand between two of its calls.  As a map from starts to
outputs it is affine all the same, and two graphs with the same starts can be compared region by region.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..derivation.definitions import AffinePart
from ..ir.graph import Call, Graph, Ref, needed


@dataclass(frozen=True, eq=False)
class Region:
    """A connected set of affine calls.

    Attributes:
        calls: of the network.
        outputs: values that other calls, or the network's outputs, read.
    """

    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of its values."""
        return frozenset(call.name for call in self.calls)


def regions(network: AffinePart) -> list[Region]:
    """The regions of a network, in order of execution."""
    leader = {name: name for name in network.affine}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for call in network.graph.calls:
        for name in call.refs() if call.name in leader else ():
            if name in leader:
                leader[find(name)] = find(call.name)
    members: dict[str, list[Call]] = {}
    for call in network.graph.calls:
        if call.name in leader:
            members.setdefault(find(call.name), []).append(call)
    return [
        Region(tuple(calls), tuple(call.name for call in calls if call.name in network.pinned))
        for calls in members.values()
    ]


def part(graph: Graph, outputs: Sequence[Ref], starts: Iterable[str]) -> Graph:
    """The calls of a graph between starts and outputs, as a graph whose inputs are the starts that they need."""
    stops = set(starts) | set(graph.inputs)
    calls, used = needed(graph.calls, [out.name for out in outputs], stops)
    found = [name for name in graph.shapes() if name in used and name in stops]
    shapes = graph.shapes()
    return Graph(
        inputs=tuple(found),
        input_shapes=tuple(shapes[name] for name in found),
        calls=calls,
        constants={name: value for name, value in graph.constants.items() if name in used},
        outputs=tuple(outputs),
        out_spec=None,
        batch=graph.batch,
        dtype=graph.dtype,
        batch_sizes=graph.batch_sizes,
        batch_step=graph.batch_step,
    )
