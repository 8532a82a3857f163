"""Calls entry by entry, taken before the views and permutations that they follow.

A function f that acts on every entry alike commutes with every bijection P of entries: f(P x) = P f(x).  Written with f
first everywhere, and on one axis, two networks that differ only in where they view, permute or flatten make the same
calls f.

    hoisted   the calls of a graph, every such f before every such P
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from dataclasses import replace

import torch

from ..graph import Call, Graph, Ref, Size, needed
from ..rules import RULES

#: Calls that move every entry of one value to one place.
BIJECTIONS = frozenset(
    "view _unsafe_view reshape flatten unflatten permute transpose t squeeze unsqueeze contiguous clone alias movedim "
    "swapaxes pixel_shuffle pixel_unshuffle channel_shuffle flip roll numpy_T mT".split()
)


def hoisted(graph: Graph, *, flat: bool = False) -> tuple[Call, ...]:
    """The calls that the outputs need, in order of execution, where calls entry by entry come before moves.

    Args:
        graph: a network, all of whose shapes are known.
        flat: whether calls entry by entry that are not affine are taken on one axis, the shape restored afterwards.

    >>> from algebraic_cnn.trace import trace
    >>> layers = torch.nn.Flatten(), torch.nn.ReLU()
    >>> [call.op for call in hoisted(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2, 2)))]
    ['relu', 'flatten']
    """
    shapes, dependent = graph.shapes(), set(graph.dependent())
    known: dict[str, Call] = {}
    calls: list[Call] = []
    for call in graph.calls:
        for written in _written(call, known, shapes, dependent, flat):
            known[written.name] = written
            dependent |= {written.name} if dependent & set(written.refs()) else set()
            shapes[written.name] = written.shape
            calls.append(written)
    kept, _ = needed(calls, [out.name for out in graph.outputs if isinstance(out, Ref)])
    return kept


def _written(
    call: Call, known: dict[str, Call], shapes: dict[str, Size], dependent: Set[str], flat: bool
) -> Iterator[Call]:
    """The call itself, or the same on the value before the moves that lead to it, and then these moves."""
    first = _single(call, dependent)
    given, moves = first, []
    while given in known and _moves(known[given]):
        moves.append(known[given])
        given = _varying(known[given], dependent)[0]
    shape = shapes.get(given, ())
    flattens = flat and bool(first) and call.op not in RULES and len(shape) != 1
    if not moves and not flattens:
        yield call
        return
    count = (math.prod(n or 1 for n in shape),)
    steps = [(_reshaped(call, [-1], count), "")] if flattens else []  # each with the value that the one before gives
    steps += [(replace(call, shape=count if flattens else shape), first)]
    steps += [(_reshaped(call, list(shape), shape), "")] if flattens else []
    steps += [(replace(move, dtype=call.dtype), _varying(move, dependent)[0]) for move in reversed(moves)]
    for number, (step, before) in enumerate(steps, 1):
        name = call.name if number == len(steps) else f"{call.name}_step_{number}"
        yield replace(step.renamed({before: Ref(given)}), name=name)
        given = name


def _reshaped(call: Call, sizes: list[int | None], shape: Size) -> Call:
    """A reshape in the place of a call, of a value that is not said yet."""
    target = torch.ops.aten.reshape.default
    return replace(call, op="reshape", target=target, args=(Ref(""), sizes), kwargs={}, shape=shape)


def _moves(call: Call) -> bool:
    """Whether it is a bijection of entries; a view of the bits as another dtype is none."""
    return call.op in BIJECTIONS and getattr(call.target, "_overloadname", "") != "dtype"


def _varying(call: Call, dependent: Set[str]) -> list[str]:
    return [name for name in call.refs() if name in dependent]


def _single(call: Call, dependent: Set[str]) -> str:
    """The one value of which the call takes every entry by itself, and nothing else with axes; "" if there is none."""
    if torch.Tag.pointwise not in getattr(call.target, "tags", ()):
        return ""
    names = list(call.refs())
    return names[0] if len(names) == 1 and names[0] in dependent else ""
