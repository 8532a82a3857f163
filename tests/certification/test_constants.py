"""Pairs that make the same calls with other constants: a yes if and only if torch computes with the same numbers.

Two such networks are the same function exactly if torch's kernels convert their constants to the same numbers; then
their outputs are equal bit for bit at every input, which is what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import certify

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
OTHERS = [*DTYPES, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]

CALLS: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "add": lambda x, c: x + c,
    "sub": lambda x, c: x - c,
    "from": lambda x, c: c - x,
    "mul": lambda x, c: x * c,
    "times": lambda x, c: c * x,
    "div": lambda x, c: x / c,
    "alpha": lambda x, c: torch.add(x, x, alpha=c),
    "scaled": lambda x, c: torch.sub(x, c, alpha=3),
    "pad": lambda x, c: nn.functional.pad(x, (1, 1), value=c),
    "cat": lambda x, c: torch.cat([x, c.expand(len(x), 3)], 1),
}
NUMBERED = {"alpha", "pad"}  # their constants are Python numbers
HELD = {"cat"}  # its constants are tensors


X = torch.zeros(2, 3)


class Net(nn.Module):
    """A call with a constant, in a dtype of its own, then one more."""

    def __init__(self, call: str, constant: Any, section: torch.dtype) -> None:
        super().__init__()
        self.call, self.section = CALLS[call], section
        if isinstance(constant, Tensor):
            self.register_buffer("c", constant)
        else:
            self.c = constant
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x.to(self.section), self.c) * 2


@st.composite
def constants(draw: st.DrawFn, call: str) -> Any:
    """A Python number, or a tensor of any dtype with no axes, one entry or three."""
    n = draw(st.integers(-(2**26), 2**26) | st.integers(-9, 9))
    dtype = draw(st.sampled_from(OTHERS))
    if call in NUMBERED or (call not in HELD and draw(st.booleans())):
        return draw(st.sampled_from([n, n / 10, n / 2**20, bool(n)]))
    shape = draw(st.sampled_from([(3,)] if call in HELD else [(), (1,), (3,)]))
    if dtype == torch.bool:
        return torch.full(shape, bool(n))
    if not dtype.is_floating_point:
        limits = torch.iinfo(dtype)
        return torch.full(shape, max(limits.min, min(limits.max, n)), dtype=dtype)
    return torch.full(shape, draw(st.sampled_from([n, n / 10, n / 2**20])), dtype=torch.float64).to(dtype)


def inputs(dtype: torch.dtype) -> Tensor:
    """Numbers of all sizes and signs, so that a constant that differs shows in some sum or product."""
    rng = np.random.default_rng(0)
    sizes = 2.0 ** rng.integers(-12, 12, (64, 3))
    return torch.from_numpy(rng.standard_normal((64, 3)) * sizes).to(dtype)


@given(st.sampled_from(list(CALLS)), st.data(), st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_a_yes_means_that_torch_computes_with_the_same_numbers(
    call: str, data: st.DataObject, dtype: torch.dtype, section: torch.dtype
) -> None:
    first = data.draw(constants(call))
    second = data.draw(st.sampled_from(neighbours(first)) | constants(call))
    pair = [Net(call, constant, section) for constant in (first, second)]
    x = inputs(dtype)
    try:
        outputs = [net(x) for net in pair]
    except RuntimeError:  # a tensor of integers cannot be subtracted, or a number does not fit the dtype
        assume(False)
    y, z = outputs
    same = y.dtype == z.dtype and y.shape == z.shape and bool(((y == z) | (y.isnan() & z.isnan())).all())
    found = certify(*pair, x, level="modular")
    assert same or not found.ok
    assert found.ok or first is not second


def neighbours(constant: Any) -> list[Any]:
    """The same constant in other words, and the nearest others."""
    if isinstance(constant, bool):
        return [int(constant), float(constant), not constant]
    if not isinstance(constant, Tensor):
        near = float(np.float32(constant)), float(np.nextafter(constant, 9e9))
        return [constant, float(constant), constant + 1, *near]
    if not constant.is_floating_point():
        return [constant.double(), constant.float(), constant ^ 1]
    up = torch.nextafter(constant, torch.full_like(constant, float("inf")))
    return [constant, constant.double(), constant.float(), constant.reshape(-1)[0].expand(constant.shape).clone(), up]


def test_a_constant_with_a_stride_of_zero_is_a_constant() -> None:
    one = torch.zeros(()).expand(1).clone()
    assert one.stride() == (0,)
    for constant in (one, torch.ones(()).expand(3)):
        assert certify(Net("add", constant, torch.float32), Net("add", constant.tolist()[0], torch.float32), X).ok
