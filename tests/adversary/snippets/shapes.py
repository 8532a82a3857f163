"""Shapes: views, permutations, slices, gathers, repeats, strides, sizes in arithmetic, windows and sorting."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..corpus import IMAGE, ROW, TOKENS, add, linear, normal, numbers, snippet, weight, whole

L = {"l": linear(6, 8)}
CUBE = (4, 6)

add("flatten", lambda s, x: s.l(x.flatten(1)), CUBE, l=linear(24, 3))
add("view and back", lambda s, x: s.l(x.view(-1, 6)).view(-1, 4, 8).relu(), CUBE, **L)
add("views of a maximum", lambda s, x: x.view(-1, 2, 3, 4).amax((1, 3)), (24,))
add("permuted", lambda s, x: s.l(x).permute(0, 2, 1).relu().permute(0, 2, 1), CUBE, **L)
add("transposed rows", lambda s, x: s.l(x).mT.contiguous().flatten(1), CUBE, **L)
add("swapped", lambda s, x: x.swapaxes(1, 2).tanh().swapdims(-1, -2).movedim(1, 2), CUBE)
add("squeezed", lambda s, x: s.l(x.unsqueeze(1)).squeeze(1).relu(), ROW, **L)
add("squeeze all", lambda s, x: s.l(x)[..., :1].squeeze(), ROW, **L)
add("first of two", lambda s, x: s.l(x).view(-1, 2, 4)[:, 0] - s.l(x).view(-1, 2, 4)[:, 1], ROW, **L)
add("kept slice", lambda s, x: s.l(x)[:, 1::2] * 2 + x[:, :4], ROW, **L)
add("ellipsis", lambda s, x: x[..., 1:, ::2] - x[..., :-1, 1::2], CUBE)
add("negative slice", lambda s, x: torch.cat([x[:, -2:], x[:, :-2]], 1), ROW)
add("indexed", lambda s, x: x[:, [3, 0, 5]] + x[:, s.i], ROW, i=numbers([1, 1, 2]))
add("bool indexed", lambda s, x: x[:, s.m], ROW, m=numbers([True, False, True, True, False, True]))
add("picked", lambda s, x: (x.select(1, 2), x.index_select(1, s.i), x.narrow(1, 1, 3)), ROW, i=numbers([4, 2]))
add("rolled", lambda s, x: x.roll(2, 1) + x.roll((1, -1), (1, 2)).flip(1, 2), CUBE)
add("rotated", lambda s, x: x.rot90(1, (2, 3)) - x.flip(-1), (2, 3, 3))
add("split evenly", lambda s, x: sum(part * (i + 1) for i, part in enumerate(s.l(x).chunk(4, -1))), ROW, **L)
add("split unevenly", lambda s, x: s.l(x).split([2, 3, 3], -1), ROW, **L)
add("unbound", lambda s, x: torch.stack([a.relu() for a in x.unbind(1)], 2), CUBE)
add("repeated", lambda s, x: (x.repeat(1, 2), x.repeat_interleave(2, 1), torch.tile(x, (1, 3))), ROW)
add("expanded", lambda s, x: x.unsqueeze(1).expand(-1, 3, -1) * s.w, ROW, w=normal(3, 1))
add("broadcast", lambda s, x: x[:, None] + x[:, :, None] * s.w, ROW, w=normal(6, 6))
add("outer product", lambda s, x: (s.l(x)[:, :, None] * s.k[None, None]).flatten(1), ROW, k=normal(2), **L)
add("triangles", lambda s, x: x.view(-1, 4, 4).tril(-1) + x.view(-1, 4, 4).triu(1).transpose(1, 2), (16,))
add("diagonal", lambda s, x: (x.diagonal(dim1=1, dim2=2), torch.diag_embed(x[:, 0]), torch.einsum("bii->b", x)), (4, 4))
add("einsum", lambda s, x: torch.einsum("bij,kj->bki", x, s.w), CUBE, w=weight(3, 6))
add("tensordot", lambda s, x: torch.tensordot(x, s.w, dims=([1, 2], [0, 1])), CUBE, w=weight(4, 6, 2))
add(
    "matrix products",
    lambda s, x: (s.w @ x, x @ x.transpose(1, 2), torch.matmul(x, s.v)),
    CUBE,
    w=weight(3, 4),
    v=normal(6),
)
add("kron by view", lambda s, x: (x.view(-1, 3, 1, 2) * s.w.view(1, 1, 2, 1)).reshape(-1, 12), ROW, w=normal(2))
add("unfolded", lambda s, x: x.unfold(1, 3, 2) @ s.w, ROW, w=normal(3))
add("padded rows", lambda s, x: s.l(F.pad(x, (1, 2), value=0.5)), (3,), **L)
add("sizes as numbers", lambda s, x: x.new_ones(x.shape[0], 1) * s.l(x).sum(-1, keepdim=True) / x.size(1), ROW, **L)
add("batch size as a number", lambda s, x: s.l(x) * x.shape[0], ROW, **L)
add("greatest batch size", lambda s, x: x * torch.sym_max(x.shape[0], 3), ROW)
add("part of the batch size", lambda s, x: s.l(x) + (1 + x.shape[0] // 4), ROW, **L)
add("batch size divides", lambda s, x: s.l(x).sum(0) / x.shape[0], ROW, **L)
add("place in the batch", lambda s, x: x + torch.arange(x.shape[0])[:, None], ROW)
add("order of the batch", lambda s, x: (x.flip(0), x.cumsum(0), x[:1]), ROW)
add("repeat along the batch", lambda s, x: x.repeat_interleave(2, 0).view(-1, 2, 6).sum(1), ROW)
add("pairs of samples", lambda s, x: (x @ x.t()).relu(), ROW)
add("sorted", lambda s, x: tuple(s.l(x).sort(-1, descending=True)), ROW, **L)
add("ranked", lambda s, x: (x.argsort(1), x.topk(3, 1).values, x.kthvalue(2, 1).values, x.median(1).values), ROW)
add("winners", lambda s, x: (s.l(x).argmax(-1), s.l(x).max(-1).values, s.l(x).min(-1).indices), ROW, **L)
add("scattered", lambda s, x: torch.zeros_like(x).scatter(1, x.topk(2, -1).indices, 1.0) * x, ROW)
add("scatter added", lambda s, x, i: torch.zeros_like(x).scatter_add(1, i, x), ROW, whole(6, 6))
add("gathered", lambda s, x, i: x.gather(1, i) + torch.take_along_dim(x, i, 1), ROW, whole(6, 6))
add("index put", lambda s, x: x.t().index_put((s.i,), s.v[:, None]).t(), ROW, i=numbers([0, 2]), v=normal(2))
add("index added", lambda s, x: x.index_add(1, s.i, x[:, :3], alpha=2), ROW, i=numbers([0, 2, 2]))
add("strided", lambda s, x: torch.as_strided(s.l(x).contiguous(), (x.shape[0], 3), (8, 2), 1), ROW, **L)
add("strided of a transpose", lambda s, x: s.l(x).t().contiguous().t().as_strided((2, 2), (1, 2)), ROW, **L)
add("batch to channels", lambda s, x: x.transpose(0, 1).reshape(6, -1).t(), ROW)
add("grid of the batch", lambda s, x: x.reshape(-1, 2, 3).transpose(0, 1).mean(0), ROW)
add("meshgrid", lambda s, x: x + torch.cartesian_prod(torch.arange(2.0), torch.arange(3.0)).flatten()[:6], ROW)
add("linspace", lambda s, x: x * torch.linspace(0, 1, x.shape[-1]) + torch.eye(6)[1], ROW)
add("full and zeros", lambda s, x: torch.full_like(x, 0.5) * x + torch.zeros(x.shape[0], 6) - x.new_full((6,), 2), ROW)


@snippet(TOKENS)
def einops_like(s, x):
    batch, time, width = x.shape
    y = x.reshape(batch, time, 2, width // 2).permute(0, 2, 1, 3).reshape(batch * 2, time, width // 2)
    return y.softmax(1).reshape(batch, 2, time, width // 2).mean(1)


@snippet(IMAGE)
def space_to_depth(s, x):
    batch, channels, height, width = x.shape
    y = x.view(batch, channels, height // 2, 2, width // 2, 2)
    return y.permute(0, 3, 5, 1, 2, 4).contiguous().view(batch, channels * 4, height // 2, width // 2)


@snippet(IMAGE, l=linear(3, 4))
def to_rows_and_back(s, x):
    y = s.l(x.flatten(2).transpose(1, 2))
    return y.transpose(1, 2).unflatten(2, x.shape[2:]).relu()


@snippet(ROW)
def rows_in_place(s, x):
    y = torch.zeros(x.shape[0], 8)
    y[:, 1:7] = x
    y[:, 0] = x[:, 5]
    y[:, -1].fill_(2.0)
    return y


@snippet(ROW)
def views_written_through(s, x):
    y = x.clone()
    part = y.view(-1, 2, 3)[:, 1]
    part.mul_(2).add_(1)
    return y.relu_(), part


@snippet(ROW, l=linear(6, 6))
def branch_at_one_sample(s, x):
    if x.shape[0] == 1:
        return s.l(x) + 1
    return s.l(x)


@snippet(ROW)
def loop_over_entries(s, x):
    total = x[:, 0]
    for i in range(1, x.shape[1]):
        total = torch.maximum(total * 0.5, x[:, i])
    return total
