"""Models that do otherwise while they are watched: exported, compiled, or run without numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from algebraic_cnn import certify, collapse
from algebraic_cnn.errors import TraceError
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.histories import History
from algebraic_cnn.ir.paths import as_exported, as_it_runs
from algebraic_cnn.ir.trace import trace
from tests.idioms import Model


def masked(_: Any, x: Tensor) -> Tensor:
    return x * torch.ones(x.shape[-1]) if torch.compiler.is_exporting() else x


def otherwise(_: Any, x: Tensor) -> Tensor:
    return 2 * x if torch.compiler.is_exporting() else 3 * x


def compiling(_: Any, x: Tensor) -> Tensor:
    return 2 * x if torch._dynamo.is_compiling() else 3 * x


def as_onnx(_: Any, x: Tensor) -> Tensor:
    watched = torch.onnx.is_in_onnx_export() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return 2 * x if watched else 3 * x


def asserting(_: Any, x: Tensor) -> Tensor:
    if not torch.compiler.is_compiling():
        assert x.max() < 100
    return 3 * x


def asserting_on_numbers(_: Any, x: Tensor) -> Tensor:
    if not isinstance(x, FakeTensor):
        assert x.max() < 100
    return 3 * x


@pytest.mark.parametrize("forward", [masked, otherwise, compiling, as_onnx, asserting, asserting_on_numbers])
@torch.no_grad()
def test_the_model_as_it_runs_is_what_is_traced(forward: Any) -> None:
    model, x = Model(forward).eval(), torch.arange(10.0).reshape(2, 5)
    graph = trace(model, x)
    assert graph.batch is None
    assert not graph.note
    result = collapse(model, x, measure=False)
    for n in (1, 2, 3):
        assert torch.equal(result.model(x[:1].expand(n, -1)), model(x[:1].expand(n, -1)))


def ordered(_: Any, x: Tensor, exported: Any) -> Tensor:
    """As it runs, a branch on numbers, which no export can follow; while it is exported, something else."""
    if torch.compiler.is_exporting() or bool((x < 0).all()):
        return exported(x)
    return x.relu()


def of(exported: Any) -> nn.Module:
    return Model(lambda s, x: ordered(s, x, exported)).eval()


X = torch.tensor([[1.0, 1.3, 2.9]])


def test_where_only_the_exported_path_can_be_taken_the_statement_says_so() -> None:
    same = collapse(of(torch.abs), X, measure=False)
    assert same.certificate
    assert "another path while it is exported" in same.certificate.statement
    assert "the same numbers" in same.certificate.statement
    rounding = of(lambda x: (x / 41 * 41).relu())
    assert float((rounding(X) - (X / 41 * 41)).abs().max()) > 0  # so that the bits are others
    statement = trace(rounding, X).note
    assert "in float64" in statement
    found = certify(rounding, rounding, X)
    assert found.ok
    assert statement in found.statement


@pytest.mark.parametrize("exported", [lambda x: x.relu() * (1 + 1e-6), lambda x: -x, lambda x: x.relu()[:, :2]])
def test_an_exported_path_with_other_numbers_is_refused(exported: Any) -> None:
    with pytest.raises(TraceError, match="another path while it is exported"):
        trace(of(exported), X)


def test_no_number_is_not_taken_for_zero() -> None:
    def quotient(_: Any, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or bool((x < 0).all()):
            return x - x
        return (x - x) / (x - x)

    with pytest.raises(TraceError, match="another path while it is exported"):
        trace(Model(quotient).eval(), X)


def test_what_a_model_does_without_numbers_is_not_taken_for_what_it_does() -> None:
    model = Model(lambda _, x: 2 * x if isinstance(x, FakeTensor) else 3 * x).eval()
    with pytest.raises(TraceError, match="does not do the same"):
        trace(model, X)


def test_a_comparison_draws_no_random_number_of_the_user() -> None:
    model = Model(lambda _, x: x + torch.rand(3)).eval()
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    trace(model, X)
    assert torch.equal(torch.rand(1), first)


def test_the_flags_are_as_torch_sets_them_and_are_put_back() -> None:
    class Saying(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            said.append((torch.compiler.is_compiling(), torch.compiler.is_exporting()))
            return x + 1

    said: list[tuple[bool, bool]] = []
    model = Saying().eval()
    torch.export.export(model, (X,))
    with as_it_runs(model):
        torch.export.export(model, (X,))
    assert "forward" not in vars(model)
    with as_exported():
        model(X)
    model(X)
    assert said == [(True, True), (False, False), (True, True), (False, False)]
    with pytest.raises(ValueError, match="none"), as_exported():
        raise ValueError("none")
    assert not torch.compiler.is_exporting()


def test_a_copy_in_another_order_of_memory_has_the_history_of_what_it_copies() -> None:
    history = History({})
    x = history.noted("x", torch.arange(6.0).reshape(2, 3))
    with history:
        turned, copied = x.t(), x.t().contiguous()
        pairs = [(turned + 1, copied + 1), (turned.reshape(6) * 2, copied.reshape(6) * 2), (turned[1:], copied[1:])]
        lying = turned.as_strided((6,), (1,)), copied.as_strided((6,), (1,))
        written = x.t().contiguous()
        written.add_(1)
    assert all(history.of(one) == history.of(other) for one, other in pairs)
    assert history.of(copied[1:]) != history.of(copied[:2])
    assert history.of(lying[0]) != history.of(lying[1])
    assert not torch.equal(*lying)
    assert history.of(written) != history.of(copied)


def test_a_copy_that_an_export_leaves_out_is_no_other_path() -> None:
    class Positions(nn.Module):
        """torch.export believes that a resized parameter lies otherwise in memory than it does."""

        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Parameter(torch.arange(32.0).reshape(1, 2, 4, 4))

        def forward(self, x: Tensor) -> Tensor:
            places = nn.functional.interpolate(self.places, size=(4, 4), mode="bicubic", align_corners=False)
            return x + places.flatten(2).transpose(1, 2).contiguous()

    model, x = Positions().eval(), torch.zeros(1, 16, 2)
    torch.export.export(model, (x,))
    graph = trace(model, x)
    assert graph.batch is None
    with torch.no_grad():
        assert torch.equal(emit(graph)(x), model(x))
