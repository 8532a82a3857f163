"""A graph speaks of the batch sizes for which it is the model, and of no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from algebraic_cnn import certify, collapse
from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NotAffineError, ShapeError
from algebraic_cnn.ir.agreement import Comparison, Memory
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.exporting import export
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import trace
from tests.idioms import Model, same
from tests.torches import OLD

ROWS = torch.arange(15.0).reshape(5, 3)


def forwards() -> dict[str, tuple[Callable[..., Any], int, Any]]:
    """By name: a function, the example's batch size, and the batch sizes that its graph takes, by hand."""
    more, only = (lambda least: (None, (least, None), 1)), (lambda n: (n, (1, None), 1))
    return {
        "a branch on one sample, at one": (lambda s, x: x * 2 if len(x.shape) and x.shape[0] == 1 else x, 1, only(1)),
        "a branch on one sample, at two": (lambda s, x: x * 2 if x.shape[0] == 1 else x, 2, more(2)),
        "a branch on more than four": (lambda s, x: x * 2 if x.shape[0] > 4 else x, 2, (None, (1, 4), 1)),
        "a branch on every eighth": (lambda s, x: x * 2 if x.shape[0] % 8 == 0 else x, 3, (None, (1, 7), 1)),
        "a branch on entries": (lambda s, x: x * 2 if x.numel() >= 40 else x, 1, (None, (1, 13), 1)),
        "squeezed, at one": (lambda s, x: x.squeeze(), 1, only(1)),
        "squeezed, at two": (lambda s, x: x.squeeze(), 2, more(2)),
        "five rows, at one": (lambda s, x: x + s.k, 1, only(1)),
        "five rows, at five": (lambda s, x: x + s.k, 5, only(5)),
        "a square": (lambda s, x: x if x.size(0) == x.size(1) else -x, 3, only(3)),
        "in pairs": (lambda s, x: x.reshape(-1, 2, 3).sum(1), 2, (None, (2, None), 2)),
        "in two parts": (lambda s, x: torch.cat(x.chunk(2)[::-1]), 2, more(2)),
        "one by one": (lambda s, x: torch.stack([row * 2 for row in x]), 2, only(2)),
        "a number of Python": (lambda s, x: x * len(x), 2, only(2)),
        "the batch size": (lambda s, x: x * x.shape[0], 1, more(1)),
        "no less than three": (lambda s, x: x * torch.sym_max(x.shape[0], 3), 1, more(1)),
        "every fourth": (lambda s, x: x * (1 + x.shape[0] // 4), 1, more(1)),
        "a tenth": (lambda s, x: x * (0.1 * x.shape[0]), 1, more(1)),
        "counted": (lambda s, x: x * torch.arange(x.shape[0])[:, None], 1, more(1)),
        "filled": (lambda s, x: x + torch.full((x.shape[0], 1), x.shape[0] / 2), 1, more(1)),
        "a mean beside": (lambda s, x: (x * 2, x.mean(0)), 1, more(1)),
        "the fourth sample": (lambda s, x: x[3], 5, more(4)),
        "chosen samples": (lambda s, x: x[torch.tensor([3, 1])], 5, more(4)),
        "added to the third": (lambda s, x: (2 * x).index_add(0, torch.tensor([2]), x[:1]), 4, more(3)),
        "from the fourth on": (lambda s, x: x[3:], 4, more(3 if OLD else 1)),
        "half": (lambda s, x: x[: x.shape[0] // 2], 2, more(1)),
    }


CASES = forwards()


def model_of(name: str) -> tuple[Model, Tensor]:
    function, batch, _ = CASES[name]
    return Model(function, k=ROWS).eval(), torch.randn(batch, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", CASES)
def test_the_batch_sizes_are_those_of_the_model(name: str) -> None:
    model, x = model_of(name)
    graph = trace(model, x)
    assert (graph.batch, graph.batch_sizes, graph.batch_step) == CASES[name][2]


@pytest.mark.parametrize("name", CASES)
def test_every_batch_is_what_the_model_makes_of_it_or_refused(name: str) -> None:
    model, x = model_of(name)
    new, refused = emit(trace(model, x)), set()
    for batch in (*range(1, 10), 16):
        x = torch.randn(batch, 3, generator=torch.Generator().manual_seed(batch))
        try:
            got = new(x)
        except ShapeError:
            refused.add(batch)
        else:
            assert all(map(same, leaves(got), leaves(model(x))))
    bound, (least, most), step = CASES[name][2]
    taken = {bound} if bound else set(range(least, (most or 16) + 1, step))
    assert refused == {*range(1, 10), 16} - taken


def leaves(value: Any) -> list[Tensor]:
    return list(value) if isinstance(value, tuple) else [value]


def test_a_comparison_sees_another_model() -> None:
    model, x = model_of("a branch on one sample, at two")
    program = export(model, x)
    comparison = Comparison(model, program, (x,), Memory(model))
    assert [comparison.same(n) for n in (None, 1, 2, 3)] == [True, False, True, True]
    other = Model(lambda s, x: x + 0.0, k=ROWS).eval()
    assert not Comparison(other, program, (x,), Memory(other)).same()


def test_a_program_that_is_saved_keeps_its_batch_sizes(tmp_path: Any) -> None:
    for name in ("a branch on every eighth", "squeezed, at two", "a tenth"):
        model, x = model_of(name)
        graph = trace(load_program(save_program(export(model, x), tmp_path / "model.pt2")))
        assert (graph.batch, graph.batch_sizes, graph.batch_step) == CASES[name][2]


def test_batch_sizes_that_the_user_says_are_kept() -> None:
    shapes = ({0: Dim("batch", min=2, max=6)},)
    graph = trace(nn.Linear(3, 3).eval(), torch.zeros(4, 3), dynamic_shapes=shapes)
    assert graph.batch_sizes == (2, 6)
    with pytest.raises(ShapeError, match="2 to 6"):
        emit(graph)(torch.zeros(7, 3))


def test_an_example_of_one_size_is_free_where_the_model_is() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 2)).eval()
    for batch in (1, 2, 7):
        graph = trace(model, torch.zeros(batch, 1, 5, 5))
        assert (graph.batch, graph.batch_sizes) == (None, (1, None))
        assert graph.single() == ((1, 5, 5), (2,))


NUMBERS = ("the batch size", "no less than three", "every fourth", "a tenth", "counted", "filled")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_size_that_enters_numbers_is_no_constant(name: str) -> None:
    model, x = model_of(name)
    graph = trace(model, x)
    assert [call.op for call in graph.calls if call.counted]
    assert {call.size for call in graph.calls} & {"N", "N//4", "Max(3, N)", "0.1*ToFloat(N)", "IntTrueDiv(N, 2)"}
    with pytest.raises(NotAffineError, match="batch"):
        derive(graph)
    at_one = Model(
        lambda s, x: model(x[:1]).expand_as(x) * 0 + x * (model(torch.ones(1, 3)) - model(torch.zeros(1, 3)))
    )
    assert certify(model, model, x).ok
    assert not certify(model, at_one.eval(), x).ok
    assert any(
        "samples of a batch" in boundary.reason for boundary in collapse(model, x, measure=False).report.boundaries
    )


def test_lengths_are_no_numbers() -> None:
    model = Model(lambda s, x: torch.cat([x, x.new_zeros(x.shape[0], 2)], 1).view(x.shape[0], 5)).eval()
    assert not any(call.counted for call in trace(model, torch.ones(1, 3)).calls)


def test_shapes_of_any_number_of_arguments_nest_as_torch_takes_them() -> None:
    model, x = Model(lambda s, a, b: a.relu() + b), torch.zeros(1, 2, 8)
    axes = ({2: Dim.AUTO}, {2: Dim.AUTO})
    for shapes in (axes, (axes,), {"inputs": axes}):
        assert trace(model.eval(), (x, x), dynamic_shapes=shapes).input_shapes == ((None, 2, None),) * 2


class Squeezed(nn.Module):
    """One column without its axis: one sample alone loses the other axis as well.  Its numbers are whole."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.linear.weight.data, self.linear.bias.data = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([5.0])

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).squeeze()


def test_a_matrix_stands_for_a_network_at_no_batch_size_that_is_special() -> None:
    model, x = Squeezed().eval(), torch.arange(12.0).reshape(4, 3)
    result = collapse(model, x, measure=False)
    assert torch.equal(result.model(x), model(x))
    with pytest.raises(ShapeError, match="another shape"):
        result.model(x[:1])


def test_a_program_that_speaks_of_two_samples_or_more_is_taken_at_its_word() -> None:
    """torch never looked at one sample, and what it drew does not tell whether the model has a branch for it."""

    class Special(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.shape[0] == 1 else x + 1

    model = Special().eval()
    program = torch.export.export(model, (ROWS,), dynamic_shapes=({0: Dim.AUTO},))
    assert not torch.equal(program.module()(ROWS[:1]), model(ROWS[:1]))
    found = collapse(program, measure=False).model
    assert torch.equal(found(ROWS[:2]), model(ROWS[:2]))
    with pytest.raises(ShapeError, match="2 or more"):
        found(ROWS[:1])
