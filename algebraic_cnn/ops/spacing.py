"""Calls that move or average positions, as stencils: pools, means, pads, crops, pixel shuffles."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..algebra.stencils.kernels import pointwise, shuffle_footprint, shuffle_taps, unshuffle_footprint, unshuffle_taps
from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Array, Offset, Piece, identity
from ..algebra.stencils.stencil import Footprint, Stencil
from ..ir.graph import Call, Ref
from ..rings.ring import Ring
from .source import Arguments, Reader, Source, atom_of, sizes_of


def _identity(source: Source, call: Call, a: Arguments) -> Piece | None:
    """A call that returns its argument, up to axes of length 1 after the channels."""
    x = next(value for value in a.values() if source.varies(value))
    before, after = source.shape(x), call.shape
    if before == after and before[1:].count(None) == 0:
        return identity(before)
    flat = all(n == 1 for n in (*before[2:], *after[2:])) and before[:2] == after[:2]
    if not flat:
        return None
    footprint = pointwise(before[1] or 1, before[1] or 1, before[1] or 1, [1] * max(len(before) - 2, len(after) - 2))
    return atom_of(source, call, x, footprint, lambda ring: np.ones(footprint.c_in))


def per_channel(source: Source, x: Ref, axes: Sequence[Axis]) -> Footprint:
    """The footprint of one map of the image in every channel."""
    channels = source.shape(x)[1] or 1
    return Footprint(channels, channels, channels, tuple(axes))


def _pool(spatial: int) -> Reader:
    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        """The mean over windows; where a window reaches outside, torch may divide by fewer positions."""
        x = a["self"]
        sizes = sizes_of(source.shape(x))
        if len(sizes) != spatial:
            return None
        kernel, stride, padding = (
            list(given) * (spatial if len(given) == 1 else 1)
            for given in (a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"])
        )
        axes, shares = [], []
        for n, m, k, s, p in zip(sizes, sizes_of(call.shape), kernel, stride, padding, strict=True):
            axis = Axis(n, m, down=s, start=-p, width=k)
            counted = p if a["count_include_pad"] else 0
            shares.append(((axis.reads >= -counted) & (axis.reads < n + counted)).sum(1))
            axes.append(axis)
        override = a.get("divisor_override")
        return _mean_of(source, call, x, axes, [np.full_like(s, 1) for s in shares] if override else shares, override)

    return read


def _mean_of(
    source: Source, call: Call, x: Ref, axes: list[Axis], shares: list[Array], divisor: int | None = None
) -> Piece | None:
    """Sums over windows, divided by ``divisor`` or by the product of the shares of their positions along each axis."""
    full = [int(share.max()) for share in shares]
    rings = [_ends(share == most) for share, most in zip(shares, full, strict=True)]
    if any(sum(ring) >= axis.m or (share[ring[0] : axis.m - ring[1]] != most).any()
           for ring, axis, share, most in zip(rings, axes, shares, full, strict=True)):  # fmt: skip
        return None
    counts = np.ones(())
    for share in shares:
        counts = counts[..., None] * share
    plain = per_channel(source, x, axes)
    axes = [Axis(a.n, a.m, a.down, a.up, a.start, a.width, a.step, ring) for a, ring in zip(axes, rings, strict=True)]
    footprint = per_channel(source, x, axes)

    def taps(ring: Ring) -> Array:
        return ring.divide(ring.embed(np.ones(footprint.taps_shape)), np.array(float(divisor or math.prod(full))))

    def linear(values: Array, ring: Ring) -> Array:
        sums = Stencil(plain, ring.embed(np.ones(plain.taps_shape)))(values, ring)
        return ring.divide(sums, np.broadcast_to(counts * float(divisor or 1), sums.shape))

    return atom_of(source, call, x, footprint, taps, linear=None if footprint.exact else linear)


def _ends(told: Array) -> tuple[int, int]:
    inner = np.flatnonzero(told)
    return int(inner[0]), int(len(told) - 1 - inner[-1])


def _adaptive_pool(spatial: int) -> Reader:
    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        x = a["self"]
        pairs = list(zip(sizes_of(source.shape(x)), sizes_of(call.shape), strict=True))
        if len(pairs) != spatial or any(n % m for n, m in pairs):
            return None
        axes = [Axis(n, m, down=n // m, width=n // m) for n, m in pairs]
        return _mean_of(source, call, x, axes, [np.full(axis.m, axis.width) for axis in axes])

    return read


def _total(*, mean: bool) -> Reader:
    def read(source: Source, call: Call, a: Arguments) -> Piece | None:
        """A sum or mean over some axes after the channels; also over some between batch and last, channels last."""
        x = a["self"]
        shape = source.shape(x)
        dims = {dim % len(shape) for dim in a.get("dim") or ()}
        if not dims or 0 in dims or (1 in dims and len(shape) - 1 in dims):
            return None
        last = 1 in dims
        place = len(shape) - 1 if last else 1
        axes = [
            Axis(n or 1, 1, width=n or 1) if i in dims else Axis(n or 1, n or 1)
            for i, n in enumerate(shape)
            if i not in (0, place)
        ]
        kept = len(axes) - (0 if a.get("keepdim") else len(dims))
        if kept not in (0, len(axes)):
            return None
        channels = shape[place] or 1
        footprint = Footprint(channels, channels, channels, tuple(axes))
        count = float(math.prod(axis.width for axis in axes)) if mean else 1.0
        ones = lambda ring: ring.embed(np.ones(footprint.taps_shape))  # noqa: E731
        return atom_of(source, call, x, footprint, lambda ring: ring.divide(ones(ring), np.array(count)), last=last)

    return read


def _pad(source: Source, call: Call, a: Arguments) -> Piece | None:
    x, mode = a["self"], a.get("mode", "constant")
    shape = source.shape(x)
    pairs = [(0, 0)] * (len(shape) - len(a["pad"]) // 2) + list(zip(a["pad"][::2], a["pad"][1::2], strict=True))[::-1]
    if mode != "constant" or any(map(any, pairs[:2])):
        return None
    axes = [Axis(n, n + sum(pair), start=-pair[0]) for n, pair in zip(sizes_of(shape), pairs[2:], strict=True)]
    footprint = per_channel(source, x, axes)
    one = lambda ring: np.ones(footprint.c_in)  # noqa: E731
    if not a.get("value"):
        return atom_of(source, call, x, footprint, one)

    def offset(ring: Ring) -> Array:
        image = Stencil(footprint, np.ones(footprint.taps_shape))(np.ones((footprint.c_in, *sizes_of(shape))), ring)
        return ring.reduce((1 - image) * source.numbers(a["value"], call)(ring))

    return atom_of(source, call, x, footprint, one, offset=offset, kind=Offset.MAP)


def _edge_pad(source: Source, call: Call, a: Arguments) -> Piece | None:
    """Reflected, replicated or circular borders: what lies in them is no stencil's, hence the ring."""
    x, pad = a["self"], list(a.get("padding") or a.get("pad") or ())
    mode: Any = {"rep": "edge", "ref": "reflect", "cir": "wrap"}[str(a.get("mode") or call.op)[:3]]
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    sizes = sizes_of(source.shape(x))
    if len(pairs) != len(sizes) or any(n < 0 for pair in pairs for n in pair):
        return None
    axes = [Axis(n, n + sum(pair), start=-pair[0], ring=pair) for n, pair in zip(sizes, pairs, strict=True)]
    footprint = per_channel(source, x, axes)
    linear = lambda values, ring: np.pad(values, [(0, 0), *pairs], mode=mode)  # noqa: E731
    wraps = tuple(pairs) if mode == "wrap" else None
    more = {"linear": linear, "wraps": wraps, "alike": Offset.CHANNEL}
    return atom_of(source, call, x, footprint, lambda ring: np.ones(footprint.c_in), **more)


