"""Resize and Upsample: images made larger and smaller, as far as torch interpolates like ONNX.

nearest    torch's own where every scale is a whole number; else the places are worked out here, for fixed sizes
linear, cubic    torch's own, for the coordinates that it has
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch

from ..builder import Builder
from ..nodes import Node, Reader
from ..values import Size, Unread, Value, numbers_of

_ATEN = torch.ops.aten
_NEAREST = (_ATEN.upsample_nearest1d.vec, _ATEN.upsample_nearest2d.vec, _ATEN.upsample_nearest3d.vec)
_LINEAR = (_ATEN.upsample_linear1d.vec, _ATEN.upsample_bilinear2d.vec, _ATEN.upsample_trilinear3d.vec)

#: Places as near as this to where two neighbours meet are left alone: kernels round them differently.
_TIE = Fraction(1, 1024)


def _asked(node: Node, x: Value) -> tuple[list[Any] | None, list[float] | None]:
    """The lengths, or the scales, of all axes."""
    resize = node.op == "Resize" and node.version >= 11
    place = 2 if resize else 1
    scales = node.attributes.get("scales") or (node.has(place) and numbers_of(node.sizes(place)))
    lengths = node.ints("sizes", 3) if resize and not scales else None
    axes = [axis % x.rank for axis in node.get("axes") or range(x.rank)]
    if lengths:
        whole: list[Any] = [node.builder.length(x, axis) for axis in range(x.rank)]
        for axis, n in zip(axes, lengths, strict=True):
            whole[axis] = n
        return whole, None
    if not scales or len(scales) != len(axes):
        raise Unread("neither sizes nor scales that are known")
    return None, [float(scales[axes.index(axis)]) if axis in axes else 1.0 for axis in range(x.rank)]


def _coordinates(node: Node) -> tuple[str, str]:
    """The coordinate and rounding modes."""
    if node.op == "Upsample" or node.version < 11:
        return "asymmetric", "floor"
    found = node.word("coordinate_transformation_mode", "half_pixel")
    return found, node.word("nearest_mode", "round_prefer_floor")


def _resize(b: Builder, node: Node) -> Value:
    x, mode = node.floating(), node.word("mode", "nearest")
    node.refuse("antialias", "exclude_outside")
    if node.word("keep_aspect_ratio_policy", "stretch") != "stretch" or x.rank not in (3, 4, 5):
        raise Unread("a resizing that torch does not have")
    lengths, scales = _asked(node, x)
    still = [axis for axis in range(x.rank) if _still(x, axis, lengths, scales)]
    if 0 not in still or len(still) < 2:
        raise Unread("a resizing of channels")
    if 1 not in still:  # channels are last
        moved = [each and [each[axis] for axis in (0, x.rank - 1, *range(1, x.rank - 1))] for each in (lengths, scales)]
        if x.rank - 1 not in still:
            raise Unread("a resizing of channels")
        y = _of_images(b, node, b.call(_ATEN.movedim.int, x, -1, 1), mode, moved[0], moved[1])
        return b.call(_ATEN.movedim.int, y, 1, -1)
    return _of_images(b, node, x, mode, lengths, scales)


def _of_images(
    b: Builder, node: Node, x: Value, mode: str, lengths: list[Any] | None, scales: list[float] | None
) -> Value:
    """Of images with channels first."""
    lengths, scales = lengths and lengths[2:], scales and scales[2:]
    coordinates, rounding = _coordinates(node)
    if mode == "nearest":
        return _nearest(b, x, lengths, scales, coordinates, rounding)
    ends = coordinates == "align_corners"
    if ends and any(
        n is None or (n * Fraction(s)).denominator != 1 for n, s in zip(x.shape[2:], scales or (), strict=False)
    ):
        raise Unread("a scale that does not lead from corner to corner")
    if not ends and coordinates not in ("half_pixel", "pytorch_half_pixel"):
        raise Unread(f"coordinates {coordinates}")
    if coordinates == "pytorch_half_pixel" and (lengths is None or 1 in lengths):
        raise Unread("coordinates that depend on a length of 1")
    if mode == "linear":
        return b.call(_LINEAR[x.rank - 3], x, lengths, ends, scales)
    if mode == "cubic" and x.rank == 4 and node.get("cubic_coeff_a", -0.75) == -0.75:
        return b.call(_ATEN.upsample_bicubic2d.vec, x, lengths, ends, scales)
    raise Unread(f"a resizing of mode {mode}")


def _still(x: Value, axis: int, lengths: Sequence[Any] | None, scales: Sequence[float] | None) -> bool:
    """Whether an axis keeps its length."""
    if scales is not None:
        return scales[axis] == 1
    n = lengths[axis] if lengths else None
    return (n.numbers if isinstance(n, Size) else (n,) * len(x.shells)) == x.lengths(axis)


def _nearest(
    b: Builder, x: Value, lengths: Sequence[Any] | None, scales: Sequence[float] | None, coordinates: str, rounding: str
) -> Value:
    whole = _whole(x, lengths, scales)
    halves = coordinates == "half_pixel" and rounding.startswith("round")
    simple = halves or (coordinates, rounding) == ("asymmetric", "floor")
    if whole and simple:
        return b.call(_NEAREST[x.rank - 3], x, None, [float(n) for n in whole])
    for axis in range(2, x.rank):
        n = x.shape[axis]
        m = lengths[axis - 2] if lengths is not None else None
        if n is None or isinstance(m, Size):
            raise Unread("a free size that is resized by a scale that is no whole number")
        scale = Fraction(scales[axis - 2]) if scales is not None else Fraction(int(m or 0), n)
        count = math.floor(n * scale)
        places = [_place(i, n, count, scale, coordinates, rounding) for i in range(count)]
        if places != list(range(n)):
            x = b.call(_ATEN.index_select.default, x, axis, b.constant(torch.tensor(places)))
    return x


def _whole(x: Value, lengths: Sequence[Any] | None, scales: Sequence[float] | None) -> list[int] | None:
    """The scales, where all are whole numbers."""
    if scales is not None:
        return [int(scale) for scale in scales] if all(s == int(s) >= 1 for s in scales) else None
    found = []
    for axis, m in enumerate(lengths or (), 2):
        news = m.numbers if isinstance(m, Size) else (m,) * len(x.shells)
        ratios = {Fraction(new, old) for new, old in zip(news, x.lengths(axis), strict=True)}
        if len(ratios) != 1 or next(iter(ratios)).denominator != 1:
            return None
        found.append(int(next(iter(ratios))))
    return found


def _place(i: int, n: int, m: int, scale: Fraction, coordinates: str, rounding: str) -> int:
    """Which input the i-th output is."""
    half = Fraction(1, 2)
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        x = Fraction(0) if coordinates[0] == "p" and m == 1 else (i + half) / scale - half
    elif coordinates == "align_corners":
        x = Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0)
    elif coordinates == "asymmetric":
        x = i / scale
    else:
        raise Unread(f"coordinates {coordinates}")
    meets = x if rounding in ("floor", "ceil") else x + half
    if abs(meets - round(meets)) < _TIE and scale.denominator & (scale.denominator - 1) and i:
        raise Unread("a place where two neighbours meet")
    if rounding in ("floor", "ceil"):
        place = math.floor(x) if rounding == "floor" else math.ceil(x)
    else:
        place = math.ceil(x - half) if rounding == "round_prefer_floor" else math.floor(x + half)
    return min(max(place, 0), n - 1)


RESIZING: dict[str, Reader] = {"Resize": _resize, "Upsample": _resize}
