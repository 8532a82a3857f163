"""Networks with calls that are not affine: the same calls and the same affine maps between them, or the place named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.derivation.splitting import cut
from algebraic_cnn.errors import NotAffineError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models.resnet import BasicBlock, ResNet

exactly = partial(certify, level="modular")

EXAMPLE = torch.zeros(1, 2, 6, 6)


def drawn(model: nn.Module, seed: int = 0, integers: bool = False) -> nn.Module:
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = rng.integers(-4, 5, tensor.shape) if integers else rng.standard_normal(tensor.shape)
            tensor.copy_(torch.from_numpy(abs(values) + 0.5 if name.endswith("running_var") else values))
    return model.eval()


class Branches(nn.Module):
    """A rectified sum of branches, a max-pool, a gate of two values, a part of a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.three = nn.Conv2d(2, 4, 3, padding=1)
        self.one = nn.Conv2d(2, 4, 1)
        self.squeeze = nn.Linear(4, 4)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.three(x) + self.one(x), 0.1)
        x = nn.functional.max_pool2d(x, 2)
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3))))[:, :, None, None]
        values, _ = torch.topk(x.flatten(2), 2, dim=2)
        return self.head(values).sum(1)


class Fused(Branches):
    """The same, the two branches merged into one kernel by hand, as a tool would do it."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.three.weight + nn.functional.pad(self.one.weight, [1, 1, 1, 1])
        x = nn.functional.conv2d(x, kernel, self.three.bias + self.one.bias, padding=1)
        x = nn.functional.max_pool2d(nn.functional.leaky_relu(x, 0.1), 2)
        x = x * torch.sigmoid(self.squeeze(x.mean((2, 3))))[:, :, None, None]
        values, _ = torch.topk(x.flatten(2), 2, dim=2)
        return self.head(values).sum(1)


def test_the_boundaries_are_found() -> None:
    pieces = cut(trace(drawn(Branches()), EXAMPLE))
    assert [found.call.op for found in pieces.boundaries] == ["leaky_relu", "max_pool2d", "sigmoid", "mul", "topk"]
    assert len(pieces.places) == 6 + 1  # the product is given two values
    assert pieces.sources[0] == (-1, 0)


def test_a_merge_of_branches_is_the_same_function() -> None:
    certificate = exactly(drawn(Branches(), integers=True), drawn(Fused(), integers=True), EXAMPLE)
    assert certificate.ok
    assert certificate.error_probability <= 2.0**-80
    assert "the same 5 calls that are not affine" in certificate.statement


def test_a_merge_that_rounds_is_not_the_same_function_and_the_place_is_named() -> None:
    certificate = exactly(drawn(Branches()), drawn(Fused()), EXAMPLE)
    assert not certificate.ok
    assert "what leaky_relu is given [at test_identity.py" in certificate.witness.what


def ulp(tensor: Tensor) -> None:
    flat = tensor.detach().view(-1)
    flat[-1] = torch.nextafter(flat[-1], torch.tensor(torch.inf))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("three.weight", "leaky_relu"),
        ("one.bias", "leaky_relu"),
        ("squeeze.weight", "sigmoid"),
        ("head.bias", "output"),
    ],
)
def test_one_ulp_is_found_where_it_is(name: str, place: str) -> None:
    model = drawn(Branches())
    mutant = copy.deepcopy(model)
    ulp(mutant.get_parameter(name))
    certificate = exactly(model, mutant, EXAMPLE, points=1)
    assert not certificate.ok
    assert place in certificate.witness.what


class Act(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.function = nn.Linear(3, 3), nn.Linear(3, 2), function

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.function(self.first(x)))


OTHERS = {
    "another call": (torch.relu, torch.nn.functional.gelu),
    "another argument": (lambda x: nn.functional.leaky_relu(x, 0.1), lambda x: nn.functional.leaky_relu(x, 0.2)),
    "another number of calls": (torch.relu, lambda x: x),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_calls_are_not_compared(name: str) -> None:
    first, second = (drawn(Act(function)) for function in OTHERS[name])
    certificate = exactly(first, second, torch.zeros(1, 3))
    assert not certificate.ok
    assert certificate.witness is None
    assert "cannot be shown to be the same function: " in certificate.statement
    assert exactly(first, copy.deepcopy(first), torch.zeros(1, 3), points=1).ok


def test_another_constant_of_a_call_is_shown() -> None:
    first, second = (drawn(Act(lambda x, k=k: torch.maximum(x, torch.tensor([1.0, k, 3.0])))) for k in (2.0, 4.0))
    certificate = exactly(first, second, torch.zeros(1, 3))
    assert not certificate.ok
    assert (certificate.witness.original, certificate.witness.collapsed) == (2.0, 4.0)
    assert "what maximum is given" in certificate.witness.what


def test_a_call_that_is_given_the_same_value_twice_is_not_one_that_is_given_two() -> None:
    first = drawn(Act(lambda x: torch.maximum(x, x)))
    second = drawn(Act(lambda x: torch.maximum(x, 2 * x)))
    certificate = exactly(first, second, torch.zeros(1, 3), points=1)
    assert not certificate.ok
    assert "what maximum is given" in certificate.witness.what


def test_sizes_that_a_call_is_given_count() -> None:
    first = drawn(Act(lambda x: torch.cumsum(x, 1).narrow(1, 0, 3)))
    second = drawn(Act(lambda x: torch.cumsum(x.flip(1), 1).flip(1)))
    assert not exactly(first, second, torch.zeros(1, 3), points=1).ok


def test_a_call_that_draws_is_refused_and_dropout_at_rest_is_not() -> None:
    noisy = drawn(Act(lambda x: x + torch.rand_like(x)))
    with pytest.raises(NotAffineError, match="draws random numbers"):
        exactly(noisy, noisy, torch.zeros(1, 3))
    quiet = drawn(Act(lambda x: nn.functional.dropout(x, training=False)))
    assert exactly(quiet, quiet, torch.zeros(1, 3)).ok


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(x) + y, torch.relu(y)


def test_several_inputs_and_outputs_are_compared() -> None:
    model, example = drawn(TwoInputs()), (torch.zeros(2, 3), torch.zeros(2, 2))
    assert exactly(model, copy.deepcopy(model), example).ok
    mutant = copy.deepcopy(model)
    ulp(mutant.linear.weight)
    assert "output 0" in exactly(model, mutant, example, points=1).witness.what


def test_a_residual_network_with_activations_is_itself_and_one_ulp_is_not() -> None:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, [1, 1, 1, 1], in_channels=1, num_classes=3).eval()
    graph = trace(model, torch.zeros(1, 1, 16, 16))
    assert exactly(graph, graph, points=1).ok
    mutant = copy.deepcopy(model)
    ulp(mutant.get_parameter("layer1.0.conv2.weight"))
    certificate = exactly(graph, mutant, torch.zeros(1, 1, 16, 16), points=1)
    assert not certificate.ok
    assert "relu" in certificate.witness.what
