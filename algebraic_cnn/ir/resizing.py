"""A network that takes many image sizes, at one of them.

    Length     a number that a network works out from the sizes of its inputs, and the name of the value that it is
    followed   graph, shapes of its inputs -> every value without its numbers
    at         graph, values of its symbols -> the graph of those image sizes alone: every shape and number known
    refused    graph, values of its symbols -> why it takes no images of those sizes, if it does not
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

from ..errors import ShapeError
from .graph import Call, Graph, Ref, Rows, Size, Submodule, mapped
from .image_sizes import ImageSizes
from .interpreter import OnCall, asked, interpret, natively
from .known_shapes import measured
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
    found = [followed(graph, shapes, batch) for batch in (_BATCHES if graph.batch is None else (graph.batch,))]
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


def refused(graph: Graph, values: Mapping[str, int]) -> ShapeError | None:
    """Why torch refuses a graph where its symbols have these values; None where it takes them, as one batch shows."""
    shapes = (graph.sizes or ImageSizes({}, {})).shapes(graph.inputs, graph.input_shapes, values)
    try:
        followed(graph, shapes, graph.batch or _BATCHES[0])
    except ShapeError as error:
        return error
    return None


def unbound(calls: Iterable[Call]) -> list[Call]:
    """The calls, every ``Length`` the value that it came from."""

    def free(leaf: Any) -> Any:
        return Ref(leaf.name) if isinstance(leaf, Length) else leaf

    def freed(call: Call) -> Call:
        args, kwargs = mapped(free, (call.args, dict(call.kwargs)))
        return replace(call, args=args, kwargs=kwargs)

    return [freed(call) if any(isinstance(leaf, Length) for leaf in call.leaves()) else call for call in calls]


def followed(graph: Graph, shapes: Sequence[Size], batch: int) -> dict[str, Any]:
    """Every value of a graph without its numbers, by name: on meta tensors where every call takes them.

    Args:
        graph: the network.
        shapes: of its inputs, None for the batch axis.
        batch: how long that is.

    Raises:
        ShapeError: if torch refuses a call with these sizes; names the call and its source line.
    """
    if any(isinstance(given, Submodule) for call in graph.calls for given in call.args):
        return _faked(graph, shapes, batch)
    meta = torch.device("meta")
    placed = replace(graph, calls=tuple(_placed(call, meta) for call in graph.calls))
    with torch.no_grad(), quiet():
        constants = {name: _shell(x, graph.dtype) for name, x in graph.constants.items()}
        try:
            return _values(placed, shapes, batch, meta, constants, _on_meta)
        except ShapeError as error:
            if not isinstance(error.__cause__, NotImplementedError):
                raise
            return _faked(graph, shapes, batch)  # a call has no kernel for meta tensors


def _faked(graph: Graph, shapes: Sequence[Size], batch: int) -> dict[str, Any]:
    """The same on the tensors with which torch exports, which follow a branch or a loop as well."""
    loops = any(call.op == "higher_order::while_loop" for call in graph.calls)  # torch follows them with symbols alone
    with torch.no_grad(), quiet(), FakeTensorMode(shape_env=ShapeEnv() if loops else None) as mode:
        constants = {name: _fake(mode, x, graph.dtype, graph.device) for name, x in graph.constants.items()}
        return _values(graph, shapes, batch, graph.device, constants, natively)


def _placed(call: Call, device: torch.device) -> Call:
    """The call, making what it makes on a device."""
    if not any(isinstance(given, torch.device) for given in (*call.args, *call.kwargs.values())):
        return call
    args = tuple(device if isinstance(given, torch.device) else given for given in call.args)
    kwargs = {key: device if isinstance(given, torch.device) else given for key, given in call.kwargs.items()}
    return replace(call, args=args, kwargs=kwargs)


def _values(
    graph: Graph,
    shapes: Sequence[Size],
    batch: int,
    device: torch.device,
    constants: Mapping[str, Any],
    on_call: OnCall,
) -> dict[str, Any]:
    known = len(graph.input_dtypes) == len(graph.inputs)
    dtypes = graph.input_dtypes if known else (graph.dtype,) * len(graph.inputs)
    values = dict(constants)
    for name, shape, dtype in zip(graph.inputs, shapes, dtypes, strict=True):
        values[name] = torch.empty([n or batch for n in shape], dtype=dtype, device=device)
    return interpret(graph, values, partial(_followed, shapes=shapes, on_call=on_call))


def _followed(call: Call, values: dict[str, Any], shapes: Sequence[Size], on_call: OnCall) -> Any:
    def refusal(reason: str) -> ShapeError:
        got = [list(shape[1:]) for shape in shapes]
        what = f"the network's {call.op} takes no input of this size ({reason})"
        return ShapeError(what, got=got[0] if len(got) == 1 else got, where=call.where)

    return asked(call, values, refusal, on_call)


def _on_meta(call: Call, values: Mapping[str, Any]) -> Any:
    return measured(call.target, *call.resolved(values))


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
