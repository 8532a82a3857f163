"""What a collapse of free image sizes stated is shown again, and of a network that is not that collapse it is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from algebraic_cnn import certify, collapse
from algebraic_cnn.collapsing.result import Collapse
from algebraic_cnn.ir.choices import carrying, choices_of, dynamic_shapes
from algebraic_cnn.ir.exporting import export

CLAIMED, UNCLAIMED = "rewritten region", "not, bit for bit, what they make"
FREE = ({2: Dim("h", min=8, max=64), 3: Dim("w", min=8, max=64)},)


def _net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    up = nn.Upsample(scale_factor=2, mode="bilinear")
    layers = nn.Conv2d(3, 4, 3, padding=1), norm, nn.ReLU(), up, nn.Conv2d(4, 4, 1), nn.Conv2d(4, 5, 3, padding=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


NET, X = _net(), torch.randn(2, 3, 16, 16)


@pytest.fixture(scope="module")
def result() -> Collapse:
    return collapse(NET, X, dynamic_shapes=FREE, measure=False)


def test_a_collapse_of_free_sizes_is_known_again(result: Collapse) -> None:
    found = certify(NET, result.model, torch.randn(1, 3, 20, 12))
    assert found.verdict == "rounding"
    assert CLAIMED in found.statement
    assert found.bound is None
    assert "3x8x8" in found.statement


def test_programs_of_free_sizes_need_no_example(result: Collapse) -> None:
    program = export(NET, X, dynamic_shapes=FREE)
    assert CLAIMED in certify(program, result.exported()).statement
    same = certify(program, program)
    assert same.verdict == "equal"
    assert "The free sizes were those of the inputs 3x16x16" in same.statement


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.layers(x) * self.calls


def test_a_network_that_counts_its_calls_takes_free_sizes() -> None:
    net = _Counting().eval()
    made = collapse(net, X, dynamic_shapes=FREE, measure=False).model
    for y in (torch.randn(1, 3, 9, 12), X):
        torch.testing.assert_close(made(y), net(y))
    fresh = _Counting().eval()
    fresh.load_state_dict(net.state_dict())
    found = certify(fresh, collapse(fresh, X, dynamic_shapes=FREE, measure=False).model, X)
    assert CLAIMED in found.statement
    assert "3x8x8" in found.statement


def test_a_program_of_one_size_is_compared_at_that(result: Collapse) -> None:
    program = export(NET, X)
    found = certify(program, result.model, X)
    assert found.verdict == "rounding"
    assert "The free sizes were those of the inputs 3x16x16" in found.statement


def test_another_network_is_not_its_collapse(result: Collapse) -> None:
    assert certify(_net(1), result.model, X).verdict == "different"
    moved = copy.deepcopy(result.model)
    carrying(moved, choices_of(result.model))
    weight = next(iter(moved.parameters())).data.view(-1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf))
    found = certify(NET, moved, X)
    assert UNCLAIMED in found.statement
    assert CLAIMED not in found.statement


def _axis(**changes: Any) -> list[dict[str, Any]]:
    axis = {"input": 0, "axis": 2, "symbol": "h", "slope": 1, "start": 0, "first": 8, "stop": 99, "step": 1}
    return [{**axis, **changes}]


def test_choices_are_not_believed(result: Collapse) -> None:
    said = choices_of(result.model)
    assert said is not None
    assert dynamic_shapes(said, [4]) is not None
    assert dynamic_shapes({"free": _axis()}, [4])
    no_such = [{"input": 7}, {"axis": 0}, {"axis": 4}, {"symbol": "import os"}, {"slope": 0}, {"stop": 8}, {"step": 0}]
    for free in ("h", [{"input": 0}], *(_axis(**each) for each in no_such)):
        assert dynamic_shapes({"free": free}, [4]) is None
    lying = copy.deepcopy(result.model)
    carrying(lying, {**said, "free": _axis(first=90)})
    found = certify(NET, lying, X)
    assert found.verdict == "rounding"
    assert CLAIMED not in found.statement
