"""W by colouring, and W of any image size from a small table: entry by entry what probing every input gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import derive, operator
from algebraic_cnn.algebra.operators import compositions, rules
from algebraic_cnn.algebra.operators.axes import Leaf
from algebraic_cnn.derivation.bordering import border_classes
from algebraic_cnn.derivation.colouring import Colours
from algebraic_cnn.derivation.methods import cheapest
from algebraic_cnn.errors import GeometryError, ShapeError, TooLargeError
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
    "reflected": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.Conv2d(2, 2, 3, 2, padding=1)
    ),
    "repeated": lambda: nn.Sequential(nn.ReplicationPad2d(2), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1)),
    "circular": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.Conv2d(2, 2, 3, padding=1)
    ),
    "weighted": lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 2, 3, padding=1)),
}


#: An average of three rounds, in another order for another method.
THIRDS = {"a pool that does not count padding"}

FIELD = PrimeField(10007)


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
    expected, got = (derive(model, image(9, 12), method=each, ring=FIELD) for each in ("adjoint", method))
    assert got.exactly_equals(expected)
    expected, got = (derive(model, image(15, 6), method=each) for each in ("forward", method))
    assert got.exactly_equals(expected) or name in THIRDS


@pytest.mark.parametrize("name", NETWORKS)
def test_one_table_serves_every_image_size(name: str) -> None:
    model = whole(name)
    table = border_classes(model, image(36, 36), ring=FIELD)
    assert max(table.least) < 36
    for more in ((0, 0), (1, 3), (4, 0)):
        sizes = [n + k for n, k in zip(table.least, more, strict=True)]
        assert table.at(*sizes).exactly_equals(derive(model, image(*sizes), method="forward", ring=FIELD))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_image_has_every_row_of_a_large_one(name: str) -> None:
    """Rows of W, moved to the first column that they read, and b: none of a large image is missing on the small one."""
    table = border_classes(whole(name), image(36, 36))

    def rows(*sizes: int) -> set[tuple[object, ...]]:
        f = table.at(*sizes)
        W = f.W.toarray().reshape(len(f.b), -1, *sizes)
        found = set()
        for row, shift in zip(W, f.b, strict=True):
            at = [np.flatnonzero(row.any(tuple(a for a in range(3) if a != axis))) for axis in (1, 2)]
            part = row[:, at[0][0] : at[0][-1] + 1, at[1][0] : at[1][-1] + 1] if len(at[0]) else np.zeros(())
            if name != "circular":  # there rows reach from end to end
                found.add((part.shape, tuple(part.ravel().tolist()), float(shift)))
        return found

    periods = [down for _, down in table.map.period]
    assert rows(*(n + 2 * k for n, k in zip(table.least, periods, strict=True))) <= rows(*table.least)


def test_the_table_does_not_grow_with_the_image() -> None:
    model = whole("two layers")
    tables = [border_classes(model, image(n, n)) for n in (20, 200)]
    assert tables[0].small.exactly_equals(tables[1].small)
    assert tables[0].small.in_shape == (2, 5, 5)
    assert tables[0].count == 25
    with pytest.raises(GeometryError, match="no output of this size"):
        border_classes(nn.Conv2d(2, 2, 3).double().eval(), image(36, 36)).at(2, 5)
    with pytest.raises(ShapeError, match="everywhere"):
        border_classes(nn.AdaptiveAvgPool2d(3).eval(), image(36, 36))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.Upsample(scale_factor=3, mode="bilinear"),
        nn.Upsample(scale_factor=0.75, mode="bicubic"),
    ],
    ids=repr,
)
def test_rows_that_change_everywhere_have_no_table(layer: nn.Module) -> None:
    """Corners that are aligned, weights that are rounded at each place: there are new rows at every size."""
    model = layer.double().eval()
    assert operator(model, image(4, 5)).period == (None, None)
    with pytest.raises(ShapeError, match="everywhere"):
        border_classes(model, image(4, 5))
    found, x = operator(model, image(4, 5)).at(6, 7), image(6, 7)
    assert found.exactly_equals(derive(model, x, method="coloured"))


def test_an_image_that_is_resized_to_nothing_has_no_map() -> None:
    f = operator(nn.Upsample(scale_factor=0.5).eval(), image(4, 4))
    assert f.at(2, 3).out_shape == (2, 1, 1)
    with pytest.raises(GeometryError, match="no output of this size"):
        f.at(1, 4)
    some = nn.Upsample(scale_factor=1.3).eval()
    assert operator(some, image(7, 7)).at(7, 9).exactly_equals(derive(some, image(7, 9), method="forward"))
    with pytest.raises(GeometryError, match="length of the other"):
        operator(some, image(7, 7)).at(3, 9)


def test_a_border_that_is_taken_for_the_middle_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = whole("two layers")
    expected = derive(model, image(12, 12), method="forward")
    real = Leaf.rows

    def rows(axis, n):
        found = real(axis, n)
        return replace(found, classes=(found.classes[1], *found.classes[1:])) if n > 1 else found

    monkeypatch.setattr(Leaf, "rows", rows)
    for kept in (compositions.then, rules.windows):
        kept.cache_clear()
    found = border_classes(model, image(12, 12)).at(12, 12)
    for kept in (compositions.then, rules.windows):
        kept.cache_clear()
    assert not found.exactly_equals(expected)


def test_colours_too_close_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = whole("two layers")
    expected = derive(model, image(12, 12), method="forward")
    real = Colours.of
    closer = lambda axis, n: replace(real(axis, n), period=real(axis, n).period - 1)  # noqa: E731
    monkeypatch.setattr(Colours, "of", closer)
    assert not derive(model, image(12, 12), method="coloured").exactly_equals(expected)


@pytest.mark.parametrize(
    ("model", "sizes", "method"),
    [
        (nn.Conv2d(2, 2, 3, padding=1), (16, 16), "operator"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Flatten()), (16, 16), "operator"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)), (7, 7), "coloured"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(392, 200)), (16, 16), "forward"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (16, 16), "adjoint"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (16, 16), "operator"),
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


def test_what_is_no_map_of_images_is_refused() -> None:
    dense = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(72, 2)).double().eval()
    for method in ("coloured", "operator"):
        with pytest.raises(ShapeError, match="no map of images"):
            derive(dense, image(8, 8), method=method)
    with pytest.raises(TooLargeError, match="entries of W"):
        derive(whole("two layers"), image(20, 20), method="coloured", memory_budget=10**5)


def test_reshapes_at_both_ends_change_no_entry() -> None:
    model = nn.Sequential(nn.Unflatten(1, (2, 6, 5)), whole("reflected"), nn.Flatten()).eval()
    example = torch.zeros(1, 60, dtype=torch.float64)
    expected = derive(model, example, method="forward")
    assert expected.in_shape == (60,)
    for method in ("coloured", "operator"):
        assert derive(model, example, method=method).exactly_equals(expected)


@pytest.mark.parametrize("part", [
    lambda x: x[:, :, 1:-1:2, :5] - x[:, :, -3:, 1:],
    lambda x: x[..., 2:].sum((2, 3), keepdim=True),
    lambda x: x.mean(2, keepdim=True),
])  # fmt: skip
def test_slices_and_sums_of_an_image(part) -> None:
    class Part(nn.Module):
        def forward(self, x):
            return part(x)

    expected = derive(Part().eval(), image(8, 6), method="forward")
    for method in ("coloured", "operator"):
        assert derive(Part().eval(), image(8, 6), method=method).exactly_equals(expected)
