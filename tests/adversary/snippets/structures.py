"""What is returned and how it branches: dicts, lists, constants, numbers, ``cond``, loops, nested modules, heads."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..corpus import IMAGE, ROW, Written, add, conv, linear, normal, snippet, stack

L = {"l": linear(6, 6)}
Point = namedtuple("Point", "x y")
torch.utils._pytree._register_namedtuple(Point, serialized_type_name=f"{__name__}.Point")

add("a dict", lambda s, x: {"a": s.l(x), "b": s.l(x).relu() * 2}, ROW, **L)
add("a dict with numbers for keys", lambda s, x: {0: s.l(x), 1: x}, ROW, **L)
add("an ordered dict", lambda s, x: OrderedDict(out=s.l(x), aux=x * 2), ROW, **L)
add("a list", lambda s, x: [s.l(x), x, s.l(x)], ROW, **L)
add("a tuple of one", lambda s, x: (s.l(x),), ROW, **L)
add("a tuple in a tuple", lambda s, x: ((s.l(x), x * 2), (x.relu(),)), ROW, **L)
add("a list of pairs", lambda s, x: [(x * i, x + i) for i in range(3)], ROW)
add("a named tuple", lambda s, x: Point(s.l(x), x.abs()), ROW, **L)
add("nothing besides", lambda s, x: (s.l(x), None, []), ROW, **L)
add("the input itself", lambda s, x: (x, s.l(x)), ROW, **L)
add("the input alone", lambda s, x: x, ROW)
add("the same twice", lambda s, x: [y := s.l(x), y], ROW, **L)
add(
    "constants",
    lambda s, x: (s.l(x), torch.arange(4), torch.ones(2, dtype=torch.bool), torch.full((2,), 1e30)),
    ROW,
    **L,
)
add("constant only", lambda s, x: torch.zeros(x.shape[0], 3) + s.k, ROW, k=normal(3))
add("plain values", lambda s, x: (s.l(x), 3, "tag", None, True, x.shape[1], 0.5), ROW, **L)
add("sizes returned", lambda s, x: (s.l(x), x.shape[0], x.shape[0] * 2 + 1), ROW, **L)
add("many dtypes", lambda s, x: (x > 0, x.long(), x.double(), x.to(torch.float16), x.to(torch.uint8)), ROW)
add("mean loss", lambda s, x: s.l(x).square().mean(), ROW, **L)
add("per sample loss", lambda s, x: F.mse_loss(s.l(x), x, reduction="none").mean(1), ROW, **L)
add("smooth loss", lambda s, x: F.smooth_l1_loss(s.l(x), x, beta=0.5) + F.huber_loss(s.l(x), x, delta=2.0), ROW, **L)
add(
    "cross entropy", lambda s, x: F.cross_entropy(s.l(x), x.argmax(-1), reduction="none", label_smoothing=0.1), ROW, **L
)
add(
    "module list",
    lambda s, x: sum(part(x) for part in s.m),
    ROW,
    m=lambda: nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 3)]),
)
add(
    "module dict",
    lambda s, x: {k: part(x) for k, part in s.m.items()},
    ROW,
    m=lambda: nn.ModuleDict({"a": nn.Linear(6, 3), "b": nn.Tanh()}),
)
add(
    "parameter list",
    lambda s, x: x @ s.p[0] + s.p[1],
    ROW,
    p=lambda: nn.ParameterList([torch.randn(6, 3), torch.randn(3)]),
)
add("nested modules", stack(stack(linear(6, 6), nn.ReLU), stack(linear(6, 4), nn.Tanh)), ROW)
add("identity layers", stack(nn.Identity, linear(6, 6), nn.Identity, nn.Dropout, nn.Identity), ROW)
add(
    "module in a module",
    lambda s, x: s.m(x).relu() + s.m(x),
    ROW,
    m=lambda: Written(lambda t, x: t.l(x) * 2, {"l": linear(6, 6)}),
)
add("keyword inside", lambda s, x: s.l(input=x).clamp(min=-1, max=2), ROW, **L)


@snippet(ROW, k=normal(2), **L)
def nested_outputs(s, x):
    y = s.l(x)
    return {"a": [y, y.relu()], "b": (y * 2, {"n": y.mean(), "c": s.k})}


@snippet(ROW, **L)
def cond(s, x):
    return torch.cond(x.sum() > 0, lambda x: s.l(x), lambda x: x * 2, (x,))


@snippet(ROW, **L)
def cond_of_two(s, x):
    y, z = torch.cond(x[0, 0] > 0, lambda x: (x.relu(), x + 1), lambda x: (x.tanh(), x - 1), (s.l(x),))
    return y * 2 + z


@snippet(ROW)
def while_loop(s, x):
    _, y = torch.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.5 + 1), (torch.zeros((), dtype=torch.int64), x)
    )
    return y.relu()


@snippet(ROW)
def mapped(s, x):
    return torch.vmap(lambda row: row.softmax(0) * row.sum())(x)


@snippet(ROW, **L)
def checkpointed(s, x):
    return torch.utils.checkpoint.checkpoint(lambda y: s.l(y).relu(), x, use_reentrant=False) + x


@snippet(IMAGE, b=stack(conv(3, 4), nn.ReLU), h=linear(4, 2), r=linear(4, 4))
def detector(s, x):
    y = s.b(x).mean((2, 3))
    return {"scores": s.h(y).softmax(-1), "boxes": s.r(y).sigmoid() * 6, "size": x.shape[-1]}


@snippet(IMAGE, a=conv(3, 2, stride=2), b=conv(2, 2), n=partial(nn.BatchNorm2d, 2))
def pyramid(s, x):
    y = F.relu(s.n(s.a(x)))
    return [y, s.b(F.max_pool2d(y, 2, ceil_mode=True)), F.adaptive_avg_pool2d(x, 1).flatten(1)]


@snippet(ROW, a=linear(6, 4), m=linear(4, 2), v=linear(4, 2))
def encoder_of_a_vae(s, x):
    y = F.relu(s.a(x))
    return s.m(y), s.v(y).clamp(-5, 5).mul(0.5).exp()


@snippet(ROW, l=linear(6, 6))
def early_return(s, x):
    if x.ndim != 2 or x.shape[1] == 5:
        return x
    return s.l(x) if not s.training else x
