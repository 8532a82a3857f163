"""Channels and positions exchanged: pixel and channel shuffles, images cut into windows and put together again."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..algebra.assembly import Combination
from ..ir.graph import Call
from ..toeplitz import fold_matrix
from . import imaging
from .moves import moved
from .op import Arguments, Op, Sample, always, kernel, summed
from .reading import Reading
from .traits import always_local


def _folded(reading: Reading, call: Call, a: Arguments) -> Combination:
    """Windows added up where they overlap."""
    names = ("output_size", "kernel_size", "dilation", "padding", "stride")
    M = fold_matrix(a["self"].shape, **{name: a[name] for name in names}, memory_budget=reading.left)
    return reading.assembly.mapped(a["self"], M, reading.shape(call))


_MOVE = {"layer": moved, "exact": True}
_SHUFFLE = {**_MOVE, "bijective": True, "operator": imaging.shuffled, "apart": always}

OPS: dict[str, Op] = {
    **dict.fromkeys(
        ("pixel_shuffle", "pixel_unshuffle"),
        Op(kernel, ("self", "input"), local=always_local, **_SHUFFLE),
    ),
    "channel_shuffle": Op(kernel, ("self", "input"), **_SHUFFLE),
    "im2col": Op(kernel, ("self", "input"), apart=always, repeats=True, **_MOVE),
    "unfold": Op(kernel, ("self", "input"), repeats=True, **_MOVE),
    "col2im": Op(summed, layer=_folded),
}

_IMAGE = (4, 6, 6)
SAMPLES: dict[str, Sample] = {
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), _IMAGE, ()),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 3), _IMAGE, ()),
    "channel_shuffle": (lambda x: torch.ops.aten.channel_shuffle(x, 2), _IMAGE, ()),
    "unfold": (lambda x: x.unfold(2, 3, 2), _IMAGE, ()),
    "im2col": (lambda x: F.unfold(x, 3, padding=1, stride=2), _IMAGE, ()),
    "col2im": (lambda x: F.fold(x, (5, 4), (2, 3), padding=1, stride=2), (12, 6), ()),
}
