"""From a ``Graph`` back to a torch module: an ordinary ``GraphModule`` with the signature of the model it came from.

    emit          Graph -> GraphModule; runs, exports and saves as any module does
    shape guard   a graph speaks of one input size; another one is refused instead of computed wrongly
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import _PyTreeCodeGen, _PyTreeInfo
from torch.utils import _pytree as pytree

from ..errors import ShapeError
from ..graph import Graph, Ref


def emit(graph: Graph, *, dtype: torch.dtype | None = None) -> fx.GraphModule:
    """The module that computes a graph.

    Args:
        graph: a graph; without ``in_spec`` its inputs become positional arguments.
        dtype: of the module's floating parameters, each rounded once; default as they are.

    Returns:
        A module in evaluation mode.  Parameters keep their dotted paths; none is trainable until its
        ``requires_grad`` is set.

    >>> from algebraic_cnn.trace import trace
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    >>> again, x = emit(trace(model, torch.zeros(1, 3))), torch.ones(4, 3)
    >>> torch.equal(again(x), model(x)), list(again.state_dict())
    (True, ['0.weight', '0.bias'])
    """
    root, drawn = nn.Module(), fx.Graph()
    nodes = {name: drawn.placeholder(name) for name in graph.inputs}
    for name, shape in zip(graph.inputs, graph.input_shapes, strict=True):
        drawn.call_function(require_shape, (nodes[name], list(shape), name))
    for name, path in _paths(graph).items():
        _register(root, path, graph.constants[name], dtype)
        nodes[name] = drawn.get_attr(path)

    for call in graph.calls:
        args, kwargs = call.resolved(nodes)
        nodes[call.name] = drawn.create_node("call_function", call.target, args, kwargs, name=call.name)
    drawn.output([nodes[out.name] if isinstance(out, Ref) else out for out in graph.outputs])
    drawn.set_codegen(_codegen(graph))
    return fx.GraphModule(root, drawn).eval()


def require_shape(x: Tensor, shape: Sequence[int | None], name: str) -> None:
    """Refuse an input of another shape than the graph was made for; None stands for any length.

    Raises:
        ShapeError: if x is of another shape.
    """
    fits = len(x.shape) == len(shape) and all(m is None or n == m for n, m in zip(x.shape, shape, strict=True))
    if not fits:
        expected = ["any" if n is None else n for n in shape]
        raise ShapeError("an input of another shape", expected=expected, got=list(x.shape), where=name)


def _codegen(graph: Graph) -> _PyTreeCodeGen:
    """Packs and unpacks arguments and outputs as the model did, under the names of its arguments."""
    in_spec = graph.in_spec
    if in_spec is None:
        in_spec = pytree.tree_structure((tuple(graph.inputs), {}))
    positional, named = in_spec.unflatten(list(graph.inputs))
    out_spec = pytree.tree_structure(list(graph.outputs)) if graph.out_spec is None else graph.out_spec
    names = [value if isinstance(value, str) else f"argument_{i}" for i, value in enumerate(positional)] + [*named]
    return _PyTreeCodeGen(_PyTreeInfo(names, in_spec, out_spec))


def _paths(graph: Graph) -> dict[str, str]:
    """A dotted path for every tensor among the constants, the model's own where it has one."""
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for name, value in graph.constants.items():
        if isinstance(value, Tensor):
            path = graph.paths.get(name, name)
            path = path if path not in taken else name
            taken.add(path)
            paths[name] = path
    return paths


def _register(root: nn.Module, path: str, value: Tensor, dtype: torch.dtype | None) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, nn.Module())
        root = getattr(root, parent)
    if value.is_floating_point():
        value = value.detach().to(dtype or value.dtype)
        root.register_parameter(name, nn.Parameter(value, requires_grad=False))
    else:
        root.register_buffer(name, value)
