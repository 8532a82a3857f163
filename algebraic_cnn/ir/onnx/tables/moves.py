"""Operators that move, drop and repeat entries, of tensors and of arrays of sizes alike."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from ..builder import Builder
from ..nodes import Node, Reader
from ..values import Rankless, Size, Unread, Value, numbers_of

_ATEN = torch.ops.aten


def _sized(node: Node) -> bool:
    return isinstance(node.given[0], np.ndarray)


def _identity(b: Builder, node: Node) -> Any:
    return node.given[0] if _sized(node) else node.x()


def _dropout(b: Builder, node: Node) -> Any:
    node.only()
    if node.has(2) and any(numbers_of(node.sizes(2))):
        raise Unread("a dropout that trains")
    return _identity(b, node)


def _target(b: Builder, node: Node, x: Value) -> list[Any]:
    """The shape that Reshape is asked for; 0 is the length of the input's axis."""
    wanted = node.ints("shape", 1) or []
    if node.get("allowzero"):
        return wanted
    return [b.length(x, axis) if not isinstance(n, Size) and n == 0 else n for axis, n in enumerate(wanted)]


def _reshape(b: Builder, node: Node) -> Any:
    node.get("allowzero")
    if _sized(node):
        return node.sizes(0).reshape([int(n) for n in numbers_of(node.sizes(1))])
    x = node.x()
    return b.call(_ATEN.reshape.default, x, _target(b, node, x))


