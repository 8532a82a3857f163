"""Layers and blocks as people write them: convolutions, norms, windows, patches, attention, heads."""

from __future__ import annotations

from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .builders import Made, Shape, is_image

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


_CONV_T = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


_NORM = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def conv(d: Random, s: Shape) -> Made | None:
    if len(s) not in (2, 3, 4):
        return None
    groups = d.choice([g for g in (1, 1, 1, 2, s[0]) if s[0] % g == 0])
    stride = d.choice([1, 1, 2])
    padding = d.choice([0, 1, "same"] if stride == 1 else [0, 1])
    mode = d.choice(["zeros"] * 4 + ["reflect", "circular", "replicate"])
    options = {"stride": stride, "padding": padding, "groups": groups, "bias": d.random() < 0.6}
    dilation, width = d.choice([1, 1, 2]), groups * d.choice([1, 2, 3])
    kernel = d.choice([1, 2, 3])
    return lambda x, c: c(x), {
        "c": _CONV[len(s) - 1](s[0], width, kernel, dilation=dilation, padding_mode=mode, **options)
    }


def conv_transpose(d: Random, s: Shape) -> Made | None:
    if len(s) not in (2, 3):
        return None
    stride = d.choice([1, 2])
    options = {
        "stride": stride,
        "padding": d.choice([0, 1]),
        "output_padding": d.randrange(stride),
        "bias": d.random() < 0.5,
    }
    return lambda x, c: c(x), {"c": _CONV_T[len(s) - 1](s[0], d.choice([1, 2, 3]), d.choice([2, 3]), **options)}


def standardised(d: Random, s: Shape) -> Made | None:
    """A convolution with standardised weights, as normaliser-free networks have them."""
    if not is_image(s):
        return None

    def function(x: Tensor, c: nn.Conv2d) -> Tensor:
        if training:
            w = F.batch_norm(c.weight.reshape(1, len(c.weight), -1), None, None, training=True, eps=1e-6).reshape_as(
                c.weight
            )
        else:
            w = c.weight - c.weight.mean((1, 2, 3), keepdim=True)
            w = w / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, c.bias, padding=1)

    training = d.random() < 0.5
    return function, {"c": nn.Conv2d(s[0], d.choice([2, 3]), 3)}


def scaled_conv(d: Random, s: Shape) -> Made | None:
    if not is_image(s):
        return None
    return lambda x, c, g: F.conv2d(x, c.weight * g.view(-1, 1, 1, 1), c.bias), {
        "c": nn.Conv2d(s[0], 3, 1),
        "g": torch.randn(3),
    }


def linear(d: Random, s: Shape) -> Made | None:
    return lambda x, f: f(x), {"f": nn.Linear(s[-1], d.choice([2, 4, 6]), bias=d.random() < 0.7)}


def norm(d: Random, s: Shape) -> Made | None:
    return (lambda x, n: n(x), {"n": _NORM[len(s) - 1](s[0], affine=d.random() < 0.8)}) if len(s) < 5 else None


def channels_last_norm(d: Random, s: Shape) -> Made | None:
    return (
        (lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), {"n": nn.LayerNorm(s[0])}) if is_image(s) else None
    )


def other_norm(d: Random, s: Shape) -> Made | None:
    options = [nn.LayerNorm(s[-1])]
    if is_image(s) and s[0] % 2 == 0:
        options += [nn.GroupNorm(2, s[0]), nn.InstanceNorm2d(s[0], affine=True)]
    return lambda x, n: n(x), {"n": d.choice(options)}


def through(d: Random, s: Shape) -> Made | None:
    """A linear layer on the channels of an image, as transformers write it."""
    return (
        (lambda x, f: f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous(), {"f": nn.Linear(s[0], 3)})
        if is_image(s)
        else None
    )


def tokens(d: Random, s: Shape) -> Made | None:
    return (lambda x, f: f(x.flatten(2).transpose(1, 2)), {"f": nn.Linear(s[0], 4)}) if is_image(s) else None


