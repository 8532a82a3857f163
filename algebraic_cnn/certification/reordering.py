"""Calls row by row, or entry by entry, that two networks make on the same numbers in another order.

f acts on every row alike, so it commutes with every permutation of rows: f(P x) = P f(x).  Hence two calls of f are one
call where the one is given P x and the other x, whatever made them so: a matrix that permutes, hidden channels in
another order, an index, images with channels last.  P is guessed from one run, as the pairing is; the comparison of the
affine parts then proves it.

    order_of     the permutation that makes two values nearly equal, if there is one
    reordered    a cut in which some calls are given, and return, their rows in another order
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from ..derivation.splitting import Cut
from ..ir.graph import Call, Ref

#: Sorted values that are further apart than this, beside their size, are not one value in two orders: far less than the
#: distance of neighbours among some thousand random numbers.
_NEAR = 2.0**-18

#: All orders of so many axes are tried.
_MOST_AXES = 5


def order_of(rows: Sequence[Sequence[int]], x: Sequence[Any], y: Sequence[Any]) -> Tensor | None:
    """The permutation p with y[p] nearly x, of what two calls of one form are given; None if there is none.

    Args:
        rows: of both, the lengths of the axes that were taken together as rows, where they were.
        x: the values that the first is given.
        y: those that the second is given.
    """
    values = [value for value in (*x, *y) if isinstance(value, Tensor)]
    count = len(values[0]) if values and values[0].ndim else 0
    if not x or len(values) < len(x) + len(y) or not count:
        return None
    if any(not value.ndim or len(value) != count or not bool(value.isfinite().all()) for value in values):
        return None
    ours, theirs = (torch.cat([value.double().reshape(count, -1) for value in each], 1) for each in (x, y))
    if ours.shape != theirs.shape:
        return None
    near = _NEAR * float(1 + ours.abs().max())
    return next((p for p in _guesses(rows, ours, theirs) if float((theirs[p] - ours).abs().max()) <= near), None)


def _guesses(rows: Sequence[Sequence[int]], ours: Tensor, theirs: Tensor) -> Iterator[Tensor]:
    """The orders of axes, then that of sorted rows; rows that are alike say nothing of their order."""
    one, other = (tuple(lengths) for lengths in rows)
    if 1 < len(one) == len(other) <= _MOST_AXES and sorted(one) == sorted(other):
        places = torch.arange(len(theirs), device=theirs.device).reshape(other)
        for order in permutations(range(len(other))):
            if tuple(other[axis] for axis in order) == one:
                yield places.permute(order).reshape(-1)
    weights = torch.linspace(1.0, 2.0, ours.shape[1], dtype=torch.float64, device=ours.device).sqrt()
    (_, first), (_, second) = ((value @ weights).sort(stable=True) for value in (ours, theirs))
    yield second[inverse(first)]


def inverse(order: Tensor) -> Tensor:
    """The permutation that undoes another.

    >>> inverse(torch.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def reordered(section: Cut, orders: Mapping[int, Tensor]) -> Cut:
    """A cut with some of its boundaries taken in another order.

    Args:
        section: the cut.
        orders: number of a boundary -> p: the boundary that is given y is seen as one that is given y[p].
    """
    graph = section.graph
    if not orders:
        return section
    inputs, outputs, constants = list(graph.inputs), list(graph.outputs), dict(graph.constants)
    shapes = graph.shapes()
    before, after = [], []
    for number, order in orders.items():
        boundary, name = section.boundaries[number], f"order_{number}"
        constants |= {name: order, f"{name}_undone": inverse(order)}
        for place in boundary.given:
            after.append(_selected(boundary.call, f"{name}_given_{place}", graph.outputs[place].name, name, shapes))
            outputs[place] = Ref(after[-1].name)
        for i, (source, given) in enumerate(zip(section.sources, graph.inputs, strict=True)):
            if source[0] == number:
                inputs[i] = f"{name}_made"
                before.append(_selected(boundary.call, given, inputs[i], f"{name}_undone", {inputs[i]: shapes[given]}))
    calls = (*before, *graph.calls, *after)
    graph = replace(graph, inputs=tuple(inputs), calls=calls, outputs=tuple(outputs), constants=constants)
    return replace(section, graph=graph)


def _selected(like: Call, name: str, value: str, order: str, shapes: Mapping[str, Any]) -> Call:
    args = (Ref(value), 0, Ref(order))
    target = torch.ops.aten.index_select.default
    how = {"op": "index_select", "target": target, "args": args, "kwargs": {}, "shape": shapes[value], "dtype": None}
    return replace(like, name=name, **how)  # no dtype: it moves numbers of any kind
