"""Affine calls that stay as they were: more is read than their numbers, or a folded number would overflow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import NonFiniteError, collapse
from algebraic_cnn.collapsing import kept

from ..collapsed import ops


class Signs(nn.Module):
    """Sums that are zeros of some sign, as something else reads them."""

    def __init__(self, read: str) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        y = -(x + 0)
        z = {"atan2": lambda: torch.atan2(y, x - 1), "reciprocal": lambda: y.reciprocal(), "over": lambda: (x + 1) / y,
             "copysign": lambda: torch.copysign(x.exp(), y), "power": lambda: y**-1}[self.read]()  # fmt: skip
        return z * 3


READS = ["atan2", "reciprocal", "over", "copysign", "power"]


@pytest.mark.parametrize("read", READS)
def test_zeros_keep_their_signs(read: str) -> None:
    model, x = Signs(read).eval(), torch.tensor([[0.0, -0.0, 1.0]])
    result = collapse(model, x, measure=False)
    expected, got = model(x), result.model(x)
    assert torch.equal(expected, got)
    assert torch.equal(expected.signbit(), got.signbit())
    assert {missed.call for missed in result.report.missed} == {"add", "neg"} | ({"sub"} if read == "atan2" else set())
    assert "sign of a zero" in str(result.report)


@pytest.mark.parametrize("read", ["reciprocal", "over"])
def test_without_the_rule_a_sign_is_lost(read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algebraic_cnn.collapsing.job.watched", lambda graph, affine: {})
    model, x = Signs(read).eval(), torch.tensor([[0.0, -0.0, 1.0]])
    assert not torch.equal(model(x), collapse(model, x, measure=False).model(x))


def test_an_even_power_reads_numbers_alone() -> None:
    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x)).pow(2)

    result = collapse(Energy().eval(), torch.zeros(1, 2, 5, 5), measure=False)
    assert not result.report.missed
    assert "batch_norm" not in ops(result.model)


def layers(number: float) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 1))
    for layer in (model[0], model[1]):
        nn.init.constant_(layer.weight, number)
    return model.eval()


@pytest.mark.parametrize(("number", "dtype"), [(300.0, torch.float16), (1e25, torch.float32), (1e25, torch.bfloat16)])
def test_what_would_overflow_stays(number: float, dtype: torch.dtype) -> None:
    result = collapse(layers(number), torch.zeros(1, 4, 9, 9), dtype=dtype, measure=False)
    assert all(bool(value.isfinite().all()) for value in result.model.state_dict().values())
    assert ops(result.model)["conv2d"] == 3
    assert str(dtype).removeprefix("torch.") in result.report.missed[0].reason
    assert result.certificate.ok
    assert ops(collapse(layers(0.5), torch.zeros(1, 4, 9, 9), dtype=dtype, measure=False).model)["conv2d"] == 2


def test_a_matrix_that_would_overflow_is_not_made() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)).eval()
    for layer in model:
        nn.init.constant_(layer.weight, 1e25)
    x = torch.ones(1, 2)
    assert torch.equal(collapse(model, x, measure=False).model(x), model(x))
    assert math.isinf(float(model(x).detach()[0, 0]))


@pytest.mark.parametrize("part", ["0.weight", "1.running_var", "2.bias"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(part: str, number: float) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.GroupNorm(1, 1), nn.ReLU()).eval()
    model.get_submodule(part[0]).state_dict()[part[2:]].view(-1)[0] = number
    if part == "2.bias" and number == math.inf:  # what is not affine may have such numbers, as a mask has
        assert collapse(model, torch.zeros(1, 1, 6, 6), measure=False).certificate.ok
        return
    with pytest.raises(NonFiniteError, match=f"weight '{part}'"):
        collapse(model, torch.zeros(1, 1, 6, 6), measure=False)


def test_a_weight_beyond_the_dtype_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()).eval()
    nn.init.constant_(model[0].weight, 1e6)
    with pytest.raises(NonFiniteError, match=r"'0\.weight' has .* in float16"):
        collapse(model, torch.zeros(1, 1, 6, 6), dtype=torch.float16, measure=False)


def test_a_mask_of_minus_infinity_is_no_weight() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.register_buffer("mask", torch.full((3, 3), -math.inf).triu(1))

        def forward(self, x: Tensor) -> Tensor:
            return (self.linear(x) * 2 + self.mask).softmax(-1)

    model, x = Masked().eval(), torch.ones(1, 3, 3)
    result = collapse(model, x, measure=False)
    assert result.certificate.ok
    assert torch.equal(result.model(x).isfinite(), model(x).isfinite())
    assert "constants" in result.report.boundaries[0].reason


def test_who_is_watched_by_whom() -> None:
    from algebraic_cnn.ir.trace import trace

    graph = trace(Signs("over").eval(), torch.zeros(1, 3))
    affine = {call.name for call in graph.calls if call.op != "div"}
    assert kept.watched(graph, affine).keys() == {"add", "neg"}


class Through(nn.Module):
    """A straight-through estimator between two layers: rounded values, the gradient of the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.b(y + (y * 2 - y).detach() + (y.round() - y).detach())


def test_gradients_stop_where_they_stopped() -> None:
    model, x = Through().eval(), torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    new = collapse(model, x, measure=False).model
    grads = []
    for each in (model, new):
        z = x.clone().requires_grad_()
        grads.append(torch.autograd.grad(each(z).sum(), z)[0])
    assert torch.equal(*grads)
    assert ops(new)["detach"] == 2
