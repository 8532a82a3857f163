"""Dimensions of torch networks: against chains, against each other, against counting by hand; and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import Layer, LinearCNN, Skip, SkipRecursion, SkipSpec, function_space_dimension, symmetries
from algebraic_cnn.algebra.varieties.architecture import Architecture
from algebraic_cnn.algebra.varieties.jacobian import Point, longest_sum
from algebraic_cnn.algebra.varieties.symmetries import Family
from algebraic_cnn.derivation.exact import exact_outputs
from algebraic_cnn.derivation.function_space import architecture_of
from algebraic_cnn.errors import AlgebraicError, NotAffineError, TooLargeError
from algebraic_cnn.homotopy import with_skip_strength
from algebraic_cnn.models.resnet import BasicBlock
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime


def convs(*sizes: int, stride: int = 1, bias: bool = False, dims: int = 1, channels: int = 1) -> list[nn.Module]:
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    return [kind(channels, channels, k, stride=stride, bias=bias) for k in sizes]


class Block(nn.Module):
    """A block of a ResNet without BatchNorm, its skip with a strength that a model gives it."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.conv2(self.act(self.conv1(x))))


@pytest.mark.parametrize("skips", [{}, {(0, 3): 3.0}])
def test_a_linear_cnn_has_the_dimension_of_its_chain(skips: dict) -> None:
    net = LinearCNN((1, 5, 5), [nn.Conv2d(1, 1, 3, bias=False, padding=1) for _ in range(3)], skips)
    chain = {(): 25, ((0, 3),): 26}[tuple(skips)]  # 2-D, 3 x 3, three layers: as without padding
    found = function_space_dimension(net, seed=1)
    assert (found.value, found.certain) == (chain, True)
    assert net.training


def test_a_module_and_its_recursion_have_one_dimension_per_kind_of_letters() -> None:
    dense = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3)).eval()
    recursion = SkipRecursion([Layer(np.ones((2, 4)), b=np.ones(2)), Layer(np.ones((3, 2)), b=np.ones(3))])
    one, other = function_space_dimension(dense, torch.zeros(1, 4), seed=1), function_space_dimension(recursion, seed=1)
    assert one == other
    assert one.value == 2 * (3 + 4 - 2) + 3  # 3 x 4 matrices of rank 2, and a vector
    assert one.certain


def test_a_recursion_with_its_skips() -> None:
    square = Layer(np.ones((2, 2)))
    f = SkipRecursion([square] * 3, {(0, 3): Skip(Fraction(1, 3), R=np.array([[1, 2], [0, 1]]))})
    assert function_space_dimension(f, seed=1).value == 4
    assert function_space_dimension(f, strengths="free", seed=1).parameters == 13
    assert symmetries(f, activation=2).families == (Family("scaling", (1,), 2),)
    with pytest.raises(NotAffineError, match="constant"):
        function_space_dimension(SkipRecursion([square, square], {(0, 2): Skip(1.0, r=np.ones(2))}))


def values_agree(model: nn.Module, example: torch.Tensor) -> bool:
    """Whether the architecture, its letters at the model's weights, is the model, modulo a prime."""
    net = architecture_of(model, example)
    field = PrimeField(random_prime(longest_sum(net), np.random.default_rng(0)))
    theta = np.concatenate([tensor.detach().numpy().ravel() for _, tensor in in_order(model)])
    x = torch.randint(-4, 5, (3, *example.shape[1:])).double()
    found = Point(net, field, field.embed(theta)).forward(field.embed(x.reshape(3, -1).numpy().T))[-1]
    expected = field.embed(exact_outputs(model, x).reshape(3, -1))
    return bool((expected == found.T).all())


