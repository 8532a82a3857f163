"""A BatchNorm after the sum of two inputs' layers is folded into these."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse

from ..collapsed import ops, randomised


class Two(nn.Module):
    def __init__(self, *, after: bool, taken: bool = False) -> None:
        super().__init__()
        self.p, self.q, self.n = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.c, self.after, self.taken = nn.Conv2d(4, 2, 3), after, taken

    def forward(self, a: Tensor, b: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        total = self.p(a) + 0.5 * self.q(b)
        y = self.n(total)
        y = (self.c(y) if self.after else y).relu()
        return (y, total) if self.taken else y


@pytest.mark.parametrize("after", [False, True])
def test_it_is_folded(after: bool) -> None:
    model = randomised(Two(after=after)).requires_grad_(False)
    a, b = (torch.randn(2, c, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(c)) for c in (3, 1))
    result = collapse(model, (a, b), measure=False)
    assert ops(result.model)["batch_norm"] == 0
    assert ops(result.model)["conv2d"] == 2 + after
    assert torch.equal(result.model(a, b).float(), model(a, b).float())


def test_a_sum_that_others_read_keeps_its_norm() -> None:
    model = randomised(Two(after=False, taken=True)).requires_grad_(False)
    a, b = (torch.randn(2, c, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(c)) for c in (3, 1))
    result = collapse(model, (a, b), measure=False)
    for expected, got in zip(model(a, b), result.model(a, b), strict=True):
        assert torch.equal(got.float(), expected.float())
