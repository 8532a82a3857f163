"""Operators on single entries and along axes that are no one call of torch: logic, bits, norms, samples of images.

ENTRIES      operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..nodes import dtype_of
from ..values import Unread

Attributes = Mapping[str, Any]
Function = Callable[..., Any]
Maker = Callable[[Attributes, int], Function | None]


def _plain(function: Function) -> Maker:
    return lambda a, version: function


def _text(a: Attributes, name: str, default: str) -> str:
    value = a.get(name, default)
    return value.decode() if isinstance(value, bytes) else value


def _shifted(a: Attributes, version: int) -> Function | None:
    left = _text(a, "direction", "") == "LEFT"

    def run(x: Tensor, n: Tensor) -> Tensor:
        wide, by = x.long(), n.long()
        return (torch.bitwise_left_shift if left else torch.bitwise_right_shift)(wide, by).to(x.dtype)

    return run


def _cast_like(x: Tensor, like: Tensor | None) -> Tensor:
    if like is None:
        raise Unread("a dtype that torch does not have")
    return x.to(like.dtype)


def _remainder(a: Attributes, version: int) -> Function | None:
    """With the sign of the divisor, as Python; with fmod, with that of the number that is divided, as C."""
    return torch.fmod if a.get("fmod") else torch.remainder


def _infinite(a: Attributes, version: int) -> Function | None:
    up, down = bool(a.get("detect_positive", 1)), bool(a.get("detect_negative", 1))
    return lambda x: (torch.isposinf(x) & up) | (torch.isneginf(x) & down)


def _mean(*given: Tensor) -> Tensor:
    return reduce(torch.add, given) / len(given)


def _last(kind: Function) -> Maker:
    """Where the greatest or least entry is; the last of them, where that is asked for."""

    def made(a: Attributes, version: int) -> Function | None:
        axis, keep, last = a.get("axis", 0), bool(a.get("keepdims", 1)), a.get("select_last_index")

        def run(x: Tensor) -> Tensor:
            return x.shape[axis] - 1 - kind(x.flip(axis), axis, keep) if last else kind(x, axis, keep)

        return run

    return made


def _dropout(a: Attributes, version: int) -> Function | None:
    """In inference, and that nothing was dropped."""

    def run(x: Tensor, ratio: Any = None, training: Any = None) -> Any:
        if training is not None and bool(training):
            raise Unread("a dropout that trains")
        return x, torch.ones_like(x, dtype=torch.bool)

    return run


def _hardmax(a: Attributes, version: int) -> Function | None:
    """1 where the first greatest entry is; before version 13, of all axes from one on together."""

    def run(x: Tensor) -> Tensor:
        axis = a.get("axis", -1 if version >= 13 else 1) % x.ndim
        rows = x.flatten(axis) if version < 13 else x.movedim(axis, -1)
        y = F.one_hot(rows.argmax(-1), rows.shape[-1]).to(x.dtype)
        return y.reshape(x.shape) if version < 13 else y.movedim(-1, axis)

    return run


def _lp_norm(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, a.get("p", 2), a.get("axis", -1), keepdim=True)
        return torch.where(norm == 0, torch.zeros_like(x), x / norm)

    return run


def _local_response(a: Attributes, version: int) -> Function | None:
    """x / (bias + alpha / size * (sum of squares of the channels near it)) ** beta."""
    size = a["size"]
    low, high = (size - 1) // 2, size - 1 - (size - 1) // 2

    def run(x: Tensor) -> Tensor:
        near = F.pad((x * x).movedim(1, -1), (low, high)).unfold(-1, size, 1).sum(-1).movedim(-1, 1)
        return x / (a.get("bias", 1.0) + a.get("alpha", 1e-4) / size * near) ** a.get("beta", 0.75)

    return run


def _einsum(a: Attributes, version: int) -> Function | None:
    words = _text(a, "equation", "").replace(" ", "")
    return lambda *given: torch.einsum(words, *given)


def _eye(a: Attributes, version: int) -> Function | None:
    dtype, k = dtype_of(a["dtype"]) if "dtype" in a else None, a.get("k", 0)

    def run(x: Tensor) -> Tensor:
        rows, columns = (torch.arange(n) for n in x.shape)
        return (columns[None] - rows[:, None] == k).to(dtype or x.dtype)

    return None if "dtype" in a and dtype is None else run


def _grid_sample(a: Attributes, version: int) -> Function | None:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(word := _text(a, "mode", "linear"), word)
    how = mode, _text(a, "padding_mode", "zeros"), bool(a.get("align_corners"))
    return lambda x, grid: F.grid_sample(x, grid, *how)


def _determinant(x: Tensor) -> Tensor:
    return torch.linalg.det(x)


def _global_lp_pool(a: Attributes, version: int) -> Function | None:
    def run(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, a.get("p", 2), list(range(2, x.ndim)), keepdim=True)

    return run


def _col2im(a: Attributes, version: int) -> Function | None:
    """Blocks, each a column, added up to an image."""

    def run(x: Tensor, image: Tensor, block: Tensor) -> Tensor:
        lengths, kernel = image.tolist(), block.tolist()
        rank = len(kernel)
        strides, dilations = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
        pads, n = a.get("pads", [0] * 2 * rank), len(x)
        full = [m + pads[k] + pads[k + rank] for k, m in enumerate(lengths)]
        counts = [(m - (k - 1) * d - 1) // s + 1 for m, k, d, s in zip(full, kernel, dilations, strides, strict=True)]
        rows = x.reshape(n, -1, math.prod(kernel), math.prod(counts))
        places = torch.zeros(1, 1, dtype=torch.int64)
        for m, k, d, s, c in zip(full, kernel, dilations, strides, counts, strict=True):
            one = torch.arange(k)[:, None] * d + torch.arange(c)[None] * s
            places = places[:, None, :, None] * m + one[None, :, None, :]
            places = places.reshape(places.shape[0] * k, -1)
        y = x.new_zeros(n, rows.shape[1], math.prod(full))
        y = y.index_add(2, places.reshape(-1), rows.flatten(2)).reshape(n, -1, *full)
        inner = [slice(pads[k], pads[k] + m) for k, m in enumerate(lengths)]
        return y[(slice(None), slice(None), *inner)]

    return run


ENTRIES: dict[str, Maker] = {
    "Acosh": _plain(torch.acosh),
    "ArgMax": _last(torch.argmax),
    "ArgMin": _last(torch.argmin),
    "Asinh": _plain(torch.asinh),
    "Atanh": _plain(torch.atanh),
    "BitShift": _shifted,
    "BitwiseAnd": _plain(torch.bitwise_and),
    "BitwiseNot": _plain(torch.bitwise_not),
    "BitwiseOr": _plain(torch.bitwise_or),
    "BitwiseXor": _plain(torch.bitwise_xor),
    "CastLike": _plain(_cast_like),
    "Col2Im": _col2im,
    "Det": _plain(_determinant),
    "Dropout": _dropout,
    "Einsum": _einsum,
    "EyeLike": _eye,
    "GlobalLpPool": _global_lp_pool,
    "GridSample": _grid_sample,
    "Hardmax": _hardmax,
    "IsInf": _infinite,
    "IsNaN": _plain(torch.isnan),
    "LRN": _local_response,
    "LpNormalization": _lp_norm,
    "Mean": _plain(_mean),
    "Mod": _remainder,
    "Pow": _plain(lambda x, y: torch.pow(x, y).to(x.dtype)),
    "Xor": _plain(torch.logical_xor),
}
