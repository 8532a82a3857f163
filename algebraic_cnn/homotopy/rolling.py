"""From a program of ATen calls back to a graph of calls of the model's own modules.

    whole       the outermost module around a value that is not opened: one call of it, one node of the graph
    alone       a call that an opened module makes itself: copied; one that tells training from evaluation becomes a
                module, for only a module can be switched
    image       what became of a value of the program
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from typing import Any

from torch import nn
from torch.fx import Graph, GraphModule, Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from ..errors import TraceError
from .flow import GONE, Flow, Frame, maker, op, results, stack, where


def whole(node: Node, opened: Collection[str]) -> Frame:
    """The outermost module around a value that is not opened; the model if there is none."""
    return next((frame for frame in stack(node) if not (frame.gone or frame.path in opened)), Frame("", ""))


class Rolling:
    """The graph of a program in training mode.

    Args:
        flow: the program, which says what each module was called with, and its model; the model is given more modules
            where an opened module makes calls that tell training from evaluation.
        opened: paths of the modules that are opened.

    Raises:
        TraceError: if a module that stays whole gives away a value other than by returning it.
    """

    def __init__(self, flow: Flow, opened: Collection[str]) -> None:
        self.image: dict[Node, Node] = {}
        self._flow, self._model, self._graph = flow, flow.model, Graph()
        self._named = {node.name: node for node in flow.program.graph.nodes}
        self._kept = _kept(flow)
        self._signatures = {entry.fqn: entry.signature for entry in flow.program.module_call_graph}
        called: set[str] = set()
        for node in flow.program.graph.nodes:
            call, path, _ = whole(node, opened)
            if node.op == "placeholder" and node.name not in self._kept:
                self.image[node] = self._graph.placeholder(node.name)
            elif call and call not in called:
                called.add(call)
                self._call_whole(call, path, node)
            elif node.op == "call_function" and not call and stack(node):
                self._call_alone(node)
        spec: Any = flow.program.call_spec.out_spec
        returned = [self._seen(value) for value in results(flow.program)]
        self._graph.output(pytree.tree_unflatten(returned, spec))
        self.module = GraphModule(self._model, self._graph, type(self._model).__name__)

    def _seen(self, value: Any) -> Any:
        """The image of a value, or the plain value; a parameter or a size is fetched when it is first needed."""
        if not isinstance(value, Node):
            return value
        if value not in self.image and value.name in self._kept:
            self.image[value] = self._graph.get_attr(self._kept[value.name])
        elif value not in self.image and not stack(value):
            self._copy(value)
        if value not in self.image:
            raise TraceError("a module gives away a value other than by returning it", where=where(value))
        return self.image[value]

    def _copy(self, node: Node) -> None:
        made = self._graph.node_copy(node, self._seen)
        frames = stack(node)
        made.meta = {"nn_module_stack": {frame.call: (frame.path, GONE) for frame in frames}} if frames else {}
        made.stack_trace = node.stack_trace
        self.image[node] = made

    def _call_whole(self, call: str, path: str, first: Node) -> None:
        """Call a module as the model did, and let its results be known."""
        signature: Any = self._signatures.get(call)
        if signature is None:
            raise TraceError("torch.export did not record how a module was called", got=call, where=where(first))
        inputs = [spec.value if hasattr(spec, "value") else self._seen(self._named[spec.name])
                  for spec in signature.inputs]  # fmt: skip
        made = self._graph.call_module(path, *pytree.tree_unflatten(inputs, signature.in_spec))
        made.stack_trace = first.stack_trace
        for spec, way in zip(signature.outputs, _ways(signature.out_spec), strict=True):
            value = made
            for key in way:
                value = self._graph.call_function(operator.getitem, (value, key))
            if hasattr(spec, "name"):
                self.image.setdefault(self._named[spec.name], value)

    def _call_alone(self, node: Node) -> None:
        path = maker(node).path
        owner = self._flow.module_at(path)
        if op(node) == "batch_norm" and isinstance(owner, _BatchNorm) and node.args[5]:
            self._model.set_submodule(path, _plain_batch_norm(owner))
            self.image[node] = self._graph.call_module(path, (self._seen(node.args[0]),))
        elif op(node) == "dropout" and node.args[2]:
            name = f"{path.replace('.', '_')}_{node.name}".lstrip("_")
            self._model.add_module(name, nn.Dropout(node.args[1]))  # pyright: ignore[reportArgumentType]
            self.image[node] = self._graph.call_module(name, (self._seen(node.args[0]),))
        elif not (isinstance(owner, _BatchNorm) and self._is_its_counter(node, path)):
            self._copy(node)

    def _is_its_counter(self, node: Node, path: str) -> bool:
        into = node.args[0] if node.args else None
        return isinstance(into, Node) and self._kept.get(into.name) == f"{path}.num_batches_tracked"


def _plain_batch_norm(module: _BatchNorm) -> _BatchNorm:
    """A BatchNorm that does nothing else, with the parameters, buffers and parts of one that does more."""
    kind = next(k for k in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, type(module)) if isinstance(module, k))
    options = {name: getattr(module, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
    plain = kind(module.num_features, **options, device="meta")
    for name in ("_parameters", "_buffers", "_modules"):
        vars(plain)[name] = vars(module)[name]
    return plain


def _kept(flow: Flow) -> dict[str, str]:
    """Placeholder to path of the parameter, buffer or constant that it stands for; constants become buffers."""
    signature = flow.program.graph_signature
    for target in signature.inputs_to_lifted_tensor_constants.values():
        if not hasattr(flow.model, target):
            constant: Any = flow.program.constants[target]
            flow.model.register_buffer(target, constant, persistent=False)
    return {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }


def _ways(spec: pytree.TreeSpec) -> list[Sequence[Any]]:
    """Keys and indices that lead to every leaf of a nested result."""
    nested = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    ways = (way for way, _ in pytree.tree_flatten_with_path(nested)[0])
    return [[getattr(key, "key", getattr(key, "idx", None)) for key in way] for way in ways]
