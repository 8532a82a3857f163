"""``torch.compile`` with this package as its backend: bit for bit what torch computes, whatever becomes of the weights.

Weights and inputs are whole numbers in float64, so that no form of a region rounds.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import algebraic_cnn
from algebraic_cnn import backend
from algebraic_cnn.collapsing.backend import AGAIN, Backend, Compiled
from algebraic_cnn.collapsing.watching import SAMPLE, Watch
from algebraic_cnn.errors import UnknownNameError

PACKAGE = Path(algebraic_cnn.__file__).parent


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def whole(*shape: int) -> Tensor:
    return torch.randint(-4, 5, shape).double()


def with_whole_numbers(model: nn.Module) -> nn.Module:
    for parameter in model.double().parameters():
        parameter.copy_(whole(*parameter.shape))
    return model.eval()


class Network(nn.Module):
    """Two convolutions that become one, a ReLU, and two more; a buffer and a plain tensor beside the parameters."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 1))
        self.last = nn.Sequential(nn.Conv2d(4, 3, 1), nn.Conv2d(3, 2, 1))
        self.register_buffer("scale", torch.full((4, 1, 1), 2.0))
        self.plain = torch.full((2, 1, 1), 3.0).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last((self.first(x) * self.scale).relu()) * self.plain


def network() -> nn.Module:
    return with_whole_numbers(Network())


def through(model: Any, **options: Any) -> tuple[Callable[..., Any], Backend]:
    """The compiled model, and the backend that compiled it."""
    own = Backend(**({"then": "eager", "measure": False} | options))
    return torch.compile(model, backend=own), own


def test_a_model_is_collapsed_for_every_batch_and_every_image() -> None:
    model = network()
    fast, own = through(model)
    for shape in [(1, 2, 8, 8), (1, 2, 8, 8), (2, 2, 8, 8), (5, 2, 8, 8), (3, 2, 12, 17), (7, 2, 31, 5)]:
        x = whole(*shape)
        assert torch.equal(fast(x), model(x)), shape
    assert len(own.reports) == 3, "one size, any batch, any image"
    for report in own.reports:
        assert report.why == ""
        assert report.report is not None
        before, after = report.report.cost
        assert after < before
        assert report.certificate is not None
        assert report.certificate.ok
    assert "first.0" in str(own.reports[0]), "the modules of the model"
    assert "L['self']" not in str(own.reports[0]), "as the model names them"


def written(model: Any) -> None:
    model.first[0].weight.mul_(2)


def loaded(model: Any) -> None:
    model.load_state_dict(network().state_dict())


def replaced(model: Any) -> None:
    model.first[0].weight = nn.Parameter(whole(*model.first[0].weight.shape))


def given_other_memory(model: Any) -> None:
    model.first[0].weight.data = whole(*model.first[0].weight.shape)


def buffer_replaced(model: Any) -> None:
    model.scale = model.scale + 1


def plain_replaced(model: Any) -> None:
    model.plain = model.plain + 1


def written_behind_torch(model: Any) -> None:
    model.first[0].weight.data.mul_(2)


def written_by_numpy(model: Any) -> None:
    weight = model.last[1].bias.detach().numpy()
    weight += 1.0


def scale_written_by_numpy(model: Any) -> None:
    model.scale.numpy().fill(3.0)


def assigned(model: Any) -> None:
    model.load_state_dict(network().state_dict(), assign=True)


def layer_replaced(model: Any) -> None:
    model.last[1] = with_whole_numbers(nn.Conv2d(3, 2, 3, padding=1))


UNCOUNTED = [written_behind_torch, written_by_numpy, scale_written_by_numpy]
CHANGES = [written, loaded, replaced, given_other_memory, buffer_replaced, plain_replaced, assigned, *UNCOUNTED]


@pytest.mark.parametrize(
    ("change", "batches"), [*((change, (2,)) for change in CHANGES), (written, (1, 2, 3)), (replaced, (1, 2))]
)
def test_other_weights_are_noticed(change: Callable[[nn.Module], None], batches: tuple[int, ...]) -> None:
    model = network()
    fast, own = through(model)
    for n in batches:
        fast(whole(n, 2, 6, 6))
    x = whole(batches[-1], 2, 6, 6)
    before = model(x)
    change(model)
    after = model(x)
    assert not torch.equal(before, after)
    assert torch.equal(fast(x), after)
    assert own.reports[-1].changed
    assert own.reports[-1].why == ""
    count = len(own.reports)
    assert torch.equal(fast(x), after)
    assert len(own.reports) == count, "collapsed once"


