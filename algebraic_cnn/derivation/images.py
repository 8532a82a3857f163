"""A network of convolutional kind as one map of images of EVERY size.

operator       model -> Operator: its calls, read as such maps, composed, added, concatenated
operator_of    the same for a value of a traced graph
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..algebra.affine import AffineMap
from ..algebra.operators.operator import Operator
from ..algebra.stencils.pieces import Move
from ..errors import ShapeError
from ..ir.graph import Call, Graph, Ref, needed
from ..ir.interpreter import interpret
from ..ir.trace import trace
from ..ops.evaluate import require_affine
from ..ops.registry import OPS, piece_of
from ..ops.source import Source
from ..rings.ring import Ring

#: A length that most networks take, for an example that nobody gave.
_LENGTH = 64


def operator(model: Any, example: Any = None) -> Operator:
    """A network of convolutional kind as an affine map of images of every size.

    The calls that the network makes on the example are those of every size: a length that it writes into a call, such
    as ``F.interpolate(x, size=...)``, stays what it is.  A slice that keeps all of the example is no call.

    Args:
        model: a module in evaluation mode, an exported program, or a traced ``Graph``.
        example: an input tensor (N, c, *sizes); not needed for a program or a graph, nor for a module whose first
            layer with channels is a convolution.

    Returns:
        The map.  ``f(x)``, ``f.matrix(sizes)``, ``f.at(*sizes)``, ``f.form(sizes)``, ``g @ f``, ``f + g``.

    Raises:
        ShapeError: if a call is no map of images of every size, or an example is needed.
        NotAffineError, TraceError, TrainingModeError, NonFiniteError: as ``derive`` raises them.

    >>> layer = torch.nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False).eval()
    >>> _ = layer.weight.data.copy_(torch.tensor([[[1.0, 2.0, 3.0]]]))
    >>> operator(layer).matrix([4], format="dense")
    array([[2., 3., 0., 1.],
           [1., 2., 3., 0.],
           [0., 1., 2., 3.],
           [3., 0., 1., 2.]])
    """
    if isinstance(model, Graph):
        return operator_of(model)
    if example is None and isinstance(model, torch.nn.Module):
        example = _example(model)
    return operator_of(trace(model, example))


def operator_of(graph: Graph, value: str | None = None, start: str | None = None) -> Operator:
    """The operator of a value of a graph of one input; of its output, if none is named.

    Args:
        graph: the network.
        value: the name of what the map gives.
        start: the name of what it takes; default the input.

    Raises:
        ShapeError: if a call that it needs is no map of images of every size.
        NotAffineError, NonFiniteError: if one is not affine.
    """
    require_affine(graph)
    start = start or graph.inputs[0]
    shape = graph.shapes()[start]
    value = value or (graph.outputs[0].name if isinstance(graph.outputs[0], Ref) else "")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(shape) < 2 or shape[1] is None:
        raise ShapeError(
            "one image goes in", expected="one input (N, c, *sizes)", got=graph.input_shapes, where="operator"
        )
    source = Source.of(graph)
    graph = replace(graph, calls=needed(graph.calls, [value], {start})[0])
    given = {start: Operator.identity(shape[1], len(shape) - 2)}
    found = interpret(graph, given, partial(_read, source)).get(value)
    if not isinstance(found, Operator):
        raise ShapeError("the output is no image", expected="one that depends on the input", where="operator")
    return found


def _read(source: Source, call: Call, values: dict[str, Any]) -> Any:
    """The operator of a call, or of each part of its tuple; None for a constant."""
    if call.name not in source.dependent:
        return None
    leaf = lambda x: values[x.name] if isinstance(x, Ref) and x.name in source.dependent else x  # noqa: E731
    if call.op == "operator.getitem":
        return values[call.args[0].name][call.args[1]]
    op, arguments = OPS[call.op], pytree.tree_map(leaf, call.bound())
    shapes = [source.shapes[name] for name in call.refs() if name in source.dependent]
    first = not any(len(shape) > 2 and op.last(call.bound(), shape) for shape in shapes)
    found = op.operator(source, call, arguments) if op.operator and first else None
    if not found or (isinstance(found, Operator) and len(found.period) + 2 != len(call.shape)):
        expected = "convolutions, pools, padding, resizing, shuffles, maps of channels, their sums and concatenations"
        raise ShapeError(f"{call.op} is no map of images of every size", expected=expected, where=call.where)
    return found


def image_of(graph: Graph) -> tuple[Operator, tuple[int, ...]]:
    """The operator of a graph between row-major reshapes at its ends, which change no entry, and the image's lengths.

    Raises:
        ShapeError, NotAffineError, NonFiniteError: as ``operator_of`` raises them.
    """
    calls, source = {call.name: call for call in graph.calls}, Source.of(graph)
    readers = Counter(name for call in graph.calls for name in set(call.refs()))
    reshapes = {name: next(iter(call.refs())) for name, call in calls.items() if _is_reshape(source, call)}
    start, last = graph.inputs[0], graph.outputs[0].name
    while readers[start] == 1 and (after := next((name for name, x in reshapes.items() if x == start), last)) != last:
        start = after
    while last in reshapes and last != start:
        last = reshapes[last]
    return operator_of(graph, last, start), tuple(int(n or 1) for n in source.shapes[start][2:])


def _is_reshape(source: Source, call: Call) -> bool:
    piece = piece_of(source, call) if call.name in source.dependent else None
    return isinstance(piece, Move) and piece.order is None


def sized_map(graph: Graph, ring: Ring, memory_budget: int) -> AffineMap:
    """W and b of a graph at its own image size, from its operator.

    Raises:
        ShapeError, TooLargeError, NotAffineError, NonFiniteError: as ``image_of`` and ``Operator.at`` raise them.
    """
    (in_shape, out_shape), (f, sizes) = graph.single(), image_of(graph)
    return replace(f.at(*sizes, ring=ring, memory_budget=memory_budget), in_shape=in_shape, out_shape=out_shape)


def _example(model: torch.nn.Module) -> torch.Tensor:
    """An image that the first convolution takes."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.conv._ConvNd):
            weight = module.weight
            return torch.zeros(1, module.in_channels, *[_LENGTH] * (weight.ndim - 2), dtype=weight.dtype)
    raise ShapeError("the module has no convolution", expected="an example (N, c, *sizes)", where="operator")
