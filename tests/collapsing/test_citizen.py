"""The result of a collapse is a torch module like any other: it prints, copies, saves, exports, trains."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import TraceError, UnknownNameError, certify, collapse, save_onnx
from algebraic_cnn.collapsing.result import Collapse


class Block(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(Block(4), Block(4), Block(4))
        self.norm = nn.BatchNorm2d(4)  # after a relu: it stays, or goes into the head
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sigmoid(self.norm(self.layer1(x))).mean((2, 3)))


X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    model = Net()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return model.eval()


@pytest.fixture(scope="module")
def result() -> Collapse:
    model = network()
    model.layer1[0].requires_grad_(False)
    return collapse(model, X, measure=False)


def test_names_and_gradients_are_those_of_what_is_replaced(result: Collapse) -> None:
    modules = [f"layer1.{block}.conv{i}" for block in range(3) for i in (1, 2)]
    convolutions = [f"{module}.{what}" for module in modules for what in ("weight", "bias")]
    found = {name: p.requires_grad for name, p in result.model.named_parameters()}
    assert [name for name in found if "conv" in name] == convolutions  # as torch's own fusion calls them, in order
    assert not any(grad for name, grad in found.items() if name.startswith("layer1.0."))
    assert all(grad for name, grad in found.items() if not name.startswith("layer1.0."))
    buffers = dict(result.model.named_buffers())
    assert {name for name in buffers if "running" in name} == {"norm.running_mean", "norm.running_var"}
    assert not {name for name in found if "running" in name}


def test_the_report_names_modules_merges_rows_and_counts_parameters(result: Collapse) -> None:
    text, model = str(result.report), network()
    assert "layer1.0.conv1, layer1.0.bn1, and 2 more to layer1.2.conv1, layer1.2.bn1: 2 calls each became" in text
    assert "not affine: relu, sigmoid" in text
    before = sum(p.numel() for p in model.parameters())
    after = sum(p.numel() for p in result.model.parameters())
    assert result.report.parameters == (before, after)
    held = [sum(x.nbytes for x in m.state_dict().values() if x.is_floating_point()) for m in (model, result.model)]
    assert list(result.report.bytes) == held
    assert f"{before:,} parameters became {after:,}, {held[0]:,} bytes {held[1]:,}." in text


def test_repr_is_a_few_lines(result: Collapse) -> None:
    lines = repr(result).splitlines()
    assert len(lines) <= 4
    assert result.report.summary() in lines[0]
    assert lines[-1] == "Yes (modular)"
    assert repr(collapse(nn.Linear(2, 2).eval(), torch.zeros(1, 2), certify=None)).splitlines()[-1] == "Not certified."


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy, "torch.save": saved}  # noqa: S301


@pytest.mark.parametrize("way", COPIES)
def test_round_trips(result: Collapse, way: str) -> None:
    again = COPIES[way](result.model)
    assert torch.equal(again(X), result.model(X))
    assert again.state_dict().keys() == result.model.state_dict().keys()
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in result.model.parameters()]
    whole = COPIES[way](result)
    assert torch.equal(whole.model(X), result.model(X))
    assert (str(whole.report), str(whole.certificate)) == (str(result.report), str(result.certificate))
    assert [call.target for call in whole.graph.calls] == [call.target for call in result.graph.calls]


def test_a_state_dict_goes_into_another_copy(result: Collapse) -> None:
    other = copy.deepcopy(result.model)
    with torch.no_grad():
        for value in other.state_dict().values():
            value.zero_()
    assert not torch.equal(other(X), result.model(X))
    other.load_state_dict(result.model.state_dict())
    assert torch.equal(other(X), result.model(X))


def test_it_exports_again_with_a_free_batch(result: Collapse) -> None:
    free = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(result.model, (X,), dynamic_shapes=free)
    many = torch.cat([X, X, X])[:5]
    for module in (program.module(), result.exported().module()):
        assert torch.equal(module(many), result.model(many))
    assert certify(result.model, result.exported(), X).verdict in ("equal", "rounding")


def test_it_goes_to_onnx(result: Collapse, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = save_onnx(result, tmp_path / "net.onnx")
    session = runtime.InferenceSession(path)
    (name,) = [given.name for given in session.get_inputs()]
    for n in (1, 2):
        (y,) = session.run(None, {name: X[:n].numpy()})
        assert torch.dist(torch.from_numpy(y), result.model(X[:n])) <= 2**-10 * result.model(X[:n]).norm()


def test_it_compiles(result: Collapse) -> None:
    compiled = torch.compile(result.model, backend="eager")
    assert torch.equal(compiled(X), result.model(X))


def test_it_trains_further(result: Collapse) -> None:
    model, frozen = copy.deepcopy(result.model).train(), result.model.get_parameter("layer1.0.conv1.weight")
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    target, losses = torch.ones(2, 3), []
    for _ in range(5):
        loss = (model(X) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert torch.equal(model.get_parameter("layer1.0.conv1.weight"), frozen)
    mean = result.model.get_buffer("norm.running_mean")
    assert torch.equal(model.get_buffer("norm.running_mean"), mean)  # a fixed function: statistics stay


@pytest.mark.parametrize("compiled", ["script", "trace"])
def test_a_scripted_model(compiled: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(network()) if compiled == "script" else torch.jit.trace(network(), X)
    with pytest.raises(TraceError, match=r"give the module before torch\.jit"):
        collapse(model, X)


def pair() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv1d(2, 8, 9, padding=4), nn.Conv1d(8, 2, 9, padding=4), nn.Flatten(), nn.Linear(2 * 16, 16)]
    return nn.Sequential(*layers).eval()


def shared() -> nn.Module:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(torch.relu(self.a(x)))) + self.b(x)

    return Twice().eval()


SIZES = {
    "pair": (pair, torch.zeros(1, 2, 16)),
    "shared": (shared, torch.zeros(1, 2, 8, 8)),
    "block": (network, X),
    "bottleneck": (lambda: nn.Sequential(nn.Linear(64, 2), nn.Linear(2, 64)).eval(), torch.zeros(1, 64)),
}


def held(model: nn.Module) -> int:
    return sum(value.nbytes for value in model.state_dict().values() if value.is_floating_point())


@pytest.mark.parametrize("name", SIZES)
def test_size_never_grows(name: str) -> None:
    build, x = SIZES[name]
    model = build()
    small, fast = (collapse(model, x, prefer=prefer, measure=False) for prefer in ("size", "speed"))
    before, after = small.report.bytes
    assert after == held(small.model) <= before == held(model)
    assert small.certificate is not None
    assert small.certificate.ok
    assert fast.report.bytes[1] == held(fast.model)
    if name == "bottleneck":
        assert held(fast.model) > held(model) >= held(small.model)  # 64 x 64 against 2 x 64 x 2


def test_an_unknown_preference() -> None:
    with pytest.raises(UnknownNameError, match=r"speed \| size"):
        collapse(nn.Linear(2, 2).eval(), torch.zeros(1, 2), prefer="beauty")
