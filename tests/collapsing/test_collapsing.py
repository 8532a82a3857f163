"""``collapse`` on any model: never wrong, never dearer by its own model, and every refusal explained."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval  # what torch.fx's fuse calls

from algebraic_cnn import collapse
from algebraic_cnn.algebra.forms import Dense
from algebraic_cnn.collapsing.measurement import Race
from algebraic_cnn.collapsing.report import RegionReport, Report
from algebraic_cnn.derivation.methods import METHODS
from algebraic_cnn.errors import (
    NonFiniteError,
    NotAffineError,
    ShapeError,
    TraceError,
    TrainingModeError,
    UnknownNameError,
)
from algebraic_cnn.models import resnet34
from algebraic_cnn.ops.traits import Prices
from tests.collapsed import ops, randomised, relative_error
from tests.narrow import Block

#: Prices under which every call is one unit, whatever it computes: whatever can be merged is merged.
CALLS_ALONE = Prices(call=1.0, kernel=0.0, norm=0.0, product=0.0, matrix=1e9, lone=0.0, plane=0.0, byte=0.0)

#: Prices under which multiply-adds hardly matter.
DEAR_CALLS = Prices(call=1e6, product=1e-4, lone=1e-4)


def test_a_trained_block_becomes_one_convolution() -> None:
    model = randomised(nn.Sequential(Block(8), Block(8)))
    x = torch.randn(2, 8, 14, 14, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model) == {"conv2d": 2, "relu": 2}
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok
    assert [boundary.call for boundary in result.report.boundaries] == ["relu", "relu"]
    assert result.affine is None


def test_the_linear_resnet34_becomes_one_matrix() -> None:
    model = resnet34(linear=True).eval()
    result = collapse(model, torch.zeros(1, 1, 28, 28), certify=None, measure=False)
    assert isinstance(result.model, Dense)
    assert result.affine.W.shape == (10, 784)
    assert result.report.regions[0].form == "dense"


def chain(channels: int, layers: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))).eval()


@pytest.mark.parametrize(("channels", "layers", "dense"), [(8, 4, False), (1, 16, True)])
def test_a_matrix_is_made_only_where_it_pays(channels: int, layers: int, dense: bool) -> None:
    result = collapse(chain(channels, layers), torch.zeros(1, channels, 28, 28), certify=None, measure=False)
    assert isinstance(result.model, Dense) == dense
    before, after = result.report.cost
    assert after < before if dense else after == before


class Everything(nn.Module):
    """Several inputs, nested outputs, a shared layer, a functional call, control flow on a Python number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, object]:
        z = self.bn(self.conv(x))
        for _ in range(2):
            z = nn.functional.gelu(self.bn(self.conv(z)))
        shared = self.conv(y) + x
        return {"z": z, "more": [shared, (self.bn(shared), z.shape[1])]}


def test_signature_and_nesting_stay() -> None:
    model = randomised(Everything())
    x, y = torch.randn(2, 2, 2, 6, 6, dtype=torch.float64)
    result = collapse(model, (x, y), measure=False)
    with torch.no_grad():
        expected, got = model(x, y), result.model(x, y=y)
    assert expected.keys() == got.keys()
    for a, b in [
        (expected["z"], got["z"]),
        (expected["more"][0], got["more"][0]),
        (expected["more"][1][0], got["more"][1][0]),
    ]:
        assert float((a - b).abs().max() / a.abs().max()) <= 1e-12
    assert got["more"][1][1] == 2
    assert ops(result.model)["batch_norm"] <= 1


