"""Reshapes and permutations between maps of channels: the maps merge, the moves stay, and a wrong axis is noticed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.stencils import moves
from algebraic_cnn.algebra.stencils.pieces import Move
from algebraic_cnn.errors import UncertifiedError
from tests.collapsed import ops, randomised, relative_error


class Tokens(nn.Module):
    """A linear layer and a BatchNorm over tokens, as transformers for images write them."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 6), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return torch.relu(self.norm(y.flatten(0, 1)).reshape_as(y))


class Patches(nn.Module):
    """A convolution whose image becomes tokens, which a linear layer and a BatchNorm then take."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear, self.norm = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 5), nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        return torch.relu(self.norm(self.linear(tokens).transpose(-1, -2)))


class Reduced(nn.Module):
    """A BatchNorm, then tokens, then a convolution over them: the map of channels moves to the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv1d(4, 4, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(self.norm(x).reshape(len(x), 4, -1)))


CASES = [
    (Tokens, (2, 64, 4), {"linear": 1, "relu": 1}),
    (Patches, (2, 3, 64, 64), {"conv2d": 1, "relu": 1}),
    (Reduced, (2, 4, 32, 32), {"conv1d": 1, "relu": 1}),
]


@pytest.mark.parametrize(("kind", "shape", "left"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_maps_of_channels_merge_across_moves(kind: type[nn.Module], shape: tuple[int, ...], left: dict) -> None:
    model, x = randomised(kind()), torch.randn(shape, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    moving = {"reshape", "permute", "flatten", "transpose"}
    assert {name: count for name, count in ops(result.model).items() if name not in moving} == left
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


class Averaged(nn.Module):
    """A linear layer over all tokens as rows, and the mean of each sample's: no one form that torch can run."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.relu(x).view(-1, 4)
        return torch.addmm(self.linear.bias, rows, self.linear.weight.t()).view(len(x), 4, 2).mean(1)


def test_a_move_alone_is_no_form_of_what_cannot_run() -> None:
    model, x = randomised(Averaged()), torch.randn(2, 4, 4, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


@pytest.mark.parametrize(
    ("source", "shape", "order", "place", "expected"),
    [
        ((None, 3, 4, 5), (None, 3, 20), None, 1, 1),
        ((None, 9, 4), (None, 4), None, 2, 1),
        ((None, 4), (None, 9, 4), None, 1, 2),
        ((None, 9, 4), (None, 36), None, 2, None),
        ((None, 12, 4), (None, 4, 12), None, 2, None),
        ((None, 4, 4), (None, 4, 4), (0, 2, 1), 2, 1),
        ((None, 3, 4, 5), (None, 4, 5, 3), (0, 2, 3, 1), 1, 3),
    ],
)
def test_where_channels_go(source: tuple, shape: tuple, order: tuple | None, place: int, expected: int | None) -> None:
    move = Move(source, shape, order)
    assert moves.channels_after(move, place) == expected
    if expected is not None:
        assert moves.channels_before(move, expected) == place


def test_channels_on_a_wrong_axis_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.BatchNorm1d(64) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.norms[1](self.norms[0](x).transpose(1, 2)))

    model, x = randomised(Square()), torch.randn(2, 64, 64, dtype=torch.float64)
    assert ops(collapse(model, x, measure=False).model)["batch_norm"] == 2
    monkeypatch.setattr(moves, "channels_after", lambda move, place: place)
    monkeypatch.setattr(moves, "channels_before", lambda move, place: place)
    with pytest.raises(UncertifiedError):
        collapse(model, x, measure=False)