@pytest.mark.parametrize("change", [written, loaded, replaced, given_other_memory, buffer_replaced])
def test_other_weights_are_noticed_where_torch_freezes_them(change: Callable[[nn.Module], None]) -> None:
    model, x = network(), whole(1, 2, 6, 6)
    fast, _ = through(model)
    with torch._inductor.config.patch(freezing=True):
        fast(x)
        change(model)
        assert torch.equal(fast(x), model(x))


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16, torch.complex128, torch.bool])
def test_every_entry_of_a_weight_can_be_watched(kind: torch.dtype) -> None:
    weight = torch.zeros(4, 5, 6, dtype=kind)[:, 1:, ::2].transpose(0, 2)
    watch = Watch([weight], contents="all")
    bits = weight.data
    for place in itertools.product(*map(range, weight.shape)):
        assert watch.unchanged()
        bits[place] = 1
        assert not watch.unchanged(), place
        bits[place] = 0
    assert watch.unchanged()


@pytest.mark.parametrize("entries", [1, SAMPLE, SAMPLE + 1, 1000])
def test_a_sample_notices_what_changes_every_entry_and_the_whole_what_changes_one(entries: int) -> None:
    weight = torch.zeros(entries)
    sample, everything = Watch([weight]), Watch([weight], contents="all")
    weight.data[-1] = 1.0
    assert not everything.unchanged()
    weight.data.add_(1.0)
    assert not sample.unchanged()


def test_a_backend_that_compares_everything_notices_one_entry() -> None:
    model = with_whole_numbers(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 1)))
    x = whole(1, 4, 5, 5)
    fast, own = through(model, contents="all")
    fast(x)
    for number in (100, 287):
        model.get_parameter("0.weight").data.view(-1)[number] += 1
        assert torch.equal(fast(x), model(x))
    assert len(own.reports) == 3


@pytest.mark.parametrize("change", [written_behind_torch, written_by_numpy])
def test_the_test_notices_a_backend_that_looks_at_versions_alone(
    change: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "unchanged", lambda self: self._before == self._marks())
    model, x = network(), whole(1, 2, 6, 6)
    fast, _ = through(model)
    fast(x)
    change(model)
    assert not torch.equal(fast(x), model(x))


@pytest.mark.parametrize("change", [written, replaced])
def test_the_test_notices_a_backend_that_does_not_look(
    change: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = network(), whole(1, 2, 6, 6)
    fast, _ = through(model)
    fast(x)
    change(model)
    monkeypatch.setattr(Compiled, "_as_it_was", lambda self, arguments: True)
    assert not torch.equal(fast(x), model(x))


def test_a_graph_whose_weights_never_rest_runs_as_it_is() -> None:
    model, x = network(), whole(1, 2, 3, 3)
    fast, own = through(model, certify=None)
    for _ in range(AGAIN + 3):
        assert torch.equal(fast(x), model(x))
        model.get_parameter("last.1.bias").add_(1)
    assert len(own.reports) == AGAIN + 1


def test_weights_that_cannot_be_collapsed_are_used_as_they_are() -> None:
    model, x = network(), whole(1, 2, 3, 3)
    fast, own = through(model)
    fast(x)
    model.get_parameter("last.1.bias")[0] = torch.inf
    assert torch.equal(fast(x), model(x))
    assert own.reports[-1].changed
    assert "NaN or infinite" in own.reports[-1].why
    model.get_parameter("last.1.bias")[0] = 1.0
    assert torch.equal(fast(x), model(x))
    assert own.reports[-1].why == ""


class Counter(Network):
    def forward(self, x: Tensor) -> Tensor:
        self.scale.add_(1)
        return super().forward(x)


class Giver(Network):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), self.scale[0]


class Single(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Wave(Network):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.real)


class Noisy(Network):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.0, training=True)


REFUSED = [
    (Counter, whole(1, 2, 5, 5), "writes what it is given"),
    (Giver, whole(1, 2, 5, 5), "returns what it is given"),
    (Single, whole(1, 2, 5, 5), "no part of the graph becomes cheaper"),
    (Wave, whole(1, 2, 5, 5) * (1 + 0j), "a tensor of another kind"),
    (Noisy, whole(1, 2, 5, 5), "training mode"),
    (Network, whole(0, 2, 5, 5), "no sample"),
]


