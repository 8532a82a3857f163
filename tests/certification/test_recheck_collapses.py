"""Ordinary collapses as files for the checker: regions over the rational numbers, floats rounded, calls by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from algebraic_cnn import certify, collapse
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.certification.recheck import file
from algebraic_cnn.certification.recheck.layers import Coefficients, Program, each
from algebraic_cnn.certification.recheck.program import recheck
from algebraic_cnn.certification.recheck.reader import read
from algebraic_cnn.certification.recheck.regions import regions_file
from algebraic_cnn.errors import DataError, NotAffineError
from algebraic_cnn.ir.graph import Graph
from tests.certification.forged import verdicts
from tests.certification.test_recheck import decided, needs_checker, sealed


def normalised(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    for value, low, high in ((layer.running_mean, -1, 1), (layer.running_var, 0.5, 2), (layer.bias, -1, 1)):
        assert value is not None
        nn.init.uniform_(value, low, high)
    return layer


class Basic(nn.Module):
    """The block of a ResNet."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(given, made, 3, stride, 1, bias=False), normalised(made), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(made, made, 3, 1, 1, bias=False), normalised(made))
        down = nn.Sequential(nn.Conv2d(given, made, 1, stride, bias=False), normalised(made))
        self.down = down if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(self.first(x)) + self.down(x))


class Reparameterised(nn.Module):
    """The block of a RepVGG: 3x3, 1x1 and the identity, each normalised, then their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.three = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), normalised(channels))
        self.one = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), normalised(channels))
        self.same = normalised(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.three(x) + self.one(x) + self.same(x))


class Hourglass(nn.Module):
    """Down and up again, by a transposed convolution and by interpolation, joined to what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), normalised(4), nn.SiLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(4, 2, 2, 2), normalised(2))
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.down(x)
        wide = F.interpolate(h, scale_factor=2, mode="bilinear")
        return torch.sigmoid(self.last(torch.cat([self.up(h), wide, x], 1)))


def mobile() -> nn.Sequential:
    """Depthwise separable, its mean over rows and columns taken, two dense layers."""
    deep = [nn.Conv2d(2, 2, 3, 1, 1, groups=2, bias=False), normalised(2), nn.ReLU6()]
    wide = [nn.Conv2d(2, 6, 1, bias=False), normalised(6), nn.Hardswish()]
    return nn.Sequential(*deep, *wide, nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


COLLAPSES = {
    "resnet": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1, bias=False), normalised(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Basic(4, 4, 1), Basic(4, 6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ),
    "small": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, 2, 1, bias=False), normalised(3), nn.ReLU(), nn.MaxPool2d(2), Basic(3, 3, 1),
    ),
    "repvgg": lambda: nn.Sequential(Reparameterised(2), Reparameterised(2)),
    "hourglass": Hourglass,
    "mobile": mobile,
}  # fmt: skip


def collapsed(name: str) -> tuple[nn.Module, Certificate]:
    torch.manual_seed(0)
    model = COLLAPSES[name]().eval()
    certificate = collapse(model, torch.zeros(1, 2, 8, 8), measure=False).certificate
    assert certificate is not None
    return model, certificate


def networks(certificate: Certificate) -> tuple[Graph, Graph, Mapping[str, Any]]:
    assert certificate.networks is not None
    assert certificate.recipes is not None
    first, second = certificate.networks
    assert isinstance(first, Graph)
    assert isinstance(second, Graph)
    return first, second, certificate.recipes


@needs_checker
@pytest.mark.parametrize("name", COLLAPSES)
def test_a_collapse_is_rechecked(name: str, tmp_path: Path) -> None:
    _, certificate = collapsed(name)
    found = recheck(certificate.write(tmp_path / "x.cert"))
    assert found.ok, found
    assert any("correctly rounded" in line for line in found.lines)
    claims = [claim.kind for step in read(tmp_path / "x.cert").steps for claim in step.claims]
    assert 3 in claims


