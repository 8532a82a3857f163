"""Networks in files, as ``certify`` takes them: .pt2 programs, .onnx files, .npz maps.

Named          a network, and the names that its inputs and outputs have in the file, where it names them
load_network   path -> Named
named_model    ModelProto -> Named
load_pair      two paths -> two Named, at the same sizes
aligned        the second of two networks with inputs and outputs in the order of the first's names
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..algebra.affine import AffineMap
from ..errors import UnknownNameError
from .choices import Choices, carrying, choices_of
from .graph import Graph
from .onnx.branches import with_branches
from .onnx.cuts import TakenOut, taken_out
from .onnx.inputs import agreed, onnx_shapes
from .onnx.model import read_model
from .onnx.network import network
from .onnx.reading import at_example
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
        sizes: the sizes at which it is looked at, in words, where the file takes others as well.
        taken: what of an ONNX file no call of the network is.
        choices: of the collapse that made it, as far as it carries them.
        model: the ONNX file that was read, branches that are taken in the place of their nodes.
    """

    network: Graph | AffineMap
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    sizes: str = ""
    taken: tuple[TakenOut, ...] = ()
    choices: Choices | None = None
    model: Any = None


def load_pair(
    first: str | os.PathLike[str], second: str | os.PathLike[str], device: torch.device | str = "cpu"
) -> tuple[Named, Named]:
    """Read two networks; where both are ONNX files, a size that one of them fixes is that of both.

    Args:
        first: a path, as ``load_network`` takes it.
        second: another.
        device: where numbers go.

    Raises:
        UnknownNameError, DataError, TrainingModeError, TraceError, MissingExtraError: as ``load_network`` raises them.
    """
    fixed = [onnx_shapes(path) if Path(path).suffix == ".onnx" else {} for path in (first, second)]
    shapes = agreed(*fixed) if all(fixed) else {}
    return load_network(first, device, shapes), load_network(second, device, shapes)


def load_network(
    path: str | os.PathLike[str],
    device: torch.device | str = "cpu",
    shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> Named:
    """Read a network.

    Args:
        path: a .pt2 program, an .onnx file or an .npz map.
        device: where its numbers go.
        shapes: of inputs of an ONNX file by name, None for what the file says or leaves free.

    Raises:
        UnknownNameError: if the path has another ending.
        DataError: if the file is missing, damaged or refused.
        TrainingModeError, TraceError, MissingExtraError: as ``trace`` and ``network`` raise them.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UnknownNameError("no such kind of network", expected=ENDINGS, got=path.name, where="path")
    if path.suffix == ".npz":
        return Named(AffineMap.load(path))
    if path.suffix == ".onnx":
        return named_model(read_model(path), path, shapes, device)
    program = load_program(path)
    if torch.device(device).type != "cpu":
        from torch.export.passes import move_to_device_pass

        choices = choices_of(program)
        program = move_to_device_pass(program, device)
        carrying(program, choices)
    return Named(trace(program), choices=choices_of(program))


def named_model(
    model: Any,
    where: object,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    device: torch.device | str = "cpu",
) -> Named:
    """An ONNX file at the example's sizes; only the batch stays free.

    Args:
        model: a ModelProto.
        where: what people call it, for errors.
        shapes: of inputs by name, None for what the file says or leaves free.
        device: where its numbers go.

    Raises:
        ShapeError, DataError, TraceError: as ``network`` raises them.
    """
    read = with_branches(network(model, shapes, where), shapes, where)
    graph = at_example(read.graph)
    constants = {name: x.to(device) for name, x in graph.constants.items()}
    free = read.graph.sizes is not None or bool(read.inputs.bound)
    pairs = zip(read.inputs.names, graph.example_shapes, strict=False)
    words = ", ".join(f"{name} {'x'.join(map(str, shape[1:]))}" for name, shape in pairs) if free else ""
    given = tuple(name for name in read.given if read.values.get(name) is not None)
    shown = replace(graph, constants=constants)
    return Named(shown, given, tuple(read.shown), words, taken_out(read), model=read.model)


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
