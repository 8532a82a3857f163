"""Hidden units in another order are the same network, and only if every layer follows the order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import algebraic_cnn
from algebraic_cnn.certification import matching
from algebraic_cnn.certification.reordering import inverse

X = torch.zeros(2, 2, 5, 5)


def network() -> Any:
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Tanh(), nn.Flatten(), nn.Linear(27, 5)
    return nn.Sequential(*layers).eval()


def shuffled(net: Any, p: list[int], q: list[int]) -> Any:
    """The same network with hidden channels in the orders p and q."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        for layer, order in ((0, p), (2, q)):
            other[layer].weight.copy_(net[layer].weight[order])
            other[layer].bias.copy_(net[layer].bias[order])
        other[2].weight.copy_(net[2].weight[q][:, p])
        other[5].weight.copy_(net[5].weight.unflatten(1, (3, 9))[:, q].flatten(1))
    return other


def said(one: nn.Module, other: nn.Module, level: str = "auto") -> str:
    return algebraic_cnn.certify(one, other, X, level=level).verdict


@pytest.mark.parametrize(("p", "q"), [([1, 0, 2, 3], [0, 1, 2]), ([3, 2, 1, 0], [1, 2, 0]), ([2, 0, 3, 1], [2, 1, 0])])
def test_hidden_channels_may_stand_in_any_order(p: list[int], q: list[int]) -> None:
    assert said(network(), shuffled(network(), p, q)) == "equal"


@pytest.mark.parametrize("level", ["auto", "modular"])
def test_every_layer_must_follow_the_order(level: str) -> None:
    net, p, q = network(), [2, 0, 3, 1], [2, 0, 1]
    other = shuffled(net, p, q)
    with torch.no_grad():
        other[5].weight.copy_(net[5].weight)
    assert said(net, other, level) == "different"
    other = shuffled(net, p, q)
    with torch.no_grad():
        other[2].weight[0, 0] *= 1 + torch.finfo(torch.float32).eps
    assert said(net, other, level) == ("rounding" if level == "auto" else "different")


def test_a_wrong_guess_of_the_order_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guess is proved afterwards: with the order turned by one place, nothing is the same."""
    right = matching.order_of
    monkeypatch.setattr(matching, "order_of", lambda *each: None if (p := right(*each)) is None else p.roll(1))
    assert said(network(), shuffled(network(), [2, 0, 3, 1], [2, 0, 1]), "modular") == "different"


class Rows(nn.Module):
    """A matrix of every column of an image, then a ReLU, written with views and moves, or with another step."""

    def __init__(self, step) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.step, self.matrix = step, nn.Linear(2, 3)

    def forward(self, x):
        return self.step(self.matrix(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, (5, 5))).relu()


@pytest.mark.parametrize(
    "step",
    [lambda y: y[:], lambda y: y[..., torch.arange(5)], lambda y: y.flip(1)[:, [2, 1, 0]], lambda y: y + 0],
    ids=["all", "index", "there and back", "plus zero"],
)
def test_a_step_that_does_nothing_hides_no_move(step) -> None:
    assert said(Rows(lambda y: y).eval(), Rows(step).eval()) == "equal"
    assert said(Rows(lambda y: y).eval(), Rows(lambda y: step(y).flip(1)).eval()) == "different"


def test_numbers_of_the_batch_are_not_shuffled_between_samples() -> None:
    turned = Rows(lambda y: y.flip(0)).eval()
    assert said(Rows(lambda y: y).eval(), turned) == "different"


@given(st.permutations(range(6)))
def test_an_order_and_its_inverse(order: list[int]) -> None:
    p = torch.tensor(order)
    assert torch.equal(p[inverse(p)], torch.arange(6))
