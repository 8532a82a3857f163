"""Every single-point change of a traced graph that may alter its function.

of calls        arguments of any type, None for what may be left out, the order of values, another value of the same
                shape, a sibling call, the same name in another namespace
of values       a call inserted after one
of effects      a write that is dropped, done twice, or added
of constants    one entry by an ulp, another dtype, one use of a shared one
of the whole    how outputs nest, what they are called, their order
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from .edits import ATEN, AtNode, Change, Place, after, calls, given, places, put, shape, swapped, target, value
from .rest import constants, effects, input_written, outputs, untied
from .siblings import SIBLINGS, elsewhere

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.int64]
_LAYOUTS = [torch.contiguous_format, torch.channels_last, torch.preserve_format]
_FOR_NONE: dict[str, list[Any]] = {
    "int": [0, 1], "SymInt": [0, 1], "float": [0.5], "ScalarType": DTYPES, "bool": [True], "number": [1, 0.5],
    "Scalar": [1, 0.5], "str": ["floor"], "int[]": [[0], [1]], "SymInt[]": [[1], [2]], "int[1]": [[0], [1]],
}  # fmt: skip
_WORDS = [
    "none tanh", "constant reflect replicate circular", "floor trunc", "linear lower higher nearest midpoint", "ij xy",
    "sum mean amax amin prod",
]  # fmt: skip
_OPERATORS = [operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, torch.sym_max, torch.sym_min]
PRODUCT = 1 + 2.0**-20
_MAGIC = {torch.float64: 1.5 * 2.0**52, torch.float32: 1.5 * 2.0**23, torch.bfloat16: 1.5 * 2.0**7}


def changes(module: GraphModule) -> list[Change]:
    """All of them, in an order that depends on the graph alone."""
    found: list[Change] = []
    everywhere = list(places(module))
    for place in everywhere:
        if place.node.op == "call_function":
            nodes = [other for other in everywhere if other.child == place.child and other.index < place.index]
            found += [*_of_call(place, nodes), *_inserted(place), *effects(place)]
        elif place.node.op == "placeholder":
            found += [*_inserted(place), *input_written(place)]
    return [*found, *constants(module), *untied(everywhere), *outputs(module)]


def _of_call(place: Place, before: list[Place]) -> Iterator[Change]:
    node, op = place.node, place.op
    if place.schema is None:
        yield from _of_python(place)
        return
    kind = "size" if op.startswith("sym_") else "argument"
    for j, argument in enumerate(place.schema.arguments):
        now, name = given(node, j, argument), f"{op}.{argument.name}"
        if isinstance(now, Node):
            yield from _of_value(place, before, j, argument)
            continue
        layouts = argument.name == "memory_format"  # torch itself crashes on an integer that is none
        for other in _LAYOUTS if layouts else variants(now, str(argument.type)):
            yield place.change(kind, name, f"{name} {now} to {other}", put(j, argument, other))
    for name in sorted(SIBLINGS.get(op.rstrip("_"), ())):
        packet = getattr(ATEN, name, None)
        found = getattr(packet, node.target._overloadname, None) or getattr(packet, "default", None)
        if found is not None:
            yield place.change("sibling", op, f"{op} to {name}", target(found))
    foreign = elsewhere(node.target)
    if foreign is not None:
        yield place.change("namespace", op, f"aten::{op} to {foreign.name()}", target(foreign))


def _of_value(place: Place, before: list[Place], j: int, argument: Any) -> Iterator[Change]:
    """A tensor or a size that a call is given: none, another of the same shape, the order of two."""
    node, name = place.node, f"{place.op}.{argument.name}"
    now = given(node, j, argument)
    if "Optional" in str(argument.type):
        yield place.change("left out", name, f"{name} to None", put(j, argument, None))
    if shape(now) is None:
        return
    for k, other in enumerate(node.args):
        if j < k and j < len(node.args) and shape(other) is not None and other is not now:
            yield place.change("order", place.op, f"arguments {j} and {k} of {place.op} exchanged", swapped(j, k))
    alike = [other for other in before if other.node is not now and shape(other.node) == shape(now)]
    for other in alike[-2:]:
        yield place.change("rewired", name, f"{name} from {now} to {other.node}", put(j, argument, other.node))


def _of_python(place: Place) -> Iterator[Change]:
    """Arithmetic on sizes, the part of a tuple, a branch."""
    node, op = place.node, place.op
    if op == "cond":
        yield place.change("branch", op, "branches exchanged", swapped(1, 2))
    kind = "key" if op == "getitem" else "size"
    for j, now in enumerate(node.args):
        if type(now) not in (int, float):
            continue
        for other in variants(now, ""):
            if kind == "size" or other >= 0:
                yield place.change(kind, op, f"{op} {now} to {other}", _positional(j, other))
    if node.target in _OPERATORS:
        for other in _OPERATORS:
            if other is not node.target:
                yield place.change("size", op, f"{op} to {other.__name__}", target(other))


def _positional(j: int, other: Any) -> AtNode:
    def do(graph: Graph, node: Node) -> None:
        node.args = (*node.args[:j], other, *node.args[j + 1 :])

    return do


def variants(now: Any, kind: str) -> Iterator[Any]:
    """Other values for an argument, each a little different."""
    if now is None:
        yield from _FOR_NONE.get(kind.removeprefix("Optional[").removesuffix("]").removesuffix("?"), [])
    elif isinstance(now, bool):
        yield not now
    elif isinstance(now, int):
        yield from (now + 1, now - 1)
    elif isinstance(now, float):
        yield from (now * PRODUCT if now else 2.0**-20, -now if now else 1.0)
    elif isinstance(now, str):
        yield from (word for words in map(str.split, _WORDS) if now in words for word in words if word != now)
        if "->" in now:
            left, right = now.split("->")
            yield from {f"{left}->{right[::-1]}", f"{','.join(reversed(left.split(',')))}->{right}"} - {now}
    elif isinstance(now, torch.dtype):
        yield from (dtype for dtype in DTYPES if dtype != now)
    elif isinstance(now, list | tuple) and now:
        yield from _lists(list(now))


def _lists(now: list[Any]) -> Iterator[list[Any]]:
    """One number a little different, another order, one entry less."""
    for i, each in enumerate(now):
        if isinstance(each, int | float):
            yield from ([*now[:i], other, *now[i + 1 :]] for other in variants(each, ""))
    if now != now[::-1]:
        yield now[::-1]
    if len(now) > 2:
        yield [now[1], now[0], *now[2:]]
    if len(now) > 1:
        yield now[:-1]


def _batch_term(*steps: tuple[Any, ...]) -> Any:
    """A number that depends on how many samples there are, added."""

    def make(graph: Graph, node: Node) -> Node:
        size = calls((ATEN.sym_size.int, 0), *steps)(graph, node)
        return graph.call_function(ATEN.add.Tensor, (node, size))

    return make


def _inserted(place: Place) -> Iterator[Change]:
    """One call after a value; for the sizes, one that is special at a single sample or at many."""
    found = value(place.node)
    if found is None or not place.node.users or not found.ndim:
        return
    dtype = found.dtype
    choices: dict[str, Any] = {
        "to float64": calls((ATEN.to.dtype, torch.float64)),
        "to bfloat16 and back": calls((ATEN.to.dtype, torch.bfloat16), (ATEN.to.dtype, dtype)),
        "to int8 and back": calls((ATEN.to.dtype, torch.int8), (ATEN.to.dtype, dtype)),
        "unsqueeze": calls((ATEN.unsqueeze.default, 0)),
        "flip": calls((ATEN.flip.default, [-1])),
        "roll": calls((ATEN.roll.default, [1], [-1])),
        "times 1 + 2^-20": calls((ATEN.mul.Tensor, PRODUCT)),
        "plus 2^-20": calls((ATEN.add.Tensor, 2.0**-20)),
        "batch flipped": calls((ATEN.flip.default, [0])),
        "batch mean": lambda g, m: g.call_function(ATEN.sub.Tensor, (m, calls((ATEN.mean.dim, [0], True))(g, m))),
        "more at one sample": _batch_term((torch.sym_min, 2), (operator.sub, 2)),
        "more from five samples on": _batch_term((torch.sym_max, 4), (operator.sub, 4)),
        "a dropout in training": calls((ATEN.dropout.default, 0.5, True)),
        "relu": calls((ATEN.relu.default,)),
        "a detach": calls((ATEN.detach.default,)),
    }
    if dtype in _MAGIC:
        choices["magic rounding"] = calls((ATEN.add.Tensor, _MAGIC[dtype]), (ATEN.sub.Tensor, _MAGIC[dtype]))
    if found.ndim > 2:
        size = [-1, *map(int, found.shape[1:])] if all(isinstance(n, int) for n in found.shape[1:]) else None
        choices["transpose"] = calls((ATEN.transpose.int, -1, -2))
        choices["transpose of axis 1"] = calls((ATEN.transpose.int, 1, -1))
        if size:
            choices["shuffle"] = calls((ATEN.transpose.int, -1, -2), (ATEN.reshape.default, size))
    for what, make in choices.items():
        yield place.change(
            f"inserted {what}", place.op if place.node.op == "call_function" else "input", what, after(make)
        )
