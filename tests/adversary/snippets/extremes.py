"""Numbers at the ends of what floats are: huge, tiny, cancelling, infinite, negative, beyond 2^24, bits as numbers."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..corpus import IMAGE, ROW, Drawn, add, conv, linear, normal, numbers, snippet, weight, whole

L = {"l": linear(6, 6)}
INF, NAN = float("inf"), float("nan")


def _scaled(factor: float, into: int = 6, out: int = 6):
    """A matrix with weights of this size."""

    def make() -> nn.Module:
        layer = nn.Linear(into, out)
        layer.weight.data.mul_(factor)
        return layer

    return make


add("huge then tiny", lambda s, x: s.b(s.a(x)), ROW, a=_scaled(1e30), b=_scaled(1e-30))
add("tiny then huge", lambda s, x: s.b(s.a(x).relu()), ROW, a=_scaled(1e-30), b=_scaled(1e30))
add("tiny twice", lambda s, x: s.b(s.a(x)), ROW, a=_scaled(1e-25), b=_scaled(1e-25))
add("huge twice", lambda s, x: s.b(s.a(x)), ROW, a=_scaled(1e25), b=_scaled(1e25))
add("denormals", lambda s, x: s.a(x) * 1e30, ROW, a=_scaled(1e-42))
add("cancelling weights", lambda s, x: s.l(x * 1e3) - s.l(x * 1e3 - x), ROW, **L)
add("cancelling rows", lambda s, x: F.linear(x.repeat(1, 3), s.w), (1,), w=numbers([[2.0**60, 1.0, -(2.0**60)]]))
add("infinite mask", lambda s, x: (s.l(x) + s.m).softmax(-1), ROW, m=numbers([0.0, -INF, 0, -INF, 0, 0]), **L)
add(
    "a weight that is infinite",
    lambda s, x: torch.minimum(x, s.k) + s.l(x),
    ROW,
    k=numbers([INF, 1, INF, -1, INF, 0]),
    **L,
)
add(
    "a weight that is no number",
    lambda s, x: torch.where(s.k.isnan(), s.l(x), s.k),
    ROW,
    k=numbers([NAN, 1, NAN, -1, NAN, 0]),
    **L,
)
add("beyond 24 bits", lambda s, x: (x.double() * 3 + 16777217).float() + s.l(x), ROW, **L)
add(
    "whole numbers beyond 24 bits",
    lambda s, i: i * 16777217 + s.k,
    whole(9, 4),
    k=numbers([2**40 + 1, -(2**40), 3, -7]),
)
add("negative whole numbers", lambda s, x: x * s.k - s.k, ROW, k=numbers([-1, -67108860, 3, -5, 0, 2]))
add(
    "bytes that wrap",
    lambda s, i: (i.to(torch.uint8) * s.k + 200).long(),
    whole(9, 4),
    k=numbers([1, 100, 255, 7], torch.uint8),
)
add(
    "signed bytes",
    lambda s, x: (x * 50).to(torch.int8).float() + s.k,
    ROW,
    k=numbers([-1, 127, -128, 3, 0, 2], torch.int8),
)
add("magnitude by bits", lambda s, x: (x.float().view(torch.int32) & 0x7FFFFFFF).view(torch.float32), ROW)
add("large offset", lambda s, x: s.l(x + 4096.0) - 4096.0, ROW, **L)
add("small eps", lambda s, x: F.layer_norm(s.l(x), (6,), eps=1e-12), ROW, **L)
add("near zero variance", lambda s, x: s.n(x), (4,), n=partial(nn.BatchNorm1d, 4, eps=1e-30))
add("long sums", lambda s, x: s.l(x).repeat(1, 100).sum(1), ROW, **L)
add("one input number", lambda s, x: s.l(x), (1,), l=linear(1, 3))
add("one output number", lambda s, x: s.l(x).squeeze(-1), ROW, l=linear(6, 1))
add("thirds", lambda s, x: s.l(x / 3) * 3 + x / 7 * 7, ROW, **L)
add("zero weights", lambda s, x: s.l(x) * 0 + s.z(x), ROW, z=_scaled(0.0), **L)
add("zero kernel", lambda s, x: s.c(x) * s.k, IMAGE, c=conv(3, 4), k=numbers([[[0.0]], [[1.0]], [[-0.0]], [[2.0]]]))
add("signs of zero", lambda s, x: torch.copysign(torch.ones_like(x), s.l(x).round() * 0), ROW, **L)
add("reciprocal of zero", lambda s, x: (1 / (x * 0 - 0.0)).clamp(-1, 1), ROW)
add("unbatched factor", lambda s, x, y: s.l(x) * y, ROW, Drawn((6,), batched=False), **L)
add("a scalar input", lambda s, x, y: s.l(x) * y, ROW, Drawn((), batched=False), **L)


@snippet(ROW, w=weight(6, 6), h=normal(6))
def mixed_precision_by_hand(s, x):
    y = F.linear(x.to(torch.bfloat16), s.w.to(torch.bfloat16)).to(x.dtype)
    return y + (s.h.double() / 3).to(x.dtype)


@snippet(ROW, **L)
def rounding_to_a_grid(s, x):
    return s.l(torch.floor(x * 8 + 0.5) / 8), (x * 2**10).trunc() * 2**-10