@needs_checker
def test_certify_writes_the_same_of_a_collapse(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = COLLAPSES["repvgg"]().eval(), torch.zeros(1, 2, 8, 8)
    result = collapse(model, x, measure=False)
    assert result.certificate is not None
    first = result.certificate.write(tmp_path / "a.cert").read_bytes()
    again = certify(model, result.model, x).write(tmp_path / "b.cert")
    assert recheck(again).ok
    assert [step.claims[0].kind for step in read(again).steps if step.claims] == [3, 3, 0]
    assert len(first) > 1000


@needs_checker
def test_floats_that_are_not_the_nearest_are_refused(tmp_path: Path) -> None:
    """One number of the collapse moved by one ulp: that all are correctly rounded is then not believed."""
    _, certificate = collapsed("repvgg")
    first, second, recipes = networks(certificate)
    content = certificate.write(tmp_path / "x.cert").read_bytes()
    new = [name for name in second.constants if name in recipes]
    assert len(new) == 4
    for name in new:
        value = second.constants[name].detach().clone()
        old = value.view(-1)[:1].numpy().tobytes() + value.view(-1)[1:2].numpy().tobytes()
        value.view(-1)[0] = torch.nextafter(value.view(-1)[0], torch.tensor(torch.inf))
        moved = replace(second, constants={**second.constants, name: value})
        honest = regions_file(first, moved, recipes=recipes)
        path = tmp_path / "honest.cert"
        path.write_bytes(honest)
        assert "all but 1 correctly rounded" in str(recheck(path, bits=20)), name
        forged = content[:-16].replace(old, value.view(-1)[:1].numpy().tobytes() + old[4:])
        assert forged != content[:-16], name
        assert not decided(tmp_path, sealed(forged), bits=20), name


CHANGES = ("a flipped kernel", "a bias", "no skip", "another padding", "another activation", "an order")


def changed(model: nn.Module, name: str) -> nn.Module:
    """A network that differs from the small ResNet in one thing."""
    other: Any = copy.deepcopy(model)
    block = other[4]
    with torch.no_grad():
        match name:
            case "a flipped kernel":
                block.second[0].weight.copy_(block.second[0].weight.flip(-1))
            case "a bias":
                block.second[1].bias[0] += 1
            case "no skip":
                block.down = nn.Sequential(block.down, Times(0.0))
            case "another activation":
                block.first[2] = nn.ReLU6()
            case "another padding":
                other[0].padding_mode = "circular"
                other[0]._reversed_padding_repeated_twice = [1, 1, 1, 1]
            case _:
                kernels = block.first[0].weight.clone(), block.second[0].weight.clone()
                block.second[0].weight.copy_(kernels[0])
                block.first[0].weight.copy_(kernels[1])
    return other.eval()


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@needs_checker
@pytest.mark.parametrize("name", CHANGES)
def test_the_collapse_of_another_network_is_refused(name: str, tmp_path: Path) -> None:
    model, certificate = collapsed("small")
    _, second, recipes = networks(certificate)
    result = collapse(changed(model, name), torch.zeros(1, 2, 8, 8), measure=False).certificate
    assert result is not None
    first, _, _ = networks(result)
    if name == "another activation":
        with pytest.raises(NotAffineError, match="do not make the same calls"):
            regions_file(first, second, recipes=recipes)
        return
    content = regions_file(first, second, recipes=recipes)
    assert not decided(tmp_path, content, bits=20)


def three(numbers: list[float], floats: np.ndarray, loose: int, distance: Fraction) -> bytes:
    """x -> numbers x, the second network holding floats in their place."""
    program = Program((1, 1, 1), (each(((0, 1.0),), 1),))
    exact = np.array([[Fraction(n) for n in numbers]], dtype=object).T
    nothing = Coefficients.all(0.0, len(numbers))
    layer = replace(program.layers[0], kernel=Coefficients.of(exact), bias=nothing, groups=1)
    network = Program((1, 1, 1), (layer,))
    held = (Coefficients.of(floats.reshape(-1, 1)), loose, distance)
    return file.file_of("", network, [file.held(network, [(held, None)])])


@needs_checker
def test_what_correctly_rounded_means(tmp_path: Path) -> None:
    """NumPy rounds doubles to the nearest float32; what is not so easy: ties, and the floats around a power of two."""
    rng = np.random.default_rng(0)
    wide = np.concatenate([rng.standard_normal(20), 2.0 ** rng.integers(-160, 100, 20) * rng.uniform(0.9, 1.1, 20)])
    near_powers = [1 - 2.0**-26, 1 - 3 * 2.0**-27, 1 + 2.0**-25, 1 + 2.0**-24, 2.0**-149 * 0.75, 2.0**-150 * 0.9, 0.0]
    numbers = [*wide.tolist(), *near_powers, *(-n for n in near_powers)]
    floats = np.array(numbers).astype(np.float32)
    assert decided(tmp_path, three(numbers, floats, 0, Fraction(0)))
    for place, number in enumerate(numbers):
        for towards in (np.inf, -np.inf):
            other = floats.copy()
            other[place] = np.nextafter(other[place], np.float32(towards))
            distances = {abs(Fraction(number) - Fraction(float(each_[place]))) for each_ in (floats, other)}
            tie = len(distances) == 1
            content = three([number], other[place : place + 1], 0, Fraction(0))
            assert decided(tmp_path, content) == tie, (number, towards)


@needs_checker
def test_loose_floats_are_counted_and_measured(tmp_path: Path) -> None:
    floats = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    numbers = [1.0, 2 + 2.0**-10, 3.0]
    assert decided(tmp_path, three(numbers, floats, 1, Fraction(1, 2**10)))
    assert not decided(tmp_path, three(numbers, floats, 0, Fraction(1, 2**10)))
    assert not decided(tmp_path, three(numbers, floats, 1, Fraction(1, 2**12)))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "windows"),
        (nn.AdaptiveAvgPool2d(3), "windows of several sizes"),
        (nn.PixelShuffle(2), "pixel_shuffle|reshaping"),
    ],
)
def test_calls_that_the_checker_does_not_know_are_named(layer: nn.Module, reason: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), normalised(4), nn.ReLU(), layer, nn.Sigmoid()).eval()
    certificate = collapse(model, torch.zeros(1, 1, 10, 10), measure=False).certificate
    assert certificate is not None
    with pytest.raises(NotAffineError, match=reason):
        certificate.write(tmp_path / "x.cert")
    assert not list(tmp_path.iterdir())


def test_copies_and_free_sizes_have_nothing_for_the_checker(tmp_path: Path) -> None:
    _, certificate = collapsed("repvgg")
    copied = copy.deepcopy(certificate)
    assert copied == certificate
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    shapes = ({2: torch.export.Dim.AUTO},)
    free = collapse(model, torch.zeros(1, 1, 8, 8), dynamic_shapes=shapes, measure=False).certificate
    for each_ in (copied, free):
        assert each_ is not None
        with pytest.raises(DataError, match="nothing for the checker"):
            each_.write(tmp_path / "x.cert")


@needs_checker
def test_no_damaged_or_forged_file_is_believed(tmp_path: Path) -> None:
    said = verdicts(300, 1, tmp_path / "x.cert")
    assert not [kind for kind in said if kind.endswith(("wrong", "crashed"))], said
    assert not said["damaged, yes, right"] + said["damaged, no, right"]
    assert said["damaged, refused"] > 100
    assert said["forged, refused"] > 80
    assert said["forged, no, right"] > 5