@pytest.mark.parametrize(("kind", "x", "why"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_not_collapsed_runs_as_it_is_and_says_why(kind: type[nn.Module], x: Tensor, why: str) -> None:
    torch.manual_seed(1)
    expected = with_whole_numbers(kind())(x)
    torch.manual_seed(1)
    fast, own = through(with_whole_numbers(kind()))
    torch.testing.assert_close(fast(x), expected, rtol=0, atol=0)
    assert why in own.reports[-1].why


def test_gradients_are_those_of_the_model() -> None:
    model, x = network(), whole(1, 2, 5, 5)
    fast, own = through(model)
    with torch.enable_grad():
        weight = model.get_parameter("first.0.weight")
        (expected,) = torch.autograd.grad(model(x).sum(), weight)
        (got,) = torch.autograd.grad(fast(x).sum(), weight)
    assert torch.equal(got, expected)
    assert "gradients are asked for" in own.reports[-1].why


def test_a_function_that_forbids_gradients_itself_is_collapsed() -> None:
    model, x = network(), whole(1, 2, 5, 5)

    def predict(x: Tensor) -> Tensor:
        with torch.no_grad():
            return model(x)

    fast, own = through(predict)
    with torch.enable_grad():
        assert torch.equal(fast(x), predict(x))
    assert own.reports[-1].why == ""
    with torch.inference_mode():
        assert torch.equal(fast(x), predict(x))
    assert own.reports[-1].why == ""


def test_under_autocast_every_call_has_the_dtype_of_torch() -> None:
    model, x = network().float(), whole(1, 2, 5, 5).float()
    fast, own = through(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(x), model(x))
    assert "torch.autocast is on" in own.reports[-1].why
    assert torch.equal(fast(x), model(x))
    assert own.reports[-1].why == ""


class Nested(Network):
    def forward(self, x: Tensor, y: Tensor, k: int) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"a": super().forward(x + y), "b": [super().forward(y), len(x), k]}


def test_several_inputs_and_nested_outputs() -> None:
    model = with_whole_numbers(Nested())
    fast, own = through(model)
    for n in (1, 2, 4):
        x, y = whole(n, 2, 5, 5), whole(n, 2, 5, 5)
        torch.testing.assert_close(fast(x, y, k=3), model(x, y, k=3), rtol=0, atol=0)
    assert [report.why for report in own.reports] == ["", ""]


def test_every_part_of_a_broken_graph_is_collapsed() -> None:
    model, x = network(), whole(1, 2, 5, 5)

    def twice(x: Tensor) -> Tensor:
        y = model(x)
        torch._dynamo.graph_break()
        return model(y)

    fast, own = through(twice)
    assert torch.equal(fast(x), twice(x))
    assert [report.why for report in own.reports] == ["", ""]


def test_a_result_lies_in_memory_as_the_models_does() -> None:
    model, x = network().to(memory_format=torch.channels_last), whole(2, 2, 6, 5).to(memory_format=torch.channels_last)
    fast, own = through(model)
    assert torch.equal(fast(x), model(x))
    assert fast(x).stride() == model(x).stride()
    assert own.reports[-1].why == ""


def to_float(model: nn.Module) -> None:
    model.float()


def without_gradients(model: nn.Module) -> None:
    model.requires_grad_(False)


def training(model: nn.Module) -> None:
    model.train()


def trained_a_little(model: nn.Module) -> None:
    model.train()
    for parameter in model.parameters():
        parameter.sub_(1.0)
    model.eval()


@pytest.mark.parametrize(
    "change", [to_float, without_gradients, training, trained_a_little, layer_replaced, assigned]
)
def test_whatever_happens_to_a_model_the_result_is_torchs(change: Callable[[nn.Module], None]) -> None:
    model, x = network(), whole(2, 2, 6, 6)
    fast, _ = through(model, certify=None)
    assert torch.equal(fast(x), model(x))
    change(model)
    x = x.to(next(model.parameters()).dtype)
    if change is to_float:
        model.get_submodule("").plain = model.get_submodule("").plain.float()
    for _ in range(2):
        got, expected = fast(x), model(x)
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)


def test_a_hook_that_is_there_when_torch_compiles_is_seen() -> None:
    model, x = network(), whole(1, 2, 5, 5)
    before = model(x)
    model.get_submodule("first.1").register_forward_hook(lambda module, given, out: out + 1)
    fast, _ = through(model, certify=None)
    assert not torch.equal(model(x), before)
    assert torch.equal(fast(x), model(x))


@pytest.mark.parametrize("name", ["x", "images", "input"])
def test_a_network_that_becomes_one_matrix_may_call_its_argument_anything(name: str) -> None:
    layers = with_whole_numbers(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(18, 2)))
    space: dict[str, Any] = {"layers": layers}
    exec(f"def predict({name}): return layers({name})", space)
    fast, own = through(space["predict"], certify=None)
    for n in (1, 2, 3):
        x = whole(n, 2, 5, 5)
        assert torch.equal(fast(x), layers(x))
    assert {report.why for report in own.reports} == {""}