def test_the_result_exports_saves_and_collapses_again(tmp_path) -> None:
    model = randomised(nn.Sequential(Block(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    torch.export.save(torch.export.export(result.model, (x,)), tmp_path / "small.pt2")
    program = torch.export.load(tmp_path / "small.pt2")
    again = collapse(program, measure=False)
    assert relative_error(model, again.model, x) <= 1e-12
    assert ops(again.model) == ops(result.model)


@pytest.mark.parametrize("trained", [True, False])
def test_trainable_where_the_model_was(trained: bool) -> None:
    model = randomised(Block(4)).requires_grad_(trained)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    new = collapse(model, x, measure=False).model
    assert {p.requires_grad for p in new.parameters()} == {trained}
    if trained:
        new(x).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in new.parameters())


class Branching(nn.Module):
    """Two inputs, one of them read twice; a layer shared by both; a tuple and a dictionary come back."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = self.norm(self.shared(x)), self.norm(self.shared(y))
        return torch.relu(a + b), {"difference": a - b, "sum": self.shared(x + y)}


def test_several_inputs_shared_layers_and_nested_outputs() -> None:
    model = randomised(Branching())
    x, y = torch.randn(2, 3, 2, 5, 5, dtype=torch.float64)
    result = collapse(model, (x, y), measure=False)
    with torch.no_grad():
        (a, rest), (b, more) = model(x, y), result.model(x, y)
    for expected, got in [(a, b), *((rest[name], more[name]) for name in ("difference", "sum"))]:
        assert float((expected - got).abs().max() / expected.abs().max()) <= 1e-12
    assert ops(result.model)["batch_norm"] == 0


def test_the_maps_of_the_regions() -> None:
    model = randomised(nn.Sequential(Block(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)))
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    first, second = (result.region(number) for number in range(len(result.report.regions)))
    with torch.no_grad():
        y = model(x)
    assert float((second(first(x).relu()) - y).abs().max() / y.abs().max()) <= 1e-12
    with pytest.raises(NotAffineError, match="one input and one output"):
        collapse(randomised(Branching()), (x, x), measure=False).region(0)


# -- errors that others make silently ---------------------------------------------------------------------------------


class CalledTwice(nn.Module):
    """pytorch#104593: a convolution called twice, its result normalised once; fusing by module changes both calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x))) + torch.sigmoid(self.conv(x))


class PreActivation(nn.Module):
    """BatchNorm, ReLU, convolution: the BatchNorm after one convolution belongs to the next block."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.n1, self.n2 = nn.BatchNorm2d(2), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(torch.relu(self.n1(x)))
        return x + y + self.b(torch.relu(self.n2(y)))


class AlongTheLastAxis(nn.Module):
    """A factor of shape (1, 1, 1, W) with W = C_out looks like one number for each channel, and is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.factor = nn.Parameter(torch.randn(1, 1, 1, 6))
        self.shift = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.factor + self.shift


class WithoutPadding(nn.Module):
    """A block of branches built with padding 0: the 1x1 branch sees the middle of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.three, self.one = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.three(x) + self.one(x[:, :, 1:-1, 1:-1])


class BiasBeforePadding(nn.Module):
    """BatchNorm, then a padded convolution: the padding is zero, not the BatchNorm's shift."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


@pytest.mark.parametrize("prices", [Prices(), CALLS_ALONE], ids=["priced", "whatever can be merged"])
@pytest.mark.parametrize("kind", [CalledTwice, PreActivation, AlongTheLastAxis, WithoutPadding, BiasBeforePadding])
def test_silent_errors_of_others(kind: type[nn.Module], prices: Prices) -> None:
    model, x = randomised(kind()), torch.randn(2, 2, 6, 6, dtype=torch.float64)
    result = collapse(model, x, prices=prices, measure=False)
    assert relative_error(model, result.model, x) <= 1e-12
    assert result.certificate.ok


def test_branches_without_padding_are_one_convolution() -> None:
    model, x = randomised(WithoutPadding()), torch.randn(2, 2, 6, 6, dtype=torch.float64)
    assert ops(collapse(model, x, measure=False).model) == {"conv2d": 1}


# -- precision ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_are_folded_in_float64_and_rounded_once(dtype: torch.dtype) -> None:
    model = randomised(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())).to(dtype)
    conv, norm = model[0], model[1]
    result = collapse(model, torch.zeros(1, 3, 32, 32, dtype=dtype), measure=False)
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = conv.weight.double() * scale.reshape(-1, 1, 1, 1)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    new = dict(result.model.named_parameters())
    assert {tuple(p.shape) for p in new.values()} == {(4, 3, 3, 3), (4,)}
    assert all(p.dtype == dtype for p in new.values())
    assert any(torch.equal(p, weight.to(dtype)) for p in new.values())
    assert any(torch.equal(p, bias.to(dtype)) for p in new.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_fold_of_short_numbers_is_better_than_one_in_their_own_precision(dtype: torch.dtype) -> None:
    model = randomised(nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())).to(dtype)
    fused = nn.Sequential(fuse_conv_bn_eval(model[0], model[1]), nn.ReLU())
    ours = collapse(model, torch.zeros(1, 8, 32, 32, dtype=dtype), measure=False).model
    x = torch.randn(1, 8, 32, 32, dtype=torch.float64)
    exact = deepcopy(model).double()
    mine, theirs = (relative_error(exact, other.double(), x) for other in (ours, fused))
    assert 0 < mine < theirs


def test_another_dtype_may_be_asked_for() -> None:
    model, x = randomised(Block(4)), torch.randn(2, 4, 8, 8)
    result = collapse(model, x.double(), dtype=torch.float32, measure=False)
    assert result.model(x).dtype == torch.float32


# -- report ------------------------------------------------------------------------------------------------------------


def test_the_report_says_what_was_done_and_why_not_more() -> None:
    padded = [nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)]
    bare = [nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3)]
    model = nn.Sequential(*padded, nn.ReLU(), *bare, nn.Softmax(1)).eval()
    report = collapse(model, torch.zeros(1, 32, 32, 32), measure=False).report
    assert [region.form for region in report.regions] == ["as given", "as given"]
    assert "border" in report.regions[0].reason
    assert "one stencil would take" in report.regions[1].reason
    assert "relu, softmax" in str(report)
    again = json.loads(report.to_json())
    assert again["calls"] == [4, 4]
    assert len(again["boundaries"]) == 2


