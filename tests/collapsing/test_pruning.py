"""Dead channels go, and nothing else does: outputs are torch's own, at integers, where every sum is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn import certify, collapse
from algebraic_cnn.collapsing.pruning import Pruned, pruned, require_entries
from algebraic_cnn.errors import AlgebraicError, UncertifiedError
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.spelling import plain
from algebraic_cnn.ir.trace import trace

X = (2, 3, 8, 8)


def integers(model: nn.Module, seed: int = 0) -> nn.Module:
    """A model with small integers for weights, in evaluation mode and float64."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-3, 4, parameter.shape, generator=draw))
            parameter[parameter == 0] = 1.0
    return model.double().eval()


def image(shape: tuple[int, ...] = X) -> torch.Tensor:
    draw = torch.Generator().manual_seed(7)
    return torch.randint(-4, 5, shape, generator=draw).double()


def kill(layer: nn.Module, *filters: int, bias: float = -1.0) -> None:
    with torch.no_grad():
        for k in filters:
            layer.weight[k] = 0.0
            if layer.bias is not None:
                layer.bias[k] = bias


def gone(model: nn.Module, x: torch.Tensor) -> Pruned:
    """What goes, after a look at the outputs, which are the same numbers."""
    found = pruned(plain(trace(model, x)))
    with torch.no_grad():
        assert torch.equal(emit(found.graph)(x), model(x))
    return found


def chain(*, norm: bool = False, act: nn.Module | None = None) -> nn.Sequential:
    first = [nn.Conv2d(3, 6, 3, padding=1), *([nn.BatchNorm2d(6)] if norm else []), act or nn.ReLU()]
    return integers(nn.Sequential(*first, nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)))


@settings(max_examples=6)
@given(
    st.sets(st.integers(0, 5), max_size=5), st.sets(st.integers(0, 3), max_size=4), st.sampled_from([-2.0, 0.0, -0.0])
)
def test_what_is_dead_goes_and_the_numbers_stay(first: set[int], second: set[int], bias: float) -> None:
    model = chain()
    kill(model[0], *first, bias=bias)
    kill(model[2], *second, bias=bias)
    left = len(first) + min(len(second), 3)  # a layer keeps one channel
    assert sum(gone(model, image()).modules.values()) == left


def test_filters_of_readers_that_read_dead_channels_alone_are_dead_too() -> None:
    model = integers(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)))
    kill(model[0], 1)
    with torch.no_grad():
        model[2].weight[0] = torch.tensor([0.0, 5.0, 0.0])
        model[2].bias[0] = -3.0
    assert gone(model, image((2, 4))).modules == {"0": 1, "2": 1}


