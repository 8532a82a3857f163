"""One collapse for every image size: the network's own answers at sizes drawn at random, and every cut matters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import Dim
from typer.testing import CliRunner

from algebraic_cnn import collapse
from algebraic_cnn.algebra.operators.forms import Ends
from algebraic_cnn.apps.cli import app
from algebraic_cnn.collapsing import any_size, lifting
from algebraic_cnn.collapsing.pipeline import Collapse
from algebraic_cnn.errors import ShapeError, UncertifiedError
from algebraic_cnn.ir.dynamic_shapes import dimensions
from algebraic_cnn.ir.image_sizes import ImageSizes, Side
from algebraic_cnn.ir.onnx.writing import save_onnx
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.resizing import Length, at
from algebraic_cnn.ir.trace import export, trace
from algebraic_cnn.ops.traits import Prices

#: Prices under which products alone count.
PRODUCTS_ALONE = Prices(call=1e-9, kernel=0.0, product=1.0, matrix=1e9, lone=1.0, byte=0.0)

ANY = {2: Dim.AUTO, 3: Dim.AUTO}


def of_integers(model: nn.Module) -> nn.Module:
    """The model in float64 with small integers for weights and powers of two for deviations: its sums are exact."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if name == "running_var":
                tensor.data = 4.0 ** torch.randint(-1, 2, tensor.shape, generator=generator) - 0.25
            elif tensor.is_floating_point():
                tensor.data = torch.randint(-3, 4, tensor.shape, generator=generator).double()
    return model.double().eval()


