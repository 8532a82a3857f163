"""ONNX files as modules: every operator against ONNX's own reference, on whole numbers, bit for bit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from algebraic_cnn import certify
from algebraic_cnn.apps.cli import app
from algebraic_cnn.errors import DataError, MissingExtraError, TraceError
from algebraic_cnn.ir.onnx.reading import load_onnx
from algebraic_cnn.ir.programs import save_program
from algebraic_cnn.ir.trace import export, trace
from algebraic_cnn.models import resnet18

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def whole(*shape: int, seed: int = 0, low: int = -3) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 4, shape).astype(np.float32)


def written(path: Path, nodes: list[Any], numbers: dict[str, Any], x_shape: tuple[Any, ...], rank: int = 4) -> Path:
    """A file with one input x and one output y of so many axes."""
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    shapes = {"x": x_shape, "y": [f"n{i}" for i in range(rank)]}
    x, y = (helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, str(path))
    return path


def node(op: str, *given: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, ["x", *given], ["y"], name=name, **attributes)


SHAPE = (2, 4, 6, 6)
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "conv": (node("Conv", "w", "b", pads=[1, 1, 1, 1]), {"w": whole(3, 4, 3, 3), "b": whole(3)}),
    "conv with all": (
        node("Conv", "w", strides=[2, 1], dilations=[1, 2], group=2, pads=[0, 1, 1, 2]),
        {"w": whole(4, 2, 3, 2)},
    ),
    "batch norm": (
        node("BatchNormalization", "s", "b", "m", "v", epsilon=0.0),
        {"s": whole(4), "b": whole(4), "m": whole(4), "v": np.array([1, 4, 16, 4], dtype=np.float32)},
    ),
    "relu": (node("Relu"), {}),
    "leaky": (node("LeakyRelu", alpha=0.5), {}),
    "clip": (node("Clip", "low", "high"), {"low": np.float32(-1), "high": np.float32(2)}),
    "clip below": (node("Clip", "low"), {"low": np.float32(0)}),
    "add": (node("Add", "c"), {"c": whole(4, 1, 1)}),
    "sub": (node("Sub", "c"), {"c": whole(4, 1, 1)}),
    "mul": (node("Mul", "c"), {"c": whole(6)}),
    "div": (node("Div", "c"), {"c": np.array([1, 2, 4, 8, 2, 1], dtype=np.float32)}),
    "neg": (node("Neg"), {}),
    "max pool": (node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {}),
    "max pool spread": (node("MaxPool", kernel_shape=[2, 2], dilations=[2, 1], ceil_mode=1), {}),
    "average pool": (node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]), {}),
    "average with pads": (
        node("AveragePool", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        {},
    ),
    "global pool": (node("GlobalAveragePool"), {}),
    "flatten": (node("Flatten"), {}),
    "flatten later": (node("Flatten", axis=2), {}),
    "reshape": (node("Reshape", "s"), {"s": np.array([0, -1, 12], dtype=np.int64)}),
    "transpose": (node("Transpose", perm=[0, 2, 3, 1]), {}),
    "matmul": (node("MatMul", "w"), {"w": whole(6, 5)}),
    "pad": (node("Pad", "p", "v"), {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "v": np.float32(2)}),
    "reflect": (node("Pad", "p", mode="reflect"), {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1])}),
    "edge": (node("Pad", "p", mode="edge"), {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1])}),
    "mean": (node("ReduceMean", "a", keepdims=0), {"a": np.array([1])}),
    "squeeze": (node("Squeeze", "a"), {"a": np.array([], dtype=np.int64)}),
    "unsqueeze": (node("Unsqueeze", "a"), {"a": np.array([1, -1])}),
    "gather": (node("Gather", "i", axis=1), {"i": np.array(2)}),
    "identity": (node("Identity"), {}),
    "dropout": (node("Dropout"), {}),
}

#: Axes of the results that do not have four.
RANKS = {"flatten": 2, "flatten later": 2, "reshape": 3, "mean": 3, "gather": 3, "unsqueeze": 6}


@pytest.mark.parametrize("name", CASES)
def test_every_operator_is_that_of_the_reference(name: str, tmp_path: Path) -> None:
    one, numbers = CASES[name]
    path = written(tmp_path / "one.onnx", [one], numbers, SHAPE, RANKS.get(name, 4))
    x = 4 * whole(*SHAPE, seed=1)
    model, (example,) = load_onnx(path)
    (expected,) = reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    assert tuple(example.shape) == SHAPE
    assert np.array_equal(model(torch.from_numpy(x)).numpy(), expected)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_gemm(transposed: int, alpha: float, tmp_path: Path) -> None:
    numbers = {"w": whole(3, 6) if transposed else whole(6, 3), "b": whole(3)}
    path = written(tmp_path / "g.onnx", [node("Gemm", "w", "b", transB=transposed, alpha=alpha)], numbers, (2, 6), 2)
    x = whole(2, 6, seed=1)
    (expected,) = reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    assert np.array_equal(load_onnx(path)[0](torch.from_numpy(x)).numpy(), expected)


def network_file(path: Path, model: nn.Sequential) -> Path:
    """Conv, BatchNorm, ReLU, a skip, a pool and a matrix, written node by node from a torch model."""
    conv, norm, _, _, matrix = model
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w", "b"], ["1"], name="stem/conv", pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["1", "s", "o", "m", "v"], ["2"], name="stem/norm", epsilon=norm.eps),
        make("Relu", ["2"], ["3"], name="stem/relu"),
        make("GlobalAveragePool", ["3"], ["4"], name="pool"),
        make("Shape", ["4"], ["5"], start=0, end=1, name="size"),
        make("Concat", ["5", "rest"], ["6"], axis=0, name="shape"),
        make("Reshape", ["4", "6"], ["7"], name="flat"),
        make("Gemm", ["7", "W", "B"], ["y"], transB=1, name="head"),
    ]
    tensors = {"w": conv.weight, "b": conv.bias, "s": norm.weight, "o": norm.bias, "W": matrix.weight, "B": matrix.bias}
    tensors |= {"m": norm.running_mean, "v": norm.running_var}
    numbers = {name: tensor.detach().numpy() for name, tensor in tensors.items()} | {"rest": np.array([4])}
    return written(path, nodes, numbers, ("N", 2, 6, 6), 2)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    parts = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(2), nn.Linear(4, 3)
    model = nn.Sequential(*parts)
    model[3] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model[1].running_mean.uniform_(-1, 1)
    model[1].running_var.uniform_(0.5, 2)
    return model.eval()


def test_a_file_is_certified_against_the_model_that_it_came_from(tmp_path: Path, model: nn.Sequential) -> None:
    path = network_file(tmp_path / "model.onnx", model)
    read, (example,) = load_onnx(path)
    assert trace(read, example).batch is None
    certificate = certify(model, read, example, level="modular")
    assert certificate.ok
    assert "the same 1 call that is not affine" in certificate.statement
    assert certify(model, read, example, level="bounded").ok
    model[0].weight.data[1, 1, 2, 0] = torch.nextafter(model[0].weight.data[1, 1, 2, 0], torch.tensor(9.0))
    certificate = certify(path, model, example, level="modular")
    assert not certificate.ok
    assert "what relu of stem/relu is given" in certificate.witness.what


def test_the_command_compares_a_program_with_a_file(tmp_path: Path, model: nn.Sequential) -> None:
    path = network_file(tmp_path / "model.onnx", model)
    program = save_program(export(model, torch.zeros(2, 2, 6, 6)), tmp_path / "model.pt2")
    done = CliRunner().invoke(app, ["certify", str(program), str(path)])
    assert (done.exit_code, done.stdout[:13]) == (0, "Yes (auto): t")
    other = copy.deepcopy(model)
    other[4].bias.data[0] += 1
    wrong = network_file(tmp_path / "wrong.onnx", other)
    for level in ("modular", "bounded", "sampled"):
        done = CliRunner().invoke(app, ["certify", str(program), str(wrong), "--level", level])
        assert (done.exit_code, done.stdout[:2]) == (1, "No")
        assert "the output" in done.stdout


@pytest.mark.thorough
def test_what_torch_writes_is_read_and_certified(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from algebraic_cnn.ir.onnx.writing import save_onnx

    torch.manual_seed(0)
    resnet = resnet18().eval()
    path = save_onnx(resnet, torch.zeros(2, 1, 32, 32), tmp_path / "resnet.onnx")
    read, (example,) = load_onnx(path)
    certificate = certify(resnet, read, example, level="bounded", points=2)
    assert certificate.ok
    weight = max(read.buffers(), key=torch.numel)
    weight[3, 5] *= 1.5
    assert not certify(resnet, read, example, level="bounded", points=2).ok


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "one.onnx", [node("Bernoulli", name="wave")], {}, SHAPE)
    with pytest.raises(TraceError, match=r"table of ONNX operators.*AveragePool.*got Bernoulli \[at .*node wave"):
        load_onnx(path)
    with pytest.raises(DataError, match="no such file"):
        load_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(DataError, match="not an ONNX model"):
        load_onnx(tmp_path / "text.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"algebraic_cnn\[onnx\]"):
        load_onnx(path)


def two_inputs(path: Path, inputs: list[str], outputs: list[str]) -> Path:
    """relu(a) - b and a + b, their values in an order of the file's own."""
    nodes = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Sub", ["r", "b"], ["y"]),
        helper.make_node("Add", ["a", "b"], ["z"]),
    ]
    values = {name: helper.make_tensor_value_info(name, FLOAT, ["N", 3]) for name in "abyz"}
    graph = helper.make_graph(nodes, "two", [values[n] for n in inputs], [values[n] for n in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_inputs_and_outputs_of_files_belong_together_by_their_names(tmp_path: Path) -> None:
    first = two_inputs(tmp_path / "first.onnx", ["a", "b"], ["y", "z"])
    other = two_inputs(tmp_path / "other.onnx", ["b", "a"], ["z", "y"])
    assert certify(first, other).verdict == "equal"
    done = CliRunner().invoke(app, ["certify", str(first), str(other)])
    assert (done.exit_code, done.stdout[:10]) == (0, "Yes (auto)")
    wrong = two_inputs(tmp_path / "wrong.onnx", ["a", "b"], ["y", "z"])
    model = onnx.load(wrong)
    model.graph.node[1].input[:] = ["b", "r"]
    onnx.save(model, wrong)
    assert certify(str(first), wrong).verdict == "different"
