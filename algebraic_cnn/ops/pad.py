"""Padding: zeros and other constants, reflected, replicated and circular borders; negative widths crop."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ir.graph import Size
from ..toeplitz.arguments import check_padding
from . import imaging
from .moves import moved
from .op import Arguments, CallSite, Op, Sample, as_deep, kernel
from .traits import always_local


def _padded(site: CallSite) -> Tensor:
    y = site.call(value=0)
    value = site.raw["value"]
    if not value or site.linear:
        return y
    outside = torch.ops.aten.constant_pad_nd(torch.zeros_like(site["self"]), site.raw["pad"], 1)
    return y + outside * site.ring.embed(torch.tensor(float(value), dtype=torch.float64))


def _padded_anyhow(site: CallSite) -> Tensor:
    if site.raw["mode"] == "circular":
        _require_a_circle(site)
    if site.raw["mode"] != "constant":
        return site.call()
    constant = {"self": site.raw["self"], "pad": site.raw["pad"], "value": site.raw["value"] or 0}
    target = torch.ops.aten.constant_pad_nd.default
    return _padded(replace(site, target=target, raw=constant))


def _require_a_circle(site: CallSite) -> None:
    """Refuse a circle of pixels that were all cropped: torch takes memory there that nobody wrote."""
    pad = site.raw["pad"]
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    left = [n + min(a, 0) + min(b, 0) for n, (a, b) in zip(site["self"].shape[::-1], pairs, strict=False)]
    check_padding(left, tuple((max(a, 0), max(b, 0)) for a, b in pairs), "circular")


def _edges(a: Arguments) -> bool:
    """Whether what lies outside is the image again."""
    return a.get("mode") != "constant"


def _after_the_batch(a: Arguments, given: Size, y: Size) -> bool:
    """Whether nothing is added before the first sample or after the last; the last pair of numbers is of the batch."""
    return not any(a["pad"][2 * len(given) - 2 :])


def _outwards(a: Arguments) -> bool:
    """Nothing is cropped, and nothing comes from the other end of the image."""
    return min(a["pad"], default=0) >= 0 and a.get("mode") != "circular"


_PAD = {"operator": imaging.padded, "layer": moved, "apart": _after_the_batch, "local": _outwards}

OPS: dict[str, Op] = {
    "constant_pad_nd": Op(_padded, called="pad", **_PAD),
    "pad": Op(_padded_anyhow, alike=_edges, called=lambda a, shapes: f"{a['mode']} pad", **_PAD),
    **{
        f"{kind}_pad{n}d": Op(
            kernel,
            ("self", "input"),
            alike=_edges,
            operator=imaging.padded,
            layer=moved,
            apart=as_deep,
            exact=True,
            repeats=True,
            local=always_local,
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
