"""ONNX files with more than nodes and numbers: numbers in other files, texts, and what ONNX Runtime writes itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn import certify, load_onnx
from algebraic_cnn.collapsing.onnx_files import collapse_onnx
from algebraic_cnn.errors import DataError
from algebraic_cnn.ir.onnx.model import read_model
from algebraic_cnn.ir.onnx.network import network
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT, INT = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
RNG = np.random.default_rng(0)


def file(path: Path, nodes: list[Any], numbers: dict[str, Any], shape: tuple[Any, ...], **how: Any) -> Path:
    """A file with one input x and one output y."""
    given = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    x = helper.make_tensor_value_info("x", how.get("kind", FLOAT), shape)
    y = helper.make_tensor_value_info("y", FLOAT, None)
    graph = helper.make_graph(nodes, "network", [x], [y], [*given, *how.get("more", ())])
    opsets = [helper.make_opsetid("", how.get("version", 17)), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-2, 3, shape).astype(np.float32)


def two_convolutions(path: Path) -> Path:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Conv", ["a", "v"], ["y"])]
    return file(path, nodes, {"w": ints(40, 3, 1, 1), "v": ints(3, 40, 1, 1)}, (1, 3, 4, 4))


def apart(path: Path, change: Callable[[dict[str, str]], object] = lambda entry: None) -> Path:
    """The numbers of two convolutions in another file, and what is said of them changed."""
    model = onnx.load(two_convolutions(path))
    onnx.save(model, path, save_as_external_data=True, location="numbers.bin", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    tensor = model.graph.initializer[1]
    entry = {each.key: each.value for each in tensor.external_data}
    change(entry)
    del tensor.external_data[:]
    for key, value in entry.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_numbers_in_another_file_of_the_folder_are_read(tmp_path: Path) -> None:
    path = apart(tmp_path / "a.onnx")
    result = collapse_onnx(path)
    new = result.save(tmp_path / "b.onnx")
    x = ints(1, 3, 4, 4)
    found = [session(each, level="none").run(None, {"x": x})[0] for each in (path, new)]
    assert [len(result.model.graph.node), result.certificate and result.certificate.ok] == [1, True]
    assert np.array_equal(*found)


LIES: dict[str, tuple[dict[str, str], str]] = {
    "above": ({"location": "../numbers.bin"}, "outside the folder"),
    "root": ({"location": "/etc/passwd"}, "outside the folder"),
    "link": ({"location": "link.bin"}, "outside the folder"),
    "missing": ({"location": "none.bin"}, "missing"),
    "folder": ({"location": "inner"}, "missing"),
    "no name": ({"location": ""}, "without a name"),
    "far": ({"offset": str(2**62)}, "too short"),
    "very far": ({"offset": "9" * 30}, "too short"),
    "negative": ({"offset": "-1"}, "a number"),
    "long": ({"length": str(2**40)}, "not as many"),
    "short": ({"length": "4"}, "not as many"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_not_in_the_folder_is_not_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "numbers.bin").write_bytes(bytes(10_000))
    (folder / "link.bin").symlink_to(tmp_path / "numbers.bin")
    change, words = LIES[name]
    path = apart(folder / "a.onnx", lambda entry: entry.update(change))
    with pytest.raises(DataError, match=words) as caught:
        collapse_onnx(path)
    assert "a.onnx, v" in str(caught.value)


def test_texts_and_packed_numbers_are_boundaries(tmp_path: Path) -> None:
    words = helper.make_tensor("words", onnx.TensorProto.STRING, [2], [b"one", b"two"])
    packed = helper.make_tensor("packed", onnx.TensorProto.INT4, [3], [1, -2, 3])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("StringConcat", ["words", "words"], ["twice"]),
        helper.make_node("Shape", ["twice"], ["s"]),
        helper.make_node("DequantizeLinear", ["packed", "scale"], ["d"]),
        helper.make_node("Cast", ["s"], ["f"], to=FLOAT),
        helper.make_node("Sum", ["f", "d"], ["g"]),
        helper.make_node("ReduceMax", ["g"], ["m"], keepdims=0),
        helper.make_node("Max", ["b", "m"], ["y"]),
    ]
    numbers = {"w": ints(40, 3, 1, 1), "v": ints(3, 40, 1, 1), "scale": np.float32(2)}
    path = file(tmp_path / "a.onnx", nodes, numbers, (1, 3, 4, 4), version=21, more=[words, packed])
    model = onnx.load(path)
    model.ir_version = 10
    onnx.save(model, path)
    result = collapse_onnx(path)
    x = ints(1, 3, 4, 4)
    found = [session(each, level="none").run(None, {"x": x})[0] for each in (path, result.save(tmp_path / "b.onnx"))]
    assert sum(node.op_type == "Conv" for node in result.model.graph.node) == 1
    assert np.array_equal(*found)


def test_fewer_numbers_than_said_are_refused(tmp_path: Path) -> None:
    words = onnx.TensorProto(dims=[3], data_type=onnx.TensorProto.STRING, name="words", string_data=[b"one"])
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = tmp_path / "a.onnx"
    with pytest.raises(DataError, match=r"not as many.*expected 3, got 1"):
        read_model(file(path, nodes, {}, (1, 3), more=[words]))


def fused(path: Path) -> tuple[Path, Path]:
    """A network, and what ONNX Runtime makes of it with its own operators."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], name="act"),
        helper.make_node("Conv", ["r", "v"], ["c"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "r"], ["s"], name="skip"),
        helper.make_node("LeakyRelu", ["s"], ["l"], name="leak", alpha=0.25),
        helper.make_node("Flatten", ["l"], ["f"]),
        helper.make_node("Gemm", ["f", "m", "n"], ["g"], name="head"),
        helper.make_node("Sigmoid", ["g"], ["h"]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[1, 0]),
        helper.make_node("Softmax", ["h"], ["p"]),
        helper.make_node("Transpose", ["p"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["t", "kk"], ["y"], name="last"),
    ]
    numbers = {"w": ints(4, 2, 3, 3), "b": ints(4), "v": ints(4, 4, 3, 3), "m": ints(64, 5), "n": ints(5)}
    numbers |= {"k": ints(5, 5), "kk": ints(1, 5)}
    path = file(path, nodes, numbers, (1, 2, 4, 4))
    other = path.with_name("fused.onnx")
    session(path, level="extended", saved=str(other))
    return path, other


