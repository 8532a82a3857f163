"""The shape of what a call returns, from the shapes of what it takes: torch is asked once for calls that are alike.

    measured   a call's target and its arguments on the meta device -> what torch returns there

A network has many calls of the same geometry, and is looked at for several batch sizes and image sizes.  A kernel for
the meta device takes a tenth of a millisecond to several, most of it in Python.  What it returns depends on the
arguments' shapes, strides and dtypes alone, and on the numbers among them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: How many answers are kept.
_KEPT = 2**14


class _Strided(NamedTuple):
    """A tensor without its numbers."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


class _Many(NamedTuple):
    """A list, a tuple or a mapping: what it is, its keys if it has some, and its parts."""

    kind: type
    keys: tuple[Hashable, ...]
    parts: tuple[Hashable, ...]


class _One(NamedTuple):
    """Anything else, and its type, since 1, 1.0 and True are equal."""

    kind: type
    value: Any


def measured(target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What torch returns on the meta device, its tensors without numbers.

    Args:
        target: what is called.
        args: positional arguments, tensors of that device among them.
        kwargs: keyword arguments, likewise.

    >>> measured(torch.ops.aten.flatten.using_ints, (torch.empty(5, 3, 2, device="meta"), 1), {}).shape
    torch.Size([5, 6])
    """
    try:
        return _made(_answer(target, _described(tuple(args)), _described(dict(kwargs))))
    except TypeError:  # an argument without a hash
        return target(*args, **kwargs)


@lru_cache(maxsize=_KEPT)
def _answer(target: Callable[..., Any], args: Hashable, kwargs: Hashable) -> Hashable:
    return _described(target(*_made(args), **_made(kwargs)))


def _described(x: Any) -> Hashable:
    if isinstance(x, Tensor):
        return _Strided(tuple(x.shape), x.stride(), x.dtype)
    if isinstance(x, dict):
        return _Many(dict, tuple(x), tuple(map(_described, x.values())))
    if isinstance(x, list | tuple):
        return _Many(list if isinstance(x, list) else tuple, (), tuple(map(_described, x)))
    return _One(type(x), x)


def _made(known: Any) -> Any:
    if isinstance(known, _Strided):
        return torch.empty_strided(known.shape, known.stride, dtype=known.dtype, device="meta")
    if isinstance(known, _Many):
        parts = map(_made, known.parts)
        return dict(zip(known.keys, parts, strict=True)) if known.kind is dict else known.kind(parts)
    return known.value
