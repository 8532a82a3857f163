"""Calls that do the same with every row, written on rows: the order of rows is then no part of what they are.

    is_entrywise   whether every entry of what a call gives is a function of one entry of each value
    on_rows        a call entry by entry on one axis, a call along some axes on those behind all others
    row_lengths    the lengths of the axes that were taken together as the rows of what such a call is given

A softmax along the channels of an image is the same call whether channels come first or last: entry (r, c) of its rows
is the number c of pixel r.  Two networks that hold their images in another order make it on rows in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..ir.graph import Call, Ref
from ..ir.nodes import pointwise
from ..ops.registry import traits

_ATEN = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Values:
    """What is known of the values of a network.

    Attributes:
        shapes: by name.
        dtypes: by name, where they are known.
    """

    shapes: Mapping[str, Any]
    dtypes: Mapping[str, torch.dtype]


def is_entrywise(call: Call) -> bool:
    """Whether every entry of the result is a function of one entry of each value, the same for all."""
    return pointwise(call) or traits(call.op).casts


def takes_rows(call: Call, shapes: Mapping[str, Any], dependent: Set[str], constants: Mapping[str, Any]) -> bool:
    """Whether a call does the same with every row: with what all its values have at one place of the first axis.

    Args:
        call: that is not affine.
        shapes: of all values.
        dependent: names of those that depend on the input.
        constants: by name.

    >>> from ..ir.trace import trace
    >>> graph = trace(torch.nn.Sequential(torch.nn.Softmax(1), torch.nn.Softmax(2)).eval(), torch.zeros(1, 2, 2))
    >>> [takes_rows(call, graph.shapes(), graph.dependent(), {}) for call in graph.calls]
    [True, False]
    """
    names = list(call.refs())
    if is_entrywise(call):  # a constant of many entries is no row's own, and a value of fewer axes is every row's
        lone = (name for name in names if name in constants)
        alike = (shapes[name] == call.shape for name in names if name not in constants)
        return all(constants[name].numel() == 1 for name in lone) and all(alike)
    if len(dependent & set(names)) != 1:
        return False
    arguments, about = call.bound(), traits(call.op)
    if about.innermost:
        return len(arguments["normalized_shape"]) == 1 < len(call.shape)
    return (about.along or about.reduces) and arguments.get("dim") in (1, [1]) and not arguments.get("keepdim")


def on_rows(call: Call, values: Values, constants: dict[str, Any]) -> list[Call]:
    """The same call on rows, between moves; nothing where it is on rows already, or is no such call.

    Args:
        call: that is not affine.
        values: shape and dtype of every value.
        constants: those of the network; a constant of one entry in another shape is added.

    >>> from ..ir.sized import sized
    >>> from ..ir.trace import trace
    >>> graph = sized(trace(torch.nn.Softmax(1).eval(), torch.zeros(1, 3, 2, 2)), 1).graph
    >>> [(step.op, step.shape) for step in on_rows(graph.calls[0], Values(graph.shapes(), graph.dtypes()), {})][:3]
    [('permute', (1, 2, 2, 3)), ('reshape', (4, 3)), ('softmax', (4, 3))]
    """
    if None in call.shape or call.dtype is None:
        return []
    if is_entrywise(call):
        steps = list(_entries(call, values, constants))
    elif traits(call.op).along or traits(call.op).reduces:
        steps = list(_along(call, values))
    elif traits(call.op).innermost and len(call.bound()["normalized_shape"]) == 1:
        x = call.bound()["input"].name
        rows = [math.prod(values.shapes[x][:-1]), values.shapes[x][-1]]
        steps = [_move(call, "reshape", x, rows, rows, values.dtypes.get(x))]
        steps += [replace(call.renamed({x: Ref("")}), shape=tuple(rows))]
        steps += [_move(call, "reshape", "", list(call.shape), call.shape, call.dtype)]
    else:
        return []
    return _chained(call, steps) if len(steps) > 1 else []


def row_lengths(call: Call, whole: Mapping[str, Call], shapes: Mapping[str, Any]) -> tuple[int, ...]:
    """The lengths of the axes that were taken together as the rows of the first value that a call is given; () for one.

    Args:
        call: written on rows.
        whole: the calls of its network by name.
        shapes: of all values.
    """
    name = next((name for name in call.refs() if name in whole), "")
    made = whole.get(name)
    if made is None or not traits(made.op).ordered or not shapes[name]:
        return ()
    before, rows = shapes[next(made.refs())], shapes[name][0]
    fits = [k for k in range(1, len(before) + 1) if math.prod(before[:k]) == rows]
    return tuple(before[: fits[-1 if len(shapes[name]) == 1 else 0]]) if fits else ()


def _move(call: Call, op: str, given: str, argument: Any, shape: Any, dtype: torch.dtype | None) -> Call:
    """A move in the place of a call."""
    target = getattr(_ATEN, op).default
    args = (Ref(given), list(argument))
    return replace(call, op=op, target=target, args=args, kwargs={}, shape=tuple(shape), dtype=dtype)


def _chained(call: Call, steps: list[Call]) -> list[Call]:
    """The steps under names of their own, the last under that of the call; "" stands for the step before."""
    written: list[Call] = []
    for number, step in enumerate(steps, 1):
        last = {"": Ref(written[-1].name)} if written else {}
        name = step.name if step.name != call.name else f"{call.name}_step_{number}"
        written.append(replace(step.renamed(last), name=name if number < len(steps) else call.name))
    return written


def _entries(call: Call, values: Values, constants: dict[str, Any]) -> Iterator[Call]:
    """A call entry by entry on one axis, every value first expanded."""
    wanted, count = call.shape, math.prod(n or 0 for n in call.shape)
    names: dict[str, Ref] = {}
    if not all(bool(constants[name].isfinite().all()) for name in call.refs() if name in constants):
        return  # infinite numbers are what the call is, and no values that are compared
    for place, name in enumerate(dict.fromkeys(call.refs())):
        own, x, dtype = values.shapes[name], name, values.dtypes.get(name)
        if name in constants and math.prod(own) == 1:
            if len(own) > 1:
                names[name] = Ref(f"{call.name}_once_{place}")
                constants[names[name].name] = constants[name].reshape(1)
            continue
        if own != wanted:
            x = f"{call.name}_over_{place}"
            yield replace(_move(call, "expand", name, wanted, wanted, dtype), name=x)
        if len(wanted) != 1:
            flat = _move(call, "reshape", x, [-1], (count,), dtype)
            x = f"{call.name}_flat_{place}"
            yield replace(flat, name=x)
        names[name] = Ref(x)
    yield replace(call.renamed(names), shape=(count,))
    if len(wanted) != 1:
        yield _move(call, "reshape", "", wanted, wanted, call.dtype)


def _along(call: Call, values: Values) -> Iterator[Call]:
    """A call along some axes: these last, taken together, and all others before them, taken together."""
    arguments = call.bound()
    name = arguments["self"].name if isinstance(arguments["self"], Ref) else ""
    own, dtype = values.shapes.get(name, ()), values.dtypes.get(name)
    named = arguments.get("dim", ())
    if not name or not own or named == () or None in own:
        return
    axes = sorted(a % len(own) for a in ([named] if isinstance(named, int) else named or range(len(own))))
    order = [a for a in range(len(own)) if a not in axes] + axes
    rows = [math.prod(own[a] for a in order[: -len(axes)]), math.prod(own[a] for a in axes)]
    along = traits(call.op).along
    if along and list(own) == rows and axes == [1]:
        return
    if order != sorted(order):
        yield _move(call, "permute", name, order, [own[a] for a in order], dtype)
    yield _move(call, "reshape", "" if order != sorted(order) else name, rows, rows, dtype)
    rest = {key: value for key, value in arguments.items() if key not in ("self", "dim", "keepdim")}
    rest |= {"dim": 1 if named is None or isinstance(named, int) else [1]}
    rest |= {"keepdim": False} if "keepdim" in arguments else {}
    yield replace(call, args=(Ref(""),), kwargs=rest, shape=tuple(rows if along else rows[:1]))
    if not along:
        yield _move(call, "reshape", "", call.shape, call.shape, call.dtype)
        return
    yield _move(call, "reshape", "", [own[a] for a in order], [own[a] for a in order], call.dtype)
    if order != sorted(order):
        yield _move(call, "permute", "", [order.index(a) for a in range(len(own))], own, call.dtype)
