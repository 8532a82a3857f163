"""Ordinary torch, in the styles that people write: small models with an example each, and how to compare two models.

Model       a function of (model, inputs), with buffers and modules of its own
IDIOMS      by name: the model and its example
difference  what two models give differently when they are called twice: outputs, structure, dtypes, what they write
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree


class Model(nn.Module):
    """A function, and what it uses: tensors are buffers, all else is set as it is."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self, *inputs)


IDIOMS: dict[str, tuple[Model, tuple[Tensor, ...]]] = {}


def idiom(name: str, function: Callable[..., Any], *shapes: tuple[int, ...], **parts: Any) -> None:
    """Add a model whose inputs have these shapes, its numbers in float64."""
    torch.manual_seed(len(IDIOMS))
    model = Model(function, **parts).eval().double().requires_grad_(False)
    IDIOMS[name] = model, tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)


def difference(model: nn.Module, other: nn.Module, examples: list[tuple[Tensor, ...]]) -> str:
    """The first difference of two models that are given the same examples, one after another; "" if there is none."""
    sides = copy.deepcopy(model), copy.deepcopy(other)
    first_kept = dict(model.named_buffers())
    for number, inputs in enumerate(examples):
        (first, kept), (second, other_kept) = (_outcome(side, inputs) for side in sides)
        for what, one in first.items():
            if len(one) != len(second[what]) or not all(map(same, one, second[what])):
                return f"call {number}: {what}"
        # a buffer that the other does not have is folded into its numbers: then it was never written
        if not all(same(x, other_kept.get(name, first_kept[name])) for name, x in kept.items()):
            return f"call {number}: buffers"
    return ""


