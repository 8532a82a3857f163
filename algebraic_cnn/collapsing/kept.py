"""Affine calls that stay as they were, because they do more, or more is read of what they give, than the number.

x and x + 0 are equal numbers and may be zeros of two signs, which atan2, a reciprocal and a division by them tell
apart.  So what leads to such a call by affine calls alone is made as the network makes it, to the last bit.

A gradient stops at detach, and nowhere else; so detach stays as well.

watched          graph -> these calls, and who reads what of them
require_finite   refuse a network with weights that are no numbers
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch.utils import _pytree as pytree

from ..errors import NonFiniteError
from ..ir.graph import Graph, Ref
from ..ops.precision import read_bits_of, reads_bits
from ..ops.registry import traits


def watched(graph: Graph, affine: Collection[str]) -> dict[str, str]:
    """The affine calls of which more is read than their numbers, by name, and why in words.

    Args:
        graph: the network.
        affine: names of the values that are affine in others.

    >>> import torch
    >>> from algebraic_cnn.ir.trace import trace
    >>> class Phase(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.atan2(-x, x.exp())
    >>> watched(trace(Phase().eval(), torch.ones(1, 2)), {"neg"})
    {'neg': 'atan2 reads the sign of a zero of it'}
    """
    dependent = graph.dependent()
    stops = (call.name for call in graph.calls if call.name in affine and traits(call.op).detaches)
    found = dict.fromkeys(stops, "gradients stop there")
    for call in reversed(graph.calls):
        why = "" if traits(call.op).detaches else found.get(call.name, "")
        if not why and call.name not in affine and (what := reads_bits(call, dependent)):
            why = f"{call.op} reads {what} of it"
            names = _refs(read_bits_of(call))
        else:
            names = list(call.refs())
        if why:
            found |= dict.fromkeys((name for name in names if name in affine and name not in found), why)
    return found


def _refs(value: object) -> list[str]:
    return [leaf.name for leaf in pytree.tree_leaves(value) if isinstance(leaf, Ref)]


def require_finite(graph: Graph, affine: Collection[str], dtype: torch.dtype) -> None:
    """Refuse a constant that has NaN entries, a weight of an affine call that has infinite ones, or gets such.

    Args:
        graph: the network.
        affine: names of the values that are affine in others.
        dtype: of the result.

    Raises:
        NonFiniteError: names the weight as the model does, and the line that uses it.
    """
    finite = {}
    for call in graph.calls:
        for name in set(call.refs()) & graph.constants.keys():
            value = graph.constants[name]
            if name not in finite:
                finite[name] = not value.is_floating_point() or bool(value.to(dtype).isfinite().all())
            if finite[name] or not (call.name in affine or value.isnan().any() or value.isfinite().all()):
                continue
            what = f"the weight {graph.paths.get(name, name)!r} has NaN or infinite entries"
            what += "" if not value.isfinite().all() else f" in {str(dtype).removeprefix('torch.')}"
            raise NonFiniteError(what, expected="finite numbers", where=call.where)
