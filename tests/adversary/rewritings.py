"""Changes that keep the function: another spelling of a call, something that does nothing, something and its undoing.

Torch is asked all the same, and where it says otherwise, it is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

from .edits import ATEN, AtNode, Change, Place, after, calls, given, instead, places, put, shape, swapped, value

_COMMUTING = ("add", "mul", "maximum", "minimum", "logical_and", "logical_or", "bitwise_and", "bitwise_or", "eq", "ne")
_AXES = ("dim", "dim0", "dim1", "start_dim", "end_dim")
_FOR_EVERY_AXIS = ("stride", "padding", "dilation", "kernel_size", "output_size")


def rewritings(module: GraphModule) -> list[Change]:
    """All of them, in an order that depends on the graph alone."""
    found: list[Change] = []
    everywhere = list(places(module))
    for place in everywhere:
        if place.node.op == "call_function":
            found += [*_spellings(place), *_other_calls(place), *_nothing(place)]
        elif place.node.op == "placeholder":
            found += _nothing(place)
    return [*found, *_constants(module, everywhere)]


def _spellings(place: Place) -> Iterator[Change]:
    """The same call with its arguments written in another way."""
    node, op, schema = place.node, place.op, place.schema
    if schema is None:
        return
    if op in _COMMUTING and len(node.args) == 2 and isinstance(node.args[1], Node) and not node.kwargs:
        yield place.change("same: commuted", op, "commuted", swapped(0, 1))
    rest = [argument for argument in schema.arguments[len(node.args) :] if not argument.kwarg_only]
    if rest and all(a.has_default_value() and a.name not in node.kwargs for a in rest):
        defaults = tuple(argument.default_value for argument in rest)
        spelled = lambda g, m: setattr(m, "args", (*m.args, *defaults))  # noqa: E731
        yield place.change("same: defaults spelled out", op, "defaults spelled out", spelled)
    for j, argument in enumerate(schema.arguments[: len(node.args)]):
        now, name = given(node, j, argument), f"{op}.{argument.name}"
        other = _spelled(now, argument, node)
        if other is not None:
            kind, again = other
            yield place.change(f"same: {kind}", name, f"{name} {now} as {again}", put(j, argument, again))


def _spelled(now: Any, argument: Any, node: Node) -> tuple[str, Any] | None:
    """Another way to write one value."""
    kind = str(argument.type)
    if type(now) is int and kind in ("number", "Scalar", "Optional[number]"):
        return "float for a whole number", float(now)
    if type(now) is float and now.is_integer() and kind in ("number", "Scalar", "Optional[number]"):
        return "whole number for a float", int(now)
    if type(now) is int and argument.name in _AXES and shape(node.args[0]):
        rank = len(shape(node.args[0]) or ())
        return "other sign of an axis", now - rank if now >= 0 else now + rank
    if isinstance(now, list | tuple) and len(now) > 1 and argument.name in _FOR_EVERY_AXIS:
        return ("one for every axis", [now[0]]) if len(set(now)) == 1 and type(now[0]) is int else None
    return None


def _size_of(node: Node) -> list[int] | None:
    found = value(node)
    if found is None or found.ndim < 2 or not all(isinstance(n, int) for n in found.shape[1:]):
        return None
    return [-1, *map(int, found.shape[1:])]


def _nothing(place: Place) -> Iterator[Change]:
    """A call, or two that undo each other, after a value."""
    node = place.node
    found, size = value(node), _size_of(node)
    if found is None or not node.users:
        return
    choices: dict[str, AtNode] = {
        "clone": calls((ATEN.clone.default,)),
        "alias": calls((ATEN.alias.default,)),
        "contiguous": calls((ATEN.contiguous.default,)),
        "to its own dtype": calls((ATEN.to.dtype, found.dtype)),
        "unsqueezed and back": calls((ATEN.unsqueeze.default, 0), (ATEN.squeeze.dim, 0)),
        "indexed by ellipsis": calls((ATEN.slice.Tensor, 0)) if found.ndim else calls((ATEN.clone.default,)),
    }
    if found.is_floating_point():
        choices |= {
            "plus 0": calls((ATEN.add.Tensor, 0)),
            "times 1.0": calls((ATEN.mul.Tensor, 1.0)),
            "by 1": calls((ATEN.div.Tensor, 1)),
            "negated twice": calls((ATEN.neg.default,), (ATEN.neg.default,)),
            "twice and half": calls((ATEN.mul.Tensor, 2.0), (ATEN.mul.Tensor, 0.5)),
            "to float64 and back": calls((ATEN.to.dtype, torch.float64), (ATEN.to.dtype, found.dtype)),
            "plus c minus c": calls((ATEN.add.Tensor, 1.0), (ATEN.sub.Tensor, 1.0)),
            "dropout in evaluation": calls((ATEN.dropout.default, 0.5, False)),
        }
    if found.ndim > 1:
        back = (ATEN.transpose.int, 0, -1)
        choices["transposed twice"] = calls(back, back)
        choices["stored transposed"] = calls(back, (ATEN.contiguous.default,), back)
        choices["flipped twice"] = calls((ATEN.flip.default, [-1]), (ATEN.flip.default, [-1]))
    if size:
        choices["flattened and back"] = calls((ATEN.flatten.using_ints, 1), (ATEN.reshape.default, size))
        choices["reshaped to its own shape"] = calls((ATEN.reshape.default, size))
    if found.ndim == 4:
        last = {"memory_format": torch.channels_last}
        choices["channels last"] = lambda g, m: g.call_function(ATEN.contiguous.default, (m,), last)
    op = place.op if node.op == "call_function" else "input"
    for what, make in choices.items():
        yield place.change(f"same: {what}", op, what, after(make))


def _of(function: Any, *more: Any) -> AtNode:
    """A call with the node's first argument and others."""
    return lambda graph, node: graph.call_function(function, (node.args[0], *more))


