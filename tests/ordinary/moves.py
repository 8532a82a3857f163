"""Calls that move, cut, join, resize, pool and overwrite entries, as people write them."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .builders import Made, Shape, ints, is_image

_AVERAGE = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


_MAXIMUM = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


_MODES = {
    1: ("nearest", "linear"),
    2: ("nearest", "bilinear", "bicubic", "area", "nearest-exact"),
    3: ("nearest", "trilinear"),
}


def sliced(d: Random, s: Shape) -> Callable[..., Any] | None:
    axis = d.randrange(1, len(s) + 1)
    start, stop, step = d.choice(
        [(0, None, 2), (1, None, 1), (None, -1, 1), (-2, None, 1), (1, None, 2), (None, 10**6, 1)]
    )
    index = tuple([slice(None)] * axis + [slice(start, stop, step)])
    return d.choice([lambda x: x[index], lambda x: x[(..., slice(start, stop, step))], lambda x: x[index].contiguous()])


def reshaped(d: Random, s: Shape) -> Callable[..., Any] | None:
    n = math.prod(s)
    k = d.choice([k for k in (1, 2, 3, 4, 6, s[0]) if n % k == 0])
    return d.choice(
        [
            lambda x: x.view(x.size(0), -1),
            lambda x: x.view(x.shape[0], k, n // k),
            lambda x: x.reshape(-1, n // k, k),
            lambda x: x.reshape(len(x), *s),
            lambda x: torch.flatten(x, 1),
            lambda x: x.flatten(-2) if len(s) > 1 else x,
            lambda x: x.unflatten(1, (s[0], 1)),
            lambda x: x.contiguous().view(-1, k, n // k),
            lambda x: x.reshape(x.size(0), n),
            lambda x: x.reshape(-1, n).view_as(x),
            lambda x: x.reshape(1, -1, n)[0],
            lambda x: x.reshape(x.shape[0] * k, -1).reshape(-1, *s),
        ]
    )


def permuted(d: Random, s: Shape) -> Callable[..., Any] | None:
    order = list(range(1, len(s) + 1))
    d.shuffle(order)
    minus = [axis - len(s) - 1 for axis in order]
    return d.choice(
        [
            lambda x: x.permute(0, *order),
            lambda x: x.permute(0, *minus).contiguous(),
            lambda x: x.transpose(1, -1),
            lambda x: x.swapaxes(1, -1),
            lambda x: x.movedim(1, -1),
            lambda x: x.movedim(-1, 1),
            lambda x: torch.moveaxis(x, 1, -1).clone(),
        ]
    )


def reduced(d: Random, s: Shape) -> Callable[..., Any] | None:
    dims = d.choice([-1, 1, (1, -1), tuple(range(2, len(s) + 1)) or 1, [-1]])
    keep = d.random() < 0.4
    return d.choice(
        [lambda x: x.mean(dims, keepdim=keep), lambda x: x.sum(dims, keepdim=keep), lambda x: x.sum(dim=dims) * 0.5]
    )


def interpolated(d: Random, s: Shape) -> Callable[..., Any] | None:
    if len(s) not in (2, 3, 4):
        return None
    mode = d.choice(_MODES[len(s) - 1])
    aligned = {"align_corners": d.random() < 0.5} if "linear" in mode or "cubic" in mode else {}
    size = (
        {"scale_factor": d.choice([2, 0.5, 1.5])}
        if d.random() < 0.5
        else {"size": [n + d.choice([0, 1, n]) for n in s[1:]]}
    )
    return lambda x: F.interpolate(x, mode=mode, **size, **aligned)


def padded(d: Random, s: Shape) -> Callable[..., Any] | None:
    mode = d.choice(["constant", "constant", "reflect", "replicate", "circular"])
    axes = 1 if mode == "constant" and d.random() < 0.5 else len(s) - 1
    pads = [d.choice([0, 1, 1, 2] + [-1] * (mode == "constant")) for _ in range(2 * axes)]
    value = {"value": d.choice([0.0, 1.5])} if mode == "constant" else {}
    return (lambda x: F.pad(x, pads, mode, **value)) if axes else None


def shuffled(d: Random, s: Shape) -> Callable[..., Any] | None:
    if not is_image(s) or s[0] % 2:
        return None
    C, H, W = s
    return d.choice(
        [
            lambda x: x.view(x.size(0), 2, C // 2, H, W).transpose(1, 2).contiguous().view(x.size(0), -1, H, W),
            lambda x: x.reshape(-1, C // 2, 2, H, W).permute(0, 2, 1, 3, 4).flatten(1, 2),
            lambda x: F.channel_shuffle(x, 2),
            lambda x: torch.cat([x[:, C // 2 :], x[:, : C // 2]], 1),
            lambda x: torch.cat([part * 2 for part in x.chunk(2, 1)], dim=1),
        ]
    )


def chunked(d: Random, s: Shape) -> Callable[..., Any] | None:
    axis = d.randrange(1, len(s) + 1)
    n = s[axis - 1]
    k = d.randrange(1, n + 1)
    return d.choice(
        [
            lambda x: x.split([k, n - k], axis)[0],
            lambda x: x.split(k, axis)[-1],
            lambda x: sum(x.unbind(axis)) if len(s) > 1 else x,
            lambda x: torch.cat(list(reversed(x.chunk(2, axis))), axis),
            lambda x: torch.stack([x, -x], axis).flatten(axis, axis + 1),
            lambda x: x.narrow(axis, 0, k),
            lambda x: x.select(axis, k - 1) if len(s) > 1 else x,
            lambda x: torch.tensor_split(x, 2, axis)[0],
            lambda x: torch.hstack([x, x]),
            lambda x: x.chunk(3, axis)[0] + x.chunk(3, axis)[0],
        ]
    )


def indexed(d: Random, s: Shape) -> Made | None:
    axis = d.randrange(1, len(s) + 1)
    i = torch.tensor(ints(d, s[axis - 1], 3))
    picks = [
        lambda x, i: x.index_select(axis, i),
        lambda x, i: x[(slice(None),) * axis + (i,)],
        lambda x, i: x.gather(
            axis, i.view(*[1] * axis, 3, *[1] * (len(s) - axis)).expand(x.shape[0], *s[: axis - 1], 3, *s[axis:])
        ),
        lambda x, i: x[(slice(None),) * axis + ([0, 0],)],
        lambda x, i: x[(slice(None),) * axis + (0,)] if len(s) > 1 else x,
        lambda x, i: x.take_along_dim(i.view(*[1] * axis, 3, *[1] * (len(s) - axis)), axis),
    ]
    return d.choice(picks), {"i": i}


def widened(d: Random, s: Shape) -> Callable[..., Any] | None:
    axis = d.randrange(1, len(s) + 1)
    return d.choice(
        [
            lambda x: x.unsqueeze(axis),
            lambda x: x[:, None],
            lambda x: x.unsqueeze(-1).squeeze(-1),
            lambda x: x.squeeze(axis),
            lambda x: x.repeat(1, 2, *[1] * (len(s) - 1)),
            lambda x: torch.tile(x, (2,)),
            lambda x: x.repeat_interleave(2, axis),
            lambda x: x.unsqueeze(1).expand(-1, 3, *[-1] * len(s)),
            lambda x: x.flip(axis),
            lambda x: x.roll(1, axis),
            lambda x: x.expand(x.shape[0], *s),
            lambda x: x.broadcast_to(x.shape),
            lambda x: torch.flip(x, (-1, 1)),
            lambda x: x.squeeze(),
            lambda x: x.unsqueeze(1).expand_as(torch.zeros(x.shape[0], 2, *s)),
            lambda x: x.rot90(1, (-1, -2)) if len(s) > 1 else x,
        ]
    )


def pooled(d: Random, s: Shape) -> Made | None:
    if len(s) not in (2, 3, 4):
        return None
    r, k = len(s) - 1, d.choice([1, 2, 3])
    size = d.choice([1, 2, (2,) * r, s[1:]])
    average = {"ceil_mode": d.random() < 0.3, "count_include_pad": d.random() < 0.5}
    layer = d.choice(
        [
            _AVERAGE[r](k, d.choice([1, 2]), k // 2, **average),
            _MAXIMUM[r](k, 2, k // 2, ceil_mode=d.random() < 0.3),
            _AVERAGE[r](k),
            getattr(nn, f"AdaptiveAvgPool{r}d")(size),
            getattr(nn, f"AdaptiveMaxPool{r}d")(1),
        ]
    )
    return lambda x, p: p(x), {"p": layer}


def triangular(d: Random, s: Shape) -> Callable[..., Any] | None:
    if len(s) < 2:
        return None
    return d.choice(
        [
            lambda x: x.tril(),
            lambda x: x.triu(1),
            lambda x: x.diagonal(dim1=-2, dim2=-1),
            lambda x: x.cumsum(-1),
            lambda x: x.cumsum(1),
            lambda x: x.transpose(-1, -2),
            lambda x: x.mT,
            lambda x: torch.trace(x[0, :2, :2]) * x if len(s) == 2 else x,
            lambda x: x @ x.transpose(-1, -2),
            lambda x: x.unfold(-1, 2, 1),
            lambda x: x.unfold(-1, 2, 2).flatten(-2),
            lambda x: x.diff(dim=-1),
        ]
    )


def folded(d: Random, s: Shape) -> Callable[..., Any] | None:
    if not is_image(s) or s[1] % 2 or s[2] % 2:
        return None
    return d.choice(
        [
            lambda x: F.unfold(x, 2, stride=2),
            lambda x: F.unfold(x, 3, padding=1),
            lambda x: F.fold(F.unfold(x, 3, padding=1), s[1:], 3, padding=1),
            lambda x: F.pixel_unshuffle(x, 2),
            lambda x: F.pixel_shuffle(x, 2),
            lambda x: F.pixel_shuffle(torch.cat([x] * 4, 1), 2),
        ]
    )


def written(d: Random, s: Shape) -> Callable[..., Any] | None:
    """In place."""

    def halves(x: Tensor) -> Tensor:
        y = x * 1.5
        y[:, : (s[0] + 1) // 2] *= 2
        return y

    def into(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, 0] = x[:, -1]
        return y + x

    def fill(x: Tensor) -> Tensor:
        y = x.clone()
        y[..., 0] = 0
        return y

    def grown(x: Tensor) -> Tensor:
        y = x.new_zeros(x.shape[0], s[0] + 1, *s[1:])
        y[:, :-1] = x
        return y

    return d.choice(
        [
            halves,
            into,
            fill,
            grown,
            lambda x: (x + 1).relu_(),
            lambda x: (x * 2).add_(x),
            lambda x: x.clone().clamp_(min=0),
        ]
    )