def patches(d: Random, s: Shape) -> Made | None:
    """Patches as MobileViT makes and unmakes them."""
    if not is_image(s) or s[1] % 2 or s[2] % 2:
        return None
    C, H, W = s

    def function(x: Tensor, f: nn.Module) -> Tensor:
        B = x.shape[0]
        y = (
            x.reshape(B * C * (H // 2), 2, W // 2, 2)
            .transpose(1, 2)
            .reshape(B, C, H * W // 4, 4)
            .transpose(1, 3)
            .reshape(B * 4, H * W // 4, C)
        )
        y = f(y)
        y = y.contiguous().view(B, 4, H * W // 4, -1).transpose(1, 3).reshape(B * C * (H // 2), W // 2, 2, 2)
        return y.transpose(1, 2).reshape(B, C, H, W)

    return function, {"f": nn.Linear(C, C)}


def windows(d: Random, s: Shape) -> Made | None:
    """Windows as Swin makes and unmakes them, perhaps shifted."""
    if not is_image(s) or s[1] % 2 or s[2] % 2:
        return None
    (C, H, W), shift = s, d.choice([0, 1])

    def function(x: Tensor, f: nn.Module) -> Tensor:
        y = x.permute(0, 2, 3, 1)
        y = torch.roll(y, (-shift, -shift), (1, 2)) if shift else y
        y = y.view(-1, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, C)
        y = f(y).view(-1, H // 2, W // 2, 2, 2, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, H, W, C)
        y = torch.roll(y, (shift, shift), (1, 2)) if shift else y
        return y.permute(0, 3, 1, 2)

    return function, {"f": nn.Linear(C, C)}


def merging(d: Random, s: Shape) -> Made | None:
    """Swin's patch merging."""
    if not is_image(s) or s[1] % 2 or s[2] % 2:
        return None
    function = lambda x, f: f(torch.cat([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], 1).permute(0, 2, 3, 1))  # noqa: E731
    return function, {"f": nn.Linear(4 * s[0], 3, bias=False)}


def attention(d: Random, s: Shape) -> Made | None:
    if len(s) != 2 or s[1] % 2:
        return None
    T, C = s
    style = d.choice(["module", "written", "fused"])

    def written(x: Tensor, f: nn.Module) -> Tensor:
        B = x.shape[0]
        q, k, v = f(x).reshape(B, T, 3, 2, C // 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = (
            F.scaled_dot_product_attention(q, k, v)
            if style == "fused"
            else ((q @ k.transpose(-2, -1)) * 0.5).softmax(-1) @ v
        )
        return y.transpose(1, 2).reshape(B, T, C)

    if style == "module":
        return lambda x, a: a(x, x, x)[0], {"a": nn.MultiheadAttention(C, 2, batch_first=True)}
    return written, {"f": nn.Linear(C, 3 * C)}


def pooled_attention(d: Random, s: Shape) -> Made | None:
    """CLIP's attention pool: a mean token before the others, positions added, the first token kept."""
    if not is_image(s):
        return None
    C, T = s[0], s[1] * s[2]

    def function(x: Tensor, f: nn.Module, p: Tensor) -> Tensor:
        y = x.flatten(2).permute(2, 0, 1)
        y = torch.cat([y.mean(0, keepdim=True), y], 0) + p[:, None, :]
        return f(y.permute(1, 0, 2))[:, 0]

    return function, {"f": nn.Linear(C, 4), "p": torch.randn(T + 1, C)}


def excite(d: Random, s: Shape) -> Made | None:
    return (
        (
            lambda x, a, b: x * b(a(x.mean((2, 3), keepdim=True)).relu()).sigmoid(),
            {"a": nn.Conv2d(s[0], 2, 1), "b": nn.Conv2d(2, s[0], 1)},
        )
        if is_image(s)
        else None
    )


def anchors(d: Random, s: Shape) -> Made | None:
    """A head as YOLO has it: a stride read out of a buffer, a grid, boxes."""
    if not is_image(s):
        return None
    _, H, W = s

    def function(x: Tensor, c: nn.Module, a: Tensor) -> Tensor:
        B = x.shape[0]
        y = c(x).view(B, 2, 3, H, W).permute(0, 1, 3, 4, 2).contiguous()
        gy, gx = torch.meshgrid(torch.arange(H, dtype=x.dtype), torch.arange(W, dtype=x.dtype), indexing="ij")
        xy = (y[..., :2] * 2 + torch.stack((gx, gy), -1)[None, None] - 0.5) * a[0].item()
        return torch.cat([xy, y[..., 2:].sigmoid()], -1).view(B, -1, 3)

    return function, {"c": nn.Conv2d(s[0], 6, 1), "a": torch.tensor([8.0, 16.0])}


def einsum(d: Random, s: Shape) -> Made | None:
    if len(s) == 2:
        return lambda x, w: torch.einsum("btc,dc->btd", x, w), {"w": torch.randn(3, s[1])}
    if is_image(s):
        rule = d.choice(["bchw,dc->bdhw", "bchw,dc->bhwd", "nchw,dc->ndwh"])
        return lambda x, w: torch.einsum(rule, x, w), {"w": torch.randn(2, s[0])}
    return (lambda x, w: x @ w, {"w": torch.randn(s[-1], 3)}) if len(s) == 1 else None


def product(d: Random, s: Shape) -> Made | None:
    w = torch.randn(s[-1], d.choice([2, 3]))
    b = torch.randn(w.shape[1])
    picks = [
        (lambda x, w: torch.matmul(x, w), {"w": w}),
        (lambda x, w: x @ w.double(), {"w": w}),
        (lambda x, w: F.linear(x, w.t()), {"w": w}),
        (lambda x, w, b: torch.addmm(b, x, w) if x.ndim == 2 else x @ w + b, {"w": w, "b": b}),
        (lambda x, w, b: torch.addmm(b, x, w, beta=2, alpha=0.5) if x.ndim == 2 else b - x @ w, {"w": w, "b": b}),
        (lambda x, w: torch.bmm(x, w.expand(x.shape[0], -1, -1)) if x.ndim == 3 else x @ w, {"w": w}),
        (lambda x, w: (w.t() @ x.unsqueeze(-1)).squeeze(-1), {"w": w}),
        (lambda x, w: torch.tensordot(x, w, dims=1), {"w": w}),
        (lambda x, b: torch.outer(b, x[:, 0] if x.ndim == 2 else x.flatten(1)[:, 0]).t(), {"b": b}),
        (lambda x, w: x.matmul(w).mul(2).add_(1), {"w": w}),
    ]
    return d.choice(picks)
