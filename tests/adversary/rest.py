"""Single-point changes of what is not a call: what is written, the constants, and how outputs nest.

effects      a write that is dropped or done twice; an input or a counter that is written
constants    one entry by an ulp, another dtype, one use of a shared one
outputs      what they are called, their order, their containers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map

from .edits import ATEN, Change, Place, instead


def effects(place: Place) -> Iterator[Change]:
    """A write that is dropped or done twice."""
    if place.schema is None or not place.schema.is_mutable:
        return

    def twice(graph: Graph, node: Node) -> None:
        with graph.inserting_after(node):
            graph.call_function(node.target, node.args, node.kwargs)

    yield place.change("effect", f"{place.op} dropped", "write dropped", instead(lambda g, m: m.args[0]))
    yield place.change("effect", f"{place.op} twice", "write done twice", twice)


def input_written(place: Place) -> Iterator[Change]:
    """An input, or a counter that nobody reads, is written at the end."""

    def write(graph: Graph, node: Node) -> None:
        with graph.inserting_before(next(iter(reversed(graph.nodes)))):
            graph.call_function(ATEN.add_.Tensor, (node, 1))

    def count(module: GraphModule) -> nn.Module:
        module.register_buffer("counted_here", torch.zeros(()))
        first = next(node for node in module.graph.nodes if node.op != "placeholder")
        with module.graph.inserting_before(first):
            counter = module.graph.get_attr("counted_here")
            module.graph.call_function(ATEN.add_.Tensor, (counter, 1))
        module.recompile()
        return module

    if not place.child:
        yield place.change("effect", "input written", "input written", write)
        yield Change("effect", "counter", f"a counter beside {place.label}", count)


def constants(module: GraphModule) -> Iterator[Change]:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not tensor.numel():
            continue
        kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
        yield Change("constant", f"{kind} {tensor.dtype}", f"an ulp of {name}", lambda m, name=name: _ulp(m, name))
        for dtype in (torch.float64, torch.int8, torch.uint8, torch.bfloat16):
            if dtype != tensor.dtype:
                what = f"{name} from {tensor.dtype} to {dtype}"
                yield Change(
                    "constant dtype", f"{tensor.dtype} to {dtype}", what, lambda m, n=name, d=dtype: _cast(m, n, d)
                )


def _ulp(module: GraphModule, name: str) -> nn.Module:
    tensor = dict([*module.named_parameters(), *module.named_buffers()])[name]
    flat = tensor.data.view(-1)
    k = len(flat) // 2
    if tensor.is_floating_point():
        flat[k] = torch.nextafter(flat[k], torch.full_like(flat[k], torch.inf))
    else:
        flat[k] = ~flat[k] if tensor.dtype == torch.bool else flat[k] + 1
    return module


def _cast(module: GraphModule, name: str, dtype: torch.dtype) -> nn.Module:
    owner, _, leaf = name.rpartition(".")
    part = module.get_submodule(owner)
    tensor: Tensor = getattr(part, leaf)
    delattr(part, leaf)
    part.register_buffer(leaf, tensor.data.to(dtype))
    return module


def untied(everywhere: list[Place]) -> Iterator[Change]:
    """One use of a constant that is used twice gets a copy whose first number is another."""
    for place in everywhere:
        if place.node.op != "get_attr" or len(place.node.users) < 2 or place.child:
            continue

        def edit(module: GraphModule, index: int = place.index) -> nn.Module:
            node = list(module.graph.nodes)[index]
            owner, _, leaf = node.target.rpartition(".")
            own = getattr(module.get_submodule(owner), leaf).detach().clone()
            own.view(-1)[0] += 1
            module.register_buffer("untied_here", own)
            with module.graph.inserting_after(node):
                new = module.graph.get_attr("untied_here")
            next(reversed(list(node.users))).replace_input_with(node, new)
            module.graph.lint()
            module.recompile()
            return module

        yield Change("untied", "constant", f"one use of {place.node.target}", edit)


class Rewired(nn.Module):
    """The same numbers, returned in another structure."""

    def __init__(self, net: nn.Module, how: str) -> None:
        super().__init__()
        self.net, self.how = net, how

    def forward(self, *x: Tensor) -> Any:
        y = self.net(*x)
        if self.how == "reversed":
            return y[::-1] if isinstance(y, list | tuple) else dict(zip(y, list(y.values())[::-1], strict=True))
        if self.how == "list for tuple":
            return list(y) if isinstance(y, tuple) else tuple(y)
        if self.how == "renamed":
            return {f"{key}_": each for key, each in y.items()}
        if self.how == "numbers of another type":
            return tree_map(lambda each: float(each) if type(each) in (int, bool) else each, y)
        return (y,) if self.how == "wrapped" else {"y": y}


def outputs(module: GraphModule) -> Iterator[Change]:
    kind = module.graph._codegen.pytree_info.out_spec.type if hasattr(module.graph._codegen, "pytree_info") else None
    hows = ["wrapped", "in a dict"]
    if kind in (list, tuple):
        hows += ["reversed", "list for tuple"]
    if kind is dict:
        hows += ["reversed", "renamed"]
    returned = tree_leaves(next(iter(reversed(module.graph.nodes))).args)
    if any(type(each) in (int, bool) for each in returned):
        hows.append("numbers of another type")
    for how in hows:
        yield Change("structure", how, f"outputs {how}", lambda m, how=how: Rewired(m, how).eval())
