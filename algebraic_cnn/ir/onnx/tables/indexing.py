"""Operators that take and put entries at places that the input may say, sort, count and select.

INDEXING     operator -> function from (attributes, version) to the function of the tensors it is given, or None
SELECTING    those among them whose shapes depend on numbers
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Attributes = Mapping[str, Any]
Function = Callable[..., Any]
Maker = Callable[[Attributes, int], Function | None]


def _text(a: Attributes, name: str, default: str) -> str:
    value = a.get(name, default)
    return value.decode() if isinstance(value, bytes) else value


def _from_start(index: Tensor, n: int) -> Tensor:
    """Places that count from the end, from the start."""
    return torch.where(index < 0, index + n, index)


def _top(a: Attributes, version: int) -> Function | None:
    """The k greatest or least; of equal ones those that come first."""
    most = bool(a.get("largest", 1))

    def run(x: Tensor, k: Any = None) -> Any:
        axis, count = a.get("axis", -1), int(a["k"] if k is None else k)
        y, places = torch.sort(x, dim=axis, descending=most, stable=True)
        return y.narrow(axis, 0, count), places.narrow(axis, 0, count)

    return run


def _nonzero(a: Attributes, version: int) -> Function | None:
    return lambda x: torch.nonzero(x).T.contiguous() if x.ndim else torch.nonzero(x.reshape(1)).T[:0].contiguous()


def _gather_elements(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor, index: Tensor) -> Tensor:
        axis = a.get("axis", 0)
        index = _from_start(index.long(), x.shape[axis])
        part = x[tuple(slice(n) if k != axis % x.ndim else slice(None) for k, n in enumerate(index.shape))]
        return part.gather(axis, index)

    return run


def _gather_nd(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor, index: Tensor) -> Tensor:
        lead, index = a.get("batch_dims", 0), index.long()
        depth = index.shape[-1]
        batch = [torch.arange(n).reshape([-1 if k == j else 1 for j in range(index.ndim - 1)])
                 for k, n in enumerate(x.shape[:lead])]  # fmt: skip
        places = [_from_start(index[..., k], x.shape[lead + k]) for k in range(depth)]
        return x[(*batch, *places)] if batch or places else x.expand(*index.shape[:-1], *x.shape)

    return run


_WAYS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scatter_elements(a: Attributes, version: int) -> Function | None:
    way = _text(a, "reduction", "none")

    def run(x: Tensor, index: Tensor, new: Tensor) -> Tensor:
        axis = a.get("axis", 0)
        index = _from_start(index.long(), x.shape[axis])
        return x.scatter(axis, index, new) if way == "none" else x.scatter_reduce(axis, index, new, _WAYS[way])

    return run


def _scatter_nd(a: Attributes, version: int) -> Function | None:
    way = _text(a, "reduction", "none")

    def run(x: Tensor, index: Tensor, new: Tensor) -> Tensor:
        depth = index.shape[-1]
        places = [_from_start(index[..., k].long(), x.shape[k]).reshape(-1) for k in range(depth)]
        if way == "none":
            return x.index_put(tuple(places), new.reshape(-1, *x.shape[depth:]))
        flat = torch.zeros_like(places[0])
        for place, n in zip(places, x.shape[:depth], strict=True):
            flat = flat * n + place
        width = math.prod(x.shape[depth:])
        rows, new = x.reshape(-1, width), new.reshape(-1, width)
        return rows.scatter_reduce(0, flat[:, None].expand_as(new), new, _WAYS[way]).reshape(x.shape)

    return run


def _tensor_scatter(a: Attributes, version: int) -> Function | None:
    """Rows of a cache, written from a place on that every entry of the batch has for itself."""

    def run(past: Tensor, new: Tensor, starts: Any = None) -> Tensor:
        axis, found = a.get("axis", -2), past.clone()
        for k in range(len(past)):
            first = 0 if starts is None else int(starts[k])
            places = (torch.arange(new.shape[axis]) + first) % past.shape[axis]
            found[k] = past[k].index_copy(axis if axis < 0 else axis - 1, places, new[k])
        return found

    return None if _text(a, "mode", "linear") not in ("linear", "circular") else run


def _compress(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor, wanted: Tensor) -> Tensor:
        x, axis = (x.reshape(-1), 0) if "axis" not in a else (x, a["axis"])
        return x.index_select(axis, torch.nonzero(wanted.reshape(-1))[:, 0])

    return run


def _unique(a: Attributes, version: int) -> Function | None:
    """Each once, in order or as they came first; where it was first, which each is, how often it is there."""

    def run(x: Tensor) -> Any:
        rows = x.reshape(-1, 1) if "axis" not in a else x.movedim(a["axis"], 0).flatten(1)
        found, back, count = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
        places = torch.arange(len(rows))
        first = torch.full((len(found),), len(rows)).scatter_reduce(0, back, places, "amin")
        if not a.get("sorted", 1):
            order = torch.argsort(first)
            first, count, back = first[order], count[order], torch.argsort(order)[back]
        y = x.reshape(-1)[first] if "axis" not in a else x.index_select(a["axis"], first)
        return y, first, back, count

    return run


def _running(kind: Function, neutral: int) -> Maker:
    def made(a: Attributes, version: int) -> Function | None:
        def run(x: Tensor, along: Tensor) -> Tensor:
            axis = int(along)
            x = x.flip(axis) if a.get("reverse") else x
            y = kind(x, axis).to(x.dtype)
            if a.get("exclusive"):
                first = torch.full_like(y.narrow(axis, 0, 1), neutral)
                y = torch.cat([first, y.narrow(axis, 0, y.shape[axis] - 1)], axis)
            return y.flip(axis) if a.get("reverse") else y

        return run

    return made


def _trilu(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor, k: Any = None) -> Tensor:
        return (torch.triu if a.get("upper", 1) else torch.tril)(x, 0 if k is None else int(k))

    return run


def _suppressed(a: Attributes, version: int) -> Function | None:
    """Boxes by falling score, without those that overlap a chosen one by more than is allowed."""

    def run(boxes: Tensor, scores: Tensor, most: Any = None, overlap: Any = None, least: Any = None) -> Tensor:
        limit = 0 if most is None else int(most)
        allowed = 0.0 if overlap is None else float(overlap)
        found = []
        for n in range(scores.shape[0]):
            ends = _ends(boxes[n], bool(a.get("center_point_box")))
            for kind in range(scores.shape[1]):
                found += [(n, kind, k) for k in _chosen(ends, scores[n, kind], limit, allowed, least)]
        return torch.tensor(found, dtype=torch.int64).reshape(-1, 3)

    return run


def _ends(boxes: Tensor, centered: bool) -> Tensor:
    """The least and the most of both axes."""
    one, other = boxes[:, :2], boxes[:, 2:]
    if centered:
        return torch.cat([one - other / 2, one + other / 2], 1)
    return torch.cat([torch.minimum(one, other), torch.maximum(one, other)], 1)


def _chosen(ends: Tensor, scores: Tensor, limit: int, allowed: float, least: Any) -> list[int]:
    area = (ends[:, 2:] - ends[:, :2]).prod(1)
    found: list[int] = []
    for k in torch.argsort(scores, descending=True, stable=True).tolist():
        if len(found) >= limit or (least is not None and scores[k] <= least):
            break
        sides = torch.minimum(ends[found, 2:], ends[k, 2:]) - torch.maximum(ends[found, :2], ends[k, :2])
        common = sides.clamp(min=0).prod(1)
        if not bool((common > allowed * (area[found] + area[k] - common)).any()):
            found.append(k)
    return found


def _reversed(a: Attributes, version: int) -> Function | None:
    """The first entries of every sequence, backwards."""

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        time, batch = a.get("time_axis", 0), a.get("batch_axis", 1)
        x = x.movedim((batch, time), (0, 1))
        t = torch.arange(x.shape[1])
        places = torch.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
        return x[torch.arange(len(x))[:, None], places].movedim((0, 1), (batch, time))

    return run


INDEXING: dict[str, Maker] = {
    "Compress": _compress,
    "CumProd": _running(torch.cumprod, 1),
    "CumSum": _running(torch.cumsum, 0),
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "NonMaxSuppression": _suppressed,
    "NonZero": _nonzero,
    "ReverseSequence": _reversed,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter,
    "TopK": _top,
    "Trilu": _trilu,
    "Unique": _unique,
}

#: Numbers decide their shapes, or are asked for: without numbers, ONNX says the shapes.
SELECTING = frozenset(
    "Compress CumProd CumSum Dropout NonMaxSuppression Pad NonZero TensorScatter TopK Trilu Unique".split()
)
