"""What forward writes is kept: called twice, what the trace gives back is the model called twice."""

from __future__ import annotations

import copy
import pickle
import warnings
from functools import cache
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.derivation.methods import derive
from algebraic_cnn.errors import NotAffineError, TraceError
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from tests.idioms import IDIOMS, WRITING, Model, difference


def examples(name: str) -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    _, inputs = IDIOMS[name]
    return [tuple(torch.randn(x.shape, dtype=x.dtype, generator=generator) for x in inputs) for _ in range(3)]


@cache
def graph_of(name: str) -> Graph:
    model, inputs = IDIOMS[name]
    return trace(copy.deepcopy(model), inputs)


@pytest.mark.parametrize("name", IDIOMS)
@torch.no_grad()
def test_what_is_emitted_is_the_model_however_often_it_is_called(name: str) -> None:
    assert difference(IDIOMS[name][0], emit(graph_of(name)), examples(name)) == ""


@pytest.mark.parametrize("name", WRITING[::4])
def test_tracing_leaves_the_model_as_it_was(name: str) -> None:
    model, inputs = IDIOMS[name]
    traced = copy.deepcopy(model)
    trace(traced, inputs)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), traced.buffers(), strict=True))
    assert vars(traced).keys() == vars(model).keys()


@pytest.mark.parametrize("name", WRITING[1::2])
def test_a_decomposed_program_is_the_same_graph_of_effects(name: str) -> None:
    model, inputs = IDIOMS[name]
    program = torch.export.export(copy.deepcopy(model), inputs).run_decompositions({})
    graphs = graph_of(name), trace(program)
    named = [sorted(graph.state.get(name, "an input") for name in graph.writes) for graph in graphs]
    assert named[0] == named[1]
    with torch.no_grad():
        assert difference(model, emit(graphs[1]), examples(name)) == ""


@pytest.mark.parametrize("name", ["average", "stream", "key_value_cache", "overwritten", "swapped"])
@torch.no_grad()
def test_a_collapse_writes_what_the_model_writes(name: str) -> None:
    model, inputs = IDIOMS[name]
    new = collapse(copy.deepcopy(model), inputs, measure=False, certify=None).model
    for given in examples(name):
        expected, got = model_of(model, given), model_of(new, given)
        torch.testing.assert_close(got, expected)


def model_of(model: nn.Module, given: tuple[Tensor, ...]) -> list[Any]:
    """What a copy of a model gives at its second call, and what its buffers then hold."""
    model, given = copy.deepcopy(model), tuple(x.clone() for x in given)
    model(*given)
    return [model(*given), *given, *(x for _, x in sorted(model.named_buffers()))]


def test_a_buffer_that_is_written_is_an_input_and_an_output() -> None:
    model, inputs = IDIOMS["average"]
    graph = trace(model, inputs)
    assert list(graph.state.values()) == ["k"]
    assert graph.inputs[-1:] == tuple(graph.state) == graph.writes
    assert len(graph.outputs) == 2
    assert not graph.constants.keys() & graph.state.keys()
    assert [name for name, _ in emit(graph).named_buffers()] == ["k"]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, of how it copies and unpickles its specs
@torch.no_grad()
def test_a_copy_and_a_trace_of_what_is_emitted_write_as_well() -> None:
    for name in ("average", "first_entry", "key_value_cache"):
        model, inputs = IDIOMS[name]
        new = emit(trace(copy.deepcopy(model), inputs))
        restored = pickle.loads(pickle.dumps(new))  # noqa: S301
        for again in (copy.deepcopy(new), restored, emit(trace(copy.deepcopy(new), inputs))):
            assert difference(model, again, examples(name)) == ""


def test_a_network_that_writes_is_no_map() -> None:
    model, inputs = IDIOMS["rebound"]
    with pytest.raises(NotAffineError, match=r"writes.*k"):
        derive(model, inputs)


@torch.no_grad()
def test_forgetting_what_is_written_would_be_noticed() -> None:
    model, inputs = IDIOMS["average"]
    new = emit(trace(model, inputs))
    for node in new.graph.find_nodes(op="call_function", target=torch.ops.aten.copy_.default):
        new.graph.erase_node(node)
    new.recompile()
    assert difference(model, new, examples("average")) == "call 0: buffers"


def test_what_only_python_remembers_is_refused() -> None:
    def counted(s: Any, x: Tensor) -> Tensor:
        s.count += 1
        return x * s.count

    def remembered(s: Any, x: Tensor) -> Tensor:
        s.last = x + s.last
        return s.last

    with pytest.raises(TraceError, match="not do the same at every call"):
        trace(Model(counted, count=0).eval(), torch.ones(2, 3))
    model = Model(remembered).eval()
    model.last = torch.zeros(2, 3)
    with pytest.raises(TraceError, match="not do the same at every call"):
        trace(model, torch.ones(2, 3))
    assert torch.equal(model.last, torch.zeros(2, 3))


def test_a_buffer_that_shares_its_memory_is_refused_when_it_is_written() -> None:
    whole = torch.zeros(2, 3)
    model = Model(lambda s, x: x + s.part + s.whole.add_(1)[0], whole=whole, part=whole[1]).eval()
    with pytest.raises(TraceError, match="shares its memory"):
        trace(model, torch.ones(2, 3))


def test_a_parameter_that_is_written_is_refused() -> None:
    def grown(s: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            s.w.add_(1)
        return x * s.w

    with pytest.raises(TraceError, match=r"parameter|overwrites|a leaf Variable that requires grad"):
        trace(Model(grown, w=nn.Parameter(torch.ones(3))).eval(), torch.ones(2, 3))


def test_a_write_without_gradients_into_what_has_some_is_refused() -> None:
    def scaled(s: Any, x: Tensor) -> Tensor:
        y = s.l(x)
        with torch.no_grad():
            y.mul_(2)
        return y

    with pytest.raises(TraceError, match="without gradients overwrites"):
        trace(Model(scaled, l=nn.Linear(3, 3)).eval(), torch.ones(2, 3))


def test_a_compiled_script_is_refused_in_our_words() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit")  # later ones advise against it
        model = nn.Sequential(cast("nn.Module", torch.jit.trace(nn.Linear(3, 3).eval(), torch.ones(2, 3))))
    with pytest.raises(TraceError, match=r"torch\.jit.*'0'"):
        trace(model.eval(), torch.ones(2, 3))
