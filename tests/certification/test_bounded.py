"""The levels that measure: several inputs and outputs, truth values and integers, infinities, overflow, no entries."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import ExportedProgram

from algebraic_cnn import Certificate, certify, exact_map
from algebraic_cnn.certification.rounding import box_error, forward_error
from algebraic_cnn.errors import AlgebraicError
from algebraic_cnn.ir.trace import export, trace

INFINITE = float("inf")


class Net(nn.Module):
    """function(*x)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, *x: Tensor) -> Any:
        return self.function(*x)


X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
MASK, OTHER = torch.tensor([0.0, -INFINITE, 0.0]), torch.tensor([0.0, 0.0, -INFINITE])
FLAGS = torch.tensor([False, True, False])
TABLE = torch.arange(20.0).reshape(5, 4)

#: A function, another one that differs, and inputs.
PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Any]] = {
    "two outputs": (lambda x: (x * 2, x + 1), lambda x: (x * 2, x + 1.001), X),
    "two inputs": (lambda x, y: 2 * x + y, lambda x, y: 2 * x + 1.001 * y, (X, X)),
    "two outputs and a ReLU": (lambda x: (x.relu(), x + 1), lambda x: (x.relu(), x + 1.001), X),
    "truth values": (lambda x, k: torch.where(k, x, -x), lambda x, k: torch.where(k, -x, x), (X, X > 0)),
    "integers": (lambda x: F.embedding(x, TABLE).sum(1), lambda x: F.embedding(x, 1 - TABLE).sum(1), X.long() * 0),
    "integers alone": (lambda x: 2 * x + 1, lambda x: 3 * x + 1, X.long()),
    "outputs of integers": (lambda x: x.argmax(1), lambda x: (-x).argmax(1), X),
    "outputs of truth values": (lambda x: x * 2 > 1, lambda x: x * 3 > 1, X),
    "a mask": (lambda x: (x + MASK).softmax(1), lambda x: (x + OTHER).softmax(1), X),
    "a filled mask": (lambda x: x.masked_fill(FLAGS, -INFINITE).softmax(1), lambda x: x.masked_fill(FLAGS, -1.0), X),
    "a large mask": (lambda x: (x + MASK.clamp(-1e9)).softmax(1), lambda x: (x + OTHER.clamp(-1e9)).softmax(1), X),
    "padding for a maximum": (
        lambda x: F.max_pool1d(F.pad(x, (1, 1), value=-INFINITE), 2),
        lambda x: F.max_pool1d(F.pad(x, (1, 1), value=-9.0), 2),
        X,
    ),
    "half of the channels masked": (
        lambda x: 2 * (x + MASK) + 1,
        lambda x: 2 * (x + MASK) + torch.tensor([1.0, 1.0, 1.5]),
        X,
    ),
}


@functools.cache
def programs(name: str) -> tuple[ExportedProgram, ExportedProgram]:
    *functions, inputs = PAIRS[name]
    one, other = (export(Net(function), inputs) for function in functions)
    return one, other


