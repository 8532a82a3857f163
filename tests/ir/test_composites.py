"""One call in two spellings is one call; what torch computes by another kernel, or of other numbers, is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.ir.composites import decomposed
from algebraic_cnn.ir.sized import sized
from algebraic_cnn.ir.trace import trace

Function = Callable[[Any, Tensor], Any]


class _Of(nn.Module):
    """A function of a module with numbers, and an input."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(5, 4, generator=generator))
        self.register_buffer("mask", torch.tensor([True, False, True, True]))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def _input(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


ROW, TOKENS, IMAGE = (2, 4), (2, 6, 4), (2, 3, 8, 8)

SAME: dict[str, tuple[tuple[int, ...], Function, Function]] = {
    "mT": (TOKENS, lambda m, x: torch.sin(x).mT, lambda m, x: torch.sin(x).transpose(-2, -1)),
    "mH": (TOKENS, lambda m, x: (x @ x.mH).softmax(-1), lambda m, x: (x @ x.transpose(1, 2)).softmax(2)),
    "einsum with a parameter": (
        ROW,
        lambda m, x: torch.relu(torch.einsum("bi,oi->bo", x, m.weight)),
        lambda m, x: torch.relu(F.linear(x, m.weight)),
    ),
    "einsum of heads": (
        TOKENS,
        lambda m, x: torch.einsum("bihd,bjhd->bhij", x.view(-1, 6, 2, 2), x.sin().view(-1, 6, 2, 2)).softmax(-1),
        lambda m, x: (
            x.view(-1, 6, 2, 2).transpose(1, 2) @ x.sin().view(-1, 6, 2, 2).transpose(1, 2).transpose(-2, -1)
        ).softmax(-1),
    ),
    "einsum that permutes": (
        TOKENS, lambda m, x: torch.sin(torch.einsum("bij->bji", x)), lambda m, x: torch.sin(x).permute(0, 2, 1),
    ),
    "outer product": (
        ROW, lambda m, x: torch.einsum("bi,bj->bij", x, x.sin()), lambda m, x: x[:, :, None] * x.sin()[:, None],
    ),
    "max_pool2d with indices": (
        IMAGE, lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0], lambda m, x: nn.MaxPool2d(2)(x),
    ),
    "max_pool1d with indices": (
        TOKENS, lambda m, x: F.max_pool1d(x, 2, return_indices=True)[0], lambda m, x: F.max_pool1d(x, 2),
    ),
    "where with a number": (
        ROW,
        lambda m, x: torch.where(x > 0.5, x.sin(), 0.0),
        lambda m, x: torch.where(x > 0.5, x.sin(), torch.zeros(())),
    ),
    "where with zeros_like": (
        ROW,
        lambda m, x: torch.where(x > 0.5, x.sin(), 0.0),
        lambda m, x: torch.where(torch.greater(x, 0.5), x.sin(), torch.zeros_like(x)),
    ),
    "masked_fill of what is not so": (
        ROW, lambda m, x: torch.where(x > 0.5, x.sin(), 0.0), lambda m, x: x.sin().masked_fill(~(x > 0.5), 0.0),
    ),
    "masked_fill by a constant": (
        ROW,
        lambda m, x: torch.where(m.mask, x, -math.inf).softmax(-1),
        lambda m, x: x.masked_fill(~m.mask, -math.inf).softmax(-1),
    ),
    "baddbmm": (
        TOKENS,
        lambda m, x: torch.baddbmm(torch.ones(1, 6, 6), x, x.sin().mT, alpha=0.5).sin(),
        lambda m, x: (x @ x.sin().mT * 0.5 + 1).sin(),
    ),
    "linalg.matmul": (TOKENS, lambda m, x: torch.linalg.matmul(x, x.mT), lambda m, x: torch.bmm(x, x.mT)),
    "linalg.vecdot": (ROW, lambda m, x: torch.linalg.vecdot(x, x.sin()), lambda m, x: (x * x.sin()).sum(-1)),
    "linalg.norm": (ROW, lambda m, x: torch.linalg.norm(x, dim=-1), lambda m, x: x.norm(dim=-1)),
    "normalize": (ROW, lambda m, x: F.normalize(x), lambda m, x: x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)),
    "square": (ROW, lambda m, x: x.square(), lambda m, x: x * x),
    "power 2": (ROW, lambda m, x: x**2, lambda m, x: x * x),
    "power 1/2": (ROW, lambda m, x: x.abs() ** 0.5, lambda m, x: x.abs().sqrt()),
    "power -1/2": (ROW, lambda m, x: (x * x + 1) ** -0.5, lambda m, x: (x * x + 1).rsqrt()),
    "clip": (ROW, lambda m, x: torch.clip(x, -1, 1), lambda m, x: F.hardtanh(x)),
    "and of bools": (
        ROW,
        lambda m, x: torch.where((x > 0) & (x < 1), x, -x),
        lambda m, x: torch.where(torch.logical_and(x > 0, x < 1), x, -x),
    ),
    "variance": (ROW, lambda m, x: x.var(-1, unbiased=False), lambda m, x: x.var(-1, correction=0)),
    "special.expit": (ROW, lambda m, x: torch.special.expit(x), lambda m, x: x.sigmoid()),
    "attention's own scale": (
        TOKENS,
        lambda m, x: F.scaled_dot_product_attention(x, x, x),
        lambda m, x: F.scaled_dot_product_attention(x, x, x, scale=0.5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", [ROW, TOKENS, IMAGE], ids=["row", "tokens", "image"])
def test_two_spellings_are_one_call(shape: tuple[int, ...]) -> None:
    """All that are given the same shape at once: a network with as many outputs."""
    names = [name for name, (given, *_) in SAME.items() if given == shape]
    first, second = (_Of(lambda m, x, i=i: tuple(SAME[name][i](m, x) for name in names)).eval() for i in (1, 2))
    torch.testing.assert_close(first(_input(*shape)), second(_input(*shape)))
    found = certify(first, second, _input(*shape))
    assert found.verdict == "equal", f"of {names}: {found}"


OTHER: dict[str, tuple[tuple[int, ...], Function, Function]] = {
    "transposed or not": ((2, 4, 4), lambda m, x: torch.sin(x).mT, lambda m, x: torch.sin(x)),
    "einsum over another index": (
        (2, 4, 4),
        lambda m, x: torch.einsum("bij,bjk->bik", x, x.sin()),
        lambda m, x: torch.einsum("bij,bkj->bik", x, x.sin()),
    ),
    "samples mixed, alike in batches of one": (
        ROW,
        lambda m, x: x + torch.einsum("bi,bj->ij", x, x).sum(),
        lambda m, x: x + torch.einsum("bi,cj->ij", x, x).sum(),
    ),
    "the samples counted, alike in the batches that are looked at": (
        ROW,
        lambda m, x: x * torch.einsum("bi->i", torch.ones_like(x)),
        lambda m, x: x * _five_times(torch.einsum("bi->i", torch.ones_like(x))),
    ),
    "the other branch": (
        ROW, lambda m, x: torch.where(x > 0.5, x.sin(), 0.0), lambda m, x: x.sin().masked_fill(x > 0.5, 0.0),
    ),
    "a zero of the other sign": (
        ROW,
        lambda m, x: 1 / torch.where(x > 0.5, x.sin(), 0.0),
        lambda m, x: 1 / torch.where(x > 0.5, x.sin(), torch.full((), -0.0)),
    ),
    "a mask in another place": (
        ROW,
        lambda m, x: x.masked_fill(~m.mask, -math.inf).softmax(-1),
        lambda m, x: x.masked_fill(~m.mask.roll(1), -math.inf).softmax(-1),
    ),
    "another scale": (
        TOKENS,
        lambda m, x: F.scaled_dot_product_attention(x, x, x),
        lambda m, x: F.scaled_dot_product_attention(x, x, x, scale=0.5000001),
    ),
    "alpha of a fused sum": (
        TOKENS,
        lambda m, x: torch.baddbmm(torch.ones(1, 6, 6), x, x.sin().mT, alpha=0.5).sin(),
        lambda m, x: (x @ x.sin().mT * 0.5000001 + 1).sin(),
    ),
    "Bessel's correction": (ROW, lambda m, x: x.var(-1), lambda m, x: x.var(-1, correction=0)),
    "the whole numbers and": (
        ROW,
        lambda m, x: ((x * 4).int() & (x * 8).int()).float(),
        lambda m, x: torch.logical_and((x * 4).int(), (x * 8).int()).float(),
    ),
    "silu by hand": (ROW, lambda m, x: F.silu(x), lambda m, x: x * x.sigmoid()),
    "softmax by hand": (ROW, lambda m, x: x.softmax(-1), lambda m, x: x.exp() / x.exp().sum(-1, keepdim=True)),
    "a fused product": (ROW, lambda m, x: torch.addcmul(x, x.sin(), x.cos()), lambda m, x: x + x.sin() * x.cos()),
    "1 / sqrt": (ROW, lambda m, x: (x * x + 1).rsqrt(), lambda m, x: 1 / (x * x + 1).sqrt()),
}  # fmt: skip


def _five_times(n: Tensor) -> Tensor:
    """n for 1, 2, 3, 5 and 8, and for no other whole number."""
    return n + (n - 1) * (n - 2) * (n - 3) * (n - 5) * (n - 8)


@pytest.mark.parametrize("name", OTHER)
def test_other_calls_are_not_equal(name: str) -> None:
    shape, one, other = OTHER[name]
    found = certify(_Of(one).eval(), _Of(other).eval(), _input(*shape))
    every = "every batch size" in str(found)
    assert found.verdict != "equal" or (name.startswith("the samples counted") and not every), str(found)


def test_a_definition_is_the_call() -> None:
    """What is written in the place of a call gives its numbers, run by torch."""
    net = _Of(lambda m, x: torch.einsum("bi,oi->bo", x, m.weight).square().mT.softmax(-1)).eval()
    x = _input(3, 4)
    here = decomposed(sized(trace(net, x), 3)).graph
    assert {call.op for call in here.calls}.isdisjoint({"einsum", "square", "mT", "softmax"})
    values = {here.inputs[0]: x, **here.constants}
    for call in here.calls:
        args, kwargs = call.resolved(values)
        values[call.name] = call.target(*args, **kwargs)
    assert torch.equal(values[here.outputs[0].name], net(x))