def test_what_onnx_runtime_writes_is_certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(0))  # the same weights, whatever ran before
    path, other = fused(tmp_path / "a.onnx")
    kinds = {node.op_type for node in onnx.load(other).graph.node}
    assert {"FusedConv", "FusedGemm"} <= kinds
    assert list(network(read_model(other)).why.values()) == []
    assert certify(path, other).verdict in ("equal", "rounding")
    model = onnx.load(other)
    conv = next(node for node in model.graph.node if node.op_type == "FusedConv")
    del conv.attribute[:]
    conv.attribute.extend(helper.make_node("FusedConv", [], [], pads=[1, 1, 1, 1], activation="Tanh").attribute)
    onnx.save(model, other)
    assert certify(path, other).verdict == "different"


CONTRIB: dict[str, tuple[Any, dict[str, Any], tuple[int, ...]]] = {
    "matmul": (
        helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", transA=1, transB=1, alpha=0.5),
        {"w": ints(5, 3)},
        (3, 4),
    ),
    "gemm": (
        helper.make_node(
            "FusedGemm", ["x", "w"], ["y"], domain="com.microsoft", activation="LeakyRelu", activation_alpha=0.5
        ),
        {"w": ints(4, 5)},
        (3, 4),
    ),
    "conv, all": (
        helper.make_node(
            "FusedConv", ["x", "w", "b", "z"], ["y"], domain="com.microsoft", activation="Relu", strides=[2, 1]
        ),
        {"w": ints(4, 2, 3, 3), "b": ints(4), "z": ints(1, 4, 2, 3)},
        (1, 2, 5, 5),
    ),
    "clip": (
        helper.make_node(
            "FusedConv", ["x", "w"], ["y"], domain="com.microsoft", activation="Clip", activation_params=[-1.0, 6.0]
        ),
        {"w": ints(4, 2, 3, 3)},
        (1, 2, 5, 5),
    ),
    "gelu": (helper.make_node("BiasGelu", ["x", "b"], ["y"], domain="com.microsoft"), {"b": ints(4)}, (3, 4)),
    "quick": (helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft", alpha=1.5), {}, (3, 4)),
}


@pytest.mark.parametrize("name", CONTRIB)
def test_operators_of_onnx_runtime(name: str, tmp_path: Path) -> None:
    node, numbers, shape = CONTRIB[name]
    path = file(tmp_path / "a.onnx", [node], numbers, shape)
    x = ints(*shape)
    right = session(path, level="none").run(None, {"x": x})[0]
    found = load_onnx(path)[0](torch.from_numpy(x)).numpy()
    assert found.shape == right.shape
    exact = node.op_type not in ("BiasGelu", "QuickGelu")
    # a function of libm: float32 keeps 2^-24, and these chains have fewer than 2^6 roundings
    assert np.abs(found - right).max() <= (0 if exact else 2.0**-18 * np.abs(right).max())


def test_rows_that_the_input_chooses(tmp_path: Path) -> None:
    """Whole numbers that choose rows, counted from either end, and one-hot vectors of them."""
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["g"]),
        helper.make_node("OneHot", ["x", "depth", "ends"], ["o"], axis=1),
        helper.make_node("ReduceSumSquare", ["o"], ["q"], axes=[1], keepdims=0),
        helper.make_node("Unsqueeze", ["q", "last"], ["u"]),
        helper.make_node("Mul", ["g", "u"], ["y"]),
    ]
    numbers = {"table": ints(6, 3), "depth": np.array(6), "ends": np.array([1, 3], np.float32), "last": np.array([-1])}
    path = file(tmp_path / "a.onnx", nodes, numbers, (2, 4), kind=INT)
    x = np.array([[0, 5, -1, -6], [2, 3, -2, 1]])
    right = session(path, level="none").run(None, {"x": x})[0]
    assert np.array_equal(load_onnx(path)[0](torch.from_numpy(x)).numpy(), right)