def in_order(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters as the reader meets them: in the order of execution, a weight before its bias."""
    return list(model.named_parameters())


@pytest.mark.parametrize("layer", [
    nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1, groups=2),
    nn.Conv2d(2, 2, (1, 3), padding="same", bias=False),
    nn.ConvTranspose2d(2, 3, 2, stride=2, output_padding=1),
    nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(2, 1, 3)),
    nn.Sequential(nn.AvgPool2d(3, 2, padding=1), nn.Flatten(), nn.Linear(18, 2)),
    nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Dropout(0.3), nn.Conv2d(2, 2, 2)),
    nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 1, 3)),
])  # fmt: skip
def test_the_architecture_at_the_weights_is_the_network(layer: nn.Module) -> None:
    assert values_agree(layer.double().eval(), torch.zeros(1, 2, 5, 5).double())


def test_batch_norms_are_letters_too() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 1, bias=False), nn.BatchNorm1d(2)).eval()
    found = function_space_dimension(net, torch.zeros(1, 1, 1), seed=1)
    assert (found.parameters, found.symmetries, found.value) == (2 + 4, 2, 4)


def test_a_weight_that_is_used_twice_is_one_letter() -> None:
    layer = nn.Conv1d(1, 1, 3, bias=False)
    twice = nn.Sequential(layer, layer).eval()
    assert function_space_dimension(twice, torch.zeros(1, 1, 5), seed=1).parameters == 3
    assert symmetries(twice, torch.zeros(1, 1, 5)).families == ()


def test_a_block_and_what_its_skip_ties() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), Block(2, nn.ReLU()), nn.Conv2d(2, 1, 1)).eval()
    x = torch.zeros(1, 1, 4, 4)
    model = with_skip_strength(net, x).eval()
    found = symmetries(model, x, activation=2)
    assert found.broken[next(iter(found.broken))]
    with_t = function_space_dimension(model, x, activation=2, seed=1)
    without = function_space_dimension(model, x, activation=2, strengths=dict.fromkeys(found.broken, 0), seed=1)
    assert without.value < with_t.value
    free = function_space_dimension(model, x, activation=2, strengths="free", seed=1)
    assert free.parameters == with_t.parameters + 1


def test_a_resizing_that_the_layer_cannot_make_is_no_other_weight() -> None:
    layers = [nn.Conv1d(1, 1, 1, stride=2, bias=False), nn.Conv1d(1, 1, 2, bias=False)]
    pooled = symmetries(LinearCNN((1, 4), layers, {(0, 2): SkipSpec(1.0, "pool")}))
    strided = symmetries(LinearCNN((1, 4), layers, {(0, 2): SkipSpec(1.0, "stride")}))
    assert (pooled.absorbed, strided.absorbed) == ((), ((0, 2),))
    assert pooled.broken == {(0, 2): (Family("scaling", (1,), 1),)}


def test_a_residual_network_of_the_package() -> None:
    net = nn.Sequential(BasicBlock(1, 2, 1, False, 1.0), nn.Flatten(), nn.Linear(32, 3)).eval()
    found = function_space_dimension(net, torch.zeros(1, 1, 4, 4), activation=2, seed=1)
    assert found.parameters == sum(p.numel() for p in net.parameters())
    assert found.value <= found.parameters - found.symmetries < found.ambient


def refused() -> list[tuple[type[AlgebraicError], nn.Module, tuple[int, ...], dict]]:
    return [
        (NotAffineError, nn.Sequential(nn.Conv1d(1, 1, 2), nn.ReLU()), (1, 5), {}),
        (NotAffineError, nn.Sequential(nn.Conv1d(1, 1, 2), nn.MaxPool1d(2)), (1, 5), {"activation": 2}),
        (NotAffineError, nn.Sequential(nn.ConstantPad1d(1, 2.0), nn.Conv1d(1, 1, 2)), (1, 5), {}),
        (TooLargeError, nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), (3, 64, 64), {}),
    ]


@pytest.mark.parametrize(("error", "model", "shape", "options"), refused())
def test_what_has_no_letters_is_refused(
    error: type[AlgebraicError], model: nn.Module, shape: tuple[int, ...], options: dict
) -> None:
    with pytest.raises(error):
        function_space_dimension(model.eval(), torch.zeros(1, *shape), **options)


def test_an_architecture_is_its_own() -> None:
    net = Architecture.chain((3, 2))
    assert architecture_of(net) is net
