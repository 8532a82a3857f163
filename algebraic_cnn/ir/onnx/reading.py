"""An ONNX file as a torch module, so that it can be run, derived and collapsed as any other.

    load_onnx   .onnx -> module; a node that torch cannot run is refused by name
    node        the calls of a node have its name as their module, which reports and certificates then give as the place

The numbers are the file's own, bit for bit; only an attribute of a node is read as the decimal that it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import TraceError
from ..emission import emit
from ..graph import Graph
from ..resizing import at
from .dispatch import FUNCTIONS, TABLE
from .evaluating import Whole, missing
from .model import read_model
from .network import OnnxGraph, network
from .opaque import Opaque


def load_onnx(
    path: str | os.PathLike[str], shapes: Mapping[str, Sequence[int]] | None = None
) -> tuple[torch.fx.GraphModule, tuple[Tensor, ...]]:
    """Read an ONNX file as a module in evaluation mode.

    Args:
        path: the file.
        shapes: of some of its inputs by name, in the example; default for axes that the file leaves free: 64, and 2
            for the batch.

    Returns:
        The module, whose ``inputs`` and ``outputs`` are the names in the file, and inputs of zeros for it.

    Raises:
        MissingExtraError: if the extra "onnx" is not installed.
        DataError: if the file is missing, damaged, too large, no ONNX model, or keeps numbers outside
            its folder.
        ShapeError: if a shape does not fit its input.
        TraceError: if torch cannot run an operator of it; names the operator and its node.
    """
    found = network(read_model(path), shapes, path)
    graph = found.graph
    if found.cut or any(isinstance(c.target, Opaque) and not c.target.run for c in graph.calls):
        _require_runnable(found, path)
        module: Any = _by_nodes(found)
    else:
        module = emit(graph)
    module.inputs, module.outputs = found.given, found.returned
    dtypes = list(zip(graph.example_shapes, graph.input_dtypes, strict=True))[: len(found.given)]
    return module, tuple(torch.zeros(shape, dtype=dtype) for shape, dtype in dtypes)


def _by_nodes(found: OnnxGraph) -> torch.fx.GraphModule:
    """A module of one call, which computes node after node: only numbers say what shapes there are."""
    drawn = torch.fx.Graph()
    given = [drawn.placeholder(name) for name in found.inputs.arguments]
    drawn.output(drawn.call_function(Whole(found.model), tuple(given)))
    return torch.fx.GraphModule(torch.nn.Module(), drawn).eval()


def _require_runnable(found: OnnxGraph, path: object) -> None:
    """Refuse a file with a node that torch cannot run.

    Raises:
        TraceError: names the first of them, and why its table does not read it.
    """
    for place, node in enumerate(found.model.graph.node):
        for name in missing([node], found.run):
            known = sorted({*TABLE, *FUNCTIONS[""]})
            what = found.why.get(place, "") if node.op_type in known else "the table of ONNX operators does not have it"
            expected = None if node.op_type in known else ", ".join(known)
            where = f"{path}, node {node.name or place}"
            raise TraceError(what, expected=expected, got=name.split(" of ")[0], where=where)


def at_example(graph: Graph) -> Graph:
    """The graph where all sizes but the batch are those of the example."""
    if graph.sizes is None:
        return graph
    return at(graph, graph.sizes.of(graph.inputs, graph.example_shapes))
