"""Skips and activations: found where a person finds them, given strengths, and gone without a trace in the outputs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from algebraic_cnn import HomotopyError, TraceError, UnknownNameError
from algebraic_cnn.homotopy import (
    activation_strengths,
    find_activations,
    find_skips,
    remove_activations,
    remove_skips,
    set_activation_strength,
    set_skip_strength,
    skip_strengths,
    with_activation_strength,
    with_skip_strength,
)
from algebraic_cnn.models.resnet import BasicBlock, Bottleneck
from tests.narrow import Narrow

from .networks import ACTIVATIONS, SKIPS, basic, built, images, network, preact

MAKERS = list(SKIPS)


def same(a: object, b: object) -> bool:
    (left, one), (right, other) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return one == other and all(torch.equal(x, y) for x, y in zip(left, right, strict=True))


def both(model: nn.Module) -> nn.Module:
    return with_activation_strength(with_skip_strength(model, images(1)), images(1))


@functools.cache
def _with_and_without(make: Callable) -> tuple[nn.Module, nn.Module]:
    model = built(make)
    return both(model), model


def strengthened(make: Callable) -> nn.Module:
    return copy.deepcopy(_with_and_without(make)[0])


@pytest.mark.parametrize("make", MAKERS)
def test_skips_and_activations_are_found(make: Callable) -> None:
    model = built(make).train()
    found = find_skips(model, images(1))
    skips = [(skip.name, skip.strength, skip.kind, skip.layers) for skip in found]
    activations = [(site.name, site.function) for site in find_activations(model, images(1))]
    assert skips == SKIPS[make]
    assert activations == ACTIVATIONS[make]
    assert "networks.py" in found[0].where
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("make", MAKERS)
def test_strengths_in_use_and_out_of_use_change_nothing(make: Callable) -> None:
    """Outputs in both modes, gradients and running statistics are those of the model, bit for bit."""
    graph, model = copy.deepcopy(_with_and_without(make))
    assert graph is not model
    assert not graph.training
    expected_skips = {name: t for name, t, _, _ in SKIPS[make]}
    set_skip_strength(graph, expected_skips)
    assert skip_strengths(graph) == expected_skips
    assert activation_strengths(graph) == {name: 0.0 for name, _ in ACTIVATIONS[make]}
    with torch.no_grad():
        assert same(graph(images(3)), model(images(3)))
    model.train()
    graph.train()
    for net in (model, graph):
        torch.manual_seed(1)
        sum(y.square().sum() for y in pytree.tree_leaves(net(images(5, seed=2)))).backward()
    gradients = {name: p.grad for name, p in graph.named_parameters()}
    assert all(torch.equal(gradients[name], p.grad) for name, p in model.named_parameters())
    state = graph.state_dict()
    assert all(torch.equal(state.pop(name), value) for name, value in model.state_dict().items())
    assert all(name.endswith(".strength") for name in state)


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_removed_changes_no_output(make: Callable) -> None:
    graph = strengthened(make)
    set_skip_strength(graph, 0.0)
    set_activation_strength(graph, 1.0)
    plain = remove_activations(remove_skips(graph, images(1)), images(1))
    assert same(plain(images(3)), graph(images(3)))
    assert not find_activations(plain, images(1))
    assert not any(skip.kind == "identity" for skip in find_skips(plain, images(1)))
    assert not any("downsample" in name or "strength" in name for name in plain.state_dict())
    set_skip_strength(graph, 1.0)
    assert not same(plain(images(3)), graph(images(3)))


@pytest.mark.parametrize(("block", "t"), [(BasicBlock, 0.0), (Bottleneck, 0.25)])
def test_our_residual_networks_say_the_same_of_their_strength(block: type, t: float) -> None:
    torch.manual_seed(0)
    residual, faded = (Narrow(block, (1, 2, 0, 0), skip_strength=strength).eval() for strength in (1.0, t))
    faded.load_state_dict(residual.state_dict())
    graph = with_skip_strength(residual, images(1), t)
    assert torch.equal(graph(images(2)), faded(images(2)))
    assert [skip.strength for skip in find_skips(faded, images(1))] == [t] * 3
    if t:
        assert skip_strengths(with_skip_strength(faded, images(1), 0.5)) == dict.fromkeys(skip_strengths(graph), 0.5)
    else:
        assert torch.equal(remove_skips(faded, images(1))(images(2)), faded(images(2)))


def test_an_activation_becomes_linear_on_the_way() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.PReLU(3), nn.Hardswish())
    graph = with_activation_strength(model, torch.zeros(1, 3), {"1": 0.25})
    x = torch.randn(4, 3)
    y = model[0](x)
    assert activation_strengths(graph) == {"1": 0.25}
    assert torch.equal(graph(x), model[2](0.25 * y + 0.75 * model[1](y)))
    assert "1.weight" in graph.state_dict()
    assert [found.strength for found in find_activations(graph, torch.zeros(1, 3))] == [0.25, 0.0]
    set_activation_strength(graph, 1.0)
    plain = remove_activations(graph, torch.zeros(1, 3), only=["1"])
    assert torch.equal(plain(x), model[2](y))
    assert "1.weight" not in plain.state_dict()


def test_some_skips_can_go_before_the_others() -> None:
    graph = with_skip_strength(built(basic), images(1), {"1": 0.5})
    assert skip_strengths(graph) == {"1": 0.5}
    graph = with_skip_strength(graph, images(1), {"1": 1.0, "2": 0.0})
    assert skip_strengths(graph) == {"1": 1.0, "2": 0.0}
    plain = remove_skips(graph, images(1), only=["2"])
    assert skip_strengths(plain) == {"1": 1.0}
    assert torch.equal(plain(images(2)), graph(images(2)))


def test_in_whatever_order_the_strengths_came() -> None:
    one, other = strengthened(basic), with_activation_strength(built(basic), images(1))
    other = with_skip_strength(other, images(1))
    assert skip_strengths(one) == skip_strengths(other)
    assert activation_strengths(one) == activation_strengths(other)
    assert torch.equal(one(images(2)), other(images(2)))


def test_strengths_are_saved_and_loaded() -> None:
    graph = strengthened(basic)
    set_skip_strength(graph, {"1": 0.5})
    set_activation_strength(graph, {"2.relu@1": 0.75})
    fresh = strengthened(basic)
    fresh.load_state_dict(graph.state_dict())
    assert skip_strengths(fresh) == skip_strengths(copy.deepcopy(graph)) == {"1": 0.5, "2": 1.0}
    assert activation_strengths(fresh)["2.relu@1"] == 0.75
    assert torch.equal(fresh(images(2)), graph(images(2)))
    assert "SkipStrength(1, 0.5)" in str(fresh)


@pytest.mark.parametrize("make", [basic, preact])
def test_it_compiles_and_exports(make: Callable) -> None:
    graph = strengthened(make)
    set_skip_strength(graph, 0.5)
    set_activation_strength(graph, 0.25)
    with torch.no_grad():
        expected = graph(images(4))
        assert torch.equal(torch.compile(graph, backend="eager", fullgraph=True)(images(4)), expected)
        program = torch.export.export(graph, (images(4),))
        assert torch.equal(program.module()(images(4)), expected)


def test_modes_of_parts_are_kept() -> None:
    model = built(basic).train()
    model[1].bn1.eval()
    graph = with_skip_strength(model, images(1))
    assert graph.training
    assert [name for name, part in graph.named_modules() if not part.training] == ["1.bn1"]


@pytest.mark.parametrize("training", [False, True])
def test_strengths_are_in_the_mode_of_their_model(training: bool) -> None:
    model = built(basic).train(training)
    for opened in (with_skip_strength(model, images(1)), with_activation_strength(model, images(1))):
        assert {module.training for module in opened.modules()} == {training}


def test_a_value_outside_of_its_range_is_refused() -> None:
    graph = with_skip_strength(built(basic), images(1))
    for value in (-0.5, 1.5, float("nan"), "half"):
        with pytest.raises(HomotopyError, match="outside"):
            set_skip_strength(graph, value)
        with pytest.raises(HomotopyError, match="outside"):
            with_activation_strength(graph, images(1), value)
    assert skip_strengths(graph) == {"1": 1.0, "2": 1.0}


def test_what_is_not_there_is_not_removed() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    for attempt in (with_skip_strength, remove_skips, with_activation_strength, remove_activations):
        with pytest.raises(HomotopyError, match=r"no (skip connections|activations) found"):
            attempt(plain, images(1))
    with pytest.raises(HomotopyError, match="carries a strength"):
        set_skip_strength(built(basic), 0.0)
    graph = with_skip_strength(built(basic), images(1))
    with pytest.raises(UnknownNameError, match=r"1 \| 2, got 3"):
        set_skip_strength(graph, {"3": 0.0})
    with pytest.raises(UnknownNameError, match="got 3"):
        remove_skips(graph, images(1), only=["3"])


def test_what_is_in_use_is_not_removed() -> None:
    graph = with_skip_strength(built(basic), images(1), {"1": 0.0, "2": 0.125})
    with pytest.raises(HomotopyError, match=r"skip '2' is in use: expected t = 0, got t = 0.125"):
        remove_skips(graph, images(1))
    with pytest.raises(HomotopyError, match=r"skip '1' is in use.*got t = 1"):
        remove_skips(built(basic), images(1))
    with pytest.raises(HomotopyError, match=r"activation '1.relu' is not linear: expected s = 1, got s = 0"):
        remove_activations(graph, images(1))


class TwoFaced(nn.Module):
    """Adds its skip itself and, beside it, something in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return x + (y * 2.0 if self.training else y)


class Leaking(nn.Module):
    """Keeps a value that another module takes without having been given it."""

    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.kept = self.conv(x)
            return self.kept + 1

    def __init__(self) -> None:
        super().__init__()
        self.keeper = self.Keeper()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.keeper(x) * self.keeper.kept


@pytest.mark.parametrize(("part", "reason"), [(TwoFaced, "in training"), (Leaking, "gives away|assigned")])
def test_a_model_that_cannot_be_opened_is_refused(part: type, reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        with_skip_strength(built(lambda: network(part())), images(2))
