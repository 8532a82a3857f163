"""What the trace keeps of a model, and what it says of a model that it cannot take."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn.collapsing.pipeline import collapse
from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NotAffineError, ShapeError, TraceError, TrainingModeError
from algebraic_cnn.ir.graph import Ref
from algebraic_cnn.ir.refusal import line_in
from algebraic_cnn.ir.trace import export, trace


class Twice(nn.Module):
    """One module called twice, and a Python loop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.conv(x) + x
        return x


def test_calls_are_recorded_in_order_with_their_place() -> None:
    graph = trace(Twice().eval(), torch.zeros(1, 2, 5))
    assert [call.op for call in graph.calls] == ["conv1d", "add", "conv1d", "add"]
    assert [call.module for call in graph.calls] == ["conv", "", "conv", ""]
    assert all("test_trace.py" in call.where and "x = self.conv(x) + x" in call.where for call in graph.calls)
    assert sorted(graph.paths.values()) == ["conv.bias", "conv.weight"]
    first, second = (call for call in graph.calls if call.op == "conv1d")
    assert first.bound()["weight"] == second.bound()["weight"]
    assert isinstance(first.bound()["weight"], Ref)
    assert first.bound()["dilation"] == [1]
    assert set(first.refs()) == {"x", *graph.constants}
    assert graph.single() == ((2, 5), (2, 5))
    assert graph.batch is None
    assert graph.shapes()["x"] == (None, 2, 5)
    assert graph.dtype == torch.float32


class Mixed(nn.Module):
    """Constants, sizes, an unused call, a frozen batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        F.relu(x)
        weight = self.weight / self.weight.norm()
        return F.linear(x.view(x.shape[0], 3), weight) + torch.ones(3)


def test_constants_are_folded_and_what_nothing_needs_is_left_out() -> None:
    graph = trace(Mixed().eval(), torch.zeros(1, 3))
    assert {call.op for call in graph.calls} <= {"reshape", "linear", "add", "sym_size", "ones"}
    (weight,) = (tensor for tensor in graph.constants.values() if tensor.shape == (3, 3))
    assert torch.equal(weight, torch.ones(3, 3) / torch.ones(3, 3).norm())
    assert graph.dependent() >= {"x", graph.calls[-1].name}


class Frozen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.view(2, 3)


def test_a_batch_that_the_model_writes_down_stays_bound() -> None:
    graph = trace(Frozen().eval(), torch.zeros(2, 3))
    assert graph.batch == 2
    assert (2 * torch.eye(3).numpy() == derive(graph).W).all()


def test_a_program_is_taken_as_it_is() -> None:
    model = Twice().eval()
    graphs = trace(export(model, torch.zeros(1, 2, 5))), trace(model, torch.zeros(3, 2, 5))
    assert [call.op for call in graphs[0].calls] == [call.op for call in graphs[1].calls]
    assert derive(graphs[0]).exactly_equals(derive(graphs[1]))


class Varying(nn.Module):
    def forward(self, *xs: Tensor) -> Tensor:
        return sum(xs[1:], start=xs[0])


def test_several_inputs_are_traced_but_are_no_single_map() -> None:
    graph = trace(Varying().eval(), (torch.zeros(2, 3), torch.zeros(2, 3)))
    assert len(graph.inputs) == 2
    with pytest.raises(NotAffineError, match="one input and one output"):
        graph.single()


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x[:, 0]


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum()


def test_outputs_that_are_no_batch_are_refused() -> None:
    with pytest.raises(NotAffineError, match="2 outputs"):
        trace(Pair().eval(), torch.zeros(2, 3)).single()
    with pytest.raises(ShapeError, match="one batch axis"):
        trace(Summed().eval(), torch.zeros(2, 3)).single()


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_export_cannot_take_is_said_with_its_line() -> None:
    with pytest.raises(TraceError, match="cannot take the model") as caught:
        trace(Branching().eval(), torch.zeros(2, 3))
    assert "return x if x.sum() > 0 else -x" in str(caught.value.where)


@pytest.mark.parametrize("example", [None, [], "x", (torch.zeros(1, 3), 2.0)])
def test_an_example_is_made_of_tensors(example: object) -> None:
    with pytest.raises(ShapeError, match="must be a tensor"):
        trace(nn.Linear(3, 3).eval(), example)


def test_training_mode_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    model[1].train()
    with pytest.raises(TrainingModeError, match="module '1'"):
        trace(model, torch.zeros(2, 3))
    with pytest.raises(TrainingModeError, match="the model"):
        trace(model.train(), torch.zeros(2, 3))
    program = torch.export.export(nn.BatchNorm1d(3), (torch.zeros(2, 3),))
    with pytest.raises(TrainingModeError, match="batch_norm"):
        trace(program)


def test_the_line_of_a_stack_is_the_models_own() -> None:
    inside = '  File "/site/torch/nn/functional.py", line 3, in relu\n    return torch.relu(x)\n'
    own = '  File "/home/me/net.py", line 12, in forward\n    x = F.relu(x)\n'
    assert line_in(own + inside) == "net.py:12 in forward: x = F.relu(x)"
    assert line_in(inside) is None
    assert line_in("") is None


def test_a_call_without_a_line_of_the_model_has_its_module() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.Flatten(), nn.ReLU())).eval()
    graph = trace(model, torch.zeros(1, 1, 5, 5))
    assert [call.where for call in graph.calls] == ["module '0'", "module '1.0'", "module '1.1'"]
    assert trace(nn.ReLU().eval(), torch.zeros(1, 2)).calls[0].where == "a line that torch.export did not record"


class Mapped(nn.Module):
    """A function of one sample, mapped over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda row: row.flip(0) * 2 + row.cumsum(0))(x)


def test_what_vmap_maps_is_the_calls_that_it_stands_for() -> None:
    try:
        torch.export.export(Mapped().eval(), (torch.zeros(2, 3),))
    except AssertionError:
        pytest.skip("torch.export takes no vmap: torch 2.8")
    graph = trace(Mapped().eval(), torch.zeros(2, 3))
    assert [call.op for call in graph.calls if "size" not in call.op] == ["flip", "mul", "cumsum", "add"]
    assert graph.batch is None
    assert graph.single() == ((3,), (3,))
    x = torch.arange(15.0).reshape(5, 3)
    new = collapse(Mapped().eval(), torch.zeros(2, 3), measure=False).model
    assert torch.equal(new(x), x.flip(1) * 2 + x.cumsum(1))


def test_a_number_read_out_of_a_constant_stands_where_it_is_used() -> None:
    class Read(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.full((), 0.25).item() + torch.tensor([1, 3])[1].item()

    graph = trace(Read().eval(), torch.zeros(1, 2))
    assert [(call.op, call.args[1]) for call in graph.calls] == [("mul", 0.25), ("add", 3)]
