"""Level rational beyond affine networks: every coefficient of every affine part, without chance."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import algebraic_cnn
from algebraic_cnn.certification import coefficients
from algebraic_cnn.collapsing import building
from algebraic_cnn.errors import TooLargeError, UncertifiedError
from tests.adversary.corpus import Written


def network() -> Any:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)
    return nn.Sequential(*layers).eval()


X = torch.zeros(2, 1, 6, 6)


def masked(mask: float) -> Any:
    def forward(s, x):
        q = s.r(s.q(x))
        return (q @ q.transpose(1, 2) + s.m).softmax(-1) @ x

    parts = {"q": lambda: nn.Linear(3, 3), "r": lambda: nn.Linear(3, 3), "m": lambda: torch.full((4, 4), mask).triu(1)}
    torch.manual_seed(1)
    return Written(forward, parts).eval()


def test_every_coefficient_is_compared() -> None:
    net, other = network(), network()
    found = algebraic_cnn.certify(net, other, X, level="rational")
    assert (found.verdict, found.level, found.error_probability) == ("equal", "rational", None)
    assert "for every batch size" in found.statement
    assert "Every coefficient was compared" in found.statement
    with torch.no_grad():
        other[0].weight[1, 0, 2, 2] *= 1 + torch.finfo(torch.float32).eps
    assert algebraic_cnn.certify(net, other, X, level="rational").verdict == "different"


@pytest.mark.parametrize("mask", [float("-inf"), -1e9])
def test_masks_are_compared_as_they_are(mask: float) -> None:
    net, other, x = masked(mask), masked(mask), torch.zeros(1, 4, 3)
    assert algebraic_cnn.certify(net, other, x, level="rational").ok
    other.m[0, 1] = 0.0
    assert not algebraic_cnn.certify(net, other, x, level="rational").ok
    assert algebraic_cnn.collapse(net, x, certify="rational", measure=False).certificate.ok


def test_a_coefficient_that_is_not_looked_at_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the unit vectors of one source left out, a change of what reads it passes: they are what decides."""
    net, other = network(), network()
    with torch.no_grad():
        other[5].weight[1, 7] += 1
    assert not algebraic_cnn.certify(net, other, X, level="rational").ok
    monkeypatch.setattr(coefficients, "_together", lambda reads, shapes: [[(-1, 0)]])
    assert algebraic_cnn.certify(net, other, X, level="rational").ok


def test_a_collapse_is_proved_coefficient_by_coefficient() -> None:
    found = algebraic_cnn.collapse(network(), X, certify="rational", measure=False).certificate
    assert (found.ok, found.level, found.error_probability) == (True, "rational", None)
    assert "every coefficient was compared" in found.statement


def test_a_collapse_with_a_wrong_recipe_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number more in one recipe, over every ring: only one coefficient is another."""
    right = building.GraphBuilder.constant

    def wrong(builder, like, what, shape, recipe):
        def more(ring):
            found = np.array(recipe(ring))
            found.reshape(-1)[-1] += 1
            return ring.reduce(found)

        return right(builder, like, what, shape, more)

    monkeypatch.setattr(building.GraphBuilder, "constant", wrong)
    with pytest.raises(UncertifiedError, match=r"the collapse is not the network.*No \(rational\).*unit vector"):
        algebraic_cnn.collapse(network(), X, certify="rational", measure=False)


def test_what_does_not_fit_the_budget_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(TooLargeError, match="coefficients of the affine parts"):
        algebraic_cnn.certify(network(), network(), X, level="rational", memory_budget=10_000)
    with pytest.raises(TooLargeError, match="coefficients of a region"):
        algebraic_cnn.collapse(network(), X, certify="rational", measure=False, memory_budget=1_000)


def test_samples_that_are_mixed_are_probed_one_by_one() -> None:
    parts = {"a": lambda: nn.Linear(3, 2), "b": lambda: nn.Linear(2, 2)}
    net = Written(lambda s, x: s.b(s.a(x) - s.a(x).mean(0)).relu(), parts)
    found = algebraic_cnn.certify(net.eval(), copy.deepcopy(net).eval(), torch.zeros(2, 3), level="rational")
    assert found.ok
    assert "for batches of 1, 2, 3, 5, 8" in found.statement