@pytest.mark.parametrize("level", ["auto", "modular", "bounded", "sampled"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_network_is_itself_and_not_the_other(name: str, level: str) -> None:
    (function, other), inputs = programs(name), PAIRS[name][-1]
    assert certify(function, function, inputs, level=level).ok
    assert not certify(function, other, inputs, level=level).ok


UNKNOWN: dict[str, tuple[Callable[..., Any], torch.dtype]] = {
    "NaN": (lambda x: (-x.square() - 1).sqrt() * 2, torch.float32),
    "overflow of float16": (lambda x: x * 6e4 * 6e4, torch.float16),
    "overflow of float32": (lambda x: x * 1e30 * 1e30, torch.float32),
    "overflow of float64": (lambda x: x * 1e300 * 1e300, torch.float64),
    "overflow on the way": (lambda x: x * 1e30 * 1e30 * 1e-30 * 1e-30, torch.float32),
    "overflow between": (lambda x: (x.relu() + 1) * 1e300 * 1e300, torch.float64),
}


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("level", ["bounded", "sampled"])
def test_what_is_not_finite_gets_no_yes(name: str, level: str) -> None:
    function, dtype = UNKNOWN[name]
    found = certify(Net(function), Net(lambda x: function(x)), X.to(dtype), level=level)
    assert not found.ok
    assert found.undecided


def test_infinities_that_both_are_given_are_compared() -> None:
    """log 0 is what it is; twice that is the same in both, and one more is not -inf + x."""
    assert certify(Net(lambda x: (x * 0).log() * 2), Net(lambda x: (x * 0).log() * 2), X, level="bounded").ok
    found = certify(Net(lambda x: (x * 0).log() * 2), Net(lambda x: (x * 0).log() * -2), X, level="bounded")
    assert not found.ok
    assert found.witness is not None


def over(function: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], side: float) -> Certificate:
    return certify(Net(function), Net(other), X, level="bounded", box=(-side, side))


def test_a_box_in_which_numbers_overflow_gets_no_yes() -> None:
    """At 1e38 the first product of float32 is infinite, on the way to a result that is not."""
    there_and_back = UNKNOWN["overflow on the way"][0]
    halves = lambda x: x * 8.0 * 0.125  # noqa: E731
    assert over(halves, halves, 1.0).ok
    assert not over(halves, halves, 1e38).ok
    assert not over(there_and_back, there_and_back, 1.0).ok
    assert not over(lambda x: x * 3e38, lambda x: x * 3e38, 2.0).ok
    graph = trace(Net(halves), X)
    centre, radius = torch.zeros(3).double(), torch.ones(3).double()
    assert box_error(graph, centre, radius * 1e37).isfinite().all()
    assert not box_error(graph, centre, radius * 1e38).isfinite().any()
    assert not forward_error(graph, torch.full((1, 3), 1e38)).bound.isfinite().any()


@given(st.integers(-20, 20), st.integers(0, 2**20), st.integers(0, 2**20))
def test_verdicts_follow_the_size_of_a_change(power: int, first: int, second: int) -> None:
    """Two factors whose float32 forms agree to 2^-20 or not; the truth is their quotient."""
    c, d = (2.0**power * (1 + n / 2**20) for n in (first, second))
    found = certify(Net(lambda x: (x * c, x.relu() * d)), Net(lambda x: (x * d, x.relu() * d)), X, level="bounded")
    assert found.ok == (abs(first - second) <= 0)


EMPTY: dict[str, tuple[Callable[[Tensor], Any], tuple[int, ...]]] = {
    "no outputs": (lambda x: x[:, :0] * 2, (2, 3)),
    "no inputs": (lambda x: F.pad(x, (0, 2), value=1.0), (2, 0)),
    "no channels": (lambda x: x.sum((2, 3)), (2, 0, 4, 4)),
    "nothing at all": (lambda x: x * 2, (2, 0)),
    "no outputs beside some": (lambda x: (x[:, :0].relu(), x * 2), (2, 3)),
}


@pytest.mark.parametrize("level", ["auto", "modular", "rational", "bounded", "sampled"])
@pytest.mark.parametrize("name", EMPTY)
def test_networks_without_entries_are_themselves(name: str, level: str) -> None:
    function, shape = EMPTY[name]
    assert certify(Net(function), Net(lambda x: function(x)), torch.zeros(shape), level=level).ok


def test_an_exact_map_without_entries_has_its_constant() -> None:
    found = exact_map(Net(EMPTY["no inputs"][0]), torch.zeros(2, 0))
    assert found.W.shape == (2, 0)
    assert found.b.tolist() == [1, 1]


@pytest.mark.parametrize("level", ["auto", "modular", "rational", "bounded", "sampled"])
def test_an_example_without_samples_is_refused_in_our_words(level: str) -> None:
    with pytest.raises(AlgebraicError, match="no sample"):
        certify(nn.Linear(3, 2).eval(), nn.Linear(3, 2).eval(), torch.zeros(0, 3), level=level)


@pytest.mark.parametrize("section", [torch.float32, torch.float64])
def test_a_part_is_judged_by_the_precision_of_its_own_calls(section: torch.dtype) -> None:
    """Weights fused in float32 are off by 2^-24 where inputs are float64; in a float64 part they are another map."""
    a, b = (torch.randn(3, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 2))
    a, b = a.to(section), b.to(section)
    fused = (b.double() @ a.double()).float().to(section)
    apart = Net(lambda x: F.linear(F.linear(x.relu().to(section), a), b).tanh())
    found = certify(apart, Net(lambda x: F.linear(x.relu().to(section), fused).tanh()), X.double(), level="bounded")
    assert found.ok == (section == torch.float32)


def folded(seed: int, other_act: Callable[[Tensor], Tensor], change: float = 0.0) -> tuple[nn.Module, nn.Module]:
    """Convolutions, BatchNorms and Hardswish; and the same folded in float32, its activation written in another way."""
    torch.manual_seed(seed)
    pairs = [(nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1).eval(), nn.BatchNorm2d(4).eval()) for i in range(3)]
    for _, norm in pairs:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    fused = [torch.nn.utils.fusion.fuse_conv_bn_eval(*pair) for pair in pairs]
    with torch.no_grad():
        fused[1].weight[0, 0, 1, 1] += change
    one = nn.Sequential(*(nn.Sequential(*pair, nn.Hardswish()) for pair in pairs))
    other = nn.Sequential(*(nn.Sequential(layer, Act(other_act)) for layer in fused))
    return one.eval(), other.eval()