def _outcome(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[dict[str, list[Any]], dict[str, Tensor]]:
    """What a call gives and leaves behind, with the kernels that an export sees; and the buffers."""
    given, fast = [x.clone() for x in inputs], torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        outputs, spec = pytree.tree_flatten(model(*given))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    kept = {name: x.clone() for name, x in model.named_buffers()}
    return {"outputs": outputs, "structure": [str(spec)], "overwritten inputs": given}, kept


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are the same, their type, dtype and shape included; NaN is NaN."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and one == other
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and (torch.equal(one, other) or bool(((one == other) | (one.isnan() & other.isnan())).all()))


def average(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        s.k.mul_(0.9).add_(x.mean(0) * 0.1)
    return x - s.k


def rebound(s: Any, x: Tensor) -> Tensor:
    s.k = s.k * 0.5 + x.mean(0)
    return x + s.k


def counter(s: Any, x: Tensor) -> Tensor:
    s.n += 1
    return x * s.n


def first_entry(s: Any, x: Tensor) -> Tensor:
    s.k[0] = x[0, 0]
    return x + s.k


def stream(s: Any, x: Tensor) -> Tensor:
    z = torch.cat([s.k, x], 2)
    s.k.copy_(z[:, :, -2:])
    return s.c(z)


def stream_of_any(s: Any, x: Tensor) -> Tensor:
    z = torch.cat([s.k.expand(x.shape[0], -1, -1), x], 2)
    s.k.copy_(z[:1, :, -2:].detach())
    return s.c(z)


def key_value_cache(s: Any, x: Tensor) -> Tensor:
    s.keys.index_put_((s.at,), x.mean(0)[None])
    s.at.add_(1)
    return x @ s.keys.t()


def shifted_cache(s: Any, x: Tensor) -> Tensor:
    s.k[:, 1:] = s.k[:, :-1].clone()
    s.k[:, 0] = x.sum(0)
    return x @ s.k


def rolled(s: Any, x: Tensor) -> Tensor:
    s.k = torch.roll(s.k, 1, 0)
    s.k[0] = x.mean()
    return x + s.k.sum()


def zeroed(s: Any, x: Tensor) -> Tensor:
    s.k.zero_()
    s.k.add_(x.sum(0))
    s.k.clamp_(min=0)
    return x * s.k


def of_another_dtype(s: Any, x: Tensor) -> Tensor:
    s.low.add_(x.mean(0))
    return x + s.low


def returned_buffer(s: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    s.k.add_(1)
    return x, s.k


def halves(s: Any, x: Tensor) -> Tensor:
    s.k[:1].copy_(x.mean(0)[:1])
    s.k.view(3, 1)[2].mul_(2)
    return x + s.k


def overwritten(s: Any, x: Tensor) -> Tensor:
    x.add_(1)
    return x * 2


def overwritten_view(s: Any, x: Tensor) -> Tensor:
    x[:, 0] *= 2
    return x.relu()


def own_views(s: Any, x: Tensor) -> Tensor:
    y = s.c(x)
    y[:, 0] *= 2
    y += x
    y.relu_()
    y[:, 1:].clamp_(max=1.0)
    return y


def flat_view(s: Any, x: Tensor) -> Tensor:
    y = s.c(x)
    y.view(y.shape[0], -1).add_(1)
    return y


def swapped(s: Any, x: Tensor) -> Tensor:
    s.k, s.n = s.n * 1.0, s.k + x.mean(0)
    return x + s.k


for written, given in {
    average: {"k": torch.zeros(3)},
    rebound: {"k": torch.zeros(3)},
    counter: {"n": torch.zeros(())},
    first_entry: {"k": torch.zeros(3)},
    key_value_cache: {"keys": torch.zeros(9, 3), "at": torch.zeros(1, dtype=torch.int64)},
    shifted_cache: {"k": torch.zeros(3, 4)},
    rolled: {"k": torch.zeros(4)},
    zeroed: {"k": torch.ones(3)},
    of_another_dtype: {},
    returned_buffer: {"k": torch.zeros(3)},
    halves: {"k": torch.zeros(3)},
    overwritten: {},
    overwritten_view: {},
    swapped: {"k": torch.zeros(3), "n": torch.ones(3)},
}.items():
    idiom(written.__name__, written, (2, 3), **given)
IDIOMS["of_another_dtype"][0].register_buffer("low", torch.zeros(3, dtype=torch.float32))
idiom("an integer counter", counter, (1, 3), n=torch.zeros((), dtype=torch.int64))
idiom("stream", stream, (1, 2, 8), c=nn.Conv1d(2, 2, 3), k=torch.zeros(1, 2, 2))
idiom("stream_of_any", stream_of_any, (2, 2, 8), c=nn.Conv1d(2, 2, 3), k=torch.zeros(1, 2, 2))
idiom("own_views", own_views, (2, 3, 5, 5), c=nn.Conv2d(3, 3, 3, padding=1))
idiom("flat_view", flat_view, (2, 3, 5, 5), c=nn.Conv2d(3, 3, 3, padding=1))
#: The models so far write buffers, inputs or views; those below have one function.
WRITING = tuple(IDIOMS)


def shuffled(s: Any, x: Tensor) -> Tensor:
    y = s.c(x).view(x.size(0), 2, 2, 8, 8).transpose(1, 2).contiguous().view(-1, 4, 8, 8)
    return s.c(y)


def standardised(s: Any, x: Tensor) -> Tensor:
    w = s.c.weight
    return F.conv2d(x, F.batch_norm(w.reshape(1, w.shape[0], -1), None, None, training=True).reshape_as(w))


def windows(s: Any, x: Tensor) -> Tensor:
    return x.view(x.shape[0], 2, 2, 2, 2).permute(0, 1, 3, 2, 4).reshape(-1, 4) @ s.w


def lazily(s: Any, x: Tensor) -> Tensor:
    if s.t is None or len(s.t) != x.shape[1]:
        s.t = torch.arange(x.shape[1]).to(x.dtype)
    return x + s.t


def many_outputs(s: Any, x: Tensor) -> Any:
    return {"a": [x, x.relu(), s.k], "b": (x * 2, {"n": x.mean(), "c": 3, "d": None, "e": "text"}), "f": x}


def decoded(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        w = s.l.weight / s.l.weight.norm()
        with torch.autocast("cpu", enabled=False):
            y = F.linear(x, w)
    return y.relu()


def in_half(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = s.l(x.float())
    return y.to(x.dtype) + x


C = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
idiom(
    "a buffer of integers made floating",
    lambda s, x: x * s.to_ + s.to_.to(x.dtype),
    (2, 3),
    to_=torch.tensor([1, 0, 1]),
)
idiom("a buffer of bools", lambda s, x: x.masked_fill(s.m.bool(), 0.0) + s.m.float(), (2, 3), m=torch.tensor([1, 0, 1]))
idiom("a number read out of a buffer", lambda s, x: x * s.k[1].item() + s.k.max().item(), (2, 3), k=C[0])
idiom("literals", lambda s, x: x * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor(2.0), (2, 3))
idiom("shuffled", shuffled, (2, 4, 8, 8), c=nn.Conv2d(4, 4, 3, padding=1))
idiom(
    "view and head",
    lambda s, x: s.l(s.c(x).view(x.size(0), -1)),
    (1, 1, 8, 8),
    c=nn.Conv2d(1, 4, 3),
    l=nn.Linear(144, 5),
)
idiom("bits", lambda s, x: x.view(torch.int64).double() * 2**-52, (2, 3))
idiom("standardised", standardised, (1, 2, 5, 5), c=nn.Conv2d(2, 3, 3))
idiom("a parametrisation", lambda s, x: s.l(x), (2, 3), l=nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
idiom("names of torch.fx", lambda s, x: s.graph(s.code(x)), (2, 3), graph=nn.Linear(3, 3), code=nn.Linear(3, 3))
idiom("windows", windows, (1, 4, 4), w=C[:4])
idiom("lazily", lazily, (2, 3), t=None)
idiom("many_outputs", many_outputs, (2, 3), k=C[0])
idiom("decoded", decoded, (2, 3), l=nn.Linear(3, 3))
idiom("in_half", in_half, (2, 3))
IDIOMS["in_half"][0].l = nn.Linear(3, 3).eval().requires_grad_(False)
idiom("a mean beside", lambda s, x: (x * 2, x.mean(0), x.sum()), (1, 3))
idiom("attention", lambda s, x: s.a(x, x, x), (2, 5, 8), a=nn.MultiheadAttention(8, 2, batch_first=True))
idiom("attention of sequences first", lambda s, x: s.a(x, x, x)[0], (2, 5, 8), a=nn.MultiheadAttention(8, 2))
idiom("an encoder", lambda s, x: s.a(x), (2, 5, 8), a=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
idiom("a recurrence", lambda s, x: s.a(x), (2, 5, 4), a=nn.GRU(4, 3, batch_first=True))
idiom("two", lambda s, a, b: a * 2 + b, (2, 3), (2, 3))
idiom("weights as input", lambda s, x, w: x @ w, (2, 3), (3, 4))
idiom("no statistics", lambda s, x: s.b(x), (2, 3, 4, 4), b=nn.BatchNorm2d(3, track_running_stats=False))
idiom("of the instance", lambda s, x: s.b(x), (2, 3, 4, 4), b=nn.InstanceNorm2d(3))
idiom("expanded", lambda s, x: s.k.expand(x.shape[0], -1) + s.k.expand_as(x) * x, (1, 3), k=C[:1])
idiom("unsqueezed", lambda s, x: (x.unsqueeze(0) + s.k[:1]).squeeze(0).unsqueeze(-1).squeeze(-1), (1, 3), k=C)
idiom("with ones", lambda s, x: torch.cat([x, torch.zeros_like(x), x.new_ones(x.shape[0], 1)], 1), (1, 3))
idiom("turned", lambda s, x: x.flip(0) + x.roll(1, 0), (2, 3))
idiom("pooled", lambda s, x: F.adaptive_avg_pool2d(F.interpolate(x, scale_factor=2), 3).flatten(1), (1, 2, 4, 4))
idiom("contracted", lambda s, x: torch.einsum("bij,kj->bki", x, s.k), (1, 3, 3), k=C)