@pytest.fixture
def every_race_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algebraic_cnn.collapsing.measurement.race", lambda *sides: Race(1.0, 2.0, lost=True))
    monkeypatch.setattr("algebraic_cnn.collapsing.pipeline.race", lambda *sides: Race(1.0, 2.0, lost=True))


@pytest.mark.usefixtures("every_race_is_lost")
def test_what_only_removes_work_is_not_raced() -> None:
    model, x = randomised(nn.Sequential(Block(4), Block(4))), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    result = collapse(model, x)
    assert ops(result.model) == {"conv2d": 2, "relu": 2}
    assert all(region.seconds_after is None for region in result.report.regions)


@pytest.mark.usefixtures("every_race_is_lost")
def test_what_loses_its_race_is_put_back_but_not_the_batch_norms_beside_it() -> None:
    layers = [nn.Conv2d(32, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32)]
    model, x = randomised(nn.Sequential(*layers, nn.ReLU())), torch.randn(1, 32, 16, 16, dtype=torch.float64)
    free = collapse(model, x, prices=DEAR_CALLS, measure=False)
    result = collapse(model, x, prices=DEAR_CALLS)
    assert ops(free.model) == {"conv2d": 1, "relu": 1}
    assert ops(result.model) == {"conv2d": 2, "relu": 1}
    assert "put back" in result.report.regions[0].reason
    assert relative_error(model, result.model, x) <= 1e-12


@pytest.mark.usefixtures("every_race_is_lost")
def test_a_matrix_that_loses_its_race_is_not_made() -> None:
    model = chain(1, 16)
    result = collapse(model, torch.zeros(1, 1, 28, 28), certify=None)
    assert not isinstance(result.model, Dense)
    assert result.report.cost[1] <= result.report.cost[0]


