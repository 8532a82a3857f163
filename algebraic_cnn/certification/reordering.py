"""Calls entry by entry that two networks make on the same numbers in another order.

f acts on every entry alike, so it commutes with every permutation: f(P x) = P f(x).  Hence two calls of f are one call
where the one is given P x and the other x, whatever made them so: a matrix that permutes, hidden channels in another
order, an index.  P is guessed from one run, as the pairing is; the comparison of the affine parts then proves it.

    order_of     the permutation that makes two values nearly equal, if there is one
    reordered    a cut in which some calls are given, and return, their entries in another order
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..derivation.splitting import BoundaryCall, Cut
from ..ir.graph import Call, Ref

#: Sorted values that are further apart than this, beside their size, are not one value in two orders: far less than the
#: distance of neighbours among some thousand random numbers.
_NEAR = 2.0**-18


def order_of(boundary: BoundaryCall, x: Any, y: Any) -> Tensor | None:
    """The permutation p with y[p] nearly x, of what two calls like this boundary are given; None if there is none.

    Args:
        boundary: one of the two calls, which are of one form.
        x: what the first is given.
        y: what the second is given.
    """
    alone = len(list(boundary.call.refs())) == 1 and not boundary.reads
    if not alone or torch.Tag.pointwise not in getattr(boundary.call.target, "tags", ()):
        return None
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)) or x.ndim != 1 or x.shape != y.shape or not x.numel():
        return None
    (one, ours), (other, theirs) = (value.double().sort(stable=True) for value in (x, y))
    if not bool(one.isfinite().all()) or float((one - other).abs().max()) > _NEAR * float(1 + one.abs().max()):
        return None
    return theirs[inverse(ours)]


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
        (place,) = boundary.given
        after.append(_selected(boundary.call, f"{name}_given", graph.outputs[place].name, name, shapes))
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
    return replace(like, name=name, op="index_select", target=target, args=args, kwargs={}, shape=shapes[value])
