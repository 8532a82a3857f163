"""ONNX files collapsed: ONNX Runtime without optimisations says what is right, on whole numbers, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from algebraic_cnn import certify
from algebraic_cnn.apps.cli import app
from algebraic_cnn.collapsing.onnx_files import collapse_onnx
from algebraic_cnn.errors import DataError, ShapeError, UnknownNameError
from algebraic_cnn.ir.onnx.reading import load_onnx
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def whole(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


def written(
    path: Path, nodes: list[Any], numbers: dict[str, Any], shape: tuple[Any, ...], rank: int, **how: Any
) -> Path:
    """A file with one input x and one output y."""
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    x = helper.make_tensor_value_info("x", FLOAT, shape)
    y = helper.make_tensor_value_info("y", FLOAT, [f"m{i}" for i in range(rank)])
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    opsets = [helper.make_opsetid("", how.get("version", 13)), *how.get("domains", ())]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model.metadata_props.add(key="author", value="somebody")
    onnx.save(model, path)
    return path


def node(op: str, given: list[str], out: str, **attributes: Any) -> Any:
    return helper.make_node(op, given, [out], name=f"the {op} of {out}", **attributes)


def branches(path: Path, shape: tuple[Any, ...], last: Any, version: int = 13) -> Path:
    """Two convolutions of one value, added, scaled and normalised; a boundary; and a convolution by one."""
    nodes = [
        node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]),
        node("Conv", ["x", "v", "c"], "b"),
        node("Add", ["a", "b"], "s"),
        node("BatchNormalization", ["s", "one", "c", "c", "four"], "n", epsilon=0.0),
        last,
        node("Conv", ["r", "u"], "t"),
        node("Mul", ["t", "two"], "y"),
    ]
    numbers = {"w": whole(4, 2, 3, 3), "v": whole(4, 2, 1, 1, seed=1), "c": whole(4, seed=2), "u": whole(3, 4, 1, 1)}
    numbers |= {"one": np.ones(4, np.float32), "four": np.full(4, 4, np.float32), "two": np.float32(2)}
    domains = [helper.make_opsetid(last.domain, 1)] if last.domain else []
    return written(path, nodes, numbers, shape, 4, domains=domains, version=version)


def runs(path: Path, x: np.ndarray) -> np.ndarray:
    return session(path, level="none").run(None, {"x": x})[0]


@pytest.mark.parametrize("shape", [("N", 2, "h", "w"), (-1, 2, -1, -1)])  # some exporters say -1 of what is free
def test_a_network_of_branches_becomes_three_nodes_for_every_size(tmp_path: Path, shape: tuple[Any, ...]) -> None:
    path = branches(tmp_path / "a.onnx", shape, node("Relu", ["n"], "r"))
    result = collapse_onnx(path)
    new = result.save(tmp_path / "b.onnx")
    assert [each.op_type for each in result.model.graph.node] == ["Conv", "Relu", "Conv"]
    assert result.model.graph.node[1] == onnx.load(path).graph.node[4]  # verbatim, its name too
    assert [prop.value for prop in result.model.metadata_props] == ["somebody"]
    assert result.model.graph.input == onnx.load(path).graph.input
    assert result.certificate is not None
    assert result.certificate.ok
    for seed, shape in enumerate([(1, 2, 3, 3), (2, 2, 8, 5), (3, 2, 5, 40)]):
        x = 4 * whole(*shape, seed=seed)
        assert np.array_equal(runs(new, x), runs(path, x))
    assert certify(path, new).verdict in ("equal", "rounded")


def test_a_node_that_nobody_knows_is_a_boundary(tmp_path: Path) -> None:
    mystery = helper.make_node("Mystery", ["n"], ["r"], name="riddle", domain="somewhere.else", depth=3)
    path = branches(tmp_path / "a.onnx", (1, 2, 6, 6), mystery)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == ["Conv", "Mystery", "Conv", "Mul"]
    assert result.model.graph.node[1] == mystery


TOGETHER = {
    "HardSigmoid": {"alpha": 0.25, "beta": 0.5},  # clamp(x / 4 + 1 / 2, 0, 1)
    "HardSwish": {},
    "Softsign": {},  # x / (1 + |x|)
    "Selu": {"alpha": 2.0, "gamma": 0.5},
    "ThresholdedRelu": {"alpha": 1.0},
}


@pytest.mark.parametrize("op", TOGETHER)
def test_a_node_that_is_several_calls_stays_one(op: str, tmp_path: Path) -> None:
    """Its affine calls could merge with those before, but ONNX has no node for the rest."""
    last = node(op, ["n"], "r", **TOGETHER[op])
    path = branches(tmp_path / "a.onnx", (1, 2, 6, 6), last, version=22)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == ["Conv", op, "Conv"]
    assert result.model.graph.node[1] == last
    assert not result.left
    x = 4 * whole(1, 2, 6, 6)
    given, found = (runs(each, x) for each in (path, result.save(tmp_path / "b.onnx")))
    assert np.array_equal(given, found)


def test_of_a_fused_node_that_is_taken_apart_the_rest_is_no_node(tmp_path: Path) -> None:
    """A fused convolution and its ReLU stay as they are; what comes after them merges."""
    fused = helper.make_node("FusedConv", ["x", "w"], ["a"], domain="com.microsoft", activation="Relu", name="fused")
    nodes = [fused, node("Conv", ["a", "v"], "b"), node("Mul", ["b", "two"], "y")]
    numbers = {"w": whole(4, 2, 3, 3), "v": whole(3, 4, 1, 1, seed=1), "two": np.float32(2)}
    domains = [helper.make_opsetid("com.microsoft", 1)]
    path = written(tmp_path / "a.onnx", nodes, numbers, ("N", 2, 6, 6), 4, domains=domains)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == ["FusedConv", "Conv"]
    x = whole(2, 2, 6, 6)
    assert np.array_equal(runs(path, x), runs(result.save(tmp_path / "b.onnx"), x))


def test_a_shape_that_is_asked_of_a_merged_value_is_asked_of_another(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]),
        node("Conv", ["a", "v"], "b"),
        node("Relu", ["b"], "r"),
        node("Shape", ["a"], "s"),
        node("Reshape", ["r", "s"], "q"),
        node("Sigmoid", ["q"], "y"),
    ]
    path = written(tmp_path / "a.onnx", nodes, {"w": whole(4, 2, 3, 3), "v": whole(4, 4, 1, 1)}, ("N", 2, "h", "w"), 4)
    result = collapse_onnx(path)
    new = result.save(tmp_path / "b.onnx")
    assert sum(each.op_type == "Conv" for each in result.model.graph.node) == 1
    x = whole(2, 2, 5, 7)
    assert np.array_equal(runs(new, x), runs(path, x))


def test_dead_nodes_and_constants_go(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], "r"),
        node("Exp", ["x"], "nobody"),
        node("Constant", [], "k", value=onnx.numpy_helper.from_array(np.array([1, 2], np.float32))),
        node("Mul", ["k", "k"], "kk"),
        node("Max", ["r", "kk"], "y"),
    ]
    path = written(tmp_path / "a.onnx", nodes, {"unread": whole(3)}, ("N", 2), 2)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == ["Relu", "Max"]
    assert [each.name for each in result.model.graph.initializer] != ["unread"]
    x = whole(3, 2)
    assert np.array_equal(runs(result.save(tmp_path / "b.onnx"), x), runs(path, x))


def test_a_length_that_only_looks_free_must_be_said(tmp_path: Path) -> None:
    """The matrix at the end takes images of width 64 alone."""
    nodes = [
        node("Conv", ["x", "w"], "a"),
        node("Conv", ["a", "v"], "b"),
        node("Relu", ["b"], "r"),
        node("Flatten", ["r"], "f"),
        node("Gemm", ["f", "m"], "y"),
    ]
    numbers = {"w": whole(2, 1, 1, 3), "v": whole(2, 2, 1, 1), "m": whole(2 * 62, 3)}
    path = written(tmp_path / "a.onnx", nodes, numbers, ("N", 1, 1, "w"), 2)
    unsaid, said = collapse_onnx(path), collapse_onnx(path, shapes={"x": (1, 1, 1, 64)})
    assert [sum(n.op_type == "Conv" for n in each.model.graph.node) for each in (unsaid, said)] == [2, 1]
    assert "axis 3 of x" in unsaid.left
    x = whole(3, 1, 1, 64)
    assert np.array_equal(runs(said.save(tmp_path / "b.onnx"), x), runs(path, x))


def test_axes_that_go_only_where_they_are_one_long_are_nobody_s(tmp_path: Path) -> None:
    """Squeeze takes every axis of length 1: of one sample the batch as well, and then a matrix is a row."""
    nodes = [
        node("Gemm", ["x", "m"], "a"),
        node("Unsqueeze", ["a", "one"], "b"),
        node("Squeeze", ["b"], "c"),
        node("Mul", ["c", "two"], "d"),
        node("Gather", ["d", "zero"], "e", axis=0),
        node("Mul", ["e", "two"], "y"),
    ]
    numbers = {"m": whole(2, 3), "one": np.array([1]), "two": np.array(2, np.float32), "zero": np.array(0)}
    path = written(tmp_path / "a.onnx", nodes, numbers, ("N", 2), 1)
    new = collapse_onnx(path).save(tmp_path / "b.onnx")
    module, _ = load_onnx(path)
    for batch in (1, 3):
        x = whole(batch, 2)
        right = runs(path, x)
        assert right.shape == (() if batch == 1 else (3,))
        assert np.array_equal(runs(new, x), right)
        assert np.array_equal(module(torch.from_numpy(x)).numpy(), right)


def test_a_norm_is_folded_for_every_length(tmp_path: Path) -> None:
    """A convolution that takes its BatchNorm in is right whatever the length; what would bend its border stays."""
    nodes = [
        node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "s", "b", "m", "v"], "c", epsilon=0.0),
        node("Relu", ["c"], "r"),
        node("BatchNormalization", ["r", "s", "b", "m", "v"], "d", epsilon=0.0),
        node("Conv", ["d", "u"], "e", pads=[1, 1, 1, 1]),
        node("Flatten", ["e"], "f"),
        node("Gemm", ["f", "k"], "y"),
    ]
    numbers = {"w": whole(2, 1, 3, 3), "u": whole(2, 2, 3, 3), "k": whole(2 * 64, 3), "s": whole(2), "b": whole(2)}
    numbers |= {"m": whole(2), "v": np.array([1, 4], np.float32)}
    path = written(tmp_path / "a.onnx", nodes, numbers, ("N", 1, 1, "w"), 2)
    result = collapse_onnx(path)
    kinds = [n.op_type for n in result.model.graph.node]
    assert kinds == ["Conv", "Relu", "BatchNormalization", "Conv", "Flatten", "Gemm"]
    assert result.certificate is not None
    assert result.certificate.ok
    x = whole(3, 1, 1, 64)
    assert np.array_equal(runs(result.save(tmp_path / "b.onnx"), x), runs(path, x))


@pytest.mark.parametrize("length", [1, 0])
def test_a_condition_that_shapes_decide_is_kept(tmp_path: Path, length: int) -> None:
    """What an unread node makes of numbers alone is never written down as a constant: nobody has computed it."""
    value = helper.make_tensor_value_info("inner", FLOAT, None)
    ways = [helper.make_graph([node(op, ["x"], "inner")], op, [], [value]) for op in ("Neg", "Identity")]
    nodes = [
        node("Shape", ["x"], "s"),
        node("Gather", ["s", "i"], "n"),
        node("Sub", ["n", "two"], "m"),
        node("BitwiseNot", ["m"], "o"),
        node("Cast", ["o"], "c", to=onnx.TensorProto.BOOL),
        node("If", ["c"], "y", then_branch=ways[0], else_branch=ways[1]),
    ]
    numbers = {"i": np.array(1), "two": np.array(2 + length)}
    path = written(tmp_path / "a.onnx", nodes, numbers, ("N", 2), 2, version=18)
    new = collapse_onnx(path).save(tmp_path / "b.onnx")
    x = whole(3, 2)
    assert np.array_equal(runs(new, x), runs(path, x))
    assert np.array_equal(runs(path, x), x if length else -x)


def test_the_command_collapses_and_certifies(tmp_path: Path) -> None:
    path = branches(tmp_path / "a.onnx", ("N", 2, "h", "w"), node("Relu", ["n"], "r"))
    new, paper = tmp_path / "b.onnx", tmp_path / "b.json"
    words = ["collapse", str(path), "--out", str(new), "--certificate", str(paper), "--shape", "x:1x2x9x9"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "7 nodes became 3." in done.stdout
    assert paper.exists()
    assert CliRunner().invoke(app, ["certify", str(path), str(new)]).exit_code == 0
    model = onnx.load(new)
    array = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    array.flat[0] += 1
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(array, model.graph.initializer[0].name))
    onnx.save(model, new)
    assert CliRunner().invoke(app, ["certify", str(path), str(new)]).exit_code == 1


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    path = branches(tmp_path / "a.onnx", (1, 2, 6, 6), node("Relu", ["n"], "r"))
    with pytest.raises(ShapeError, match="no such input"):
        collapse_onnx(path, shapes={"z": (1, 2, 6, 6)})
    with pytest.raises(ShapeError, match="fixed"):
        collapse_onnx(path, shapes={"x": (1, 2, 7, 6)})
    with pytest.raises(DataError, match="no such file"):
        collapse_onnx(tmp_path / "none.onnx")
    with pytest.raises(UnknownNameError, match=r"\.onnx"):
        collapse_onnx(path).save(tmp_path / "b.pt2")
