"""A network that takes many image sizes, at one of them.

    Length     a number that a network works out from the sizes of its inputs, and the name of the value that it is
    followed   graph, shapes of its inputs -> every value without its numbers
    at         graph, values of its symbols -> the graph of those image sizes alone: every shape and number known
    unbound    calls in which every ``Length`` is again the value that it came from

Nothing is computed: torch says the shapes, as it does while it exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils import _pytree as pytree

from ..errors import ShapeError
from .graph import Call, Graph, Ref, Rows, Size, Submodule
from .image_sizes import ImageSizes
from .interpreter import interpret, natively
from .refusal import quiet

#: Two batches: an axis that is longer in the second is a batch axis.
_BATCHES = (2, 3)


class Length(int):
    """A number that a network works out from the sizes of its inputs.

    Attributes:
        name: of the value that it is.
    """

    name: str

    @classmethod
    def of(cls, number: int, name: str) -> Length:
        """The number, under its name."""
        length = cls(number)
        length.name = name
        return length


def at(graph: Graph, values: Mapping[str, int]) -> Graph:
    """The graph where its symbols have these values; only batch axes stay free.

    Args:
        graph: takes many image sizes.
        values: of the symbols of ``graph.sizes``.

    Raises:
        ShapeError: if torch refuses a call with these image sizes; names the call and its source line.
    """
    shapes = (graph.sizes or ImageSizes({}, {})).shapes(graph.inputs, graph.input_shapes, values)
    found = [_measured(graph, shapes, batch) for batch in (_BATCHES if graph.batch is None else (graph.batch,))]
    first, last = found[0], found[-1]
    lengths = {
        call.name: Length.of(first[call.name], call.name)
        for call in graph.calls
        if isinstance(first[call.name], int) and first[call.name] == last[call.name]
    }
    calls = []
    for call in graph.calls:
        known = call if call.name in lengths else call.renamed(lengths)
        calls.append(replace(known, shape=_common(first[call.name], last[call.name])))
    example = tuple(tuple(n or 1 for n in shape) for shape in shapes)
    return replace(graph, input_shapes=tuple(shapes), calls=tuple(calls), example_shapes=example, sizes=None)


def unbound(calls: Iterable[Call]) -> list[Call]:
    """The calls, every ``Length`` the value that it came from."""

    def free(leaf: Any) -> Any:
        return Ref(leaf.name) if isinstance(leaf, Length) else leaf

    def freed(call: Call) -> Call:
        args, kwargs = pytree.tree_map(free, (call.args, dict(call.kwargs)))
        return replace(call, args=args, kwargs=kwargs)

    return [freed(call) if any(isinstance(leaf, Length) for leaf in _leaves(call)) else call for call in calls]


def _leaves(call: Call) -> list[Any]:
    return pytree.tree_leaves((call.args, dict(call.kwargs)))


def followed(graph: Graph, shapes: Sequence[Size], batch: int) -> dict[str, Any]:
    """Every value of a graph without its numbers, by name.

    Args:
        graph: the network.
        shapes: of its inputs, None for the batch axis.
        batch: how long that is.

    Raises:
        ShapeError: if torch refuses a call with these sizes; names the call and its source line.
    """
    loops = any(call.op == "higher_order::while_loop" for call in graph.calls)  # torch follows them with symbols alone
    with torch.no_grad(), quiet(), FakeTensorMode(shape_env=ShapeEnv() if loops else None) as mode:
        constants = {name: _fake(mode, x, graph.dtype, graph.device) for name, x in graph.constants.items()}
        return _values(graph, shapes, batch, graph.device, constants)


def _measured(graph: Graph, shapes: Sequence[Size], batch: int) -> dict[str, Any]:
    """The same, for shapes and numbers alone: on meta tensors, which are faster, where every call takes them."""
    leaves = (leaf for call in graph.calls for leaf in _leaves(call))
    if any(isinstance(leaf, torch.device | Submodule) for leaf in leaves):
        return followed(graph, shapes, batch)
    meta = torch.device("meta")
    with torch.no_grad(), quiet():
        constants = {name: _shell(x, graph.dtype) for name, x in graph.constants.items()}
        try:
            return _values(graph, shapes, batch, meta, constants)
        except ShapeError as error:
            if not isinstance(error.__cause__, NotImplementedError):
                raise
            return followed(graph, shapes, batch)  # a call has no kernel for meta tensors


def _values(
    graph: Graph, shapes: Sequence[Size], batch: int, device: torch.device, constants: Mapping[str, Any]
) -> dict[str, Any]:
    known = len(graph.input_dtypes) == len(graph.inputs)
    dtypes = graph.input_dtypes if known else (graph.dtype,) * len(graph.inputs)
    values = dict(constants)
    for name, shape, dtype in zip(graph.inputs, shapes, dtypes, strict=True):
        values[name] = torch.empty([n or batch for n in shape], dtype=dtype, device=device)
    return interpret(graph, values, partial(_followed, shapes=shapes))


def _followed(call: Call, values: Mapping[str, Any], shapes: Sequence[Size]) -> Any:
    try:
        return natively(call, values)
    except Exception as error:  # torch's refusals are of many classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        got = [list(shape[1:]) for shape in shapes]
        what = f"the network's {call.op} takes no input of this size ({reason})"
        raise ShapeError(what, got=got[0] if len(got) == 1 else got, where=call.where) from error


def _shell(x: Any, dtype: torch.dtype) -> Any:
    """A constant as a meta tensor; one that has no numbers yet is of the network's dtype."""
    if not isinstance(x, Tensor):
        return x
    return torch.empty(x.shape, dtype=dtype if x.is_meta else x.dtype, device="meta")


def _fake(mode: FakeTensorMode, x: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """A constant without its numbers; one that has none yet is of the network's dtype."""
    if not isinstance(x, Tensor):
        return x
    return torch.empty(x.shape, dtype=dtype, device=device) if x.is_meta else mode.from_tensor(x)


def _common(first: Any, last: Any) -> Size:
    """The shape of a value: None on axes longer in the larger batch, ``Rows`` on a first one that is not the batch."""
    if not isinstance(first, Tensor) or not isinstance(last, Tensor):
        return ()
    shape: list[int | None] = [int(n) if n == m else None for n, m in zip(first.shape, last.shape, strict=True)]
    if shape[:1] == [None] and (lengths := (int(first.shape[0]), int(last.shape[0]))) != _BATCHES:
        shape[0] = Rows.of(*lengths)
    return tuple(shape)
