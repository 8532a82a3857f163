"""One kernel inside, strips along the border: exact in every pixel, made only where cheaper; every cut matters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.collapsing import strips
from algebraic_cnn.errors import UncertifiedError
from algebraic_cnn.ops.traits import Prices
from tests.collapsed import ops, randomised, relative_error

#: Prices under which products alone count.
PRODUCTS_ALONE = Prices(call=1e-9, kernel=0.0, product=1.0, matrix=1e9, lone=1.0, byte=0.0)


def expanded(channels: int = 2, wide: int = 24, **options) -> list[nn.Module]:
    """A chain that widens its channels and narrows them again."""
    first = nn.Conv2d(channels, wide, 3, padding=1, **options)
    return [first, nn.BatchNorm2d(wide), nn.Conv2d(wide, channels, 3, padding=1)]


class Residual(nn.Module):
    """x plus such a chain."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*expanded())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


CHAINS = {
    "two layers": lambda: nn.Sequential(*expanded()),
    "four layers": lambda: nn.Sequential(*expanded(), *expanded()),
    "stride": lambda: nn.Sequential(*expanded(stride=2)),
    "stride behind": lambda: nn.Sequential(*expanded(), nn.Conv2d(2, 2, 3, stride=2, padding=1)),
    "dilation": lambda: nn.Sequential(nn.Conv2d(2, 24, 3, padding=3, dilation=3), expanded()[2]),
    "an average pool that does not count padding": lambda: nn.Sequential(
        *expanded(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    ),
    "reflection": lambda: nn.Sequential(*expanded(padding_mode="reflect")),
    "replication and more padding than needed": lambda: nn.Sequential(nn.ReplicationPad2d(2), *expanded()),
    "a skip": Residual,
    "nearest upsampling": lambda: nn.Sequential(
        nn.Conv2d(2, 24, (3, 1), padding=(1, 0)), nn.Upsample(scale_factor=2), nn.Conv2d(24, 2, (3, 1), 1, (1, 0))
    ),
    "upsampling by 3, later": lambda: nn.Sequential(*expanded(), nn.Upsample(scale_factor=3), expanded()[0]),
    "a transposed convolution": lambda: nn.Sequential(expanded()[0], nn.ConvTranspose2d(24, 2, 4, 2, 1)),
    "a transposed convolution whose bias is a pattern": lambda: nn.Sequential(
        nn.Conv2d(2, 24, 3, padding=1), nn.ConvTranspose2d(24, 24, 3, 2, 1, 1), expanded()[2]
    ),
    "a pixel shuffle": lambda: nn.Sequential(nn.Conv2d(2, 96, 3, padding=1), nn.PixelShuffle(2), expanded()[2]),
    "a pixel unshuffle": lambda: nn.Sequential(
        nn.Upsample(scale_factor=2), expanded()[0], nn.PixelUnshuffle(2), nn.Conv2d(96, 2, 3, padding=1)
    ),
    "a stride and upsampling": lambda: nn.Sequential(
        nn.Conv2d(2, 24, (5, 1), (2, 1), (2, 0)), nn.Upsample(scale_factor=(2, 1)), nn.Conv2d(24, 2, (3, 1), 1, (1, 0))
    ),
    "upsampling and a stride": lambda: nn.Sequential(
        *expanded(), nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, stride=3, padding=1)
    ),
}


@pytest.mark.parametrize("size", [(41, 46), (48, 43)])
@pytest.mark.parametrize("name", CHAINS)
def test_every_pixel_is_right(name: str, size: tuple[int, int]) -> None:
    model, x = randomised(CHAINS[name]()), torch.randn(2, 2, *size, dtype=torch.float64)
    result = collapse(model, x, prices=PRODUCTS_ALONE, measure=False)
    assert "strips" in result.report.regions[0].form
    assert ops(result.model)["cat"] >= 1
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


LAYER = st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 2), st.integers(1, 2))


@settings(max_examples=max(8, settings.default.max_examples // 2))  # each is exported and certified
@given(st.lists(LAYER, min_size=2, max_size=3), st.integers(24, 32))
def test_chains_of_any_kernels(layers: list[tuple[int, int, int, int]], size: int) -> None:
    length = size
    for k, p, s, d in layers:
        length = (length + 2 * p - d * (k - 1) - 1) // s + 1
        assume(length > 0)
    channels = [1, 12, 1, 12]
    convs = [
        nn.Conv1d(a, b, k, padding=p, stride=s, dilation=d)
        for (k, p, s, d), a, b in zip(layers, channels, channels[1:], strict=False)
    ]
    model, x = randomised(nn.Sequential(*convs)), torch.randn(1, 1, size, dtype=torch.float64)
    result = collapse(model, x, prices=PRODUCTS_ALONE, measure=False)
    assert relative_error(model, result.model, x) <= 1e-12


def test_the_price_decides() -> None:
    def form(wide: int, size: int) -> str:
        model = nn.Sequential(*expanded(3, wide)[::2]).eval()
        return collapse(model, torch.zeros(1, 3, size, size), measure=False, certify=None).report.regions[0].form

    assert "strips" in form(64, 256)
    assert form(64, 12) != form(64, 256)
    assert form(3, 256) == "as given"


def shifted(band: strips.Band) -> strips.Band:
    return replace(band, skip=band.skip - (band.skip > 0))


MUTANTS = {
    "a strip one pixel off": ("Band", lambda real: Of(real)),
    "f(0) at the corner": ("_value_at", lambda real: lambda piece, place: real(piece, [0 for _ in place])),
}
PHASED = {
    "f(0) of another phase": ("_value_at", lambda real: lambda piece, place: real(piece, [p + 1 for p in place])),
    "phases in another order": ("channels", lambda real: lambda *given: real(*given)[::-1].copy()),
    "a strip one pixel off": ("Band", lambda real: Of(real)),
}


class Of:
    """``Band``, its results shifted."""

    def __init__(self, real) -> None:
        self.of = lambda axis, first, stop: shifted(real.of(axis, first, stop))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_near_right_strips_are_refuted(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, change = MUTANTS[mutant]
    monkeypatch.setattr(strips, name, change(getattr(strips, name)))
    model = randomised(nn.Sequential(*expanded()))
    with pytest.raises(UncertifiedError):
        collapse(model, torch.zeros(1, 2, 17, 22, dtype=torch.float64), prices=PRODUCTS_ALONE, measure=False)


@pytest.mark.parametrize("mutant", PHASED)
def test_near_right_strips_with_phases_are_refuted(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, change = PHASED[mutant]
    monkeypatch.setattr(strips, name, change(getattr(strips, name)))
    model = randomised(CHAINS["a transposed convolution whose bias is a pattern"]())
    with pytest.raises(UncertifiedError):
        collapse(model, torch.zeros(1, 2, 41, 46, dtype=torch.float64), prices=PRODUCTS_ALONE, measure=False)


@pytest.mark.parametrize("pad", [nn.ReplicationPad1d, nn.ReflectionPad1d])
@pytest.mark.parametrize("width", [(2, 0), (0, 3), (5, 1)])
def test_outputs_that_are_border_alone_end_no_collapse(pad: type[nn.Module], width: tuple[int, int]) -> None:
    """The kernel reads no pixel there: a strip of none was asked for, and torch raised a TypeError of its own."""
    layers = nn.Conv1d(2, 2, 2), nn.Upsample(scale_factor=2, mode="nearest"), pad(width)
    model, x = randomised(nn.Sequential(*layers)), torch.randn(2, 2, 40, dtype=torch.float64)
    assert relative_error(model, collapse(model, x, measure=False).model, x) < 1e-12
