"""Regions of a program: without gradients they are calls and ``detach``; branches, loops and autocast stay whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn import certify, collapse
from algebraic_cnn.collapsing import job
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.graph import Submodule
from algebraic_cnn.ir.trace import trace
from tests.idioms import Model, difference


def straight_through(s: Any, x: Tensor) -> Tensor:
    return x + (x.round() - x).detach()


def rounded(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = s.a(x).round()
    return s.b(y) + s.a(x)


def still_inside(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = s.b(s.a(x))
    return s.a(s.b(y)) * x


def grad_inside(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = s.a(x)
        with torch.enable_grad():
            z = s.b(y) + x
    return z + y


def viewed(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y, z = x.view(2, 2, 2), x
    return y.flatten(1) * x + x.detach() + z * 3


def averaged(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        s.k.mul_(0.5).add_(x.mean(0))
    return s.a(x) * s.k


def chosen(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    return F.one_hot(y.argmax(-1), 4).to(x.dtype) + y - y.detach()


def frozen(s: Any, x: Tensor) -> Tensor:
    return s.b(s.a(x).detach()).relu() + s.a(s.b(x))


@torch.no_grad()
def without(s: Any, x: Tensor) -> Tensor:
    return s.b(s.a(x))


def model_of(function: Callable[..., Any]) -> Model:
    torch.manual_seed(0)
    return Model(function, a=nn.Linear(4, 4), b=nn.Linear(4, 4), k=torch.ones(4)).double().eval()


GRADIENTS = (straight_through, rounded, still_inside, grad_inside, viewed, averaged, chosen, frozen, without)


@pytest.mark.parametrize("function", GRADIENTS, ids=lambda function: function.__name__)
def test_a_collapse_has_the_gradients_of_the_model(function: Callable[..., Any]) -> None:
    model, x = model_of(function), torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for new in (emit(trace(copy.deepcopy(model), x)), collapse(copy.deepcopy(model), x, measure=False).model):
        torch.testing.assert_close(gradient(new, x), gradient(copy.deepcopy(model), x))


def gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """What a model gives, and the gradient of its sum; None where it has none."""
    x = x.clone().requires_grad_()
    y = model(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else None


def test_taking_detach_for_the_identity_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "watched", lambda graph, affine: {})
    model, x = model_of(frozen), torch.ones(2, 4, dtype=torch.float64)
    new = collapse(model, x, measure=False).model
    assert not torch.equal(*(cast("Tensor", gradient(each, x)[1]) for each in (new, model)))


def test_a_certificate_speaks_of_values_only() -> None:
    still = model_of(still_inside)
    moving = Model(lambda s, x: s.a(s.b(s.b(s.a(x)))) * x, a=still.a, b=still.b).eval()
    assert certify(still, moving, torch.ones(2, 4, dtype=torch.float64)).ok


def branch(s: Any, x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, lambda x: s.a(x), lambda x: x * 2, (x,))


def loop(s: Any, x: Tensor) -> Tensor:
    from torch._higher_order_ops.while_loop import while_loop

    start = torch.zeros((), dtype=torch.int64)
    return while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (start, x))[1]


def half(s: Any, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return s.a(x).float()


WHOLE = {"higher_order::cond": branch, "higher_order::while_loop": loop, "higher_order::wrap_with_autocast": half}


@pytest.mark.parametrize("op", WHOLE)
def test_a_branch_a_loop_and_autocast_stay_whole(op: str) -> None:
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))
    model = model_of(WHOLE[op]).float().requires_grad_(False)
    graph = trace(model, x)
    (call,) = (call for call in graph.calls if call.op == op)
    assert call.parts()
    assert all(isinstance(part, Submodule) for part in call.parts())
    result = collapse(model, x, measure=False, certify=None)
    assert op in [boundary.call for boundary in result.report.boundaries]
    for new in (emit(graph), result.model):
        assert difference(model, new, [(x,), (-x,)]) == ""


def test_autocast_that_is_switched_off_is_no_region() -> None:
    def off(s: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return s.b(s.a(x))

    graph = trace(model_of(off), torch.ones(2, 4, dtype=torch.float64))
    assert [call.op for call in graph.calls] == ["linear", "linear"]
    assert graph.single() == ((4,), (4,))


def test_a_region_that_overwrites_is_written_out() -> None:
    def inside(s: Any, x: Tensor) -> Tensor:
        y = x * 2
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = s.a(y).float()
            y.add_(1)
        return y + z

    model, x = model_of(inside).float().requires_grad_(False), torch.ones(2, 4)
    graph = trace(model, x)
    assert not any(call.parts() for call in graph.calls)
    assert difference(model, emit(graph), [(x,), (-x,)]) == ""


def other_branch(s: Any, x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, lambda x: s.a(x), lambda x: x * 2.5, (x,))


def longer_loop(s: Any, x: Tensor) -> Tensor:
    from torch._higher_order_ops.while_loop import while_loop

    start = torch.zeros((), dtype=torch.int64)
    return while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * 2), (start, x))[1]


@pytest.mark.parametrize(("function", "other"), [(branch, other_branch), (loop, longer_loop)])
def test_networks_with_branches_and_loops_are_compared(function: Callable[..., Any], other: Callable[..., Any]) -> None:
    x = torch.ones(2, 4)
    same, again, different = (model_of(each).float().requires_grad_(False) for each in (function, function, other))
    assert not torch.equal(same(-x), different(-x))
    assert certify(same, again, x).verdict == "equal"
    assert not certify(same, different, x).ok
