"""How values flow from the input through an exported network.

    Flow          a program, its model, and which values depend on the entries of the input
    stack         the modules at work when a value was made
    call          a module's path, "@1", "@2" ... appended when it is called again, as torch.export writes it
    layers        calls that sum products: convolutions, matrices; what a skip skips
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Node

from ..ir.refusal import line_in
from ..ops.registry import OPS

#: Calls whose result depends on the sizes of a value and not on its entries.
_OF_SIZES = frozenset("sym_size zeros_like ones_like full_like new_zeros new_ones new_full".split())

#: Stands in a node's record for the type of a module that was opened.
GONE = "opened"


@dataclass(frozen=True, eq=False)
class Flow:
    """A program as a flow of values.

    Attributes:
        program: what ``torch.export`` made of the model.
        model: the model.
        example: what it was shown.
    """

    program: ExportedProgram
    model: nn.Module
    example: Any

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Inputs and calls that depend on the entries of an input, in order of execution."""
        inputs = set(self.program.graph_signature.user_inputs)
        found: dict[Node, None] = {}
        for node in self.program.graph.nodes:
            called = node.op == "call_function" and op(node) not in _OF_SIZES
            given = node.op == "placeholder" and node.name in inputs
            if given or (called and any(n in found for n in sources(node))):
                found[node] = None
        return tuple(found)

    @cached_property
    def depth(self) -> dict[Node, int]:
        """The most layers on a way from an input to each value."""
        depth: dict[Node, int] = {}
        for node in self.nodes:
            depth[node] = max((depth[n] for n in sources(node) if n in depth), default=0) + is_layer(node)
        return depth

    def before(self, end: Node) -> set[Node]:
        """The values that a value is computed from."""
        found: set[Node] = set()
        for node in reversed(self.nodes[: self.nodes.index(end) + 1]):
            if node is end or node in found:
                found.update(n for n in sources(node) if n in self.depth)
        return found

    def layers(self, start: Node, end: Node) -> dict[Node, int]:
        """The most layers on a way from a value to each one between it and the end, both included."""
        needed = {end, *self.before(end)}
        between = {start: 0}
        for node in self.nodes[self.nodes.index(start) + 1 : self.nodes.index(end) + 1]:
            ways = [between[n] for n in sources(node) if n in between]
            if ways and node in needed:
                between[node] = max(ways) + is_layer(node)
        return between

    def module_of(self, node: Node) -> nn.Module:
        """The innermost module at work when a value was made."""
        return self.module_at(maker(node).path)

    def module_at(self, path: str) -> nn.Module:
        """The module at a path; the model where the module was opened earlier, and is gone."""
        return dict(self.model.named_modules(remove_duplicate=False)).get(path, self.model)


def op(node: Node) -> str:
    """The ATen name of a call without overload, such as "conv2d" or "add_"; "" for anything else."""
    packet = getattr(node.target, "overloadpacket", None)
    return packet.__name__ if packet is not None else ""


def results(program: ExportedProgram) -> list[Any]:
    """The values that a program returns, flat; buffers that it changes are not among them."""
    output = next(iter(reversed(program.graph.nodes)))
    values: Any = output.args[0]
    specs = program.graph_signature.output_specs
    return [value for spec, value in zip(specs, values, strict=True) if spec.kind.name == "USER_OUTPUT"]


def sources(node: Node) -> Iterator[Node]:
    """The values that a call uses."""
    return iter(node.all_input_nodes)


def is_layer(node: Node) -> bool:
    """Whether a call sums products."""
    rule = OPS.get(op(node))
    return rule is not None and bool(rule.contraction)


class Frame(NamedTuple):
    """A module at work when a value was made.

    Attributes:
        call: which call of it.
        path: dotted path.
        gone: whether it was opened earlier: the value is still its own, but it is called no longer.
    """

    call: str
    path: str
    gone: bool = False


def stack(node: Node) -> list[Frame]:
    """Every module at work when a value was made, the model itself first, the innermost last; [] where not known."""
    entries = [(key, *value) for key, value in (node.meta.get("nn_module_stack") or {}).items()]
    if not entries or entries[0][1].startswith("_empty_nn_module_stack"):
        return []
    frames = [Frame(path + "".join(key.partition("@")[1:]), path, kind == GONE) for key, path, kind in entries if path]
    return [Frame("", ""), *frames]


def maker(node: Node) -> Frame:
    """The innermost module at work when a value was made."""
    return stack(node)[-1] if stack(node) else Frame("", "")


def sizes(node: Node) -> tuple[Any, ...]:
    """The shape of a value, symbolic axes as text."""
    value = node.meta.get("val")
    return tuple(n if isinstance(n, int) else str(n) for n in value.shape) if isinstance(value, torch.Tensor) else ()


def where(node: Node) -> str:
    """The line of the model that made a value."""
    return line_in(node.meta.get("stack_trace") or "") or "a line that torch.export did not record"
