"""Resizings and pads are one map of the image in every channel: what mixes channels passes through, exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from algebraic_cnn import collapse
from algebraic_cnn.algebra.stencils import pieces
from algebraic_cnn.errors import UncertifiedError
from algebraic_cnn.ops import rows
from tests.collapsed import ops, randomised, relative_error
from tests.collapsing.test_collapsing import CALLS_ALONE
from tests.collapsing.test_strips import PRODUCTS_ALONE


def bilinear(factor: float = 2, **options) -> nn.Module:
    return nn.Upsample(scale_factor=factor, mode="bilinear", **options)


def order(model: nn.Module) -> list[str]:
    """The calls of a module, in order."""
    targets = [str(node.target) for node in model.graph.nodes if node.op == "call_function"]
    return [target.split(".")[1] for target in targets if target.startswith("aten")]


HEAD = [nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)]
ONE = ["conv2d", "upsample_bilinear2d", "relu"]
ABSORBED = {
    "conv, bilinear, BatchNorm": (lambda: [HEAD[0], bilinear(), nn.BatchNorm2d(8)], ONE),
    "conv, BatchNorm, bilinear, BatchNorm": (lambda: [*HEAD, bilinear(), nn.BatchNorm2d(8)], ONE),
    "bilinear, 1x1": (lambda: [bilinear(), nn.Conv2d(6, 3, 1)], ONE),
    "conv, bilinear by 4, 1x1 (a segmentation head)": (lambda: [*HEAD, bilinear(4), nn.Conv2d(8, 3, 1)], ONE),
    "conv, two resizings, 1x1": (
        lambda: [*HEAD, bilinear(), nn.ReflectionPad2d(1), nn.Conv2d(8, 3, 1)],
        ["conv2d", "upsample_bilinear2d", "pad", "relu"],
    ),
    "bilinear by 3": (lambda: [*HEAD, bilinear(3), nn.BatchNorm2d(8)], ONE),
    "corners aligned, 1x1 without bias": (
        lambda: [bilinear(align_corners=True), nn.Conv2d(6, 3, 1, bias=False)],
        ONE,
    ),
    "bicubic": (
        lambda: [HEAD[0], nn.Upsample(scale_factor=2, mode="bicubic"), nn.Conv2d(8, 3, 1)],
        ["conv2d", "upsample_bicubic2d", "relu"],
    ),
}


@pytest.mark.parametrize("name", ABSORBED)
def test_maps_of_channels_pass_through(name: str) -> None:
    layers, expected = ABSORBED[name]
    model = randomised(nn.Sequential(*layers(), nn.ReLU()))
    x = torch.randn(2, 6, 16, 20, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert order(result.model) == expected
    assert result.certificate.ok
    assert relative_error(model, result.model, x) <= 1e-12


@pytest.mark.parametrize("options", [{"align_corners": True}, {"factor": 5, "align_corners": True}])
def test_a_number_added_does_not_pass_where_weights_have_not_quite_the_sum_1(options) -> None:
    model = randomised(nn.Sequential(HEAD[0], bilinear(**options), nn.BatchNorm2d(8)))
    x = torch.randn(2, 6, 12, 10, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model)["batch_norm"] + ops(result.model)["mul"] == 1
    assert relative_error(model, result.model, x) <= 1e-12


@pytest.mark.parametrize("factor", [1.7, 0.3])
def test_a_factor_that_is_no_short_fraction_has_no_period(factor: float) -> None:
    layers = [nn.Conv2d(2, 3, 3, padding=1), bilinear(factor), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3)]
    model, x = randomised(nn.Sequential(*layers)), torch.randn(1, 2, 40, 37, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model)["batch_norm"] == 0
    assert relative_error(model, result.model, x) <= 1e-12


RINGED = {
    "bilinear": lambda: [nn.Conv2d(2, 24, 3, padding=1), bilinear(), nn.Conv2d(24, 2, (1, 3), padding=(0, 1))],
    "by 4": lambda: [nn.Conv2d(2, 24, (3, 1)), bilinear((4, 2)), nn.Conv2d(24, 2, (1, 3), padding=(0, 1))],
    "bicubic": lambda: [
        nn.Conv2d(2, 24, (3, 1), padding=(1, 0)),
        nn.Upsample(scale_factor=2, mode="bicubic"),
        nn.Conv2d(24, 2, (1, 3), padding=(0, 1)),
    ],
}


@pytest.mark.parametrize("name", RINGED)
def test_inside_it_is_a_stencil(name: str) -> None:
    model, x = randomised(nn.Sequential(*RINGED[name]())), torch.randn(2, 2, 64, 70, dtype=torch.float64)
    result = collapse(model, x, prices=PRODUCTS_ALONE, measure=False)
    assert "phases inside, strips" in result.report.regions[0].form
    assert ops(result.model)["cat"] >= 1
    assert result.certificate.ok
    assert relative_error(model, result.model, x) <= 1e-12


MUTANTS = {
    "constants are kept": (
        (rows, "_keeps_constants"),
        lambda real: lambda axis, n: True,
        [HEAD[0], bilinear(align_corners=True), HEAD[1]],
    ),
    "no border": (
        (pieces, "axis_form"),
        lambda real: lambda axis, n: replace(found := real(axis, n), told=(0, found.m)),
        [bilinear(), nn.Conv2d(6, 8, 3)],
    ),
    "phases exchanged": (
        (pieces.Form, "taps"),
        lambda real: lambda form, ring: real(form, ring)[::-1].copy(),
        RINGED["bilinear"](),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_near_right_resizings_are_refuted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (where, what), change, layers = MUTANTS[name]
    model = randomised(nn.Sequential(*layers))
    channels = next(layer.in_channels for layer in layers if isinstance(layer, nn.Conv2d))
    x = torch.zeros(1, channels, *((12, 10) if name == "constants are kept" else (64, 70)), dtype=torch.float64)
    monkeypatch.setattr(where, what, change(getattr(where, what)))
    prices = PRODUCTS_ALONE if name == "phases exchanged" else CALLS_ALONE
    with pytest.raises(UncertifiedError):
        collapse(model, x, prices=prices, measure=False)
