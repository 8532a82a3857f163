"""Padding: zeros and other constants, reflected, replicated and circular borders; negative widths crop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Array, Offset, Piece
from ..algebra.stencils.stencil import Stencil
from ..ir.graph import Call, Size
from ..rings.ring import Ring
from . import imaging
from .moves import moved
from .op import Arguments, Op, Sample, Step, as_deep, kernel
from .source import Source, atom_of, per_channel, sizes_of


def _padded(step: Step) -> Tensor:
    y = step.call(value=0)
    value = step.raw["value"]
    if not value or step.linear:
        return y
    outside = torch.ops.aten.constant_pad_nd(torch.zeros_like(step["self"]), step.raw["pad"], 1)
    return y + outside * step.ring.embed(torch.tensor(float(value), dtype=torch.float64))


def _padded_anyhow(step: Step) -> Tensor:
    if step.raw["mode"] != "constant":
        return step.call()
    constant = {"self": step.raw["self"], "pad": step.raw["pad"], "value": step.raw["value"] or 0}
    target = torch.ops.aten.constant_pad_nd.default
    return _padded(replace(step, target=target, raw=constant))


def _zeros(source: Source, call: Call, a: Arguments) -> Piece | None:
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


def _edges(source: Source, call: Call, a: Arguments) -> Piece | None:
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


def _any(source: Source, call: Call, a: Arguments) -> Piece | None:
    return (_zeros if a["mode"] == "constant" else _edges)(source, call, a)


def _after_the_batch(a: Arguments, given: Size, y: Size) -> bool:
    return len(a["pad"]) < 2 * len(given)


OPS: dict[str, Op] = {
    "constant_pad_nd": Op(_padded, stencil=_zeros, operator=imaging.padded, layer=moved, apart=_after_the_batch),
    "pad": Op(_padded_anyhow, stencil=_any, operator=imaging.padded, layer=moved, apart=_after_the_batch),
    **{
        f"{kind}_pad{n}d": Op(
            kernel,
            ("self", "input"),
            stencil=_edges,
            operator=imaging.padded,
            layer=moved,
            apart=as_deep,
            exact=True,
            repeats=True,
        )
        for kind in ("reflection", "replication")
        for n in (1, 2, 3)
    },
}

_aten = torch.ops.aten
SAMPLES: dict[str, Sample] = {
    "constant_pad_nd": (lambda x: _aten.constant_pad_nd(x, [1, 2, -1, 0], 3), (4, 6, 6), ()),
    "pad": (lambda x: F.pad(F.pad(x, (1, 0, 2, 1), value=-2.0), (1, 1)), (4, 6, 6), ()),
    "pad circular": (lambda x: F.pad(x, (1, 2, 3, 0), mode="circular"), (4, 6, 6), ()),
    **{
        f"{kind}_pad{n}d": (
            lambda x, name=f"{kind}_pad{n}d", width=width, n=n: getattr(_aten, name)(x, [width] * 2 * n),
            (2, *[3] * n),
            (),
        )
        for kind, width in (("reflection", 1), ("replication", 2))
        for n in (1, 2, 3)
    },
}
