"""What is said of the signs of zeros is what torch does with every float16, and with its neighbours in wider floats."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.ops import zeros

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def every(dtype: torch.dtype) -> Tensor:
    """All numbers of sixteen bits but NaN; the same in wider floats, with the neighbours of 1, of -1 and of 0."""
    short = torch.bfloat16 if dtype == torch.bfloat16 else torch.float16
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(short)
    x = x[~x.isnan()].to(dtype)
    near = torch.tensor([1.0, -1.0, 0.0], dtype=dtype)
    steps = [torch.nextafter(near, torch.full_like(near, end)) for end in (-2.0, 2.0)] if dtype in DTYPES[2:] else []
    return torch.cat([x, *steps])


def is_minus(x: Tensor) -> Tensor:
    return (x == 0) & torch.signbit(x)


def of(name: str) -> Callable[[Tensor], Tensor]:
    """A call of one value; a reduction and a pool along rows of eight."""
    call = getattr(torch.ops.aten, name)
    rows = lambda x: x[: len(x) // 8 * 8].reshape(1, -1, 8)  # noqa: E731
    if name in ("softmax", "_softmax"):
        return lambda x: call(rows(x), 2, *([False] if name == "_softmax" else []))
    if name in ("amax", "amin"):
        return lambda x: call(rows(x), [2])
    if name in ("maximum", "minimum"):
        return lambda x: call(x, x.flip(0))
    if name.startswith("max_pool"):
        d = int(name[-2])
        return lambda x: call(rows(x).reshape(1, -1, *[2] * d, 8 // 2**d).flatten(d + 1), [2] * d, [1] * d, [1] * d)
    return call


def drawn(name: str, dtype: torch.dtype, x: Tensor) -> Tensor:
    try:
        return of(name)(x)
    except RuntimeError as error:
        pytest.skip(f"torch has no {name} of {dtype} here ({str(error).splitlines()[0]})")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", sorted(zeros._NEVER))
def test_a_call_that_never_gives_a_minus_gives_none(name: str, dtype: torch.dtype) -> None:
    assert not bool(is_minus(drawn(name, dtype, every(dtype))).any())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", sorted(zeros._KEEP))
def test_a_call_that_is_given_no_minus_gives_none(name: str, dtype: torch.dtype) -> None:
    x = every(dtype)
    assert not bool(is_minus(drawn(name, dtype, x[~is_minus(x)])).any())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", sorted(zeros._BLIND - {"softmax", "_softmax"}))
def test_a_blind_call_gives_the_same_bits_of_either_zero(name: str, dtype: torch.dtype) -> None:
    plus, minus = (drawn(name, dtype, torch.tensor([sign], dtype=dtype)) for sign in (0.0, -0.0))
    assert torch.equal(plus, minus) or bool(plus.isnan() & minus.isnan())
    assert not bool((is_minus(plus) ^ is_minus(minus)).any())


@pytest.mark.parametrize("name", ["tanh", "log1p", "silu", "neg", "sin"])
def test_others_are_not_said_to_give_none(name: str) -> None:
    assert bool(is_minus(of(name)(every(torch.float32))).any())
    assert name not in zeros._NEVER


class Scaled(nn.Module):
    """The log spectrum of a signal, between 0 and 1; the first layer in one or in two."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        y = 10 * torch.log10(y * y + 2.0**-20)
        y = y - y.amin([1, 2], keepdim=True)
        return y / y.amax([1, 2], keepdim=True)


def test_a_divisor_that_is_never_minus_zero_may_be_made_in_another_way() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = nn.Conv1d(1, 3, 3, bias=False), nn.Conv1d(3, 4, 1, bias=False)
    one = nn.Conv1d(1, 4, 3, bias=False)
    for layer in (first, second):
        layer.weight.data = torch.randint(-2, 3, layer.weight.shape, generator=generator).float()
    one.weight.data = (second.weight[:, :, 0] @ first.weight.flatten(1)).reshape(4, 1, 3)
    x = torch.zeros(2, 1, 12)
    assert certify(Scaled(first, second).eval(), Scaled(one).eval(), x).verdict == "equal"
    one.weight.data[0, 0, 0] += 1
    assert certify(Scaled(first, second).eval(), Scaled(one).eval(), x).verdict == "different"
