"""Calls entry by entry, taken before the views and permutations that they follow.

A function f that acts on every entry alike commutes with every bijection P of entries: f(P x) = P f(x).  Written with f
first everywhere, two networks that differ only in where they view, permute or flatten make the same calls f.

    hoisted   the calls of a graph, every such f before every such P
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..graph import Call, Graph, Ref, Size, needed

#: Calls that move every entry of one value to one place.
BIJECTIONS = frozenset(
    "view _unsafe_view reshape flatten unflatten permute transpose t squeeze unsqueeze contiguous clone alias movedim "
    "swapaxes pixel_shuffle pixel_unshuffle channel_shuffle flip roll numpy_T mT".split()
)


def hoisted(graph: Graph) -> tuple[Call, ...]:
    """The calls that the outputs need, in order of execution, where calls entry by entry come before moves.

    >>> from algebraic_cnn.trace import trace
    >>> layers = torch.nn.Flatten(), torch.nn.ReLU()
    >>> [call.op for call in hoisted(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2, 2)))]
    ['relu', 'flatten']
    """
    shapes, dependent = graph.shapes(), graph.dependent()
    known: dict[str, Call] = {}
    calls: list[Call] = []
    for call in graph.calls:
        for written in _written(call, known, shapes, dependent):
            known[written.name] = written
            shapes[written.name] = written.shape
            calls.append(written)
    kept, _ = needed(calls, [out.name for out in graph.outputs if isinstance(out, Ref)])
    return kept


def _written(call: Call, known: dict[str, Call], shapes: dict[str, Size], dependent: frozenset[str]) -> Iterator[Call]:
    """The call itself, or the same on the value before the moves that lead to it, and then these moves."""
    given = _single(call, dependent)
    moves: list[Call] = []
    while given in known and _moves(known[given]):
        moves.append(known[given])
        given = _varying(known[given], dependent)[0]
    if not moves:
        yield call
        return
    names = [f"{call.name}_before_{i}" for i in range(len(moves))] + [call.name]
    yield replace(call.renamed({_single(call, dependent): Ref(given)}), name=names[0], shape=shapes[given])
    for before, name, move in zip(names, names[1:], reversed(moves), strict=False):
        inner = _varying(move, dependent)[0]
        yield replace(move.renamed({inner: Ref(before)}), name=name, dtype=call.dtype)


def _moves(call: Call) -> bool:
    """Whether it is a bijection of entries; a view of the bits as another dtype is none."""
    return call.op in BIJECTIONS and getattr(call.target, "_overloadname", "") != "dtype"


def _varying(call: Call, dependent: frozenset[str]) -> list[str]:
    return [name for name in call.refs() if name in dependent]


def _single(call: Call, dependent: frozenset[str]) -> str:
    """The one value of which the call takes every entry by itself, and nothing else with axes; "" if there is none."""
    if torch.Tag.pointwise not in getattr(call.target, "tags", ()):
        return ""
    names = list(call.refs())
    return names[0] if len(names) == 1 and names[0] in dependent else ""
