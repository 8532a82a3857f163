"""Operators on sequences of tensors, and on what may be there or not: Python's lists, and None.

SEQUENCES    operator -> function from (attributes, what it is given) to what it gives
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .nodes import dtype_of
from .values import Unread


def _at(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    return given[0][int(given[1])]


def _insert(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    row, x = list(given[0]), given[1]
    row.insert(len(row) if len(given) < 3 or given[2] is None else int(given[2]), x)
    return row


def _erase(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    row = list(given[0])
    del row[-1 if len(given) < 2 or given[1] is None else int(given[1])]
    return row


def _split(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    x, axis = given[0], a.get("axis", 0)
    if len(given) < 2 or given[1] is None:
        parts = list(x.split(1, axis))
        return parts if a.get("keepdims", 1) else [part.squeeze(axis) for part in parts]
    sizes = given[1]
    return list(x.split(int(sizes) if sizes.ndim == 0 else sizes.tolist(), axis))


def _concatenated(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    return torch.stack(given[0], a["axis"]) if a.get("new_axis", 0) else torch.cat(given[0], a["axis"])


def _identity(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    return given[0]


def _optional(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    return given[0] if given else None


def _element(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    if given[0] is None:
        raise Unread("an optional value that is not there")
    return given[0]


def _empty(a: Mapping[str, Any], given: Sequence[Any]) -> Any:
    if dtype_of(a.get("dtype", 1)) is None:
        raise Unread("numbers that torch does not have")
    return []


SEQUENCES: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], Any]] = {
    "ConcatFromSequence": _concatenated,
    "Identity": _identity,
    "Optional": _optional,
    "OptionalGetElement": _element,
    "OptionalHasElement": lambda a, given: torch.tensor(bool(given) and given[0] is not None),
    "SequenceAt": _at,
    "SequenceConstruct": lambda a, given: list(given),
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": lambda a, given: torch.tensor(len(given[0])),
    "SplitToSequence": _split,
}
