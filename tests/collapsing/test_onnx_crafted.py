"""ONNX files by hand: unusual ones collapse as ONNX Runtime computes them; those that ask too much are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algebraic_cnn import collapse_onnx
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto
node = helper.make_node
RNG = np.random.default_rng(0)


def weight(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.integers(-2, 3, shape).astype(dtype)


def file_of(nodes: list[Any], constants: dict[str, Any], *, inputs: tuple[Any, ...] = (), **more: Any) -> Any:
    """x of shape (N, 2, 6, 6) to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 2, 6, 6))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "crafted", [x, *inputs], [y], held)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def half() -> Any:
    inside = [node("Conv", ["a", "w"], ["b"], pads=[1] * 4), node("Conv", ["b", "v"], ["c"])]
    weights = {"w": weight(4, 2, 3, 3, dtype=np.float16), "v": weight(2, 4, 1, 1, dtype=np.float16)}
    return file_of([node("Cast", ["x"], ["a"], to=10), *inside, node("Cast", ["c"], ["y"], to=1)], weights)


def overridden() -> Any:
    told = helper.make_tensor_value_info("w", TensorProto.FLOAT, [8, 2, 1, 1])
    weights = {"w": weight(8, 2, 1, 1), "v": weight(2, 8, 1, 1)}
    return file_of([node("Conv", ["x", "w"], ["a"]), node("Conv", ["a", "v"], ["y"])], weights, inputs=(told,))


def left_out() -> Any:
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [node("Clip", ["x", "", "most"], ["a"]), node("Resize", ["a", "", "scales"], ["y"], **how)]
    return file_of(nodes, {"most": np.float32(1), "scales": np.array([1, 1, 2, 2], np.float32)})


def constants() -> Any:
    nodes = [
        node("Constant", [], ["a"], value_floats=[1.0, 2.0]),
        node("Constant", [], ["f"], value_float=0.5),
        node("Constant", [], ["shape"], value_ints=[1, 2, 1, 1]),
        node("Reshape", ["a", "shape"], ["b"]),
        node("Mul", ["x", "b"], ["c"]),
        node("Mul", ["c", "f"], ["y"]),
    ]
    return file_of(nodes, {})


def uneven() -> Any:
    pool = node("AveragePool", ["x"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1)
    up = node("ConvTranspose", ["a", "w"], ["y"], strides=[2, 2], auto_pad="SAME_LOWER")
    return file_of([pool, up], {"w": weight(2, 3, 3, 3)})


def function() -> Any:
    inside = [node("Conv", ["a", "w"], ["c"], pads=[1] * 4), node("Conv", ["c", "v"], ["b"])]
    two = helper.make_function("local", "two", ["a", "w", "v"], ["b"], inside, [helper.make_opsetid("", 17)])
    weights = {"w": weight(8, 2, 3, 3), "v": weight(2, 8, 1, 1)}
    return file_of([node("two", ["x", "w", "v"], ["y"], domain="local")], weights, functions=[two])


def sequence() -> Any:
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("ConcatFromSequence", ["s"], ["c"], axis=1),
        node("Conv", ["c", "w"], ["y"]),
    ]
    return file_of(nodes, {"w": weight(3, 4, 1, 1)})


@pytest.mark.parametrize("make", [half, overridden, left_out, constants, uneven, function, sequence])
def test_an_unusual_file_is_collapsed_rightly(make: Callable[[], Any], tmp_path: Path) -> None:
    """Weights and inputs are small whole numbers, and scales powers of two: sums are exact in every order."""
    path, written = tmp_path / "given.onnx", tmp_path / "collapsed.onnx"
    path.write_bytes(make().SerializeToString())
    found = collapse_onnx(str(path))
    assert found.certificate.ok
    found.save(str(written))
    given = {"x": RNG.integers(-3, 4, (3, 2, 6, 6)).astype(np.float32)}
    divided = 8 if make is uneven else 1  # windows of 4, 6 and 9 entries: only multiples of their sizes are exact
    given["x"] *= 36 * divided
    feeds = [given] + ([{**given, "w": weight(8, 2, 1, 1)}] if make is overridden else [])
    before, after = session(str(path), level="none"), session(str(written), level="none")
    for feed in feeds:
        assert np.array_equal(before.run(None, feed)[0], after.run(None, feed)[0])


def far() -> Any:
    nodes = [
        node("Range", ["a", "b", "c"], ["d"]),
        node("Cast", ["d"], ["e"], to=1),
        node("ReduceSum", ["e"], ["f"]),
        node("Add", ["f", "x"], ["y"]),
    ]
    return file_of(nodes, {"a": np.array(0), "b": np.array(2**50), "c": np.array(1)})


def often() -> Any:
    told = [helper.make_tensor_value_info(*each) for each in (("i", 7, []), ("c", 9, []), ("v", 1, []))]
    gives = [helper.make_tensor_value_info(*each) for each in (("o", 9, []), ("u", 1, []))]
    body = helper.make_graph([node("Identity", ["c"], ["o"]), node("Add", ["v", "v"], ["u"])], "body", told, gives)
    loop = node("Loop", ["n", "", "k"], ["z"], body=body)
    return file_of([loop, node("Add", ["z", "x"], ["y"])], {"n": np.array(2**40), "k": np.float32(1)})


@pytest.mark.parametrize("make", [far, often])
def test_what_would_count_for_ever_is_not_carried_out(make: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "given.onnx"
    path.write_bytes(make().SerializeToString())
    found = collapse_onnx(str(path))
    assert found.nodes[0] == found.nodes[1]
    assert found.certificate.ok
