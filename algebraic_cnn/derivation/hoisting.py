"""Calls that are no calls left out, and calls entry by entry taken before the views and permutations that they follow.

A function f that acts on every entry alike commutes with every bijection P of entries: f(P x) = P f(x).  Written with f
first everywhere, and on one axis, two networks that differ only in where they view, permute or flatten make the same
calls f.

    hoisted   the calls of a graph, every such f before every such P, and every other that is not affine on rows
    copies    clones, casts to the dtype that a value has, casts to a wider dtype and back: the value itself
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

import torch

from ..ir.graph import Call, Graph, Ref, Size, needed
from ..ops.evaluate import obstacles
from ..ops.precision import reads_bits
from ..ops.registry import OPS, traits
from .idle import merged, requantised, saturated
from .rowwise import Values, is_entrywise, on_rows


def hoisted(graph: Graph, *, flat: bool = False) -> Graph:
    """The same network, without copies, where calls entry by entry come before moves.

    Args:
        graph: a network, all of whose shapes are known.
        flat: whether calls that are not affine and do the same with every row are taken on rows, entries on one axis,
            the shape restored afterwards.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layers = torch.nn.Flatten(), torch.nn.ReLU()
    >>> [call.op for call in hoisted(trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2, 2))).calls]
    ['relu', 'flatten']
    """
    shapes, dtypes, constants, varying = graph.shapes(), graph.dtypes(), dict(graph.constants), graph.dependent()
    foreign = {call.name for call, _ in obstacles(graph)} if flat else set()
    signed = any(reads_bits(call, varying) for call in graph.calls)
    dependent = set(varying)
    given: dict[str, Call] = {}
    known: dict[str, Call] = {}
    same: dict[str, Ref] = {}
    for call in (each.renamed(same) for each in graph.calls):
        if flat:
            call = saturated(call if signed else merged(call, given), given, constants)
        given[call.name] = call
        source = _copied(call, given, dtypes) or (requantised(call, given, constants) if flat else "")
        if source:
            same[call.name] = same.get(source, Ref(source))
            continue
        several = call.name in foreign and not _single(call, dependent)
        rows = on_rows(call, Values(shapes, dtypes), constants) if several else []
        for written in rows or _written(call, known, shapes, dtypes, dependent, flat):
            known[written.name] = written
            dependent |= {written.name} if dependent & set(written.refs()) else set()
            shapes[written.name] = written.shape
            dtypes |= {written.name: written.dtype} if written.dtype is not None else {}
    outputs = tuple(same.get(out.name, out) if isinstance(out, Ref) else out for out in graph.outputs)
    kept, _ = needed(list(known.values()), [out.name for out in outputs if isinstance(out, Ref)])
    return replace(graph, calls=kept, outputs=outputs, constants=constants)


def _copied(call: Call, known: Mapping[str, Call], dtypes: Mapping[str, torch.dtype | None]) -> str:
    """The value whose numbers a call only copies, or takes to a wider dtype and back; "" if it does more."""
    source = next(call.refs(), "")
    if traits(call.op).copies:
        return source
    if not traits(call.op).casts or call.dtype is None or len(list(call.refs())) != 1:
        return ""
    if dtypes.get(source) == call.dtype:
        return source
    wider = known.get(source)
    if wider is None or not traits(wider.op).casts:
        return ""
    first = next(wider.refs(), "")
    return first if dtypes.get(first) == call.dtype and _holds(wider.dtype, call.dtype) else ""


def _holds(wide: torch.dtype | None, narrow: torch.dtype) -> bool:
    """Whether every number of the one floating dtype is a number of the other."""
    if wide is None or not wide.is_floating_point or not narrow.is_floating_point:
        return False
    more, less = torch.finfo(wide), torch.finfo(narrow)
    return more.eps <= less.eps and more.max >= less.max and more.smallest_normal <= less.smallest_normal


def _written(
    call: Call,
    known: dict[str, Call],
    shapes: dict[str, Size],
    dtypes: Mapping[str, torch.dtype],
    dependent: Set[str],
    flat: bool,
) -> Iterator[Call]:
    """The call itself, or the same on the value before the moves that lead to it, and then these moves."""
    first = _single(call, dependent)
    given, moves = first, []
    while given in known and _moves(known[given]):
        moves.append(known[given])
        given = _varying(known[given], dependent)[0]
    shape = shapes.get(given, ())
    flattens = flat and bool(first) and call.op not in OPS and len(shape) != 1
    if not moves and not flattens:
        yield call
        return
    count = (math.prod(1 if n is None else n for n in shape),)
    before = replace(call, dtype=dtypes.get(first, call.dtype))
    steps = [(_reshaped(before, [-1], count), "")] if flattens else []  # each with the value that the one before gives
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
    return traits(call.op).bijective and getattr(call.target, "_overloadname", "") != "dtype"


def _varying(call: Call, dependent: Set[str]) -> list[str]:
    return [name for name in call.refs() if name in dependent]


def _single(call: Call, dependent: Set[str]) -> str:
    """The one value of which the call takes every entry by itself, and nothing else with axes; "" if there is none."""
    if not is_entrywise(call):
        return ""
    names = list(call.refs())
    return names[0] if len(names) == 1 and names[0] in dependent else ""
