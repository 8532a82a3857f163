"""One spelling for calls that torch writes in several ways, so that what follows meets each idea once.

reshape_as, view_as    reshape to the sizes themselves: the other tensor is then not needed
getitem 0 of a decomposed BatchNorm    batch_norm
getitem of split, chunk, unbind        slice, select: a value of its own, not a part of a list
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from .graph import Call, Graph, Ref, Size

_NORM = "_native_batch_norm_legit_no_training"


def plain(graph: Graph) -> Graph:
    """The same calls, each idea spelled in one way."""
    norms = {call.name: call for call in graph.calls if call.op == _NORM}
    shapes = graph.shapes()
    cuts = {call.name: sizes for call in graph.calls if (sizes := _parts(call, shapes))}
    return replace(graph, calls=tuple(_spelled(graph, norms, cuts)))


def _parts(call: Call, shapes: Mapping[str, Size]) -> list[int]:
    """The lengths of the parts into which a call cuts an axis, where they are known; empty for other calls."""
    if call.op not in ("split", "split_with_sizes", "chunk", "unbind"):
        return []
    a = call.bound()
    length = shapes[a["self"].name][a["dim"]]
    if length is None:
        return []
    if "split_sizes" in a:
        return list(a["split_sizes"])
    size = a.get("split_size", 1) if call.op != "chunk" else -(-length // a["chunks"])
    return [min(size, length - begin) for begin in range(0, length, size)]


def _spelled(graph: Graph, norms: Mapping[str, Call], cuts: Mapping[str, list[int]]) -> Iterator[Call]:
    shapes = graph.shapes()
    made = {call.name: call for call in graph.calls if call.name in cuts}
    for call in graph.calls:
        first = call.args[0] if call.args else None
        if call.op in ("reshape_as", "view_as") and shapes[call.args[1].name][1:].count(None) == 0:
            sizes = [-1, *shapes[call.args[1].name][1:]]
            target = torch.ops.aten.reshape.default
            yield replace(call, op="reshape", target=target, args=(first, sizes), kwargs={})
        elif call.op == "operator.getitem" and isinstance(first, Ref) and first.name in norms and call.args[1] == 0:
            a = norms[first.name].bound()
            tensors = [a[name] for name in ("input", "weight", "bias", "running_mean", "running_var")]
            args = (*tensors, False, a["momentum"], a["eps"], False)
            yield replace(call, op="batch_norm", target=torch.ops.aten.batch_norm.default, args=args, kwargs={})
        elif call.op == "operator.getitem" and isinstance(first, Ref) and first.name in cuts:
            yield _part(call, made[first.name], cuts[first.name])
        elif call.name not in norms and call.name not in cuts:
            yield call


def _part(call: Call, cut: Call, sizes: Sequence[int]) -> Call:
    """One part of a cut axis, taken from the whole."""
    a, index = cut.bound(), call.args[1]
    if cut.op == "unbind":
        return replace(call, op="select", target=torch.ops.aten.select.int, args=(a["self"], a["dim"], index))
    begin = sum(sizes[:index])
    args = (a["self"], a["dim"], begin, begin + sizes[index])
    return replace(call, op="slice", target=torch.ops.aten.slice.Tensor, args=args)