class Block(nn.Module):
    """RepVGG's block: 3x3, 1x1 and identity, a BatchNorm each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.three = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.one = nn.Conv2d(channels, channels, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, eps=0.25) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norms[0](self.three(x)) + self.norms[1](self.one(x)) + self.norms[2](x))


class Residual(nn.Module):
    """x plus a chain in which a bias meets padding."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 16, 1), nn.Conv2d(16, 2, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Hourglass(nn.Module):
    """Down and up again, beside a skip: it takes even sizes only."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 16, 1), nn.Conv2d(16, 2, 3, stride=2, padding=1))
        self.end = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.cat([F.interpolate(self.down(x).relu(), scale_factor=2), x], 1))


class BackToSize(nn.Module):
    """Asks for the sizes of its input, and divides by one."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 16, 1, bias=False), nn.Conv2d(16, 2, 3, stride=2, padding=1))
        self.same = nn.Sequential(nn.Conv2d(2, 16, 1), nn.Conv2d(16, 2, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.interpolate(self.down(x).relu(), size=x.shape[2:]), self.same(x) / x.shape[3]


class Tokens(nn.Module):
    """Every pixel is a token."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 32), nn.Linear(32, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.flatten(2).transpose(1, 2)).softmax(-1)


def wide(*between: nn.Module, first: int = 1, last: int = 3, channels: int = 16, **options) -> nn.Sequential:
    """A chain that is wide between two convolutions, so that products are saved where it becomes one."""
    before = nn.Conv2d(2, channels, first, padding=first // 2)
    return nn.Sequential(before, *between, nn.Conv2d(channels, 2, last, **{"padding": last // 2, **options}))


#: name: (network, what one of its forms is called, the least size that its forms take)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "a bias before padding": (wide, "conv2d 3x3 + bias map", 4),
    "two paddings": (partial(wide, first=3, channels=96), "conv2d 5x5 inside, strips as given", 6),
    "stride, no bias": (
        lambda: nn.Sequential(nn.Conv2d(2, 16, 1, bias=False), nn.Conv2d(16, 2, 3, stride=2, padding=1)),
        "conv2d 3x3",
        2,
    ),
    "stride behind a bias": (partial(wide, stride=2), "as given", 2),
    "dilation": (partial(wide, dilation=2, padding=2), "bias map", 6),
    "nearest upsampling": (lambda: wide(nn.Upsample(scale_factor=2)), "bias map", 4),
    "a pixel shuffle": (lambda: wide(nn.PixelShuffle(2), channels=8)[:2] + wide(channels=2)[1:], "bias map", 4),
    "a transposed convolution": (lambda: wide(nn.ConvTranspose2d(16, 16, 4, 2, 1), last=1), "bias map", 4),
    "an average pool": (lambda: wide(nn.AvgPool2d(2, 1, 1), last=1), "bias map", 3),
    "a circular padding": (partial(wide, padding_mode="circular"), "circular pad", 2),
    "a reflected padding": (partial(wide, padding_mode="reflect"), "reflect pad + conv2d 3x3", 2),
    "residual": (lambda: nn.Sequential(Residual(), Residual()), "bias map", 4),
    "a classifier": (
        lambda: nn.Sequential(Block(2), Block(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)),
        "conv2d 3x3",
        2,
    ),
    "tokens": (Tokens, "linear", 2),
    "sizes that it asks for": (BackToSize, "conv2d 3x3", 2),
}


@cache
def collapsed(name: str) -> tuple[nn.Module, Collapse]:
    """A network, and what becomes of it for every image size."""
    model = of_integers(NETWORKS[name][0]())
    x = torch.zeros(1, 2, 16, 18, dtype=torch.float64)
    return model, collapse(model, x, dynamic_shapes=(ANY,), measure=False, prices=PRODUCTS_ALONE)


def integers(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, shape, generator=generator).double()


def same(model: nn.Module, other: nn.Module, *inputs: Tensor) -> bool:
    with torch.no_grad():
        pair = [y if isinstance(y, tuple) else (y,) for y in (model(*inputs), other(*inputs))]
    return all(torch.equal(a, b) for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data())
def test_every_size_gives_what_the_network_gives(name: str, data: st.DataObject) -> None:
    model, result = collapsed(name)
    _, form, least = NETWORKS[name]
    assert any(form in region.form for region in result.report.regions)
    h, w = (data.draw(st.integers(least, 26), label=side) for side in ("height", "width"))
    x = integers(data.draw(st.integers(0, 9)), data.draw(st.integers(1, 3)), 2, h, w)
    assert same(model, result.model, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_report_says_the_least_size_and_smaller_ones_are_refused(name: str) -> None:
    _, result = collapsed(name)
    least = NETWORKS[name][2]
    assert f"axis 2 of input: {least} or more" in result.report.sizes.replace(" of x", " of input")
    with pytest.raises(ShapeError, match=f"{least} or more"):
        result.model(integers(0, 1, 2, least - 1, 20))


def test_the_certificate_lists_the_sizes_where_it_was_checked() -> None:
    _, result = collapsed("two paddings")
    assert result.certificate.ok
    sizes = ["2x16x18", *(f"2x{6 + a}x{6 + b}" for a, b in any_size._STEPS)]
    assert result.certificate.statement.endswith(f"So it is for images of {', '.join(sizes)}.")


# -- ranges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [ANY, {2: 2 * Dim("h"), 3: 2 * Dim("w")}])
def test_a_network_of_even_sizes_says_so(axes: dict) -> None:
    model = of_integers(Hourglass())
    example = torch.zeros(1, 2, 16, 20, dtype=torch.float64)
    result = collapse(model, example, dynamic_shapes=(axes,), measure=False, prices=PRODUCTS_ALONE)
    assert "bias map" in result.report.regions[0].form  # a stride that always meets the border in one way
    for h, w in ((6, 6), (8, 22), (30, 6)):
        assert same(model, result.model, integers(h, 2, 2, h, w))
    with pytest.raises(ShapeError, match="in steps of 2"):
        result.model(integers(0, 1, 2, 9, 8))


def test_a_range_that_is_said_is_kept_whole() -> None:
    model = of_integers(wide(first=3, channels=96))
    axes = {2: Dim("h", min=3, max=20), 3: Dim("w", min=3)}
    example = torch.zeros(1, 2, 16, 18, dtype=torch.float64)
    result = collapse(model, example, dynamic_shapes=(axes,), measure=False, prices=PRODUCTS_ALONE)
    assert result.report.regions[0].form == "as given"  # strips need five pixels
    assert "every image size" in result.report.regions[0].reason
    assert "3 to 20" in result.report.sizes
    assert same(model, result.model, integers(0, 1, 2, 3, 40))
    with pytest.raises(ShapeError, match="3 to 20"):
        result.model(integers(0, 1, 2, 21, 18))


class Sum(nn.Module):
    """A chain of one input beside another input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = wide()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.body(x).relu() + y


def test_two_inputs_of_one_size_belong_together() -> None:
    model, x = of_integers(Sum()), torch.zeros(1, 2, 16, 18, dtype=torch.float64)
    shapes = {"x": ANY, "y": (None, None, Dim.AUTO, Dim.AUTO)}
    result = collapse(model, (x, x), dynamic_shapes=shapes, measure=False, prices=PRODUCTS_ALONE)
    assert same(model, result.model, integers(0, 2, 2, 7, 9), integers(1, 2, 2, 7, 9))
    with pytest.raises(ShapeError, match="axis 3 of x, axis 3 of y"):
        result.model(integers(0, 1, 2, 7, 9), integers(0, 1, 2, 7, 8))


class TwoRows(nn.Module):
    """Speaks of two samples."""

    def __init__(self) -> None:
        super().__init__()
        self.body = wide()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y.reshape(2, *y.shape[1:])


def test_a_network_of_one_batch_size_takes_any_image() -> None:
    model, x = of_integers(TwoRows()), torch.zeros(2, 2, 16, 18, dtype=torch.float64)
    result = collapse(model, x, dynamic_shapes=(ANY,), measure=False, prices=PRODUCTS_ALONE)
    assert result.report.regions[0].form == "conv2d 3x3 + bias map"
    assert same(model, result.model, integers(0, 2, 2, 7, 9))
    with pytest.raises(ShapeError, match="2"):
        result.model(integers(0, 3, 2, 7, 9))


def test_every_level_certifies_several_sizes() -> None:
    model, x = of_integers(wide(channels=4)), torch.zeros(1, 2, 5, 6, dtype=torch.float64)
    result = collapse(model, x, dynamic_shapes=(ANY,), certify="sampled", measure=False, prices=PRODUCTS_ALONE)
    assert result.certificate.level == "sampled"
    assert "2x4x4" in result.certificate.statement


def test_without_the_option_other_sizes_are_refused() -> None:
    result = collapse(of_integers(wide()), torch.zeros(1, 2, 16, 18, dtype=torch.float64), measure=False)
    assert result.sizes is None
    with pytest.raises(ShapeError, match="18"):
        result.model(integers(0, 1, 2, 16, 19))


# -- networks that are bound to a size ---------------------------------------------------------------------------------


def classifier() -> nn.Module:
    return of_integers(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(2 * 8 * 9, 3)))


def test_a_bound_network_is_refused_with_the_line_that_binds_it() -> None:
    with pytest.raises(ShapeError, match="h = 8") as caught:
        collapse(classifier(), integers(0, 1, 2, 8, 9), dynamic_shapes=({2: Dim("h")},))
    assert caught.value.where == "module '2' (Linear)"


@pytest.mark.parametrize("axes", [{2: 8}, {2: 8, 3: 9}], ids=len)
def test_a_network_that_is_left_to_torch_says_what_stays_bound(axes: dict[int, int]) -> None:
    shapes = (dict.fromkeys(axes, Dim.AUTO),)
    result = collapse(classifier(), integers(0, 1, 2, 8, 9), dynamic_shapes=shapes, measure=False)
    assert all(f"axis {axis} of input: {n} alone" in result.report.sizes for axis, n in axes.items())
    assert "linear" in result.report.sizes.lower()
    assert same(classifier(), result.model, integers(0, 3, 2, 8, 9))
    with pytest.raises(ShapeError, match="8"):
        result.model(integers(0, 1, 2, 9, 9))


@pytest.mark.parametrize("shapes", [{"z": ANY}, (ANY, ANY), "any"])
def test_dynamic_shapes_that_fit_no_input_are_refused(shapes: object) -> None:
    with pytest.raises(ShapeError, match="dynamic_shapes"):
        collapse(classifier(), integers(0, 1, 2, 8, 9), dynamic_shapes=shapes)


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_command_keeps_the_free_sizes_of_a_program(tmp_path: Path) -> None:
    model, x = of_integers(Hourglass()), torch.zeros(2, 2, 16, 20, dtype=torch.float64)
    program = export(model, x, dynamic_shapes=({2: 2 * Dim("h", max=20), 3: 2 * Dim("w")},))
    source, out = save_program(program, tmp_path / "in.pt2"), tmp_path / "out.pt2"
    done = CliRunner().invoke(app, ["collapse", str(source), "--out", str(out), "--no-measure"])
    assert done.exit_code == 0, done.output
    small = load_program(out).module()
    assert same(model, small, integers(0, 3, 2, 40, 6))
    assert "in steps of 2" in done.output


def test_an_onnx_file_has_the_free_sizes(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = of_integers(wide()).float()
    example = torch.zeros(2, 2, 16, 18)
    result = collapse(model, example, dynamic_shapes=(ANY,), measure=False, prices=PRODUCTS_ALONE)
    program = export(result.model, example, dynamic_shapes=dimensions(result.sizes, ["input"], [4]))
    path = save_onnx(program, None, tmp_path / "net.onnx")
    session = runtime.InferenceSession(str(path))
    x = integers(0, 3, 2, 9, 31).float()
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(found), model(x))


# -- what would be wrong -----------------------------------------------------------------------------------------------


def broken(name: str) -> None:
    collapsed.__wrapped__(name)


def test_a_strip_that_is_one_row_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = lifting._Lift._bound

    def short(self, items, calls):
        found = bound(self, items, calls)
        return found + 1 if found < -3 else found

    monkeypatch.setattr(lifting._Lift, "_bound", short)
    with pytest.raises((UncertifiedError, ShapeError)):
        broken("two paddings")


@pytest.mark.parametrize("name", ["a bias before padding", "nearest upsampling"])
def test_another_row_repeated_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kept = Ends.kept
    monkeypatch.setattr(Ends, "kept", lambda self, m: [row * (row != len(self.first)) for row in kept(self, m)])
    with pytest.raises(UncertifiedError):
        broken(name)


def test_a_border_that_is_met_in_two_ways_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ends, "fit", lambda self, axis, n, m: True)
    with pytest.raises(UncertifiedError):
        broken("stride behind a bias")


