"""A BatchNorm before a fork goes into every reader where they absorb it, and stays where one cannot."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.stencils.pieces import identity
from algebraic_cnn.collapsing import forks
from algebraic_cnn.errors import UncertifiedError
from tests.collapsed import ops, randomised, relative_error


class Forked(nn.Module):
    """Two convolutions read one BatchNorm, and what they read is added to an image elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return torch.relu(self.a(y))[:, :, 1:-1, 1:-1] * torch.relu(self.b(y))


class AfterPool(Forked):
    """The same behind a pool, which stays where it is: what comes before the BatchNorm is computed once."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.avg_pool2d(x, 3, 1))


class Kept(Forked):
    """One reader is a call that is not affine, so the BatchNorm has to be computed."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return torch.sigmoid(y) * torch.relu(self.a(y))


class Attention(nn.Module):
    """Queries, keys and values of one normalised image as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.q, self.k = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        return self.q(tokens) @ self.k(tokens).transpose(1, 2)


@pytest.mark.parametrize(("kind", "left"), [(Forked, 0), (AfterPool, 0), (Attention, 0), (Kept, 1)])
def test_a_batch_norm_goes_into_every_reader(kind: type[nn.Module], left: int) -> None:
    model, x = randomised(kind()), torch.randn(2, 8, 20, 20, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model)["batch_norm"] == left
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


def test_a_map_that_a_reader_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = forks.chained
    monkeypatch.setattr(forks, "chained", lambda pieces: real([identity(pieces[0].source), *pieces[1:]]))
    with pytest.raises(UncertifiedError):
        collapse(randomised(Forked()), torch.zeros(2, 8, 20, 20, dtype=torch.float64), measure=False)
