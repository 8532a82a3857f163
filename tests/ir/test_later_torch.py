"""An export of torch 2.8 notes modules, and lets models assign attributes, as that of a later torch does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import _trace
from torch.fx.experimental import proxy_tensor
from torch.fx.traceback import preserve_node_meta

from algebraic_cnn.errors import TraceError
from algebraic_cnn.ir import later_torch
from algebraic_cnn.ir.later_torch import as_later, put_back
from algebraic_cnn.ir.trace import trace


class Interpreted(nn.Module):
    """Calls of modules that say of themselves only what the exporter notes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        with preserve_node_meta():
            return self.last(self.first(x))


class Keeping(nn.Module):
    """Keeps what it was given, and what it made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 3), torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        self.made = self.layer(self.seen)
        return self.made.relu()


def modules(model: nn.Module) -> list[str]:
    program = torch.export.export(model, (torch.ones(1, 2),), strict=False)
    return [list(node.meta["nn_module_stack"].values())[-1][0] for node in program.graph.find_nodes(
        op="call_function", target=torch.ops.aten.linear.default)]  # fmt: skip


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node is given the tracer's own list of modules, as in torch 2.8."""
    tracer: Any = proxy_tensor._ModuleStackTracer
    create = tracer.create_node

    def create_node(self: Any, *args: Any, **kwargs: Any) -> Any:
        node = create(self, *args, **kwargs)
        if node.op not in ("placeholder", "output"):
            self.module_stack.update((key, node.meta["nn_module_stack"][key]) for key in self.module_stack)
            node.meta["nn_module_stack"] = self.module_stack
        return node

    monkeypatch.setattr(tracer, "create_node", create_node)


@pytest.mark.usefixtures("shared")
def test_each_call_is_noted_with_modules_of_its_own() -> None:
    with as_later():
        assert modules(Interpreted()) == ["first.0", "last"]
    with pytest.raises(IndexError):
        modules(Interpreted())


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A model that makes an attribute is refused, as in torch 2.8."""

    @contextmanager
    def watching(model: nn.Module) -> Iterator[None]:
        before = set(vars(model))
        yield
        if set(vars(model)) != before:
            raise ValueError("attrs were created")

    monkeypatch.setattr(_trace, later_torch._WATCHING, watching)
    later_torch._refuses_attributes.cache_clear()
    yield
    later_torch._refuses_attributes.cache_clear()


@pytest.mark.usefixtures("strict")
def test_a_model_may_keep_what_it_makes() -> None:
    model = Keeping().eval()
    seen = model.seen
    with pytest.raises(ValueError, match="created"):
        torch.export.export(model, (torch.ones(1, 2),), strict=False)
    del model.made
    model.seen = seen
    assert [call.op for call in trace(model, torch.ones(1, 2)).calls] == ["linear", "relu"]
    assert model.seen is seen
    assert not hasattr(model, "made")


@pytest.mark.usefixtures("strict")
def test_what_depends_on_what_was_kept_is_refused() -> None:
    class Remembering(Keeping):
        def forward(self, x: Tensor) -> Tensor:
            self.made = self.seen = x + self.seen
            return self.made

    with pytest.raises(TraceError, match="not do the same at every call"):
        trace(Remembering().eval(), torch.ones(1, 2))


def test_parts_are_put_back_as_well() -> None:
    model = nn.Sequential(Keeping())
    seen = model[0].seen
    with pytest.raises(RuntimeError), put_back(model):
        model(torch.ones(1, 2))
        raise RuntimeError
    assert model[0].seen is seen
    assert not hasattr(model[0], "made")


def test_torch_is_as_it_was() -> None:
    before = proxy_tensor._ModuleStackTracer.create_node, getattr(_trace, later_torch._WATCHING)
    trace(Keeping().eval(), torch.ones(1, 2))
    assert before == (proxy_tensor._ModuleStackTracer.create_node, getattr(_trace, later_torch._WATCHING))
