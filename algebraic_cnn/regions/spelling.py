"""One spelling for calls that torch writes in several ways, so that what follows meets each idea once.

reshape_as, view_as    reshape to the sizes themselves: the other tensor is then not needed
getitem 0 of a decomposed BatchNorm    batch_norm
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..graph import Call, Graph, Ref

_NORM = "_native_batch_norm_legit_no_training"


def plain(graph: Graph) -> Graph:
    """The same calls, each idea spelled in one way."""
    norms = {call.name: call for call in graph.calls if call.op == _NORM}
    return replace(graph, calls=tuple(_spelled(graph, norms)))


def _spelled(graph: Graph, norms: dict[str, Call]) -> Iterator[Call]:
    shapes = graph.shapes()
    for call in graph.calls:
        first = call.args[0] if call.args else None
        if call.op in ("reshape_as", "view_as") and shapes[call.args[1].name].count(None) <= 1:
            sizes = [-1 if n is None else n for n in shapes[call.args[1].name]]
            target = torch.ops.aten.reshape.default
            yield replace(call, op="reshape", target=target, args=(first, sizes), kwargs={})
        elif call.op == "operator.getitem" and isinstance(first, Ref) and first.name in norms and call.args[1] == 0:
            a = norms[first.name].bound()
            tensors = [a[name] for name in ("input", "weight", "bias", "running_mean", "running_var")]
            args = (*tensors, False, a["momentum"], a["eps"], False)
            yield replace(call, op="batch_norm", target=torch.ops.aten.batch_norm.default, args=args, kwargs={})
        elif call.name not in norms:
            yield call
