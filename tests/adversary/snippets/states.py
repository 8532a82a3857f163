"""What forward writes and shares: counters, averages, caches, rebound buffers, written inputs, tied weights."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..corpus import IMAGE, ROW, add, bools, conv, linear, normal, numbers, snippet, weight

L = {"l": linear(6, 6)}
ZERO = partial(torch.zeros, ())

add("tied", lambda s, x: F.linear(s.l(x).relu(), s.l.weight.t()), ROW, l=linear(6, 4, bias=False))
add("tied modules", lambda s, x: s.a(s.a(x).relu()), ROW, a=linear(6, 6))
add("tied convolutions", lambda s, x: s.c(s.c(x)) + x, IMAGE, c=conv(3, 3))
add(
    "shared bias",
    lambda s, x: F.linear(x, s.w, s.b) + F.linear(x, s.v, s.b).relu(),
    ROW,
    w=weight(6, 6),
    v=weight(6, 6),
    b=weight(6),
)
add("unused parts", lambda s, x: s.l(x), ROW, unused=linear(3, 3), k=normal(3), **L)
add("buffer of bools", lambda s, x: x.masked_fill(s.m, 0.0), ROW, m=numbers([True, False, False, True, False, True]))
add("buffer of bytes", lambda s, x: x * s.k, ROW, k=numbers([1, 2, 3, 250, 0, 7], torch.uint8))
add("buffer of shorts", lambda s, x: x + s.k, ROW, k=numbers([1, -2, 3, 250, 0, 7], torch.int16))
add("buffer of doubles", lambda s, x: (x * s.k).float(), ROW, k=numbers([0.1, 0.2, 0.3, 1e-9, 0, 7], torch.float64))
add("scalar buffer", lambda s, x: s.l(x) * s.k, ROW, k=numbers(3), **L)
add(
    "empty buffer",
    lambda s, x: torch.cat([s.l(x), x.new_empty(x.shape[0], 0)], 1) * (1 + s.k.sum()),
    ROW,
    k=lambda: torch.zeros(0),
    **L,
)
add(
    "frozen parameter", lambda s, x: s.l(x) + s.p, ROW, p=lambda: nn.Parameter(torch.randn(6), requires_grad=False), **L
)
add("buffer returned", lambda s, x: (s.l(x), s.k), ROW, k=normal(3), **L)
add("buffer copied", lambda s, x: s.l(x) + s.k.clone().add_(1), ROW, k=normal(6), **L)


@snippet(ROW, n=partial(torch.zeros, (), dtype=torch.int64), **L)
def counter(s, x):
    s.n.add_(1)
    return s.l(x), s.n * 1.0


@snippet(ROW, e=ZERO, **L)
def moving_average(s, x):
    s.e.mul_(0.9).add_(x.mean() * 0.1)
    return s.l(x - s.e)


@snippet(ROW, k=partial(torch.zeros, 6), **L)
def rebound(s, x):
    s.k = s.k * 0.5 + x.mean(0)
    return s.l(x) + s.k


@snippet((2, 8), c=partial(nn.Conv1d, 2, 2, 3), k=partial(torch.zeros, 1, 2, 2))
def cache(s, x):
    z = torch.cat([s.k.expand(x.shape[0], -1, -1), x], 2)
    s.k.copy_(z[:1, :, -2:].detach())
    return s.c(z)


@snippet(ROW, k=partial(torch.zeros, 3, 6), n=partial(torch.zeros, (), dtype=torch.int64), **L)
def ring_of_rows(s, x):
    s.k.copy_(torch.cat([s.k[1:], x[:1]]))
    s.n += 1
    return s.l(x) + s.k.mean(0)


@snippet(ROW, n=ZERO)
def counted_and_never_read(s, x):
    s.n += 1
    return x * 2


@snippet(ROW, m=partial(torch.zeros, 6), **L)
def greatest_so_far(s, x):
    s.m.copy_(torch.maximum(s.m, x.abs().amax(0)))
    return s.l(x / (s.m + 1))


@snippet(ROW)
def writes_its_input(s, x):
    x.mul_(2)
    return x + 1


@snippet(ROW, **L)
def writes_part_of_its_input(s, x):
    y = s.l(x)
    x[:, 0] = 0
    return y, x.sum(1)


@snippet((4,), (4,))
def writes_one_into_the_other(s, a, b):
    a.copy_(b * 2)
    return a + b


@snippet(ROW, bools(6), n=ZERO)
def counts_the_masked(s, x, m):
    s.n.add_(m.sum())
    return x.masked_fill(m, 0.0), s.n.clone()


@snippet(ROW, a=normal(6), b=normal(6))
def buffers_exchanged(s, x):
    old = s.a.clone()
    s.a.copy_(s.b)
    s.b.copy_(old)
    return x * s.a + s.b


@snippet(ROW, e=ZERO, f=ZERO)
def two_averages(s, x):
    s.e.lerp_(x.mean(), 0.1)
    s.f.lerp_(x.square().mean(), 0.1)
    return (x - s.e) * torch.rsqrt(s.f - s.e.square() + 1)
