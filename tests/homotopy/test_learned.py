"""Learned strengths: the steps by hand, to 0 exactly, bit for bit after an interruption, and what resisted is named."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from algebraic_cnn import HomotopyError
from algebraic_cnn.homotopy import (
    Follower,
    Learned,
    Linear,
    SkipStrength,
    activation_strengths,
    remove_skips,
    skip_strengths,
    train,
    with_activation_strength,
    with_skip_strength,
)
from algebraic_cnn.homotopy.classifier import Recipe

from .networks import basic, built, images
from .runs import bands, goes_on

RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=0.05)
DATA = bands(3, 8, 18, 12, "thirds")


@functools.cache
def _strengthened() -> nn.Module:
    return with_skip_strength(built(basic), images(1))


@pytest.fixture
def model() -> nn.Module:
    return copy.deepcopy(_strengthened())


class Sum(nn.Module):
    """The loss of t is known: f(x) = 2 x + t x."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = SkipStrength("skip", 1.0)
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x + self.skip(x)


def test_a_step_is_the_gradient_and_then_the_pull() -> None:
    net, x = Sum(), torch.tensor(4.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    fade = Learned(rate=0.125, penalty=0.5, growth=2.0)
    follower = Follower({SkipStrength: fade}, interval=1)
    follower.begin(net, optimizer, per_epoch=4, epochs=1)
    expected, seen = [], []
    t, penalty = 1.0, 0.5
    for step in range(3):
        follower.before_step()
        optimizer.zero_grad()
        loss = -net(x) / 16  # d/dt = -1/4
        loss.backward()
        optimizer.step()
        follower.after_step(float(loss.detach()))
        t = min(1.0, max(0.0, t + 0.125 / 4 - 0.125 * penalty * 2.0**step))
        expected.append(t)
        seen.append(skip_strengths(net)["skip"])
    assert seen == expected
    assert seen[-1] < seen[0] < 1
    with pytest.raises(HomotopyError, match=r"resisted.*skip at 0\.6562"):
        follower.end()
    assert not net.skip.strength.requires_grad


def test_what_is_at_the_end_stays_there() -> None:
    fade = Learned(0.25, rate=1.0, penalty=0.5)
    fade.begin(["a"])
    assert fade.descend({"a": 0.0}) == {"a": 0.0}
    assert fade.descend({"a": -9.0}) == {"a": 0.0}
    assert fade.done
    rising = Learned(0.0, 1.0, rate=1.0, penalty=0.25)
    rising.begin(["b"])
    assert [rising.descend({"b": g})["b"] for g in (0.0, 0.125, -9.0, 5.0)] == [0.25, 0.375, 1.0, 1.0]


def test_skips_are_learned_away_exactly_and_can_be_removed(model: nn.Module) -> None:
    fade = Learned(rate=0.02, penalty=1.0, growth=1.5)
    records = train(model, DATA, fade, recipe=RECIPE, interval=1)
    assert set(skip_strengths(model).values()) == {0.0}
    assert all(0 <= t <= 1 for record in records for t in record.more["skips"].values())
    plain = remove_skips(model, images(1))
    with torch.no_grad():
        assert torch.equal(plain(DATA.test_images), model(DATA.test_images))


def test_every_skip_has_a_way_of_its_own(model: nn.Module) -> None:
    names = list(skip_strengths(model))
    plan: dict[str, Any] = {names[0]: Learned(rate=0.05, penalty=5.0), names[1]: Linear(2)}
    train(model, DATA, plan, recipe=RECIPE)
    assert [skip_strengths(model)[name] for name in names[:2]] == [0.0, 0.0]


def test_who_resists_is_named(model: nn.Module) -> None:
    name = next(iter(skip_strengths(model)))
    with pytest.raises(HomotopyError, match=f"resisted.*{name} at 0.9"):
        train(model, DATA, {name: Learned(rate=1e-4, penalty=1e-4)}, recipe=RECIPE)


def test_activations_are_learned_to_be_linear() -> None:
    net = with_activation_strength(built(basic), images(1))
    train(net, DATA, activations=Learned(0.0, 1.0, rate=0.02, penalty=2.0, growth=1.5), recipe=RECIPE, interval=1)
    assert set(activation_strengths(net).values()) == {1.0}


def test_a_run_that_is_stopped_goes_on(model: nn.Module, tmp_path: Path) -> None:
    def go(net: nn.Module, **options: Any) -> Any:
        return train(net, DATA, Learned(rate=0.02, penalty=1.0, growth=1.5), recipe=RECIPE, interval=1, **options)

    goes_on(model, go, tmp_path / "run.safetensors", stop_at=4)


@pytest.mark.parametrize(
    "options", [{"rate": 0.0}, {"penalty": -1.0}, {"growth": 0.5}, {"end": 0.5}, {"start": 2.0}, {"wait": -1}]
)
def test_ways_that_cannot_be_followed_are_refused(options: dict) -> None:
    with pytest.raises(HomotopyError):
        Learned(**options)