def _with_its_arguments(function: Any, **kwargs: Any) -> AtNode:
    return lambda graph, node: graph.call_function(function, node.args, {**node.kwargs, **kwargs})


def _sigmoid_gate(graph: Graph, node: Node) -> Node:
    return graph.call_function(ATEN.mul.Tensor, (node.args[0], _of(ATEN.sigmoid.default)(graph, node)))


def _least_of_negated(graph: Graph, node: Node) -> Node:
    negated = graph.call_function(ATEN.neg.default, (node.args[0],))
    return graph.call_function(ATEN.neg.default, (graph.call_function(ATEN.amin.default, (negated, *node.args[1:])),))


def _product_and_bias(graph: Graph, node: Node) -> Node:
    product = graph.call_function(ATEN.linear.default, node.args[:2])
    return graph.call_function(ATEN.add.Tensor, (product, node.args[2])) if len(node.args) > 2 else product


def _view_of_contiguous(graph: Graph, node: Node) -> Node:
    return graph.call_function(ATEN.view.default, (_of(ATEN.contiguous.default)(graph, node), node.args[1]))


def _axes_from_the_end(graph: Graph, node: Node) -> Node:
    return graph.call_function(
        ATEN.permute.default, (node.args[0], [axis - len(node.args[1]) for axis in node.args[1]])
    )


def _other_calls(place: Place) -> Iterator[Change]:
    """Other calls that compute the same."""
    node, size = place.node, _size_of(place.node)
    other: dict[str, tuple[int, AtNode]] = {
        "relu": (1, _of(ATEN.clamp.default, 0)),
        "relu6": (1, _of(ATEN.clamp.default, 0, 6)),
        "hardtanh": (3, _with_its_arguments(ATEN.clamp.default)),
        "neg": (1, lambda g, m: g.call_function(ATEN.rsub.Scalar, (m.args[0], 0))),
        "silu": (1, _sigmoid_gate),
        "view": (2, _with_its_arguments(ATEN.reshape.default)),
        "reshape": (2, _view_of_contiguous),
        "sub": (2, _with_its_arguments(ATEN.add.Tensor, alpha=-1)),
        "linear": (3, _product_and_bias),
        "mean": (9, _with_its_arguments(ATEN.mean.dim)),
        "t": (1, _of(ATEN.transpose.int, 0, 1)),
        "matmul": (2, _with_its_arguments(ATEN.bmm.default)),
        "amax": (3, _least_of_negated),
        "square": (1, lambda g, m: g.call_function(ATEN.mul.Tensor, (m.args[0], m.args[0]))),
        "unsqueeze": (2, lambda g, m: g.call_function(ATEN.reshape.default, (m.args[0], size))),
        "flatten": (3, lambda g, m: g.call_function(ATEN.reshape.default, (m.args[0], size))),
        "squeeze": (2, lambda g, m: g.call_function(ATEN.reshape.default, (m.args[0], size))),
        "permute": (2, _axes_from_the_end),
        "softmax": (9, lambda g, m: calls((ATEN.log_softmax.int, *m.args[1:]), (ATEN.exp.default,))(g, m.args[0])),
    }  # fmt: skip
    most, make = other.get(place.op.rstrip("_"), (0, None))
    needs_size = place.op in ("unsqueeze", "flatten", "squeeze")
    if make is None or len(node.args) > most or place.schema is None or (needs_size and not size):
        return
    yield place.change("same: another call", place.op, "another call", instead(make))


def _constants(module: GraphModule, everywhere: list[Place]) -> Iterator[Change]:
    """A constant with one more axis of length 1 before it, a copy of a shared one, one as a buffer."""
    for place in everywhere:
        node = place.node
        if node.op != "get_attr" or place.child or not isinstance(node.target, str):
            continue

        def own(graph: Graph, here: Node) -> None:
            holder = graph.owning_module
            owner, _, leaf = here.target.rpartition(".")
            tensor = getattr(holder.get_submodule(owner), leaf).detach().clone()
            holder.register_buffer("copied_here", tensor)
            here.target = "copied_here"

        written = any(getattr(getattr(user.target, "_schema", None), "is_mutable", False) for user in node.users)
        if isinstance(_tensor(module, node.target), torch.Tensor) and not written:
            yield place.change("same: copy of a constant", "constant", "a copy", own)


def _tensor(module: nn.Module, name: str) -> Any:
    owner, _, leaf = name.rpartition(".")
    return getattr(module.get_submodule(owner), leaf, None)
