"""W by colouring, and W of any image size from a small table: entry by entry what probing every input gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import derive
from algebraic_cnn.algebra.stencils.lattice import Axis
from algebraic_cnn.derivation import bordering
from algebraic_cnn.derivation.bordering import border_classes
from algebraic_cnn.derivation.methods import cheapest
from algebraic_cnn.errors import ShapeError, TooLargeError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.rings.prime_field import PrimeField


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


NETWORKS = {
    "two layers": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 3, padding=1)),
    "strides and dilation": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(3, 2, 3, padding=2, dilation=2), nn.AvgPool2d(2)
    ),
    "a pool that does not count padding": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1), nn.AvgPool2d((4, 2), 2, 1, count_include_pad=False)
    ),
    "more phases than inputs": lambda: nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, stride=3, padding=1)
    ),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, padding=1)),
    "pixel shuffle": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3, padding=1)
    ),
    "a skip, padding of ones": lambda: nn.Sequential(
        Residual(nn.Conv2d(2, 2, 3, padding=1)), nn.ConstantPad2d((1, 2, 0, 1), 1.0), nn.Conv2d(2, 2, 2)
    ),
}


def whole(name: str) -> nn.Module:
    """The network with small whole numbers, so that sums of products are exact."""
    model, generator = NETWORKS[name](), torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.data = 4 * torch.randint(-3, 4, tensor.shape, generator=generator).double()
    return model.eval()


def image(*sizes: int) -> torch.Tensor:
    return torch.zeros(1, 2, *sizes, dtype=torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["coloured", "stencil"])
def test_every_entry_is_that_of_the_probed_matrix(name: str, method: str) -> None:
    model = whole(name)
    for sizes in ((12, 15), (21, 6)):
        expected, got = (derive(model, image(*sizes), method=each) for each in ("forward", method))
        assert got.exactly_equals(expected)
    field = PrimeField(10007)
    expected, got = (derive(model, image(12, 15), method=each, ring=field) for each in ("adjoint", method))
    assert got.exactly_equals(expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_table_serves_every_image_size(name: str) -> None:
    model = whole(name)
    table = border_classes(model, image(36, 36))
    assert all(border.n < 36 for border in table.borders)
    steps = [border.down for border in table.borders]
    for more in ((0, 0), (1, 3), (4, 0)):
        sizes = [border.n + k * step for border, k, step in zip(table.borders, more, steps, strict=True)]
        assert table.at(*sizes).exactly_equals(derive(model, image(*sizes), method="forward"))


def test_the_table_does_not_grow_with_the_image() -> None:
    model = whole("two layers")
    tables = [border_classes(model, image(n, n)) for n in (20, 200)]
    assert tables[0].small.exactly_equals(tables[1].small)
    assert tables[0].count == 25
    with pytest.raises(ShapeError, match="no such image size"):
        tables[0].at(4, 20)
    with pytest.raises(ShapeError, match="no such image size"):
        border_classes(whole("strides and dilation"), image(36, 36)).at(37, 36)


def test_a_table_with_one_class_too_few_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = whole("two layers")
    expected = derive(model, image(12, 12), method="forward")
    real = Axis.interior.fget
    monkeypatch.setattr(Axis, "interior", property(lambda axis: (real(axis)[0] - 1, real(axis)[1])))
    assert not border_classes(model, image(12, 12)).at(12, 12).exactly_equals(expected)


def test_colours_too_close_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = whole("two layers")
    expected = derive(model, image(12, 12), method="forward")
    monkeypatch.setattr("algebraic_cnn.derivation.colouring.spans", lambda found: [4, 5])
    assert not derive(model, image(12, 12), method="coloured").exactly_equals(expected)


@pytest.mark.parametrize(
    ("model", "sizes", "method"),
    [
        (nn.Conv2d(2, 2, 3, padding=1), (16, 16), "operator"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Flatten()), (16, 16), "coloured"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(392, 200)), (16, 16), "forward"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (16, 16), "adjoint"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (16, 16), "forward"),
    ],
)
def test_the_method_with_the_least_work(model: nn.Module, sizes: tuple[int, int], method: str) -> None:
    model = model.double().eval()
    assert cheapest(trace(model, image(*sizes))) == method
    f = derive(model, image(*sizes))
    assert isinstance(f.W, np.ndarray)
    x = torch.randn(3, 2, *sizes, dtype=torch.float64)
    with torch.no_grad():
        y = model(x)
    assert float((f(x) - y).abs().max() / y.abs().max()) <= 1e-12


def test_what_is_no_stencil_is_refused() -> None:
    model = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular").double().eval()
    with pytest.raises(ShapeError, match="no stencil"):
        derive(model, image(8, 8), method="coloured")
    with pytest.raises(ShapeError, match="no map of images"):
        derive(
            nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(72, 2)).double().eval(),
            image(8, 8),
            method="operator",
        )
    with pytest.raises(TooLargeError, match="entries of W"):
        derive(whole("two layers"), image(20, 20), method="coloured", memory_budget=10**5)


def test_an_axis_that_is_all_border_keeps_its_length() -> None:
    border = bordering.Border.of(replace(trace_axis(), n=3, m=3))
    assert (border.n, border.m) == (3, 3)


def trace_axis():
    from algebraic_cnn.derivation.whole import whole as piece_of

    return piece_of(trace(whole("two layers"), image(12, 12)))[1].footprint.axes[0]
