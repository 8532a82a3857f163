"""What is chosen for known networks, and how the numbers of the results are called: kept, or changed on purpose.

``frozen.json`` has, for the 25 patterns, a network with borders and a ResNet: of each region its calls before and
after and its form; then the names of the result's numbers.  ``python -m tests.collapsing.test_frozen`` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse, resnet18
from algebraic_cnn.apps.bench.patterns import PATTERNS, randomised

PATH = Path(__file__).with_name("frozen.json")


def borders() -> nn.Module:
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(4, 4, 5, padding=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 10))


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    **{pattern.name: lambda pattern=pattern: (pattern.network(), pattern.example()) for pattern in PATTERNS},
    "borders": lambda: (randomised(borders()), torch.zeros(1, 2, 16, 16)),
    "resnet18": lambda: (randomised(resnet18()), torch.zeros(1, 1, 32, 32)),
}


def chosen(name: str) -> list[Any]:
    model, x = NETWORKS[name]()
    result = collapse(model, x, measure=False, certify=None)
    forms = [[region.calls, region.calls_after, region.form] for region in result.report.regions]
    return [forms, sorted(result.model.state_dict())]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_chosen_is_as_it_was(name: str) -> None:
    assert chosen(name) == json.loads(PATH.read_text("utf-8"))[name]


def test_every_frozen_network_is_looked_at() -> None:
    assert json.loads(PATH.read_text("utf-8")).keys() == NETWORKS.keys()


if __name__ == "__main__":
    PATH.write_text(json.dumps({name: chosen(name) for name in NETWORKS}, indent=1) + "\n", "utf-8")
