"""The regions of a program in which torch computes otherwise, as ordinary calls.

    no_grad                   its calls, and ``detach`` of what leaves it
    enable_grad               its calls
    autocast, switched off    its calls
    all others                stay as they are: autocast, a branch of ``torch.cond``, a loop

A value that is computed without gradients has none later either, so ``detach`` stands wherever it is read outside.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, cast

import torch
from torch import fx
from torch.export import ExportedProgram

from ..errors import TraceError
from .refusal import line_in

_DETACH = torch.ops.aten.detach.default


def inlined(program: ExportedProgram) -> ExportedProgram:
    """The same program without regions; the program itself if it has none.

    Raises:
        TraceError: if a region without gradients overwrites a value that has gradients; names the line.

    >>> class Rounded(torch.nn.Module):
    ...     def forward(self, x):
    ...         with torch.no_grad():
    ...             y = x.round()
    ...         return x + y
    >>> program = inlined(torch.export.export(Rounded(), (torch.zeros(1, 2),)))
    >>> [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    ['aten.round.default', 'aten.detach.default', 'aten.add.Tensor']
    """
    if not any(_region(node) for node in program.graph.nodes):
        return program
    drawn = _Drawing(program.graph_module)
    values = drawn.draw(program.graph_module, None, grad=True)
    specs = program.graph_signature.output_specs
    named = [
        replace(spec, arg=replace(spec.arg, name=out.name)) if isinstance(out, fx.Node) else spec
        for spec, out in zip(specs, values, strict=True)
    ]
    signature = copy.copy(program.graph_signature)
    signature.output_specs = named
    return ExportedProgram(
        root=drawn.root,
        graph=drawn.graph,
        graph_signature=signature,
        state_dict=program.state_dict,
        range_constraints=dict(program.range_constraints),
        module_call_graph=copy.deepcopy(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )


def _region(node: fx.Node) -> str:
    """The kind of region that a node opens and that can be ordinary calls; "" for any other node."""
    name = getattr(node.target, "__name__", "") if isinstance(node.target, torch._ops.HigherOrderOperator) else ""
    if name == "wrap_with_set_grad_enabled":
        return "enable_grad" if node.args[0] else "no_grad"
    return "autocast, off" if name == "wrap_with_autocast" and not node.args[2] else ""


class _Drawing:
    """A graph that is drawn anew, and the modules that its nodes name."""

    def __init__(self, origin: fx.GraphModule) -> None:
        self.root, self.graph = fx.GraphModule(torch.nn.Module(), fx.Graph()), fx.Graph()
        self.root.meta.update(origin.meta)
        self._still: set[fx.Node] = set()
        self._owned: set[fx.Node] = set()
        self._detached: dict[fx.Node, fx.Node] = {}

    def draw(self, module: fx.GraphModule, given: Sequence[Any] | None, *, grad: bool) -> list[Any]:
        """Draw the nodes of a module, its placeholders being what is given, or new ones; return its outputs."""
        new: dict[fx.Node, Any] = {}
        waiting = iter(given or ())
        for node in module.graph.nodes:
            if node.op == "output":
                read = self._reader(new, detached=given is None)
                found = [read(out) if isinstance(out, fx.Node) else out for out in node.args[0]]
                if given is None:
                    self.graph.output(tuple(found)).meta = dict(node.meta)
                return found
            if node.op == "placeholder" and given is not None:
                new[node] = next(waiting)
            elif node.op == "get_attr" and all(map(_region, node.users)):
                continue
            elif _region(node):
                new[node] = self._inside(module, node, new, grad=grad)
            elif _is_part(node) and isinstance(new[node.args[0]], list):
                new[node] = new[node.args[0]][node.args[1]]
            else:
                new[node] = self._copied(module, node, new, grad=grad)
        return []

    def _inside(self, module: fx.GraphModule, node: fx.Node, new: dict[fx.Node, Any], *, grad: bool) -> list[Any]:
        kind = _region(node)
        body, *given = cast("Any", node.args[1:] if kind.endswith("grad") else node.args[4:])
        inside = {"no_grad": False, "enable_grad": True}.get(kind, grad)
        read = self._reader(new, detached=inside)
        part = cast("fx.GraphModule", module.get_submodule(str(body.target)))
        return self.draw(part, [read(x) if isinstance(x, fx.Node) else x for x in given], grad=inside)

    def _copied(self, module: fx.GraphModule, node: fx.Node, new: dict[fx.Node, Any], *, grad: bool) -> fx.Node:
        """A node as it is; without gradients, what it writes into something is detached."""
        written = _overwritten(node)
        if grad or written is None:
            made = self.graph.node_copy(node, self._reader(new, detached=grad))
        else:
            if new[written] not in self._owned | self._still:
                what, where = "a block without gradients overwrites a value that has some", node.meta.get("stack_trace")
                raise TraceError(what, expected="a new value", where=line_in(where or ""))
            read = self._reader(new, detached=True, always=True)
            made = self.graph.node_copy(node, lambda n: new[n] if n is written else read(n))
        if node.op == "get_attr":
            made.target = self._adopted(str(node.target), attrgetter(str(node.target))(module))
        elif node.op == "placeholder" or (written is not None and new[written] in self._owned):
            self._owned.add(made)
        elif not grad:
            self._still.add(made)
        return made

    def _reader(self, new: dict[fx.Node, Any], *, detached: bool, always: bool = False) -> Callable[[fx.Node], Any]:
        """How a node is read: detached where it was computed without gradients and is read where there are some."""

        def read(node: fx.Node) -> Any:
            value = new[node]
            is_tensor = isinstance(value, fx.Node) and isinstance(value.meta.get("val"), torch.Tensor)
            if not detached or not is_tensor or not (always or value in self._still):
                return value
            if value not in self._detached:
                made = self._detached[value] = self.graph.call_function(_DETACH, (value,))
                made.meta = dict(value.meta)
            return self._detached[value]

        return read

    def _adopted(self, name: str, part: Any) -> str:
        """The name under which the new root keeps a part of the old one."""
        name = name.replace(".", "_")
        while hasattr(self.root, name):
            name += "_"
        setattr(self.root, name, part)
        return name


def _is_part(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is operator.getitem and isinstance(node.args[0], fx.Node)


def _overwritten(node: fx.Node) -> fx.Node | None:
    """The first argument that a call overwrites."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return None
    named = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | node.kwargs
    given = [named.get(a.name) for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return next((value for value in given if isinstance(value, fx.Node)), None)
