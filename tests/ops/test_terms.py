"""The modulus is small enough for every sum of products, those that broadcasting makes in a backward pass included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import PrimeField, Rationals, derive
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.primes import random_prime

N = 20021


class Spread(nn.Module):
    """One number, multiplied into N of them in some way, then weighted and summed."""

    c: Tensor
    d: Tensor

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("c", torch.full((N,), 0.3, dtype=torch.float64))
        self.register_buffer("d", torch.full((N,), 0.7, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        match self.how:
            case "mul":
                y = x * self.c
            case "div":
                y = x / self.c
            case "matmul":
                y = torch.matmul(x, self.c[None])
            case _:
                y = torch.matmul(x[:, None, None], self.c[:, None, None]).flatten(1)
        return (y * self.d).sum(1, keepdim=True)


@pytest.mark.parametrize("how", ["mul", "div", "matmul", "batched matmul"])
@pytest.mark.parametrize("seed", range(3))
def test_a_backward_pass_through_a_broadcast_product_is_exact(how: str, seed: int) -> None:
    model = Spread(how).eval()
    graph = trace(model, torch.zeros(1, 1, dtype=torch.float64))
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(seed)))
    c, d = Rationals().embed(np.array([0.3, 0.7]))
    expected = field.embed(np.array([N * (d / c if how == "div" else d * c)], dtype=object))
    for method in ("forward", "adjoint"):
        assert np.array_equal(derive(graph, method=method, ring=field).W, [expected])


@pytest.mark.parametrize("model, shape, expected", [
    (nn.Linear(3, 50), (1, 3), 51),
    (nn.Conv2d(4, 6, 3), (1, 4, 5, 5), 55),
    (nn.Sequential(nn.Linear(7, 2), nn.Linear(2, 5)), (1, 7), 8),
])  # fmt: skip
def test_terms_are_the_longer_of_the_sums_of_both_passes_and_a_bias(
    model: nn.Module, shape: tuple[int, ...], expected: int
) -> None:
    assert terms(trace(model.eval(), torch.zeros(shape))) == expected
