"""Arithmetic on rows: activations, powers, rounding, comparisons, casts, complex numbers, sums and divisions."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from ..corpus import ROW, add, bools, conv, linear, normal, numbers, snippet, stack, weight, whole

L = {"l": linear(6, 6)}
PAIR = (4,), (4,)


def _normed(kind, *, into=4, out=4):
    return partial(lambda: kind(nn.Linear(into, out)))


add("mlp", stack(linear(6, 8), nn.ReLU, partial(nn.Dropout, 0.3), linear(8, 3)), ROW)
add("linear mlp", stack(linear(6, 8), linear(8, 8, bias=False), linear(8, 3)), ROW)
add(
    "highway",
    lambda s, x: s.a(x).sigmoid() * s.b(x).tanh() + (1 - s.a(x).sigmoid()) * x,
    ROW,
    a=linear(6, 6),
    b=linear(6, 6),
)
add("weight norm", stack(_normed(parametrizations.weight_norm), nn.Tanh, _normed(parametrizations.spectral_norm)), (4,))
add("orthogonal", stack(_normed(parametrizations.orthogonal), nn.ELU), (4,))
add("clamps", lambda s, x: (s.l(x).clamp(-0.5, 0.5), torch.minimum(x, s.k), x.clamp(min=s.k)), ROW, k=normal(6), **L)
add("powers", lambda s, x: (2 ** x.tanh(), x**2, x**3, (x + 50).abs().pow(0.5)), ROW)
add(
    "rounding",
    lambda s, x: (torch.floor(s.l(x)), torch.div(x, 3, rounding_mode="floor"), x.remainder(2.0), x.round(decimals=1)),
    ROW,
    **L,
)
add("bits", lambda s, x: (x * ((x > 0) & (x < 1) | (x == 2)), (x > 0).float().mean(-1), ~(x > 0)), ROW)
add("double inside", lambda s, x: (s.l(x).double() * 0.1 + 1e-3).float() * 0.3, ROW, **L)
add("half inside", lambda s, x: s.l(x).to(torch.bfloat16).relu().to(torch.float32) * 0.1, ROW, **L)
add("whole inside", lambda s, x: (s.l(x) * 10).long().clamp(-9, 9).float() / 10, ROW, **L)
add("cast of a buffer", lambda s, x: s.l(x) * s.k.float() + s.k.to(x.dtype), ROW, k=numbers([1, 2, 3, 4, 5, 6]), **L)
add("number of a buffer", lambda s, x: s.l(x) * 2 + x.new_tensor([0.5, 1.5, 1, 1, 1, 2]), ROW, **L)
add(
    "lerps",
    lambda s, a, b: (
        torch.lerp(a, b, 0.3),
        torch.addcmul(a, a, b, value=0.5),
        torch.addcdiv(a, b, s.k.abs() + 1, value=2),
    ),
    *PAIR,
    k=normal(4),
)
add(
    "added products",
    lambda s, a, b: torch.addmm(s.c, a, s.w, beta=2, alpha=3) + torch.add(a, b, alpha=0.5),
    *PAIR,
    c=normal(4),
    w=normal(4, 4),
)
add(
    "products of inputs",
    lambda s, a, b: (a * b, torch.einsum("bi,bj->bij", a, b), (a[:, None] @ b[..., None]).flatten(1)),
    *PAIR,
)
add("bilinear", lambda s, a, b: s.b(a, b), (4,), (5,), b=partial(nn.Bilinear, 4, 5, 2))
add(
    "similarity",
    lambda s, a, b: (F.cosine_similarity(s.l(a), s.l(b)), torch.cdist(s.l(a)[:, None], b[:, None]).flatten()),
    *PAIR,
    l=linear(4, 4),
)
add("angles", lambda s, a, b: (torch.atan2(a, b), torch.hypot(a, b), torch.copysign(a, b)), *PAIR)
add("blend", lambda s, a, b, m: torch.where(m, a * 2, b) + s.l(a), *PAIR, bools(4), l=linear(4, 4))
add("two inputs joined", lambda s, a, b: s.l(torch.cat([a, b], -1)).relu() + a, *PAIR, l=linear(8, 4))
add(
    "two branches summed",
    lambda s, a, b: s.n(s.p(a) + s.q(b)).relu(),
    (3, 5, 5),
    (1, 5, 5),
    p=conv(3, 4),
    q=conv(1, 4),
    n=partial(nn.BatchNorm2d, 4),
)
add("difference of inputs", lambda s, a, b: (s.l(a) - s.l(b)).abs().sum(-1, keepdim=True), *PAIR, l=linear(4, 3))
add(
    "affine of whole numbers",
    lambda s, i: i.float() @ s.w + (i * 2 - 1).sum(-1, keepdim=True),
    whole(9, 4),
    w=normal(4, 3),
)
add("shifts", lambda s, i: (i << 1, i >> 1, i & 3, i | 4, i ^ 5), whole(9, 4))
add(
    "cumulative",
    lambda s, x: (torch.cumsum(s.l(x), -1), torch.cumprod(x.sigmoid(), 1), torch.cummax(x, 1).values),
    ROW,
    **L,
)
add(
    "logarithms",
    lambda s, x: (x.abs().log1p(), x.exp().log(), torch.logaddexp(x, s.l(x)), torch.logcumsumexp(x, 1)),
    ROW,
    **L,
)
add("trigonometry", lambda s, x: s.l(x.sin()) + x.cos() * x.tan().tanh(), ROW, **L)
add("division", lambda s, x: (x / 7, 1 / (x.abs() + 1), x / s.k.abs().add(0.5), x.div(3)), ROW, k=normal(6))
add("negated", lambda s, x: (-x, 1 - x, 0 - s.l(x), torch.rsub(x, 2, alpha=3)), ROW, **L)
add("scalars and rows", lambda s, x: s.l(x) * 0.1 + 3 - x / 2, ROW, **L)
add("scalar parameter", lambda s, x: s.l(x) * s.t + s.t.exp(), ROW, t=weight(), **L)
add("softplus", lambda s, x: F.softplus(s.l(x), 2, 5) + F.softsign(x), ROW, **L)
add("gaussian", lambda s, x: torch.exp(-0.5 * ((x[:, None] - s.c) / 0.7).square().sum(-1)), ROW, c=normal(3, 6))
add("distance to centres", lambda s, x: torch.cdist(x, s.c).argmin(-1), ROW, c=normal(3, 6))
add("polynomial", lambda s, x: ((x * 0.5 + 1) * x - 2) * x + s.l(x), ROW, **L)
add("fourier features", lambda s, x: torch.cat([(x @ s.w).sin(), (x @ s.w).cos()], -1), ROW, w=normal(6, 4))
add("outer norm", lambda s, x: F.normalize(s.l(x), p=1.0, dim=1, eps=1e-3), ROW, **L)
add("threshold", lambda s, x: F.threshold(s.l(x), 0.1, 20) + F.hardshrink(x, 0.3), ROW, **L)
add("floor divide", lambda s, x: (x // 2, x % 3, torch.fmod(x, 2), x.frac(), x.trunc()), ROW)
add("nan guards", lambda s, x: torch.where(x.isnan(), 0.0, x) + torch.nan_to_num(s.l(x), 1.0, 2.0, -2.0), ROW, **L)
add("reductions", lambda s, x: (x.sum(), x.sum(1), x.mean(-1), x.prod(1), x.amax(1)), ROW)
add("sum with dtype", lambda s, x: x.sum(1, dtype=torch.float64), ROW)
add("sum over the batch", lambda s, x: s.l(x) - x.mean(0), ROW, **L)
add("entropy", lambda s, x: -(x.softmax(-1) * x.log_softmax(-1)).sum(-1), ROW)
add("two dropouts", lambda s, x: F.dropout(s.l(F.dropout(x, 0.2, s.training)), 0.1, False), ROW, **L)
add("random noise", lambda s, x: s.l(x) + torch.randn_like(x) * 0.1, ROW, **L)
add("random dropout", lambda s, x: F.dropout(s.l(x), 0.5, True), ROW, **L)
add("random bernoulli", lambda s, x: x * torch.bernoulli(torch.full_like(x, 0.5)), ROW)
add("random slopes", lambda s, x: F.rrelu(s.l(x), 0.1, 0.9, True), ROW, **L)


@snippet(ROW, a=lambda: nn.Parameter(torch.tensor([0.25])), **L)
def activations(s, x):
    y = s.l(x)
    z = F.leaky_relu(y, 0.2), F.elu(y), F.celu(y, 0.5), F.softplus(y, 2, 5), F.hardtanh(y, -2, 3)
    return *z, F.gelu(y, approximate="tanh"), F.prelu(y, s.a), F.softshrink(y), F.rrelu(y), F.logsigmoid(y)


@snippet(ROW, **L)
def more_activations(s, x):
    y = s.l(x)
    return F.selu(y), F.hardsigmoid(y), F.tanhshrink(y), F.relu6(y), F.gelu(y), F.mish(y), y.sigmoid(), y.erf()


@snippet(ROW, **L)
def straight_through(s, x):
    y = s.l(x)
    return y + (y.round() - y).detach(), F.one_hot(y.argmax(-1), 6).float() + y - y.detach()


@snippet(ROW, **L)
def stopped_gradients(s, x):
    with torch.no_grad():
        scale = x.abs().amax(-1, keepdim=True) + 1
    return s.l(x / scale) * scale.detach()


@snippet(ROW, **L)
def quantised(s, x):
    step = 0.1
    return torch.clamp(torch.round(s.l(x) / step), -128, 127) * step


@snippet(ROW, **L)
def magic_rounding(s, x):
    return s.l(((x * 10 + 12582912.0) - 12582912.0) / 10).relu()


@snippet((8,), l=linear(8, 8), a=normal(5), b=normal(5))
def spectrum(s, x):
    f = torch.fft.rfft(s.l(x))
    return torch.fft.irfft(f * torch.complex(s.a, s.b), n=8)


@snippet((8,), l=linear(8, 8))
def complex_numbers(s, x):
    z = torch.view_as_complex(s.l(x).view(-1, 4, 2))
    return z.abs(), torch.view_as_real(z * (1 + 2j)).flatten(1), z.conj().real


@snippet(ROW, **L)
def autocast(s, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = s.l(x)
    return y.float() + x


@snippet(ROW, **L)
def no_autocast(s, x):
    with torch.autocast("cpu", enabled=False):
        return s.l(x).relu() * 2


@snippet(ROW, **L)
def gradients_on(s, x):
    with torch.enable_grad():
        y = s.l(x)
    return y.tanh()


@snippet(ROW, l=linear(6, 3), w=weight(3, 6))
def cosine_head(s, x):
    return 16 * F.linear(F.normalize(x, dim=-1), F.normalize(s.w, dim=-1)) + s.l(x)


@snippet(ROW, k=numbers([2, 3]))
def items_of_constants(s, x):
    return x * s.k[0] + s.k[1]


@snippet(ROW, t=numbers([-1.0, 0.0, 1.0]), v=normal(4))
def buckets(s, x):
    return s.v[torch.bucketize(x, s.t)], torch.searchsorted(s.t, x)
