"""Skips and activations of timm's and torchvision's own residual networks: found, faded, removed, certified.

They need the extra "models".  Weights are random; no time is measured.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify
from algebraic_cnn.apps.bench.reparameterised import network
from algebraic_cnn.errors import MissingExtraError
from algebraic_cnn.homotopy import (
    find_activations,
    find_skips,
    remove_activations,
    remove_skips,
    set_skip_strength,
    with_activation_strength,
    with_skip_strength,
)
from algebraic_cnn.ir.trace import trace

try:
    network("resnet34")
except MissingExtraError:
    pytest.skip("timm is not installed", allow_module_level=True)

#: Network to (skips, activations), counted in the papers' tables of layers.
NETWORKS = {
    "timm resnet18": (8, 17),
    "timm resnet34": (16, 33),
    "timm resnet50": (16, 49),
    "timm resnetv2_50": (16, 49),
    "torchvision resnet18": (8, 17),
    "torchvision resnet50": (16, 49),
}


def _network(name: str) -> tuple[nn.Module, Tensor]:
    library, model = name.split()
    torch.manual_seed(0)
    if library == "timm":
        import timm

        found = timm.create_model(model)
    else:
        import torchvision

        found = torchvision.models.get_model(model)
    return found.eval(), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_skips_fade_train_compile_export_and_go(name: str) -> None:
    model, x = _network(name)
    skips, activations = NETWORKS[name]
    assert len(find_skips(model, x)) == skips
    faded = with_skip_strength(model, x, 1.0)
    with torch.no_grad():
        assert torch.equal(faded(x), model(x))
    faded.train()
    faded(x).sum().backward()
    assert all(p.grad is not None for p in faded.parameters())
    set_skip_strength(faded.eval(), 0.0)
    with torch.no_grad():
        assert not torch.equal(faded(x), model(x))
        assert torch.equal(torch.compile(faded, backend="eager")(x), faded(x))
        assert torch.equal(torch.export.export(faded, (x,)).module()(x), faded(x))
        plain = remove_skips(faded, x)
        assert torch.equal(plain(x), faded(x))
    assert certify(faded, plain, x).ok
    assert not certify(model, plain, x).ok
    assert len(find_activations(plain, x)) == activations


def test_activations_of_timm_fade_until_only_the_pool_is_left() -> None:
    model, x = _network("timm resnet18")
    faded = with_activation_strength(model, x, 1.0)
    linear = remove_activations(faded, x)
    with torch.no_grad():
        assert torch.equal(linear(x), faded(x))
        assert not torch.equal(linear(x), model(x))
    assert not any(call.op == "relu" for call in trace(linear, x).calls)
