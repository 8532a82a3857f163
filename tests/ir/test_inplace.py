"""In-place calls become functional ones, and only where nothing else sees the overwritten memory."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.errors import TraceError
from algebraic_cnn.ir import inplace
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator
from algebraic_cnn.rings.ring import Float


class Body(nn.Module):
    """A model whose forward pass is the given function of a convolution's output and the input."""

    def __init__(self, body: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.conv(x), x)


def doubled_then_read(y: Tensor, x: Tensor) -> Tensor:
    y.mul_(2)
    return y + x


def overwritten_twice(y: Tensor, x: Tensor) -> Tensor:
    z = y.mul_(2)
    z += x
    return y - 1


def overwritten_and_returned_under_its_first_name(y: Tensor, x: Tensor) -> Tensor:
    y.add_(x)
    return y


def a_view_that_sees_it(y: Tensor, x: Tensor) -> Tensor:
    rows = y[:, :, 0]
    y.mul_(2)
    return rows.unsqueeze(2) + x


def a_view_that_is_overwritten(y: Tensor, x: Tensor) -> Tensor:
    y.flatten(1).mul_(2)
    return y + x


def dropout_that_is_its_input(y: Tensor, x: Tensor) -> Tensor:
    nn.functional.dropout(y, training=False).mul_(2)
    return y + x


def the_last_name_that_is_overwritten(y: Tensor, x: Tensor) -> Tensor:
    rows = y.flatten(2).transpose(1, 2)
    rows += x.flatten(2).transpose(1, 2)
    return rows.flatten(1)


def a_shape_of_sizes_that_is_overwritten(y: Tensor, x: Tensor) -> Tensor:
    rows = y.permute(0, 2, 3, 1).reshape(len(y), y.shape[2] * y.shape[3], 1)
    rows += x.reshape(rows.shape)
    return rows


def detached_in_place(y: Tensor, x: Tensor) -> Tensor:
    return y.mul(2).detach_() + x.detach_()


def dropout_in_place(y: Tensor, x: Tensor) -> Tensor:
    return nn.functional.dropout(y.flatten(1), training=False, inplace=True) + x.flatten(1)


def one_of_two_views_overwritten(y: Tensor, x: Tensor) -> Tensor:
    first, second = y[:, :, 0], y[:, :, :1]
    first.mul_(2)
    second.add_(1)
    return first.unsqueeze(2) + x


WITHOUT_TORCH = [a_shape_of_sizes_that_is_overwritten, dropout_in_place, the_last_name_that_is_overwritten]

