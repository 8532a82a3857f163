"""Networks in files, as ``certify`` takes them: .pt2 programs, .onnx files, .npz maps.

    Named          a network, and the names that its inputs and outputs have in the file, where it names them
    load_network   path -> Named
    aligned        the second of two networks with inputs and outputs in the order of the first's names
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..algebra.affine import AffineMap
from ..errors import UnknownNameError
from .graph import Graph
from .onnx.reading import load_onnx
from .programs import load_program
from .trace import trace

ENDINGS = (".pt2", ".onnx", ".npz")


@dataclass(frozen=True, eq=False)
class Named:
    """A network, and what its inputs and outputs are called; empty where only their order counts.

    Attributes:
        network: the traced network, or the map.
        inputs: a name for every input.
        outputs: a name for every output.
    """

    network: Graph | AffineMap
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def load_network(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Named:
    """Read a network.

    Args:
        path: a .pt2 program, an .onnx file or an .npz map.
        device: where its numbers go.

    Raises:
        UnknownNameError: if the path has another ending.
        DataError: if the file is missing, damaged or refused.
        TrainingModeError, TraceError, MissingExtraError: as ``trace`` and ``load_onnx`` raise them.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UnknownNameError("no such kind of network", expected=ENDINGS, got=path.name, where="path")
    if path.suffix == ".npz":
        return Named(AffineMap.load(path))
    if path.suffix == ".onnx":
        module, example = load_onnx(path)
        graph = trace(module.to(device), tuple(x.to(device) for x in example))
        return Named(graph, tuple(module.inputs), tuple(module.outputs))
    program = load_program(path)
    if torch.device(device).type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return Named(trace(program))


def aligned(first: Named, second: Named) -> Graph | AffineMap:
    """The second network, its inputs and outputs where those of the same names are in the first.

    Networks whose values have no names, or other names, are taken by their order.
    """
    graph = second.network
    if not isinstance(graph, Graph):
        return graph
    if set(first.inputs) == set(second.inputs) and first.inputs:
        places = [second.inputs.index(name) for name in first.inputs]
        fields = ("inputs", "input_shapes", "input_dtypes", "example_shapes")
        graph = replace(graph, **{name: _permuted(getattr(graph, name), places) for name in fields})
    if set(first.outputs) == set(second.outputs) and first.outputs:
        places = [second.outputs.index(name) for name in first.outputs]
        graph = replace(graph, outputs=_permuted(graph.outputs, places))
    return graph


def _permuted(values: Sequence[Any], places: Sequence[int]) -> tuple[Any, ...]:
    """The values in another order, those without a place behind."""
    rest = values[len(places) :]
    return (*(values[place] for place in places), *rest) if values else ()
