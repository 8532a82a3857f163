"""A product of two factors by einsum has memory of its own, so writing elsewhere or into it loses nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.errors import TraceError
from tests.collapsed import relative_error


class Attention(nn.Module):
    """One head, positions added in place before it, a shift in place after it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.places = nn.Linear(8, 24), nn.Parameter(torch.randn(1, 16, 8))
        self.tokens = nn.Conv2d(3, 8, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x).flatten(2).transpose(1, 2)
        tokens += self.places
        q, k, v = self.layer(tokens).chunk(3, -1)
        y = torch.einsum("bij,bjd->bid", torch.einsum("bid,bjd->bij", q, k).softmax(-1), v)
        y += 1
        return y


def test_attention_by_einsum_beside_values_that_are_overwritten() -> None:
    model, images = Attention().double().eval(), torch.randn(3, 3, 16, 16, dtype=torch.float64)
    result = collapse(model, images[:1], measure=False)
    assert relative_error(model, result.model, images) <= 1e-12
    assert result.certificate is not None
    assert result.certificate.ok


class Diagonal(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum("bii->bi", x + 0)
        y += 1
        return y * 2


class Transposed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        z = x + 0
        y = torch.einsum("bij->bji", z)
        y += 1
        return z * 3


def test_what_einsum_makes_of_one_value_may_be_its_memory() -> None:
    with pytest.raises(TraceError, match="einsum"):
        collapse(Transposed().eval(), torch.zeros(1, 3, 3), measure=False)


def test_memory_that_nobody_else_reads_may_be_overwritten() -> None:
    x = torch.arange(27.0).reshape(3, 3, 3)
    collapsed = collapse(Diagonal().eval(), torch.zeros(1, 3, 3), measure=False).model
    assert torch.equal(collapsed(x), Diagonal()(x))