def test_dropout_that_is_switched_on_and_off_again() -> None:
    model = with_whole_numbers(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 1), nn.Dropout(0.5)))
    x = whole(1, 2, 5, 5)
    fast, _ = through(model, certify=None)
    expected = model(x)
    assert torch.equal(fast(x), expected)
    model.train()
    assert not torch.equal(fast(x), expected), "half of the entries are gone"
    model.eval()
    assert torch.equal(fast(x), expected)


def test_two_models_and_a_second_compilation_do_not_meet() -> None:
    one, other, x = network(), network(), whole(2, 2, 6, 6)
    own = Backend(then="eager", measure=False, certify=None)
    fast = [torch.compile(model, backend=own) for model in (one, other, one)]
    for _ in range(2):
        for compiled, model in zip(fast, (one, other, one), strict=True):
            assert torch.equal(compiled(x), model(x))
        written_behind_torch(other)
    assert not torch.equal(one(x), other(x))


@pytest.mark.parametrize("how", [{"fullgraph": True}, {"dynamic": True}, {"dynamic": False}])
def test_every_way_to_compile(how: dict[str, Any]) -> None:
    model = network()
    own = Backend(then="eager", measure=False, certify=None)
    fast = torch.compile(model, backend=own, **how)
    for n in (2, 3):
        x = whole(n, 2, 6, 6)
        assert torch.equal(fast(x), model(x))
    assert {report.why for report in own.reports} == {""}


def test_a_batch_that_is_marked_as_dynamic_is_collapsed_once() -> None:
    model = network()
    fast, own = through(model)
    for n in (4, 2, 9):
        x = whole(n, 2, 6, 6)
        torch._dynamo.mark_dynamic(x, 0)
        assert torch.equal(fast(x), model(x))
    assert [report.why for report in own.reports] == [""]


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_weights_written_between_calls_of_every_mode(guard: Callable[[], Any]) -> None:
    model, x = network(), whole(1, 2, 5, 5)
    fast, _ = through(model)
    for _ in range(3):
        with guard():
            assert torch.equal(fast(x), model(x))
        written(model)


def test_the_users_modules_and_weights_are_left_alone() -> None:
    model, x = network(), whole(1, 2, 5, 5)
    before = {
        name: (id(value), value._version, value.clone()) for name, value in model.state_dict(keep_vars=True).items()
    }
    state = torch.get_rng_state()
    fast, _ = through(model)
    fast(x)
    written(model)
    model.get_parameter("first.0.weight").div_(2)
    fast(x)
    for name, value in model.state_dict(keep_vars=True).items():
        assert id(value) == before[name][0]
        assert torch.equal(value, before[name][2])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("freezing", [False, True])
def test_inductor_compiles_what_is_left(freezing: bool) -> None:
    model, x = network(), whole(1, 2, 6, 6)
    fast, own = through(model, then="inductor", freezing=freezing)
    assert torch.equal(fast(x), model(x))
    replaced(model)
    assert torch.equal(fast(x), model(x))
    assert [(report.why, report.changed) for report in own.reports] == [("", False), ("", True)]


def test_the_same_options_are_the_same_backend() -> None:
    assert backend("eager") is backend(then="eager")
    assert backend("eager") is not backend("eager", certify=None)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"then": "inducter"}, "no such backend"),
        ({"then": "eager", "freezing": True}, "freezing are inductor's"),
        ({"certify": "modulo"}, "no such level"),
        ({"contents": "some"}, "unknown contents"),
    ],
)
def test_names_that_there_are_not(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UnknownNameError, match=what):
        backend(**options)


def test_one_file_has_what_torch_does_not_promise() -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    users = {name for name, text in sources.items() if re.search(r"torch\._(dynamo|guards|inductor)\b", text)}
    assert {name for name in users if not name.startswith("apps/bench/")} == {"ir/dynamo.py"}


def test_what_dynamo_says_of_a_graph() -> None:
    """Which tensors it took from modules, which sizes are symbols: read from what torch does not promise to keep."""
    seen: list[Any] = []

    def look(graph: torch.fx.GraphModule, arguments: list[Any]) -> Callable[..., Any]:
        from algebraic_cnn.ir.dynamo import captured

        seen.append(captured(graph, arguments))
        return graph.forward

    model = network()
    fast = torch.compile(model, backend=look)
    for n in (1, 2):
        fast(whole(n, 2, 5, 5))
    assert [each.axes for each in seen] == [[[]], [[0]]]
    expected = [*model.state_dict(keep_vars=True).values(), model.plain]
    for each in seen:
        assert len(each.free) == 1
        assert {id(x) for x in each.constants} == {id(x) for x in expected}
    x = whole(3, 2, 5, 5)
    assert all(map(torch.equal, seen[1](x), (model(x),)))
    assert all(map(operator.is_, seen[1].constants, seen[1].given(dict(seen[1].weights)).constants))
