"""Equal nodes once, moves after moves as one: fewer nodes, and every number as it was, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algebraic_cnn.collapsing.onnx_files import collapse_onnx
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def node(op: str, given: str, out: str, **attributes: Any) -> Any:
    return helper.make_node(op, given.split(), [out], **attributes)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


#: Nodes from x of shape (N, 4, 6) to y, constants, and the operators that are left.
CASES: dict[str, tuple[list[Any], dict[str, np.ndarray], list[str]]] = {
    "equal nodes": (
        [
            node("Exp", "x", "a"),
            node("Exp", "x", "b"),
            node("Sin", "a", "c"),
            node("Sin", "b", "d"),
            node("Max", "c d", "y"),
        ],
        {},
        ["Exp", "Sin", "Max"],
    ),
    "slices": (
        [node("Exp", "x", "a"), node("Slice", "a o h o", "b"), node("Slice", "b o h w", "c"), node("Sin", "c", "y")],
        {"o": ints(1), "h": ints(3), "w": ints(2)},
        ["Exp", "Slice", "Sin"],
    ),
    "slices of one axis": (
        [node("Exp", "x", "a"), node("Slice", "a o h o", "b"), node("Slice", "b o h o", "c"), node("Sin", "c", "y")],
        {"o": ints(1), "h": ints(3)},
        ["Exp", "Slice", "Slice", "Sin"],
    ),
    "transposes": (
        [
            node("Exp", "x", "a"),
            node("Transpose", "a", "b", perm=[2, 0, 1]),
            node("Transpose", "b", "c", perm=[1, 0, 2]),
            node("Sin", "c", "y"),
        ],
        {},
        ["Exp", "Transpose", "Sin"],
    ),
    "reshapes": (
        [node("Exp", "x", "a"), node("Reshape", "a s", "b"), node("Reshape", "b t", "c"), node("Sin", "c", "y")],
        {"s": ints(0, 24), "t": ints(-1, 3, 8)},
        ["Exp", "Reshape", "Sin"],
    ),
    "a reshape that asks for lengths": (
        [
            node("Exp", "x", "a"),
            node("Shape", "x", "n"),
            node("Gather", "n z", "m"),
            node("Concat", "m r", "s", axis=0),
            node("Reshape", "a s", "c"),
            node("Sin", "c", "y"),
        ],
        {"z": ints(0), "r": ints(3, 8)},
        ["Exp", "Reshape", "Sin"],
    ),
    "what is drawn by chance": (
        [
            node("RandomUniformLike", "x", "a", seed=1.0),
            node("RandomUniformLike", "x", "b", seed=1.0),
            node("Sub", "a b", "c"),
            node("Mul", "c zero", "y"),
        ],
        {"zero": np.array(0, np.float32)},
        ["RandomUniformLike", "RandomUniformLike", "Sub", "Mul"],
    ),
}

#: Where nodes go that were there twice: the certificate says that it does not speak of that.
MERGED = {"equal nodes", "slices", "transposes", "reshapes"}


@pytest.mark.parametrize("name", CASES)
def test_fewer_nodes_and_the_same_numbers(name: str, tmp_path: Path) -> None:
    nodes, numbers, left = CASES[name]
    held = [onnx.numpy_helper.from_array(x, key) for key, x in numbers.items()]
    x, y = (helper.make_tensor_value_info(key, FLOAT, shape) for key, shape in (("x", ["N", 4, 6]), ("y", None)))
    graph = helper.make_graph(nodes, "network", [x], [y], held)
    path = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == left
    assert result.certificate is not None
    assert ("these edits were not compared" in result.certificate.statement) == (name in MERGED)
    new = result.save(tmp_path / "b.onnx")
    x = np.random.default_rng(0).integers(-2, 3, (3, 4, 6)).astype(np.float32)
    right, found = (session(each, level="none").run(None, {"x": x})[0] for each in (path, new))
    assert np.array_equal(right, found)


def test_nodes_whose_function_may_draw_numbers_stay_both(tmp_path: Path) -> None:
    inside = helper.make_node("RandomUniformLike", ["a"], ["b"])
    draws = helper.make_function("own", "Draws", ["a"], ["b"], [inside], [helper.make_opsetid("", 17)])
    nodes = [helper.make_node("Draws", ["x"], [out], domain="own") for out in "ab"] + [node("Sub", "a b", "y")]
    x, y = (helper.make_tensor_value_info(key, FLOAT, shape) for key, shape in (("x", ["N", 4, 6]), ("y", None)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    graph = helper.make_graph(nodes, "network", [x], [y], [])
    path = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[draws]), path)
    assert [each.op_type for each in collapse_onnx(path).model.graph.node] == ["Draws", "Draws", "Sub"]
