"""What two networks must have in common before their numbers are compared: everything that a user of them sees.

    unlike_inputs     why the one cannot be given what the other is given, in words
    unlike_outputs    why what they return, or write, is not of the same kind, or buffers hold other numbers at first

Inputs are in the order of the arguments; names, nesting, dtypes and shapes count.  A dtype is compared beside the dtype
of the network's own numbers, so that the same network in another precision has the same interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..ir.canonical import bits
from ..ir.graph import Graph, Ref
from ..ir.sized import Sized


def unlike_inputs(first: Graph, second: Graph) -> str:
    """The first way in which the inputs of two networks differ; "" if there is none.

    >>> from algebraic_cnn.ir.trace import trace
    >>> one, other = (trace(torch.nn.Linear(n, 2).eval(), torch.zeros(1, n)) for n in (2, 3))
    >>> unlike_inputs(one, other)
    'input 0 is own (N, 2) in the first and own (N, 3) in the other'
    """
    if len(_arguments(first)) != len(_arguments(second)):
        return f"they take {len(_arguments(first))} and {len(_arguments(second))} inputs"
    specs = [str(graph.in_spec) for graph in (first, second) if graph.in_spec is not None]
    if len(set(specs)) > 1:
        return f"their arguments nest in other ways, as {specs[0]} and as {specs[1]}"
    kinds = [list(_input_kinds(graph)) for graph in (first, second)]
    for number, (one, other) in enumerate(zip(*kinds, strict=True)):
        if one != other:
            return f"input {number} is {one} in the first and {other} in the other"
    if first.batch != second.batch and None not in (first.batch, second.batch):
        return f"they take batches of {first.batch} and of {second.batch} samples only"
    return ""


def _arguments(graph: Graph) -> tuple[str, ...]:
    return tuple(name for name in graph.inputs if name not in graph.state)


def _input_kinds(graph: Graph) -> Iterator[str]:
    dtypes = graph.input_dtypes or (graph.dtype,) * len(graph.inputs)
    for name, shape, dtype in zip(graph.inputs, graph.input_shapes, dtypes, strict=False):
        if name not in graph.state:
            lengths = ("N" if n is None or (axis == 0 and n == graph.batch) else str(n) for axis, n in enumerate(shape))
            yield f"{_own(dtype, graph)} ({', '.join(lengths)})"


def unlike_outputs(first: Sized, second: Sized) -> str:
    """The first way in which what two networks return or write is not of the same kind; "" if there is none.

    Args:
        first: a network at a batch size.
        second: another at the same.
    """
    specs = [graph.out_spec for graph in (first.graph, second.graph) if graph.out_spec is not None]
    if len(specs) == 2 and specs[0] != specs[1]:
        return f"their outputs nest in other ways, as {_nesting(specs[0])} and as {_nesting(specs[1])}"
    written = [[*part.graph.state.values(), *_targets(part.graph)] for part in (first, second)]
    if written[0] != written[1]:
        return f"they write to other places: {written[0] or 'none'} and {written[1] or 'none'}"
    for (path, one), (_, other) in zip(*(_held(part.graph) for part in (first, second)), strict=True):
        if one != other:
            return f"the buffer {path} holds other numbers when they are first called"
    if len(first.graph.outputs) != len(second.graph.outputs):
        return f"they return {len(first.graph.outputs)} and {len(second.graph.outputs)} values"
    pairs = zip(first.graph.outputs, second.graph.outputs, strict=True)
    for number, (one, other) in enumerate(pairs):
        kinds = _kind(one, first), _kind(other, second)
        if kinds[0] != kinds[1]:
            return f"output {number} is {kinds[0]} in the first and {kinds[1]} in the other"
    return ""


def _nesting(spec: Any) -> str:
    """An empty shell of the outputs, as Python writes it."""
    try:
        return repr(pytree.tree_unflatten(["*"] * spec.num_leaves, spec)).replace("'*'", "*")
    except (TypeError, ValueError):
        return str(spec)


def _targets(graph: Graph) -> Iterator[str]:
    for name in graph.writes:
        yield graph.state[name] if name in graph.state else f"input {graph.inputs.index(name)}"


def _held(graph: Graph) -> Iterator[tuple[str, str]]:
    """Of every buffer that is written its path, and a digest of what it holds."""
    for name, path in graph.state.items():
        value = graph.initial[name]
        yield path, f"{_own(value.dtype, graph)} {tuple(value.shape)} {bits(value)}"


def _kind(out: Any, part: Sized) -> str:
    """Type, dtype and shape of an output."""
    value = out
    if isinstance(out, Ref):
        value = part.graph.constants.get(out.name, part.values.get(out.name))
    if isinstance(value, Tensor):
        return f"{_own(value.dtype, part.graph)} {tuple(int(n) for n in value.shape)}"
    return f"{'int' if isinstance(value, int) and not isinstance(value, bool) else type(value).__name__}"


def _own(dtype: torch.dtype, graph: Graph) -> str:
    return "own" if dtype == graph.dtype else str(dtype).removeprefix("torch.")
