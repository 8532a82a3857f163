"""The W and B of one affine region of a network that is not affine as a whole."""

from __future__ import annotations

from .affine import AffineMap
from .certificates.check import device
from .collapsing import Collapse
from .derivation import derive_graph
from .errors import NotAffineError, ShapeError
from .graph import Ref
from .regions.junctions import network_of
from .regions.region import part, regions
from .ring import Float


def region_map(result: Collapse, index: int) -> AffineMap:
    """f(z) = W z + B of a region: z is the value at which it begins, f(z) what it hands to the next call.

    Args:
        result: of ``collapse``.
        index: of the region in ``result.report.regions``.

    Returns:
        The map as the network as given has it, in float64; W is derived by the method of the collapse.

    Raises:
        ShapeError: if there is no such region, or one of its axes beside the batch is free.
        NotAffineError: if the region begins at several values, or several of its values are read.
        TooLargeError: if W is beyond the memory budget of the collapse.

    >>> import torch
    >>> from algebraic_cnn import collapse
    >>> layers = [torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.Conv2d(2, 1, 2)]
    >>> result = collapse(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1, 4, 4), measure=False)
    >>> [region_map(result, index).W.shape for index in range(2)]
    [(8, 16), (1, 8)]
    """
    network = network_of(result.graph)
    found = regions(network)
    if not 0 <= index < len(found):
        raise ShapeError("there is no such region", expected=f"0 to {len(found) - 1}", got=index, where="region_map")
    region = found[index]
    graph = part(result.graph, [Ref(name) for name in region.outputs], network.seams)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        got = f"{len(graph.inputs)} and {len(graph.outputs)}"
        where = region.calls[-1].where
        raise NotAffineError("a map of one value to one is asked for, but values in and out are", got=got, where=where)
    place, budget = device(result.graph), result.memory_budget
    return derive_graph(graph, Float(), result.method, device=place, memory_budget=budget)