def _any_pad(source: Source, call: Call, a: Arguments) -> Piece | None:
    return (_pad if a["mode"] == "constant" else _edge_pad)(source, call, a)


def _shuffle(source: Source, call: Call, a: Arguments) -> Piece | None:
    shape = source.shape(a["self"])
    footprint = shuffle_footprint(shape[1] or 1, a["upscale_factor"], sizes_of(shape)) if len(shape) == 4 else None
    return footprint and atom_of(source, call, a["self"], footprint, lambda ring: shuffle_taps(footprint))


def _unshuffle(source: Source, call: Call, a: Arguments) -> Piece | None:
    shape = source.shape(a["self"])
    footprint = unshuffle_footprint(shape[1] or 1, a["downscale_factor"], sizes_of(shape)) if len(shape) == 4 else None
    return footprint and atom_of(source, call, a["self"], footprint, lambda ring: unshuffle_taps(footprint))


def _slice(source: Source, call: Call, a: Arguments) -> Piece | None:
    """Every s-th position, or a range of channels."""
    shape, axis = source.shape(a["self"]), a["dim"] % len(call.shape)
    start, step = a["start"] or 0, a["step"]
    if shape == call.shape and (start, step) == (0, 1) and (axis or a["end"] in (None, sys.maxsize)):
        return identity(shape)
    if axis == 0 or not isinstance(start, int) or len(shape) < 3:
        return None
    n = shape[axis] or 1
    start = min(max(start + n if start < 0 else start, 0), n)
    if axis > 1:
        axes = [Axis(size, size) for size in sizes_of(shape)]
        axes[axis - 2] = Axis(n, call.shape[axis] or 1, down=step, start=start)
        footprint = per_channel(source, a["self"], axes)
        return atom_of(source, call, a["self"], footprint, lambda ring: np.ones(shape[1] or 1))
    chosen = np.arange(n)[start:][::step][: call.shape[1]]
    return atom_of(
        source, call, a["self"], pointwise(n, len(chosen), 1, sizes_of(shape)), lambda ring: np.eye(n)[chosen]
    )


_SAME = (
    "view _unsafe_view reshape flatten squeeze unsqueeze contiguous clone alias detach lift_fresh_copy expand dropout"
)

SPACING: dict[str, Reader] = {
    **dict.fromkeys([*_SAME.split(), "feature_dropout", "alpha_dropout", "feature_alpha_dropout"], _identity),
    **{f"avg_pool{n}d": _pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_pool(n) for n in (1, 2, 3)},
    "mean": _total(mean=True),
    "sum": _total(mean=False),
    "constant_pad_nd": _pad,
    "pad": _any_pad,
    **dict.fromkeys([f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)], _edge_pad),
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _unshuffle,
    "slice": _slice,
}