# -- bad input ---------------------------------------------------------------------------------------------------------


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_bad_input_is_refused_in_our_words() -> None:
    x = torch.zeros(1, 2, 6, 6)
    with pytest.raises(TrainingModeError, match="eval"):
        collapse(nn.Conv2d(2, 2, 3), x)
    with pytest.raises(TraceError, match="cannot take the model"):
        collapse(Decides().eval(), x)
    with pytest.raises(UnknownNameError, match="level"):
        collapse(nn.Conv2d(2, 2, 3).eval(), x, certify="surely")
    with pytest.raises(ShapeError, match="tensor"):
        collapse(nn.Conv2d(2, 2, 3).eval(), "x")
    broken = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    broken[0].weight.data[0] = float("nan")
    with pytest.raises(NonFiniteError):
        collapse(broken, x, measure=False)
    with pytest.raises(ShapeError, match="another shape"):
        collapse(randomised(Block(2)).float(), x, measure=False).model(torch.zeros(1, 2, 7, 7))


def test_the_automatic_level_is_the_modular_certificate_of_every_region() -> None:
    model, x = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.ReLU()).eval(), torch.zeros(1, 2, 6, 6)
    certificates = [collapse(model, x, certify=level, measure=False).certificate for level in ("auto", "modular")]
    assert [found and (found.level, found.ok) for found in certificates] == [("modular", True)] * 2


# -- what is cheaper apart stays apart ---------------------------------------------------------------------------------

KEPT = {
    "depthwise, pointwise": [nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.Conv2d(32, 64, 1)],
    "separable": [nn.Conv2d(16, 16, (1, 7)), nn.Conv2d(16, 16, (7, 1))],
    "low rank": [nn.Conv2d(64, 4, 1), nn.Conv2d(4, 64, 3)],
}


@pytest.mark.parametrize("name", KEPT)
def test_factors_that_cost_less_than_their_product_are_kept(name: str) -> None:
    model = randomised(nn.Sequential(*KEPT[name], nn.ReLU()))
    x = torch.randn(1, KEPT[name][0].in_channels, 28, 28, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    assert ops(result.model) == {"conv2d": 2, "relu": 1}
    assert torch.equal(result.model(x), model(x))
    assert "would take" in result.report.regions[0].reason


def test_groups_stay_groups() -> None:
    layers = [nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1, groups=2), nn.ReLU()]
    model, x = randomised(nn.Sequential(*layers)), torch.randn(1, 8, 28, 28, dtype=torch.float64)
    result = collapse(model, x, measure=False)
    (conv,) = (node for node in result.model.graph.nodes if str(node.target).startswith("aten.conv2d"))
    assert conv.args[6] == 2
    assert relative_error(model, result.model, x) <= 1e-12


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_every_method_derives_the_same_matrix(method: str) -> None:
    chain = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(6)]).double().eval()
    numbers = itertools.cycle([[1, -2, 0, 3, 1, 0, 0, 2, -1], [2]])
    for parameter in chain.parameters():
        parameter.data = torch.tensor(next(numbers)).double().reshape(parameter.shape)
    x = torch.from_numpy(np.random.default_rng(0).integers(-3, 4, (2, 1, 6, 6))).double()
    result = collapse(chain, x, method=method, measure=False)
    assert result.report.method == method or method == "auto"
    assert torch.equal(result.model(x), chain(x))
    assert result.affine is not None
    assert result.affine.W.shape == (36, 36)


def test_more_calls_than_before_say_what_they_buy() -> None:
    row = RegionReport("a.py:1", "m", 4, 6, "6 x conv2d 1x1", 9_000, 5_000, "")
    assert Report((row,), (), "auto").summary() == (
        "4 affine calls in 1 region became 6, which take 5 us against 9 us by the model."
    )
