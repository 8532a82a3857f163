"""Versions of a network that other tools made: within rounding, not the same function, and wrong ones told apart."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.errors import ShapeError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models.resnet import BasicBlock
from tests.narrow import Narrow

exactly = partial(certify, level="modular")

EXAMPLE = torch.zeros(2, 1, 32, 32)
THOROUGH = settings.default.max_examples >= 40


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, its BatchNorms with statistics of their own."""
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tensor.shape) - name.endswith("mean")))
    return model.eval()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    torch.manual_seed(0)
    return drawn(Narrow(BasicBlock, (2, 2, 2, 1)))


@pytest.fixture(scope="module")
def graph(original: nn.Module) -> Graph:
    return trace(original, EXAMPLE)


@pytest.fixture(scope="module")
def fused(original: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own module uses what torch deprecates
        from torch.fx.experimental.optimization import fuse
    return fuse(original).eval()


def test_a_fused_network_is_within_rounding_and_not_the_same_function(graph: Graph, fused: nn.Module) -> None:
    assert sum(isinstance(part, nn.BatchNorm2d) for part in fused.modules()) == 0
    bounded = certify(graph, fused, EXAMPLE, level="bounded", points=2)
    assert bounded.ok
    assert 0 < bounded.observed <= bounded.bound
    assert str(bounded).startswith("Yes (bounded): the two networks make the same calls that are not affine")
    sampled = certify(graph, fused, EXAMPLE, level="sampled", points=2)
    assert sampled.ok
    assert "a smoke test" in sampled.statement
    modular = exactly(graph, fused, EXAMPLE)
    assert not modular.ok
    assert "level 'bounded' says whether that is all" in modular.statement
    assert "what relu of relu is given [at resnet.py" in modular.witness.what


def weight(factor: float) -> Callable[[nn.Module], None]:
    """The largest weight of the first convolution of layer2.1, by a relative factor."""

    def mutate(model: nn.Module) -> None:
        flat = model.get_submodule("layer2.1.conv1").weight.detach().view(-1)
        flat[flat.abs().argmax()] *= 1 + factor

    return mutate


def flipped(model: nn.Module) -> None:
    part = model.get_submodule("layer2.1.conv1")
    part.weight.data = part.weight.flip(-1)


def transposed(model: nn.Module) -> None:
    part = model.get_submodule("layer2.1.conv1")
    part.weight.data = part.weight.mT.contiguous()


def without_bias(model: nn.Module) -> None:
    model.get_submodule("layer2.1.conv1").bias.data.zero_()


def padded_by_copies(model: nn.Module) -> None:
    model.get_submodule("layer2.1.conv1").padding_mode = "replicate"
    model.get_submodule("layer2.1.conv1")._reversed_padding_repeated_twice = [1, 1, 1, 1]


@pytest.mark.parametrize("mutate", [weight(1e-1), weight(1e-3), flipped, transposed, without_bias, padded_by_copies])
def test_a_wrong_fusion_is_refuted_where_it_is_wrong(
    graph: Graph, fused: nn.Module, mutate: Callable[[nn.Module], None]
) -> None:
    mutant = copy.deepcopy(fused)
    mutate(mutant)
    certificate = certify(graph, mutant, EXAMPLE, level="bounded", points=2)
    assert not certificate.ok
    assert certificate.observed > certificate.bound
    assert "layer2.1.relu is given [at resnet.py" in certificate.statement
    assert certificate.witness.original != certificate.witness.collapsed
    assert len(certificate.witness.input) == 2 * 32 * 32


def test_another_activation_is_named(original: nn.Module, graph: Graph) -> None:
    other = copy.deepcopy(original)
    other.layer3[0].relu = nn.LeakyReLU().eval()
    other = trace(other, EXAMPLE)
    for level in ("bounded", "modular"):
        certificate = certify(graph, other, level=level)
        assert not certificate.ok
        assert "relu of layer3.0.relu" in certificate.statement
        assert "leaky_relu of layer3.0.relu" in certificate.statement


def test_inputs_are_compared_at_what_is_given(graph: Graph, fused: nn.Module) -> None:
    certificate = certify(graph, fused, EXAMPLE, level="bounded", inputs=torch.ones(3, 1, 32, 32))
    assert certificate.ok
    assert "at 3 given inputs" in certificate.statement
    with pytest.raises(ShapeError, match="do not fit"):
        certify(graph, fused, EXAMPLE, level="bounded", inputs=torch.ones(3, 1, 32, 31))


def test_a_value_that_overflows_is_no_yes(original: nn.Module) -> None:
    other = copy.deepcopy(original)
    other.conv1.weight.data.fill_(1e38)
    assert not certify(other, original, EXAMPLE, level="bounded", points=1).ok


class Branches(nn.Module):
    """Two convolutions with their BatchNorms and an identity side by side, as RepVGG trains them."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norms[0](self.wide(x)) + self.norms[1](self.narrow(x)) + self.norms[2](x)
        return torch.relu(y)

    def merged(self) -> nn.Conv2d:
        """In float32 throughout, as such tools do it."""
        kernel, bias = torch.zeros(3, 3, 3, 3), torch.zeros(3)
        kernels = [self.wide.weight, nn.functional.pad(self.narrow.weight, [1, 1, 1, 1]), torch.zeros(3, 3, 3, 3)]
        kernels[2][range(3), range(3), 1, 1] = 1.0
        for weight, norm in zip(kernels, self.norms, strict=True):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            kernel, bias = kernel + weight * scale.reshape(-1, 1, 1, 1), bias + norm.bias - norm.running_mean * scale
        conv = nn.Conv2d(3, 3, 3, padding=1)
        conv.weight.data, conv.bias.data = kernel.detach(), bias.detach()
        return conv


@pytest.mark.parametrize("seed", range(4))
def test_branches_merged_by_hand_are_within_rounding(seed: int) -> None:
    torch.manual_seed(seed)
    model = drawn(Branches(), seed)
    merged = nn.Sequential(model.merged(), nn.ReLU()).eval()
    x = torch.zeros(2, 3, 5, 5)
    assert certify(model, merged, x, level="bounded").ok
    merged[0].weight.data[0, 0, 1, 1] -= 1.0  # the identity forgotten in one channel
    assert not certify(model, merged, x, level="bounded").ok


@pytest.mark.parametrize("name", ["repvgg_a0", *(["mobileone_s0"] if THOROUGH else [])])
def test_what_timm_makes_is_within_rounding(name: str) -> None:
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    model = drawn(timm.create_model(name, num_classes=10))
    merged = timm.utils.reparameterize_model(model).eval()
    example = torch.zeros(2, 3, 64, 64)
    given = trace(model, example)
    assert certify(given, merged, example, level="bounded", points=2).ok
    assert not exactly(given, merged, example, points=1).ok
    convs = [part for part in merged.modules() if isinstance(part, nn.Conv2d) and part.bias is not None]
    convs[len(convs) // 2].weight.data[0] *= 1.01
    certificate = certify(given, merged, example, level="bounded", points=2)
    assert not certificate.ok
    assert "is given [at byobnet.py" in certificate.statement