class Wired(nn.Module):
    """A convolution and a ReLU whose result is read as told."""

    def __init__(self, read: Callable[[Wired, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)
        self.side, self.twice, self.deep = nn.Conv2d(3, 6, 1), nn.Conv2d(12, 4, 1), nn.Conv2d(6, 6, 3, groups=6)
        self.beside, self.grouped, self.gate = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 1, groups=2), nn.Linear(6, 6)
        self.read = read

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.x = x
        return self.read(self, self.first(x).relu())


GOES = {
    "a pool": lambda m, y: m.last(nn.functional.max_pool2d(y, 2)),
    "two readers": lambda m, y: m.last(y) + m.beside(nn.functional.avg_pool2d(y, 2).mean((2, 3), True)),
    "an average of all": lambda m, y: m.gate(y.mean((2, 3))),
    "a concatenation": lambda m, y: m.twice(torch.cat([y, m.side(m.x)], 1)),
    "the size of the batch": lambda m, y: m.gate(nn.functional.adaptive_avg_pool2d(y, 1).reshape(y.shape[0], -1)),
    "a clamp": lambda m, y: m.last(y.clamp(0, 4)),
}
STAYS = {
    "an output": lambda m, y: torch.cat([m.last(y), y], 1),
    "a second reader that is not affine": lambda m, y: m.last(y) + y.cos().mean((1, 2, 3), True),
    "a norm over channels": lambda m, y: m.last(nn.functional.layer_norm(y, y.shape[1:])),
    "a softmax over channels": lambda m, y: m.last(y.softmax(1)),
    "groups": lambda m, y: m.grouped(y),
    "a sum with a live value": lambda m, y: m.last((y + m.side(m.x)).relu()),
    "a depthwise filter that gives its bias": lambda m, y: m.last(m.deep(y)),
    "a shuffle": lambda m, y: m.last(nn.functional.channel_shuffle(y, 2)),
    "rows of pixels": lambda m, y: m.last(y.transpose(1, 2).transpose(1, 2)),
    "what may be infinite": lambda m, y: m.last((y + (y + 1).log()).relu()),
    "a question for NaN": lambda m, y: m.last(y) + y.isnan().double().sum(),
}


@pytest.mark.parametrize("name", GOES)
def test_readers_that_can_do_without(name: str) -> None:
    model = Wired(GOES[name])
    kill(integers(model).first, 2, 4)
    assert gone(model, image()).modules["first"] == 2


@pytest.mark.parametrize("name", STAYS)
def test_readers_that_cannot(name: str) -> None:
    model = Wired(STAYS[name])
    kill(integers(model).first, 2, 4)
    found = pruned(plain(trace(model, image())))
    assert found.graph is found.before


@pytest.mark.parametrize("value", [5e-324, 0.25])
def test_a_bias_that_is_positive_keeps_its_filter(value: float) -> None:
    model = chain()
    kill(model[0], 1, bias=value)
    assert not gone(model, image()).gone


@pytest.mark.parametrize("value", [5e-324, -5e-324])
def test_a_weight_beside_zero_keeps_its_filter(value: float) -> None:
    model = chain()
    kill(model[0], 1)
    with torch.no_grad():
        model[0].weight[1, 2, 1, 0] = value
    assert not gone(model, image()).gone


def test_zeros_of_both_signs_are_zeros() -> None:
    model = chain()
    kill(model[0], 1)
    with torch.no_grad():
        model[0].weight[1, 2].neg_()
    assert gone(model, image()).modules == {"0": 1}


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_weights_that_are_no_numbers_keep_what_they_read(value: float) -> None:
    model = chain()
    kill(model[0], 1)
    with torch.no_grad():
        model[2].weight[0, 1, 0, 0] = value
    assert not pruned(plain(trace(model, image()))).gone
    with pytest.raises(AlgebraicError, match="NaN or infinite"):
        collapse(model, image(), measure=False)


@pytest.mark.parametrize("act", [nn.LeakyReLU(), nn.Sigmoid(), nn.GELU(), nn.Hardtanh(-1, 1), nn.ELU(), nn.Identity()])
def test_other_activations_keep_it(act: nn.Module) -> None:
    model = chain(act=act)
    kill(model[0], 1)
    assert not gone(model, image()).gone


@pytest.mark.parametrize("act", [nn.ReLU6(), nn.Hardtanh(0, 3), nn.ReLU(inplace=True)])
def test_activations_that_are_zero_below_zero(act: nn.Module) -> None:
    model = chain(act=act)
    kill(model[0], 1)
    assert gone(model, image()).modules == {"0": 1}


#: scale, mean, shift of a BatchNorm of the constant 0 with variance 1 - eps, and whether -scale mean + shift <= 0
NORMS = [
    ((0.0, 5.0, 0.0), True),
    ((0.0, 5.0, -1.0), True),
    ((0.0, 5.0, 5e-324), False),
    ((1.0, 2.0, 2.0), True),
    ((1.0, 2.0, 2.0 + 2**-51), False),
    ((-1.0, 2.0, -2.0), True),
    ((-1.0, 2.0, -2.0 + 2**-52), False),
    ((1.0, -2.0, 0.0), False),
]


@pytest.mark.parametrize(("numbers", "dead"), NORMS)
def test_the_sign_after_a_batch_norm_is_exact(numbers: tuple[float, float, float], dead: bool) -> None:
    model = chain(norm=True)
    norm = model[1]
    kill(model[0], 3, bias=0.0)
    with torch.no_grad():
        norm.running_var.fill_(1 - 2.0**-20)
        norm.weight[3], norm.running_mean[3], norm.bias[3] = numbers
    norm.eps = 2.0**-20
    found = pruned(plain(trace(model, image())))
    assert bool(found.gone) is dead


def test_a_scale_of_zero_kills_a_live_filter() -> None:
    model = chain(norm=True)
    with torch.no_grad():
        model[1].weight[2], model[1].bias[2] = 0.0, -0.5
    assert pruned(plain(trace(model, image()))).modules == {"0": 1}


def mobile() -> nn.Module:
    layers = nn.Conv2d(3, 8, 1), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6(), nn.Conv2d(8, 4, 1)
    model = integers(nn.Sequential(*layers))
    kill(model[0], 1, 5)
    kill(model[2], 6, bias=0.0)
    with torch.no_grad():
        model[2].bias[1], model[2].bias[5] = -1.0, 1.0
    return model


def test_depthwise_filters_go_with_their_channels() -> None:
    """Channel 1 is dead before and after; 5 gives the bias 1 after; 6 is alive before and read by nothing else."""
    assert gone(mobile(), image()).modules == {"0": 2, "2": 2}


def test_a_weight_of_two_readers_is_nobodys() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.map(self.map(x).relu())

    model = integers(Tied())
    kill(model.map, 1)
    assert not gone(model, image()).gone


@pytest.mark.parametrize("level", ["modular", "bounded", "rational", None])
def test_a_collapse_without_dead_channels(level: str | None) -> None:
    model = mobile()
    result = collapse(model, image(), certify=level, measure=False)
    assert "4 dead filters went (2 of 0, 2 of 2)." in str(result.report)
    counts = tuple(sum(p.numel() for p in each.parameters()) for each in (model, result.model))
    assert result.report.parameters == counts
    assert torch.equal(result.model(image()), model(image()))
    assert level is None or "without 4 dead filters" in result.certificate.statement
    again = certify(model, result.model, image())
    assert again.ok
    assert "without 4 dead filters" in again.statement


def test_a_network_that_is_not_the_pruned_one_is_none() -> None:
    model = mobile()
    result = collapse(model, image(), measure=False)
    other = mobile()
    with torch.no_grad():
        other[0].bias[1] = 0.5
    assert not certify(other, result.model, image()).ok


def _moved(found: Pruned) -> Pruned:
    name = next(n for n, x in found.graph.constants.items() if n.endswith("2_weight"))
    constants = dict(found.graph.constants)
    constants[name] = constants[name].clone()
    constants[name].view(-1)[0] += 2.0**-40
    return replace(found, graph=replace(found.graph, constants=constants))


def _alive(found: Pruned) -> Pruned:
    known = {name: replace(each, zero=torch.zeros_like(each.zero)) for name, each in found.known.items()}
    return replace(found, known=known)


def _other(found: Pruned) -> Pruned:
    return replace(found, gone={name: each.roll(1) for name, each in found.gone.items()})


@pytest.mark.parametrize("damage", [_moved, _alive, _other])
def test_the_check_refuses(damage: Callable[[Pruned], Pruned]) -> None:
    model = chain()
    kill(model[0], 1)
    found = gone(model, image())
    require_entries(found)
    with pytest.raises(UncertifiedError, match="without dead channels"):
        require_entries(damage(found))


def test_no_gradient_wakes_what_went() -> None:
    model = chain()
    kill(model[0], 1, bias=0.0)
    model(image()).square().sum().backward()
    assert not model[0].weight.grad[1].any()
    assert not model[0].bias.grad[1].any()
    assert not model[2].weight.grad[:, 1].any()
