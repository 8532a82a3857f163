"""The passes of a collapse: each does what its sentence says, on a network made for it, and a wrong one is refuted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.collapsing import passes
from algebraic_cnn.collapsing.cut import Cutter
from algebraic_cnn.collapsing.passes import PASSES, Pass
from algebraic_cnn.derivation.definitions import AffinePart
from algebraic_cnn.errors import UncertifiedError

NAMES = ["join", "distribute", "spread", "join", "average", "untangle", "cut"]
X = torch.zeros(1, 3, 16, 16)


class AfterASum(nn.Module):
    """A BatchNorm after convolutions of two values: it is free in both of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x) + self.second(x.relu())).relu()


class BeforeAFork(nn.Module):
    """A BatchNorm that two convolutions read: it is free in both of them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.first, self.second = nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.norm(x.relu())
        return self.first(y).relu(), self.second(y).relu()


def changes(model: nn.Module, x: Tensor = X) -> dict[str, int]:
    report = collapse(model.eval(), x, measure=False).report
    assert [each.name for each in report.passes] == NAMES
    return {each.name: each.changed for each in report.passes}


def test_each_pass_says_what_it_changed() -> None:
    assert changes(AfterASum())["distribute"] > 0
    assert changes(BeforeAFork())["spread"] > 0
    to_more_channels = nn.Sequential(nn.Conv2d(8, 64, 1), nn.AvgPool2d(4), nn.ReLU())
    assert changes(to_more_channels, torch.zeros(2, 8, 32, 32))["average"] > 0
    assert set(changes(nn.Sequential(nn.ReLU())).values()) == {0}


def test_without_its_pass_a_norm_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def norms(model: nn.Module) -> int:
        regions = collapse(model.eval(), X, measure=False).report.regions
        return sum(region.ops_after.get("batch_norm", 0) + region.ops_after.get("mul", 0) for region in regions)

    assert norms(BeforeAFork()) == 0
    monkeypatch.setattr(passes, "PASSES", [each for each in PASSES if each.name != "spread"])
    assert norms(BeforeAFork()) > 0


def test_what_a_cut_missed_is_said() -> None:
    report = collapse(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 64, 3, padding=1)).eval(), X).report
    assert report.passes[-1].missed
    assert str(report.passes[-1]).startswith("cut: ")
    assert report.passes[-1].missed[0] in report.regions[0].reason


def test_a_pass_that_changes_the_function_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(network: AffinePart, cutter: Cutter) -> AffinePart:
        definitions = {
            name: replace(definition, operands=definition.operands[:1], own=False)
            for name, definition in network.definitions.items()
        }
        return replace(network, definitions=definitions)

    monkeypatch.setattr(passes, "PASSES", [*PASSES[:1], Pass("drop", "a branch is forgotten", dropped)])
    with pytest.raises(UncertifiedError):
        collapse(AfterASum().eval(), X, measure=False)