def test_a_divisor_that_is_a_length_is_no_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifting, "_counts_lengths", lambda call: False)
    with pytest.raises(UncertifiedError):
        broken("sizes that it asks for")


# -- a graph at one of its sizes ---------------------------------------------------------------------------------------


def test_a_graph_at_one_size_knows_every_length_and_where_it_is_from() -> None:
    graph = trace(of_integers(BackToSize()), integers(0, 2, 2, 8, 10), dynamic_shapes=(ANY,))
    values = dict(zip(graph.sizes.values, (7, 12), strict=True))
    there = at(graph, values)
    assert there.input_shapes == ((None, 2, 7, 12),)
    resized = next(call for call in there.calls if call.op.startswith("upsample"))
    assert resized.shape == (None, 2, 7, 12)
    lengths = resized.args[1]
    assert lengths == [7, 12]
    assert all(isinstance(length, Length) for length in lengths)


def test_sizes_in_steps() -> None:
    sizes = ImageSizes({("x", 2): Side("h", 3, 1)}, {"h": range(2, sys.maxsize, 2)})
    assert str(sizes) == "axis 2 of x: 7 or more in steps of 6"
    assert sizes.shapes(["x"], [(None, 1, None)], {"h": 4}) == [(None, 1, 13)]
    assert sizes.of(["x"], [(1, 1, 13)]) == {"h": 4}
