"""``algebraic-cnn collapse`` on networks with several regions: the report as table, JSON and picture; ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.apps.cli.report_table import boundaries_table, regions_table
from algebraic_cnn.apps.plots import save_figure
from algebraic_cnn.apps.report_figure import report_figure
from algebraic_cnn.collapsing.report import Boundary, RegionReport, Report
from algebraic_cnn.ir.onnx.writing import save_onnx, session
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import export
from tests.apps.commands import cells, run


class Block(nn.Module):
    """A trained block: 3x3, 1x1 and identity, a BatchNorm each."""

    def __init__(self) -> None:
        super().__init__()
        self.three, self.one = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norms[0](self.three(x)) + self.norms[1](self.one(x)) + self.norms[2](x))


def blocks(count: int) -> nn.Module:
    return randomised(nn.Sequential(*(Block() for _ in range(count))))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return save_program(export(blocks(3), torch.zeros(2, 4, 12, 12)), tmp_path / "blocks.pt2")


def test_equal_regions_are_one_line_that_says_where_what_and_at_what_cost() -> None:
    report = collapse(blocks(3), torch.zeros(2, 4, 12, 12), measure=False, certify=None).report
    ((count, where, calls, became, before, after),) = cells(regions_table(report))
    assert (count, became) == ("3", "conv2d 3x3")
    assert where.startswith("0 ... 2\n")
    assert "in forward: return torch.relu(" in where
    assert calls == "2 conv2d, 3 batch_norm, 2 add"
    assert float(before.split()[0]) > float(after.split()[0])
    ((count, where, what, why),) = cells(boundaries_table(report))
    assert (count, what) == ("3", "relu")
    assert why == "it is an activation"


def test_a_hundred_regions_fit_on_a_screen() -> None:
    region = RegionReport("a.py:1 in forward: x", "m", 2, 1, "conv2d 1x1", 900, 500, "0.5 us against 0.9 us")
    kept = RegionReport("a.py:2 in forward: y", "n", 2, 2, "as given", 900, 900, "one stencil would take 2 us")
    report = Report((region, kept) * 50, (Boundary("relu", "a.py:3", "r", "no rule"),) * 99, "auto")
    assert [row[0] for row in cells(regions_table(report))] == ["50", "50"]
    assert cells(regions_table(report))[1][3] == "as given\n[dim]one stencil would take 2 us[/]"
    assert cells(boundaries_table(report))[0][0] == "99"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_shows_every_region_twice_in_the_colour_of_its_form(tmp_path: Path, ending: str) -> None:
    report = collapse(blocks(3), torch.zeros(2, 4, 12, 12), measure=False, certify=None).report
    figure = report_figure(report)
    axes = figure.axes[0]
    assert len(axes.collections) == 2 * len(report.regions)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["conv2d 3x3 (3)", "not affine (3)"]
    path = save_figure(figure, tmp_path / f"a.{ending}")
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_many_forms_share_the_last_colour() -> None:
    forms = ["2 x one form, another", *(f"2 x form {n}" for n in range(11))]
    regions = [RegionReport("a", "m", 2, 1, form, 900, 500, "", at=n) for n, form in enumerate(forms)]
    words = [t.get_text() for t in report_figure(Report(tuple(regions), (), "auto")).axes[0].get_legend().get_texts()]
    assert words[:2] == ["several forms (1)", "form 0 (1)"]
    assert words[-1] == "other forms (5)"


def test_the_command_writes_the_picture_and_prints_the_table(program: Path) -> None:
    out, picture = program.with_name("out.pt2"), program.with_name("regions.svg")
    done = run("collapse", program, "--out", out, "--picture", picture, "--no-measure", "--certify", "none")
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"<?xml")
    assert "became 3; " in done.stdout
    assert "conv2d 3x3" in done.stdout
    again = run("collapse", program, "--out", program.with_name("out2.pt2"), "--no-measure", "--json")
    regions = json.loads(again.stdout)["report"]["regions"]
    assert [region["ops_after"] for region in regions] == [{"conv2d": 1}] * 3
    assert [region["module"] for region in regions] == ["0", "1", "2"]
    x = torch.ones(3, 4, 12, 12)
    first, second = (load_program(program.with_name(name)).module()(x) for name in ("out.pt2", "out2.pt2"))
    assert torch.equal(first, second)


@pytest.mark.parametrize("dense", [True, False])
def test_certify_takes_the_certificate_that_collapse_wrote(tmp_path: Path, dense: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 3)) if dense else blocks(1)
    x = torch.zeros(1, 1, 6, 6) if dense else torch.zeros(1, 4, 12, 12)
    names = {name: tmp_path / name for name in ("m.pt2", "f.pt2", "c.json", "other.pt2")}
    save_program(export(model.eval(), x), names["m.pt2"])
    options = ("--out", names["f.pt2"], "--certificate", names["c.json"], "--no-measure")
    assert run("collapse", names["m.pt2"], *options).exit_code == 0
    assert run("certify", names["m.pt2"], names["f.pt2"], "--check", names["c.json"]).exit_code == 0
    save_program(export(nn.Sequential(model, nn.ReLU()).eval(), x), names["other.pt2"])
    refused = run("certify", names["m.pt2"], names["other.pt2"], "--check", names["c.json"])
    assert refused.exit_code == 2
    assert "another network" in refused.output


@pytest.mark.parametrize(("option", "name"), [("--picture", "a.pdf"), ("--onnx", "a.pb"), ("--out", "a.pt")])
def test_an_ending_that_nothing_writes_is_refused_before_anything_is_done(
    program: Path, option: str, name: str
) -> None:
    words = {"--out": program.with_name("out.pt2")} | {option: program.with_name(name)}
    done = run("collapse", program, *(word for pair in words.items() for word in pair))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert sorted(path.name for path in program.parent.iterdir()) == ["blocks.pt2"]


# -- ONNX --------------------------------------------------------------------------------------------------------------


def whole(model: nn.Module) -> nn.Module:
    """The model with small integers for numbers, so that no sum rounds, in whatever order it is taken."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.randint(-2, 3, tensor.shape, generator=generator).to(tensor.dtype)
            if name.endswith("running_var"):
                tensor.data = 3 * (tensor.data % 2)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1.0
    return model.eval()


def test_onnx_runtime_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layers = [Block(), Block(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 3)]
    model, x = whole(nn.Sequential(*layers)), torch.arange(-256.0, 256).reshape(2, 4, 8, 8) % 5
    new = collapse(model, x, measure=False).model
    ready = session(save_onnx(export(new, x), None, tmp_path / "a.onnx"))
    for batch in (x, torch.cat([x, x + 1])):
        (got,) = ready.run(None, {ready.get_inputs()[0].name: batch.numpy()})
        with torch.no_grad():
            np.testing.assert_array_equal(got, model(batch).numpy())


def test_onnx_runtime_stays_within_the_bound_of_rounding(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from algebraic_cnn.certification.rounding import forward_error
    from algebraic_cnn.ir.trace import trace

    model = randomised(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)))
    x = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    new = collapse(model, x, measure=False).model
    ready = session(save_onnx(new, x, tmp_path / "a.onnx"))
    got = torch.from_numpy(ready.run(None, {ready.get_inputs()[0].name: x.numpy()})[0]).double()
    bound = forward_error(trace(new, x), x).bound.reshape(got.shape)
    with torch.no_grad():
        exact = new.double()(x.double())  # its own rounding is 2^29 times smaller
    assert ((got - exact).abs() <= bound).all()
    assert float(bound.max()) < 1e-4