class Act(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def split(x: Tensor) -> Tensor:
    """Hardswish as two calls, as ONNX Runtime writes it."""
    return x * F.hardsigmoid(x)


def differences(x: Tensor) -> Tensor:
    """Hardswish as a difference of squares of two activations: no definition says so."""
    return (x.clamp(-3, 3) + 3).square() / 6 - (x.clamp(-3, 3) + 3) / 2 + F.relu(x - 3)


@pytest.mark.parametrize("seed", range(4))
def test_another_spelling_is_decided_by_what_it_is_of_real_numbers(seed: int) -> None:
    x = torch.zeros(2, 3, 4, 4)
    assert certify(*folded(seed, split), x, seed=seed).verdict == "rounding"
    assert certify(*folded(seed, split, change=0.125), x, seed=seed).verdict == "different"
    assert certify(*folded(seed, lambda x: x * F.hardsigmoid(x + 2.0**-10)), x, seed=seed).verdict == "different"


@pytest.mark.parametrize("seed", range(4))
def test_what_cannot_be_compared_is_not_different_for_its_rounding(seed: int) -> None:
    x = torch.zeros(2, 3, 4, 4)
    assert certify(*folded(seed, differences), x, seed=seed).verdict == "undecided"
    assert certify(*folded(seed, differences, change=0.125), x, seed=seed).verdict == "different"


class Lookup(nn.Module):
    """A row of a table that has one."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.last = nn.Embedding(1, 4), nn.Linear(4, 2)

    def forward(self, i: Tensor) -> Tensor:
        return self.last(self.rows(i).relu())


@pytest.mark.parametrize("level", ["bounded", "sampled"])
def test_inputs_that_a_network_does_not_take_decide_nothing(level: str) -> None:
    model, x = Lookup().eval(), torch.zeros(3, 2, dtype=torch.int64)
    found = certify(model, model, x, level=level)  # whole numbers are drawn without knowing how many rows there are
    assert found.verdict == "undecided"
    assert "embedding does not run on inputs that were drawn (index out of range" in found.statement
    assert certify(model, model, x).verdict == "equal"
