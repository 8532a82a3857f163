"""From a ``Graph`` back to a torch module: an ordinary ``GraphModule`` with the signature of the model it came from.

emit          Graph -> GraphModule; runs, exports and saves as any module does
shape guard   a graph speaks of one input size; another one is refused instead of computed wrongly
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import _PyTreeCodeGen, _PyTreeInfo
from torch.utils import _pytree as pytree

from ..errors import ShapeError
from .graph import Graph, Ref, Rows, Submodule, mapped
from .image_sizes import spoken


def emit(graph: Graph, *, dtype: torch.dtype | None = None) -> fx.GraphModule:
    """The module that computes a graph.

    Args:
        graph: a graph; without ``in_spec`` its inputs become positional arguments.
        dtype: of the module's floating numbers, each rounded once; default as they are.

    Returns:
        A module in evaluation mode with numbers of its own.  Parameters and buffers keep their dotted paths, and a
        parameter is trainable where it was.

    >>> from algebraic_cnn.ir.trace import trace
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> again, x = emit(trace(model, torch.zeros(1, 3))), torch.ones(4, 3)
    >>> torch.equal(again(x), model(x)), list(again.state_dict())
    (True, ['0.weight', '0.bias'])
    """
    root, drawn = nn.Module(), fx.Graph(tracer_cls=Reader)
    arguments = [name for name in graph.inputs if name not in graph.state]
    nodes = {name: drawn.placeholder(name) for name in arguments}
    for name, shape in zip(arguments, _lengths(graph), strict=False):
        _guard(drawn, require_shape, nodes[name], shape, name)
    for one, other in _ties(graph):
        _guard(drawn, require_same_size, nodes[one[0]], nodes[other[0]], [one, other])
    paths = _paths(graph)
    for name, value in _numbers(graph, dtype):
        _register(root, paths[name], value)
        nodes[name] = drawn.get_attr(paths[name])
    buffers = {name: nodes[name] for name in graph.writes}
    nodes |= {name: _guard(drawn, held, buffers[name]) for name in _read_and_written(graph)}

    for call in graph.calls:
        args, kwargs = mapped(_drawer(root, drawn, nodes), (call.args, dict(call.kwargs)))
        nodes[call.name] = drawn.create_node("call_function", call.target, args, kwargs, name=call.name)
    values = [nodes[out.name] if isinstance(out, Ref) else out for out in graph.outputs]
    count = len(values) - len(graph.writes)
    for name, value in zip(graph.writes, values[count:], strict=True):
        drawn.call_function(torch.ops.aten.copy_.default, (buffers[name], value))
    drawn.output(values[:count])
    drawn.set_codegen(_codegen(graph))
    return fx.GraphModule(root, drawn).eval()


class Reader(fx.Tracer):
    """How torch draws a module again when it is unpickled: what is computed from buffers stays a call."""

    proxy_buffer_attributes = True


def _drawer(root: nn.Module, drawn: fx.Graph, nodes: Mapping[str, fx.Node]) -> Callable[[Any], Any]:
    """What stands for an argument of a call in the graph that is drawn."""

    def node(leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return nodes[leaf.name]
        if not isinstance(leaf, Submodule):
            return leaf
        name = f"part_{len(root._modules)}"
        root.add_module(name, leaf.module)
        return drawn.get_attr(name)

    return node


def _guard(drawn: fx.Graph, function: Callable[..., Any], *args: Any) -> fx.Node:
    """A call of ours; torch draws a module again when it is unpickled, and must then not look inside."""
    node = drawn.call_function(function, args)
    node.meta["is_wrapped"] = True
    return node


def _read_and_written(graph: Graph) -> list[str]:
    """The buffers that are written in the end, and read by calls of which gradients may be asked."""
    varying = {name for name in graph.inputs if name not in graph.state}
    found = set()
    for call in graph.calls:
        if not varying.isdisjoint(call.refs()):
            varying.add(call.name)
            found |= set(call.refs())
    return [name for name in graph.writes if name in graph.state and name in found]


def held(buffer: Tensor) -> Tensor:
    """The numbers of a buffer that is overwritten in the same call: a copy where a gradient may need them later.

    Args:
        buffer: of the module.
    """
    return buffer.clone() if torch.is_grad_enabled() and not torch.compiler.is_exporting() else buffer


def require_shape(x: Tensor, shape: Sequence[int | Sequence[int] | None], name: str) -> None:
    """Refuse an input of another shape than the graph was made for.

    Args:
        x: the input.
        shape: of every axis its length, None for any, or (least, most, step).
        name: of the input.

    Raises:
        ShapeError: if x is of another shape.
    """
    fits = len(x.shape) == len(shape) and all(map(_fits, x.shape, shape))
    if not fits:
        expected = tuple("any" if n is None else n if isinstance(n, int) else _spoken(n) for n in shape)
        raise ShapeError("an input of another shape", expected=expected, got=tuple(x.shape), where=name)


def _fits(n: int, allowed: int | Sequence[int] | None) -> bool:
    if allowed is None or isinstance(allowed, int):
        return allowed is None or n == allowed
    least, most, step = allowed
    # no comparison that tells nothing: an export would remember it
    return n >= least and (most == sys.maxsize or n <= most) and (step == 1 or (n - least) % step == 0)


def _spoken(allowed: Sequence[int]) -> str:
    least, most, step = allowed
    return spoken(range(least, most if most == sys.maxsize else most + 1, step))


def require_same_size(x: Tensor, y: Tensor, ends: Sequence[Sequence[Any]]) -> None:
    """Refuse two inputs whose sizes do not belong together.

    Args:
        x: an input.
        y: another.
        ends: for both (name, axis, slope, start), where (length - start) / slope must be the same.

    Raises:
        ShapeError: if it is not.
    """
    (one, a, p, b), (other, c, q, d) = ends
    if (x.shape[a] - b) * q != (y.shape[c] - d) * p:
        where = f"axis {a} of {one}, axis {c} of {other}"
        raise ShapeError("inputs whose sizes do not belong together", got=[x.shape[a], y.shape[c]], where=where)


def _lengths(graph: Graph) -> list[list[Any]]:
    """Of every input the lengths that its axes may have, as ``require_shape`` takes them."""
    found = []
    for name, shape in zip(graph.inputs, graph.input_shapes, strict=True):
        lengths: list[Any] = [None if isinstance(n, Rows) else n for n in shape]
        least, most = graph.batch_sizes
        if shape[:1] == (None,) and (least, most, graph.batch_step) != (1, None, 1):
            lengths[0] = [least, sys.maxsize if most is None else most, graph.batch_step]
        for axis in range(len(shape)):
            if graph.sizes is not None and (name, axis) in graph.sizes.sides:
                allowed = graph.sizes.lengths(name, axis)
                most = sys.maxsize if allowed.stop == sys.maxsize else allowed[-1]
                lengths[axis] = [allowed.start, most, allowed.step]
        found.append(lengths)
    return found


def _ties(graph: Graph) -> list[tuple[list[Any], list[Any]]]:
    """Pairs of axes whose lengths are those of one symbol, each but the first of a symbol with the first."""
    first: dict[str, list[Any]] = {}
    pairs = []
    for (name, axis), side in graph.sizes.sides.items() if graph.sizes is not None else ():
        end = [name, axis, side.slope, side.start]
        if side.symbol in first:
            pairs.append((first[side.symbol], end))
        first.setdefault(side.symbol, end)
    return pairs


def _codegen(graph: Graph) -> _PyTreeCodeGen:
    """Packs and unpacks arguments and outputs as the model did, under the names of its arguments."""
    in_spec, arguments = graph.in_spec, [name for name in graph.inputs if name not in graph.state]
    if in_spec is None:
        in_spec = pytree.tree_structure((tuple(arguments), {}))
    positional, named = in_spec.unflatten(arguments)
    returned = list(graph.outputs[: len(graph.outputs) - len(graph.writes)])
    out_spec = pytree.tree_structure(returned) if graph.out_spec is None else graph.out_spec
    names = [value if isinstance(value, str) else f"argument_{i}" for i, value in enumerate(positional)] + [*named]
    return _PyTreeCodeGen(_PyTreeInfo(names, in_spec, out_spec))


#: Names that a module has for itself.
_OWN = frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))


def _paths(graph: Graph) -> dict[str, str]:
    """A dotted path for every tensor among the constants, the model's own where it has one."""
    tensors = [*graph.state, *(name for name, value in graph.constants.items() if isinstance(value, Tensor))]
    known = {**graph.paths, **graph.state}
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(tensors, key=lambda name: name not in known):
        path = known.get(name, name)
        while path.split(".")[0] in _OWN or path in taken or not taken.isdisjoint(f"{at}." for at in _ways(path)):
            first, *rest = path.split(".")
            path = ".".join([f"{first}_", *rest])
        paths[name] = path
        taken |= {f"{path}.", *_ways(path)}
    return {name: paths[name] for name in tensors}


def _ways(path: str) -> Iterator[str]:
    """The path, and those of the modules on the way to it."""
    parts = path.split(".")
    return (".".join(parts[:stop]) for stop in range(1, len(parts) + 1))


def _numbers(graph: Graph, dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
    """Copies of the constants: a parameter where it is one of the network's, one for what shares its memory there."""
    shared: dict[Any, nn.Parameter] = {}
    for name in _paths(graph):
        value = (graph.initial if name in graph.state else graph.constants)[name].detach()
        copied = value.to(dtype if dtype and value.is_floating_point() else value.dtype, copy=True)
        if name in graph.parameters:
            key = (value.data_ptr(), value.dtype, value.shape, value.stride()) if value.numel() else name
            copied = shared.setdefault(key, nn.Parameter(copied, graph.parameters[name]))
        yield name, copied


def _register(root: nn.Module, path: str, value: Tensor) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, nn.Module())
        root = getattr(root, parent)
    if isinstance(value, nn.Parameter):
        root.register_parameter(name, value)
    else:
        root.register_buffer(name, value)
