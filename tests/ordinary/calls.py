"""A hundred-odd calls as people write them, by name.

CALLS    name -> builder; many of them draw among several calls
BOTH     the names of those that take two values, with what their shapes must have in common
ANY      the names of those that take values of one number for each sample as well
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .builders import Builder, Made, Shape, chosen, plain
from .layers import (
    anchors,
    attention,
    channels_last_norm,
    conv,
    conv_transpose,
    einsum,
    excite,
    linear,
    merging,
    norm,
    other_norm,
    patches,
    pooled_attention,
    product,
    scaled_conv,
    standardised,
    through,
    tokens,
    windows,
)
from .moves import (
    chunked,
    folded,
    indexed,
    interpolated,
    padded,
    permuted,
    pooled,
    reduced,
    reshaped,
    shuffled,
    sliced,
    triangular,
    widened,
    written,
)


def constant(op: Callable[[Tensor, Tensor], Tensor]) -> Builder:
    """A number, a vector, a map or what is broadcast, as the other argument."""

    def build(d: Random, s: Shape) -> Made | None:
        sizes = d.choice([(), (1,), s[-1:], s, (1, *s), (s[0], *[1] * (len(s) - 1)), (1, s[0], *[1] * (len(s) - 1))])
        if d.random() < 0.3:
            number = d.choice([2, 0.5, -1.0, 3])
            return lambda x: op(x, number), {}
        k = torch.randn(sizes)
        return lambda x, k: op(x, k), {"k": k + k.sign()}

    return build


def numbers(d: Random, s: Shape) -> Callable[..., Any] | None:
    k = d.choice([2, 0.5, -1.5, 3])
    return d.choice(
        [
            lambda x: x * k + 1,
            lambda x: 1 - x,
            lambda x: k * x - x / k,
            lambda x: torch.add(x, x, alpha=k),
            lambda x: torch.sub(x, 1, alpha=2),
            lambda x: torch.rsub(x, k),
            lambda x: x.neg() + x.clone(),
            lambda x: x / x.shape[1],
            lambda x: x * x.size(-1) ** -0.5,
            lambda x: x + torch.tensor(k, dtype=x.dtype),
            lambda x: x * torch.full((1,), k, dtype=x.dtype).item(),
            lambda x: x + 0,
            lambda x: x * 1.0,
            lambda x: torch.lerp(x, x * k, 0.25),
            lambda x: torch.addcmul(x, x, torch.ones_like(x), value=k),
            lambda x: x.detach() + x,
            lambda x: +x - 0 * x,
            lambda x: x.to(torch.float64),
            lambda x: x.double() * 2,
            lambda x: x.float().double(),
            lambda x: torch.true_divide(x, k),
            lambda x: x.type_as(x) - k,
            lambda x: x.div(k).mul(k),
            lambda x: x + torch.ones(s, dtype=x.dtype),
            lambda x: x - torch.arange(s[-1], dtype=x.dtype),
        ]
    )


def smooth(d: Random, s: Shape) -> Callable[..., Any] | None:
    return d.choice(
        [
            torch.relu,
            F.relu6,
            F.gelu,
            F.silu,
            torch.sigmoid,
            torch.tanh,
            F.hardswish,
            F.elu,
            F.softplus,
            torch.abs,
            F.mish,
            torch.sin,
            F.hardsigmoid,
            lambda x: x.softmax(-1),
            lambda x: F.log_softmax(x, 1),
            lambda x: F.leaky_relu(x, 0.2),
            lambda x: x.clamp(-1, 1),
            lambda x: x * x.sigmoid(),
            lambda x: F.normalize(x, dim=1),
            lambda x: x.pow(2),
            lambda x: x**2 / (1 + x**2),
            lambda x: torch.where(x > 0, x, 0.1 * x),
            lambda x: x.exp().clamp(max=9.0),
            lambda x: x.masked_fill(x < 0, 0.0),
            lambda x: torch.maximum(x, torch.zeros_like(x)),
            lambda x: x.amax(-1),
            lambda x: x.max(1).values,
            lambda x: x * (x > 0),
            lambda x: F.dropout(x, 0.5, training=False),
            lambda x: x.sign(),
            lambda x: x.floor() * 0.5,
            lambda x: x.sort(-1).values,
            lambda x: x.std(-1),
            lambda x: x.norm(dim=-1),
            lambda x: x / (x.abs().sum() + 1),
            lambda x: x.topk(1, -1).values,
            lambda x: torch.atan2(x, x + 3),
            lambda x: x.argmax(-1, keepdim=True).double(),
            lambda x: (x.reciprocal() * 1e-3).clamp(-1, 1),
            lambda x: x.logsumexp(1),
            lambda x: x * x.detach(),
        ]
    )


def mixed(d: Random, s: Shape) -> Callable[..., Any] | None:
    """Calls that mix samples, or know their number."""
    return d.choice(
        [
            lambda x: x - x.mean(0),
            lambda x: x.flip(0),
            lambda x: x + x.sum(0, keepdim=True) * 0.1,
            lambda x: x.roll(1, 0),
            lambda x: x * x.shape[0],
            lambda x: x.cumsum(0),
            lambda x: x - x[:1],
            lambda x: x + x.mean(),
            lambda x: x.transpose(0, 1).transpose(0, 1),
            lambda x: x.softmax(0),
            lambda x: torch.cat([x, x])[: x.shape[0]],
            lambda x: x.reshape(-1).reshape(x.shape),
            lambda x: x / (1 + x.shape[0] // 4),
            lambda x: x.T.T if x.ndim == 2 else x,
            lambda x: x.flatten().view(-1, math.prod(s)),
            lambda x: torch.stack(list(x.unbind(1)), 0).movedim(0, 1),
            lambda x: x.flatten(0, 1).unflatten(0, (-1, s[0])),
        ]
    )


def same(a: Shape, b: Shape) -> bool:
    return tuple(a) == tuple(b)


def but_channels(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) > 2 and tuple(a[2:]) == tuple(b[2:])


def zeros_below(x: Tensor, y: Tensor) -> Tensor:
    """A shortcut whose channels are padded."""
    more = y.shape[1] - x.shape[1]
    return y + (torch.cat([x, torch.zeros_like(x[:, :1]).repeat(1, more, *[1] * (x.ndim - 2))], 1) if more > 0 else 0)


BOTH: dict[str, Callable[[Shape, Shape], bool]] = {
    **dict.fromkeys(("add", "sub", "mul", "add in place", "weighted", "cat last", "stack"), same),
    **dict.fromkeys(("cat", "shortcut"), but_channels),
}


#: Calls on values that are one number for each sample as well.
ANY = frozenset(["add", "sub", "mul", "add in place", "weighted", "stack"])


CALLS: dict[str, Builder] = {
    "conv": conv,
    "conv again": conv,
    "conv once more": conv,
    "transposed": conv_transpose,
    "standardised": standardised,
    "scaled": scaled_conv,
    "linear": linear,
    "linear again": linear,
    "norm": norm,
    "norm again": norm,
    "channels last": channels_last_norm,
    "other norm": other_norm,
    "through": through,
    "tokens": tokens,
    "patches": patches,
    "windows": windows,
    "merging": merging,
    "attention": attention,
    "pooled attention": pooled_attention,
    "plus": constant(lambda x, k: x + k),
    "minus": constant(lambda x, k: k - x),
    "times": constant(lambda x, k: x * k),
    "over": constant(lambda x, k: x / k),
    "slice": chosen(sliced),
    "reshape": chosen(reshaped),
    "reshape again": chosen(reshaped),
    "permute": chosen(permuted),
    "permute again": chosen(permuted),
    "reduce": chosen(reduced),
    "interpolate": chosen(interpolated),
    "pad": chosen(padded),
    "shuffle": chosen(shuffled),
    "chunk": chosen(chunked),
    "index": indexed,
    "widen": chosen(widened),
    "pool": pooled,
    "triangle": chosen(triangular),
    "fold": chosen(folded),
    "einsum": einsum,
    "product": product,
    "in place": chosen(written),
    "numbers": chosen(numbers),
    "smooth": chosen(smooth),
    "smooth again": chosen(smooth),
    "mixed": chosen(mixed),
    "excite": excite,
    "anchors": anchors,
    "add": plain(lambda x, y: x + y),
    "sub": plain(lambda x, y: x - y),
    "mul": plain(lambda x, y: x * y),
    "add in place": plain(lambda x, y: (x * 1).add_(y)),
    "weighted": plain(lambda x, y: 0.5 * x + 2 * y),
    "cat": plain(lambda x, y: torch.cat([x, y], 1)),
    "cat last": plain(lambda x, y: torch.cat((x, y), -1)),
    "stack": plain(lambda x, y: torch.stack([x, y], 1)),
    "shortcut": plain(zeros_below),
}
