"""Hidden units in another order are the same network, and only if every layer follows the order."""

from __future__ import annotations

import copy
from collections.abc import Callable
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


class Last(nn.Module):
    """A function along the channels of an image, which come first or last."""

    def __init__(self, along: Callable[[torch.Tensor, int], torch.Tensor], *, last: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.along, self.last = along, last
        self.before, self.after = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        if self.last:
            return self.after(self.along(x.permute(0, 2, 3, 1), 3).permute(0, 3, 1, 2))
        return self.after(self.along(x, 1))


def along(axis: int, *numbers: float) -> torch.Tensor:
    return torch.tensor(numbers).reshape([-1 if each == axis else 1 for each in range(4)])


ALONG: dict[str, tuple[Any, Any]] = {
    "softmax": (lambda x, axis: x.softmax(axis), lambda x, axis: x.softmax(2)),
    "the largest": (lambda x, axis: x - x.amax(axis, keepdim=True), lambda x, axis: x - x.amax(2, keepdim=True)),
    "where it is": (lambda x, axis: x * x.argmax(axis, keepdim=True), lambda x, axis: x * x.argmin(axis, keepdim=True)),
    "two values": (lambda x, axis: torch.maximum(x.exp(), x.cos()), lambda x, axis: torch.maximum(x.exp(), x.sin())),
    "a constant": (
        lambda x, axis: torch.maximum(x, along(axis, 0.5, -1.0, 2.0)),
        lambda x, axis: torch.maximum(x, along(axis, 0.5, 2.0, -1.0)),
    ),
    "a choice": (lambda x, axis: torch.where(x > 0, x, x.cos()), lambda x, axis: torch.where(x > 0, x.cos(), x)),
    "a quotient": (
        lambda x, axis: x.exp() / x.exp().sum(axis, keepdim=True),
        lambda x, axis: x.exp() / x.exp().sum(2, keepdim=True),
    ),
}


@pytest.mark.parametrize("name", ALONG)
def test_channels_first_or_last_are_the_same(name: str) -> None:
    right, wrong = ALONG[name]
    x = torch.zeros(1, 2, 3, 3)
    first, last, other = Last(right, last=False), Last(right, last=True), Last(wrong, last=True)
    assert algebraic_cnn.certify(first.eval(), last.eval(), x).verdict == "equal"
    assert algebraic_cnn.certify(first.eval(), other.eval(), x).verdict == "different"


def test_zeros_of_another_sign_are_not_taken_for_one_in_another_order() -> None:
    """-relu(x) has zeros of both signs, and atan2 reads them: the order alone does not say which."""
    one = Last(lambda x, axis: torch.atan2(-x.relu(), -torch.ones(1)), last=False).eval()
    other = Last(lambda x, axis: torch.atan2(-x.relu() + 0.0, -torch.ones(1)), last=True).eval()
    assert algebraic_cnn.certify(one, other, torch.zeros(1, 2, 3, 3)).verdict in ("undecided", "different")


@given(st.permutations(range(6)))
def test_an_order_and_its_inverse(order: list[int]) -> None:
    p = torch.tensor(order)
    assert torch.equal(p[inverse(p)], torch.arange(6))