def test_a_signal_that_is_longer_than_an_image(tmp_path: Path) -> None:
    """A window of 400 does not fit into the first example that is tried."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], strides=[160]), helper.make_node("Relu", ["a"], ["y"])]
    read, (example,) = load_onnx(file(tmp_path / "a.onnx", nodes, {"w": ints(2, 1, 400)}, (1, 1, "length")))
    assert example.shape == (1, 1, 1024)
    assert read(example).shape == (1, 2, 4)


@pytest.mark.parametrize("seed", range(4))
def test_a_padding_that_another_tool_dropped_is_found(seed: int, tmp_path: Path) -> None:
    """What onnxoptimizer 0.4.2 makes of zeros before a maximum: MaxPool itself pads with less than any number."""
    pads = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}
    nodes = [
        helper.make_node("Pad", ["x", "p"], ["q"], name="stem/pad"),
        helper.make_node("MaxPool", ["q"], ["y"], name="stem/pool", **pool),
    ]
    path = file(tmp_path / "a.onnx", nodes, pads, (1, 2, 6, 6))
    dropped = [helper.make_node("MaxPool", ["x"], ["y"], name="stem/pool", pads=[1, 1, 1, 1], **pool)]
    certificate = certify(path, file(tmp_path / "b.onnx", dropped, {}, (1, 2, 6, 6)), seed=seed)
    assert certificate.verdict == "different"
    assert "node stem/pool" in str(certificate)


def test_defaults_that_a_tool_writes_down_change_nothing(tmp_path: Path) -> None:
    """A pool padded unevenly is opaque; ONNX Runtime writes its defaults down."""
    said: list[dict[str, Any]] = [{}, {"auto_pad": "NOTSET", "ceil_mode": 0, "storage_order": 0}, {"ceil_mode": 1}]
    paths = []
    for number, more in enumerate(said):
        pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], **more)
        paths.append(file(tmp_path / f"{number}.onnx", [pool], {}, (1, 2, 7, 7)))
    assert certify(paths[0], paths[1]).verdict == "equal"
    assert certify(paths[0], paths[2]).verdict != "equal"


def test_numbers_that_are_made_of_sizes_are_given_to_operators_as_tensors(tmp_path: Path) -> None:
    """As many columns as there are, copied at the end: no call of torch pads so, and sizes come to it as a list."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "last"], ["n"], axis=0),
        helper.make_node("Concat", ["none", "n"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["y"], mode="edge"),
    ]
    numbers = {"last": np.array([1]), "none": np.array([0, 0, 0])}
    path = file(tmp_path / "a.onnx", nodes, numbers, ("N", "M"))
    module, _ = load_onnx(path)
    for n in (2, 3):
        x = ints(2, n)
        right = session(path, level="none").run(None, {"x": x})[0]
        assert right.shape == (2, 2 * n)
        assert np.array_equal(module(torch.from_numpy(x)).numpy(), right)
    assert certify(path, path).verdict == "equal"
