"""Memory that torch leaves as it finds it: no verdict depends on what was there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify, collapse
from algebraic_cnn.ir.trace import trace

X = torch.arange(-6.0, 6.0).reshape(2, 2, 3)


class Written(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.linear = function, nn.Linear(3, 3)
        for number, parameter in enumerate(self.parameters()):
            parameter.data = (torch.arange(parameter.numel()) * 7 % 5 - 2.0 + number).reshape(parameter.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.function(self.linear(x)))


def by_halves(x: Tensor) -> Tensor:
    y = x.new_empty(x.shape)
    y[:, :1] = x[:, 1:]
    y[:, 1:] = x[:, :1]
    return y


def as_a_whole(x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    y[:, :, :] = x
    return y


def whole_numbers(x: Tensor) -> Tensor:
    order = torch.empty(2, dtype=torch.int64)
    order[0], order[1] = 1, 0
    return x[:, order]


@pytest.mark.parametrize("function", [by_halves, as_a_whole, whole_numbers], ids=lambda function: function.__name__)
def test_memory_that_is_written_before_it_is_read_changes_nothing(function: Callable[[Tensor], Tensor]) -> None:
    model = Written(function).eval()
    result = collapse(model, X, measure=False)
    assert torch.equal(result.model(X), model(X))
    assert certify(model, model, X, level="modular").verdict == "equal"


def test_a_whole_that_is_overwritten_is_what_is_written() -> None:
    ops = [call.op for call in trace(Written(as_a_whole).eval(), X).calls]
    assert not {"empty_like", "slice_scatter", "copy"} & set(ops)


def test_memory_that_is_read_as_it_was_found_is_no_function() -> None:
    """Beside zeros, which is what it most often is found to be."""
    one, other = (Written(lambda x, make=make: x + make(x)).eval() for make in (torch.empty_like, torch.zeros_like))
    assert certify(one, other, X, level="modular").verdict != "equal"