BODIES = [
    *WITHOUT_TORCH,
    detached_in_place,
    doubled_then_read,
    overwritten_twice,
    overwritten_and_returned_under_its_first_name,
    dropout_that_is_its_input,
    a_view_that_sees_it,
    a_view_that_is_overwritten,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_graph_computes_what_the_model_computes(body: Callable[[Tensor, Tensor], Tensor]) -> None:
    model, x = Body(body).double().eval(), torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    graph = trace(model, x)
    assert not any(call.op.endswith("_") for call in graph.calls)
    assert torch.equal(Evaluator(graph, Float())(x), model(x.clone()))


@pytest.mark.parametrize("body", WITHOUT_TORCH, ids=lambda body: body.__name__)
def test_torch_is_not_asked_to_decompose_what_is_plain(body, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(program: object) -> None:
        raise AssertionError("run_decompositions")

    monkeypatch.setattr(sys.modules[trace.__module__], "require_sharing_said", asked)
    calls = trace(Body(body).eval(), torch.zeros(1, 1, 4, 4)).calls
    assert calls
    assert not any(call.op.endswith("_") for call in calls)
    with pytest.raises(AssertionError):
        trace(Body(a_view_that_sees_it).eval(), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("body", BODIES[-2:], ids=lambda body: body.__name__)
def test_taking_views_for_copies_would_be_noticed(body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "ALLOCATING", inplace.ALLOCATING | {"select", "flatten", "slice"})
    model, x = Body(body).double().eval(), torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    assert not torch.equal(Evaluator(trace(model, x), Float())(x), model(x.clone()))


def test_the_last_name_of_memory_may_be_overwritten_and_no_other() -> None:
    x = torch.zeros(1, 1, 4, 4)
    other = Body(one_of_two_views_overwritten).eval()
    assert torch.equal(emit(trace(other, x + 1))(x + 1), other(x + 1))
    ops = [call.op for call in trace(Body(the_last_name_that_is_overwritten).eval(), x).calls]
    assert ops == ["conv2d", "flatten", "transpose", "flatten", "transpose", "add", "flatten"]


def test_taking_any_name_for_the_last_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Every:
        def __contains__(self, name: str) -> bool:
            return True

    monkeypatch.setattr(inplace, "_alone", lambda calls, outputs: Every())
    x = torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    for body in (a_view_that_sees_it, a_view_that_is_overwritten, one_of_two_views_overwritten):
        model = Body(body).double().eval()
        assert not torch.equal(Evaluator(trace(model, x), Float())(x), model(x.clone()))


def test_calls_keep_their_names_where_memory_is_not_shared() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten()).eval()
    calls = trace(model, torch.zeros(1, 1, 4, 4)).calls
    assert [call.op for call in calls] == ["conv2d", "batch_norm", "relu", "flatten"]


def copied_over(y: Tensor, x: Tensor) -> Tensor:
    """Casts, and copies of another shape, into memory of their own."""
    z = torch.zeros(len(x), 1, 4, 6, dtype=torch.float64)
    z[..., 1:5] = y.float()
    z[..., 0] = x[..., -1]
    z[..., -1] = y[:, :, :1, 0]
    return z


def test_copies_have_derivatives() -> None:
    model, x = Body(copied_over).double().eval(), torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    graph = trace(model, x)
    assert "copy" not in {call.op for call in graph.calls}
    own, ours = (x.clone().requires_grad_() for _ in range(2))
    torch.autograd.backward(model(own).square().sum())
    torch.autograd.backward(collapse(model, x, measure=False).model(ours).square().sum())
    assert torch.equal(own.grad, ours.grad)


def test_a_copy_of_an_input_is_memory_of_its_own() -> None:
    """What is kept is what the input was, whatever is then added to it."""

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", torch.zeros(1, 3))

        def forward(self, x: Tensor) -> Tensor:
            self.last.copy_(x)
            x.add_(1)
            return self.last * 2

    model, x = Kept().eval(), torch.tensor([[1.0, 2.0, 3.0]])
    found = collapse(model, x, measure=False).model
    own, ours = x.clone(), x.clone()
    assert torch.equal(model(own), found(ours))
    assert torch.equal(own, ours)
    assert torch.equal(model.last, found.last)
    assert torch.equal(found.last, x)


#: What returns memory of x where the schema does not say it, and a call that says it.
SHARING = {
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x * 2, x)[1],
    "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, 1], indexing="ij")[0],
    "type_as": lambda x: x.type_as(x * 2),
    "sum_to_size": lambda x: x.sum_to_size(x.shape),
    "einsum": lambda x: torch.einsum("bchw->bcwh", x),
    "transpose": lambda x: x.transpose(2, 3),
}


@pytest.mark.parametrize("name", SHARING)
def test_memory_that_is_shared_in_secret_is_not_overwritten(name: str) -> None:
    class Overwritten(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            view = SHARING[name](x)
            x.add_(1)
            return view * 1

    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    written = x.clone()
    expected = Overwritten()(written)
    assert torch.equal(expected, SHARING[name](x + 1))
    if name != "transpose":
        with pytest.raises(TraceError, match=f"what {name} returns may be memory that is overwritten"):
            trace(Overwritten().eval(), x)
        return
    found = collapse(Overwritten().eval(), x, measure=False).model
    again = x.clone()
    assert torch.equal(found(again), expected)
    assert torch.equal(again, written)