def _flatten(b: Builder, node: Node) -> Value:
    x = node.x()
    axis = node.get("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    if axis == 1 and x.rank > 1:
        return b.call(_ATEN.flatten.using_ints, x, 1)
    if axis == 0:
        return b.call(_ATEN.reshape.default, x, [1, -1])
    first: Any = 1
    for place in range(axis):
        first = first * b.length(x, place)
    return b.call(_ATEN.reshape.default, x, [first, -1])


def _squeeze(b: Builder, node: Node) -> Any:
    axes = node.ints("axes", 1)
    if _sized(node):
        return np.squeeze(node.sizes(0), None if axes is None else tuple(map(int, axes)))
    x = node.x()
    if axes is None and None in x.shape:
        raise Rankless("axes that are squeezed where their free lengths are 1")
    axes = [axis for axis, n in enumerate(x.shape) if n == 1] if axes is None else [int(n) % x.rank for n in axes]
    if any(x.shape[axis] != 1 for axis in axes):
        raise Unread("an axis that is squeezed is not 1 long")
    return b.call(_ATEN.squeeze.dims, x, axes) if axes else x


def _unsqueeze(b: Builder, node: Node) -> Any:
    axes = [int(axis) for axis in node.ints("axes", 1) or []]
    if _sized(node):
        return np.expand_dims(node.sizes(0), tuple(axes))
    x = node.x()
    for axis in sorted(axis % (x.rank + len(axes)) for axis in axes):
        x = b.call(_ATEN.unsqueeze.default, x, axis)
    return x


def _transpose(b: Builder, node: Node) -> Any:
    rank = node.sizes(0).ndim if _sized(node) else node.x().rank
    order = list(node.get("perm") or range(rank)[::-1])
    return node.sizes(0).transpose(order) if _sized(node) else b.call(_ATEN.permute.default, node.x(), order)


def _bounds(node: Node) -> list[tuple[int, Any, Any, int]]:
    """Of every axis that is cut: axis, start, end, step."""
    starts, ends = node.ints("starts", 1) or [], node.ints("ends", 2) or []
    axes, steps = node.ints("axes", 3) or list(range(len(starts))), node.ints("steps", 4) or [1] * len(starts)
    if any(isinstance(n, Size) for n in (*axes, *steps)):
        raise Unread("a step that depends on a free size")
    return [(int(a), s, e, int(p)) for a, s, e, p in zip(axes, starts, ends, steps, strict=True)]


def _slice(b: Builder, node: Node) -> Any:
    if _sized(node):
        array = node.sizes(0)
        for axis, start, end, step in _bounds(node):
            if isinstance(start, Size) or isinstance(end, Size):
                raise Unread("a part of the sizes that depends on them")
            array = array[(slice(None),) * (axis % array.ndim) + (slice(start, _end(end), step),)]
        return array
    x = node.x()
    for axis, start, end, step in _bounds(node):
        x = _cut(b, x, axis % x.rank, start, end, step)
    return x


def _end(end: int) -> int | None:
    """An end far below the first entry is before it."""
    return None if end < -(2**31) + 2 else min(end, sys.maxsize)


def _cut(b: Builder, x: Value, axis: int, start: Any, end: Any, step: int) -> Value:
    if step > 0:
        end = end if isinstance(end, Size) or end < 2**31 - 1 else sys.maxsize
        if (
            not isinstance(start, Size)
            and start == 0
            and not isinstance(end, Size)
            and end == sys.maxsize
            and step == 1
        ):
            return x
        return b.call(_ATEN.slice.Tensor, x, axis, start, end, step)
    n = x.shape[axis]
    if n is None or isinstance(start, Size) or isinstance(end, Size):
        raise Unread("a free axis that is read backwards")
    places = list(range(n))[slice(start if start < n else None, _end(end), step)]
    if places == list(range(n))[::-1]:
        return b.call(_ATEN.flip.default, x, [axis])
    return b.call(_ATEN.index_select.default, x, axis, b.constant(torch.tensor(places, dtype=torch.int64)))


def _split(b: Builder, node: Node) -> list[Value]:
    x, axis = node.x(), node.get("axis", 0)
    axis, parts = axis % x.rank, node.get("num_outputs", node.outputs)
    sizes = node.ints("split", 1)
    if sizes is None:
        n = x.shape[axis]
        if n is None:
            raise Unread("parts of a free axis")
        part = -(-n // parts)
        sizes = [min(part, n - part * place) for place in range(parts)]
    found, begin = [], 0
    for size in sizes:
        found.append(b.call(_ATEN.slice.Tensor, x, axis, begin, begin + size))
        begin = begin + size
    return found


def _concat(b: Builder, node: Node) -> Any:
    if any(isinstance(given, np.ndarray) for given in node.given):
        return np.concatenate([node.sizes(place) for place in range(len(node.given))], node.get("axis", 0))
    parts = [node.x(place) for place in range(len(node.given))]
    return parts[0] if len(parts) == 1 else b.call(_ATEN.cat.default, parts, node.attributes["axis"])


def _gather(b: Builder, node: Node) -> Any:
    axis = node.get("axis", 0)
    if _sized(node):
        places = np.asarray(node.sizes(1), dtype=np.int64)
        return np.asarray(np.take(node.sizes(0), places, axis), dtype=object)
    x, index = node.x(), node.x(1)
    axis = axis % x.rank
    if index.constant is None:
        return _looked_up(b, x, axis, index)
    if index.rank == 0:
        return b.call(_ATEN.select.int, x, axis, int(index.constant))
    n, places = x.shape[axis], index.constant.reshape(-1).long()
    if n is None and bool((places < 0).any()):
        raise Unread("places counted from the end of a free axis")
    y = b.call(_ATEN.index_select.default, x, axis, b.constant(places if n is None else places % n))
    if index.rank == 1:
        return y
    before, after = ([b.length(x, place) for place in span] for span in (range(axis), range(axis + 1, x.rank)))
    return b.call(_ATEN.reshape.default, y, [*before, *index.constant.shape, *after])


def _looked_up(b: Builder, x: Value, axis: int, index: Value) -> Value:
    """Rows at places that depend on the input; negative ones count from the end."""
    n = b.length(x, axis)
    later = b.call(_ATEN.where.self, b.call(_ATEN.lt.Scalar, index, 0), b.call(_ATEN.add.Tensor, index, n), index)
    y = b.call(_ATEN.index_select.default, x, axis, b.call(_ATEN.reshape.default, later, [-1]))
    before, after = ([b.length(x, place) for place in span] for span in (range(axis), range(axis + 1, x.rank)))
    places = [b.length(index, place) for place in range(index.rank)]
    return b.call(_ATEN.reshape.default, y, [*before, *places, *after])


def _expand(b: Builder, node: Node) -> Value:
    x, wanted = node.x(), node.ints("shape", 1) or []
    shape = [*wanted]
    lead = len(shape) - x.rank
    shape = [1] * max(-lead, 0) + shape
    for axis in range(x.rank):
        place = len(shape) - x.rank + axis
        if x.shape[axis] != 1 or (not isinstance(shape[place], Size) and shape[place] == 1):
            shape[place] = -1
    return x if shape == [-1] * x.rank else b.call(_ATEN.expand.default, x, shape)


def _tile(b: Builder, node: Node) -> Value:
    if node.version < 6:
        raise Unread("Tile as it was before version 6")
    return b.call(_ATEN.repeat.default, node.x(), node.ints("repeats", 1))


def _depth_order(channels: int, block: int) -> torch.Tensor:
    """Channels of ONNX's DepthToSpace, blocks first, in the order of torch's pixel_shuffle, blocks last."""
    return torch.arange(channels).reshape(block * block, -1).T.reshape(-1)


def _depth_to_space(b: Builder, node: Node) -> Value:
    x, block = node.x(), node.attributes["blocksize"]
    if x.rank != 4 or x.shape[1] is None:
        raise Unread("no image of two axes")
    if node.word("mode", "DCR") == "DCR":
        x = b.call(_ATEN.index_select.default, x, 1, b.constant(_depth_order(x.shape[1], block)))
    return b.call(_ATEN.pixel_shuffle.default, x, block)


def _space_to_depth(b: Builder, node: Node) -> Value:
    x, block = node.x(), node.attributes["blocksize"]
    if x.rank != 4 or x.shape[1] is None:
        raise Unread("no image of two axes")
    y = b.call(_ATEN.pixel_unshuffle.default, x, block)
    if node.word("mode", "DCR") != "DCR":
        return y
    order = torch.argsort(_depth_order(x.shape[1] * block * block, block))
    return b.call(_ATEN.index_select.default, y, 1, b.constant(order))


MOVES: dict[str, Reader] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
