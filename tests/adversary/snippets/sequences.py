"""Networks of sequences: attention, masks, positions, embeddings, recurrences, mixtures and state spaces."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..corpus import TOKENS, Drawn, add, bools, linear, normal, numbers, snippet, stack, weight, whole

QKV = {"l": linear(8, 24), "o": linear(8, 8)}
WORDS = whole(9, 5)

add("encoder layer", partial(nn.TransformerEncoderLayer, 8, 2, 16, batch_first=True), (4, 8))
add(
    "encoder layer, norm first",
    partial(nn.TransformerEncoderLayer, 8, 2, 16, batch_first=True, norm_first=True, activation="gelu"),
    (4, 8),
)
add("attention module", lambda s, x: s.a(x, x, x), TOKENS, a=partial(nn.MultiheadAttention, 8, 2, batch_first=True))
add(
    "attention without weights",
    lambda s, x: s.a(x, x, x, need_weights=False)[0],
    TOKENS,
    a=partial(nn.MultiheadAttention, 8, 2, batch_first=True),
)
add(
    "attention, sequence first",
    lambda s, x: s.a(x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1))[0].transpose(0, 1),
    TOKENS,
    a=partial(nn.MultiheadAttention, 8, 2),
)
add(
    "cross attention",
    lambda s, x, y: F.scaled_dot_product_attention(s.q(x), s.k(y), s.v(y)),
    TOKENS,
    (3, 8),
    q=linear(8, 4),
    k=linear(8, 4),
    v=linear(8, 4),
)
add("rms norm", lambda s, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * s.w, TOKENS, w=weight(8))
add("rms norm of torch", lambda s, x: F.rms_norm(x, (8,), s.w, 1e-5), TOKENS, w=weight(8))
add("layer norm", stack(linear(8, 8), partial(nn.LayerNorm, 8), nn.GELU, linear(8, 3)), TOKENS)
add(
    "layer norm by hand",
    lambda s, x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt() * s.w + s.b,
    TOKENS,
    w=weight(8),
    b=weight(8),
)
add("gated unit", lambda s, x: F.glu(s.l(x), -1), TOKENS, l=linear(8, 6))
add("swiglu", lambda s, x: s.o(F.silu(s.a(x)) * s.b(x)), TOKENS, a=linear(8, 6), b=linear(8, 6), o=linear(6, 8))
add(
    "positions learned",
    lambda s, i: s.l(F.embedding(i, s.w, padding_idx=0) + s.p[: i.shape[1]]),
    WORDS,
    w=normal(9, 4),
    p=weight(7, 4),
    l=linear(4, 4),
)
add("bag of words", lambda s, i: s.e(i), WORDS, e=partial(nn.EmbeddingBag, 9, 4, mode="sum"))
add("embedding module", stack(partial(nn.Embedding, 9, 4), partial(nn.Flatten, 1), linear(20, 3)), WORDS)
add("one hot words", lambda s, i: F.one_hot(i, 9).float() @ s.w, WORDS, w=weight(9, 4))
add("tied words", lambda s, i: F.linear(s.e(i).relu(), s.e.weight), WORDS, e=partial(nn.Embedding, 9, 4))
add("last word", lambda s, i: s.e(i)[:, -1], WORDS, e=partial(nn.Embedding, 9, 4))
add(
    "mean of words",
    lambda s, i: (s.e(i) * (i != 0).unsqueeze(-1)).sum(1) / (i != 0).sum(1, keepdim=True).clamp(min=1),
    WORDS,
    e=partial(nn.Embedding, 9, 4),
)
add("lstm", lambda s, x: s.r(x)[0], (3, 4), r=partial(nn.LSTM, 4, 3, batch_first=True, bidirectional=True))
add("lstm with its state", lambda s, x: s.r(x), (3, 4), r=partial(nn.LSTM, 4, 3, batch_first=True, num_layers=2))
add("gru", lambda s, x: s.r(x), (3, 4), r=partial(nn.GRU, 4, 3, batch_first=True))
add("rnn", lambda s, x: s.r(x), (3, 4), r=partial(nn.RNN, 4, 3, batch_first=True))
add("lstm cell", lambda s, x: dict(zip("hc", s.c(x), strict=True)), (4,), c=partial(nn.LSTMCell, 4, 3))
add(
    "masked softmax",
    lambda s, x, m: torch.nan_to_num(s.l(x).masked_fill(m, -1e9).softmax(-1)) * ~m,
    (4,),
    bools(6),
    l=linear(4, 6),
)
add("key mask", lambda s, x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m[:, None, :]), TOKENS, bools(5))
add(
    "additive mask input",
    lambda s, x, m: (x @ x.transpose(-1, -2) + m).softmax(-1) @ x,
    TOKENS,
    Drawn((5, 5), batched=False),
)
add("linear attention", lambda s, x: (F.elu(x) + 1) @ ((F.elu(x) + 1).transpose(1, 2) @ s.l(x)), TOKENS, l=linear(8, 4))
add(
    "relative bias",
    lambda s, x: (x @ x.transpose(1, 2) + s.b[s.i]).softmax(-1) @ x,
    TOKENS,
    b=weight(9),
    i=numbers([[j - i + 4 for j in range(5)] for i in range(5)]),
)
add(
    "temporal convolution",
    lambda s, x: x + s.c(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2).relu(),
    TOKENS,
    c=partial(nn.Conv1d, 8, 8, 3),
)
add(
    "class token",
    lambda s, x: s.l(torch.cat([s.t.expand(x.shape[0], -1, -1), x], 1))[:, 0],
    TOKENS,
    t=weight(1, 1, 8),
    l=linear(8, 3),
)
add("pooled sequence", lambda s, x: torch.cat([x.mean(1), x.amax(1), x[:, -1]], -1), TOKENS)
add("log softmax", lambda s, x: s.l(x).log_softmax(-1), TOKENS, l=linear(8, 3))
add(
    "cosine attention",
    lambda s, x: (F.normalize(s.l(x), dim=-1) @ F.normalize(x, dim=-1).transpose(-2, -1)) * s.t.exp(),
    TOKENS,
    l=linear(8, 8),
    t=weight(1),
)


@snippet(TOKENS, m=lambda: torch.ones(5, 5).triu(1).bool(), **QKV)
def attention_with_a_mask(s, x):
    q, k, v = s.l(x).chunk(3, -1)
    w = (q @ k.transpose(-1, -2) / 2.0).masked_fill(s.m, float("-inf")).softmax(-1)
    return s.o(w @ v)


@snippet(TOKENS, m=lambda: torch.full((5, 5), float("-inf")).triu(1), **QKV)
def attention_with_an_added_mask(s, x):
    q, k, v = s.l(x).split(8, -1)
    return s.o(torch.bmm(torch.softmax(torch.baddbmm(s.m, q, k.mT, alpha=0.5), -1), v))


@snippet(TOKENS, **QKV)
def attention_heads(s, x):
    batch, time, _ = x.shape
    q, k, v = s.l(x).view(batch, time, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return s.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, time, 8))


@snippet(TOKENS, **QKV)
def attention_by_einsum(s, x):
    q, k, v = (y.unflatten(-1, (2, 4)) for y in s.l(x).chunk(3, dim=-1))
    w = torch.einsum("bihd,bjhd->bhij", q, k).mul(0.5).softmax(-1)
    return s.o(torch.einsum("bhij,bjhd->bihd", w, v).flatten(-2))


@snippet(TOKENS, co=lambda: torch.randn(5, 4).cos(), si=lambda: torch.randn(5, 4).sin())
def rotary(s, x):
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * s.co - b * s.si, a * s.si + b * s.co], -1).flatten(-2)


@snippet(TOKENS, co=lambda: torch.randn(5, 8).cos(), si=lambda: torch.randn(5, 8).sin())
def rotary_by_halves(s, x):
    a, b = x.chunk(2, -1)
    return x * s.co + torch.cat([-b, a], -1) * s.si


@snippet(TOKENS, l=linear(8, 8))
def sinusoidal_positions(s, x):
    time = torch.arange(x.shape[1], dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, 8, 2, dtype=torch.float32) * -0.5)
    place = torch.stack([(time * rate).sin(), (time * rate).cos()], -1).flatten(1)
    return s.l(x + place.to(x.dtype))


@snippet(TOKENS)
def alibi(s, x):
    i = torch.arange(5)
    bias = -(i[None, :] - i[:, None]).abs() * 0.25
    return (x @ x.mT + bias).softmax(-1) @ x


@snippet((3, 4), c=partial(nn.GRUCell, 4, 4))
def gru_cells(s, x):
    h = x.new_zeros(x.shape[0], 4)
    for t in range(3):
        h = s.c(x[:, t], h)
    return h


@snippet((4, 3), a=weight(3), b=weight(3))
def state_space(s, x):
    h, found = torch.zeros_like(x[:, 0]), []
    for y in x.unbind(1):
        h = torch.sigmoid(s.a) * h + s.b * y
        found.append(h)
    return torch.stack(found, 1)


@snippet((4,), g=linear(4, 3), a=linear(4, 5), b=linear(4, 5), c=linear(4, 5))
def mixture_of_experts(s, x):
    w, i = s.g(x).softmax(-1).topk(2, -1)
    y = torch.stack([s.a(x), s.b(x), s.c(x)], 1)
    return (y.gather(1, i[..., None].expand(-1, -1, 5)) * w[..., None]).sum(1)


@snippet(WORDS, w=normal(9, 4))
def words_and_whole_numbers(s, i):
    return F.embedding(i, s.w).sum(1), (i % 3 == 0).sum(-1), i // 2 + i * 3


@snippet(TOKENS, a=linear(8, 8), b=linear(5, 5))
def mixer(s, x):
    x = x + s.b(x.transpose(1, 2)).relu().transpose(1, 2)
    return x + F.gelu(s.a(x))


@snippet(TOKENS, WORDS, l=linear(8, 9))
def loss_in_forward(s, x, i):
    y = s.l(x)
    return y, -y.log_softmax(-1).gather(-1, i[..., None])[..., 0].mean(-1)


@snippet(TOKENS, l=linear(8, 8))
def packed_views(s, x):
    y = s.l(x).reshape(-1, 8)
    return y.view(x.shape[0], -1).relu(), y.view(x.size(0), 5, 2, 4).transpose(2, 3).flatten(2)
