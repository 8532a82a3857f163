"""How one place of a graph is put in another's: the small vocabulary of changes and rewritings.

Change      one edit with its kind, the call it is at, and what it does, in words
at          the edit of one node, given by its place in the order of execution
argument    one argument of a call, spelled out or not
after       something between a call and all who use it
instead     another call in its place
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

ATEN = torch.ops.aten
Edit = Callable[[GraphModule], nn.Module]
AtNode = Callable[[Graph, Node], Any]


@dataclass(frozen=True)
class Change:
    """One edit of a program.

    Attributes:
        kind: what sort of thing is changed: "argument", "constant", "same: clone".
        op: the call and the argument that it is at, "conv2d.padding".
        what: the edit in words; no other edit of the program has the same.
        edit: changes a module that is a copy, and returns what stands for it.
    """

    kind: str
    op: str
    what: str
    edit: Edit

    @property
    def preserving(self) -> bool:
        """Whether it is meant to keep the function."""
        return self.kind.startswith("same")


@dataclass(frozen=True)
class Place:
    """A node of a graph: its place in the order of execution, and the module it is in ("" or that of a branch)."""

    node: Node
    index: int
    child: str = ""

    @property
    def op(self) -> str:
        """The name of the call, without overload."""
        packet = getattr(self.node.target, "overloadpacket", None)
        return getattr(packet or self.node.target, "__name__", str(self.node.target))

    @property
    def schema(self) -> Any:
        """The ATen schema; None for a call that has none."""
        return getattr(self.node.target, "_schema", None)

    @property
    def label(self) -> str:
        """Which call it is."""
        return f"{self.child}.{self.node.name}" if self.child else self.node.name

    def change(self, kind: str, op: str, what: str, do: AtNode) -> Change:
        """The change that does something to this node."""
        return Change(kind, op, f"{what} at {self.label}", at(self.index, do, self.child))


def places(module: GraphModule) -> Iterator[Place]:
    """Every node, those of branches included."""
    for child, part in module.named_modules():
        if isinstance(part, GraphModule):
            for index, node in enumerate(part.graph.nodes):
                yield Place(node, index, child)


def at(index: int, do: AtNode, child: str = "") -> Edit:
    """The edit that does something to the node at that place."""

    def edit(module: GraphModule) -> nn.Module:
        part = module.get_submodule(child)
        do(part.graph, list(part.graph.nodes)[index])
        part.graph.lint()
        part.recompile()
        return module

    return edit


def value(node: Any) -> Tensor | None:
    """The fake tensor that a node stands for."""
    found = node.meta.get("val") if isinstance(node, Node) else None
    return found if isinstance(found, Tensor) else None


def shape(node: Any) -> tuple[str, ...] | None:
    """The shape of a value, symbols in words."""
    found = value(node)
    return None if found is None else tuple(map(str, found.shape))


def given(node: Node, position: int, argument: Any) -> Any:
    """What a call is given, or the default."""
    if position < len(node.args):
        return node.args[position]
    return node.kwargs.get(argument.name, argument.default_value)


def put(position: int, argument: Any, other: Any) -> AtNode:
    """Another value for one argument, its nodes by their names; defaults before it are spelled out."""

    def do(graph: Graph, node: Node) -> None:
        own = {each.name: each for each in graph.nodes}
        new = map_arg(other, lambda each: own[each.name])
        if argument.kwarg_only or (position >= len(node.args) and argument.name in node.kwargs):
            node.kwargs = {**node.kwargs, argument.name: new}
            return
        between = [each.default_value for each in node.target._schema.arguments[len(node.args) : position]]
        args = [*node.args, *between]
        node.args = (*args[:position], new, *args[position + 1 :])

    return do


def swapped(one: int, two: int) -> AtNode:
    """Two arguments in each other's place."""

    def do(graph: Graph, node: Node) -> None:
        args = list(node.args)
        args[one], args[two] = args[two], args[one]
        node.args = tuple(args)

    return do


def target(other: Any) -> AtNode:
    """Another call with the same arguments."""

    def do(graph: Graph, node: Node) -> None:
        node.target = other

    return do


def after(make: AtNode) -> AtNode:
    """Something between a node and all who use it."""

    def do(graph: Graph, node: Node) -> None:
        users = list(node.users)
        with graph.inserting_before(node.next):
            new = make(graph, node)
        for user in users:
            user.replace_input_with(node, new)

    return do


def instead(make: AtNode) -> AtNode:
    """Something in the place of a node."""

    def do(graph: Graph, node: Node) -> None:
        with graph.inserting_before(node):
            new = make(graph, node)
        node.replace_all_uses_with(new)
        graph.erase_node(node)

    return do


def calls(*steps: tuple[Any, ...]) -> AtNode:
    """Calls one after the other: (target, further arguments), each given what came before."""

    def make(graph: Graph, node: Node) -> Node:
        for function, *more in steps:
            node = graph.call_function(function, (node, *more))
        return node

    return make
