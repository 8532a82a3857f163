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
    "views": (
        [
            node("Exp", "x", "a"),
            node("Unsqueeze", "a o", "b"),
            node("Reshape", "b s", "c"),
            node("Flatten", "c", "d", axis=2),
            node("Sin", "d", "y"),
        ],
        {"o": ints(1), "s": ints(0, 0, -1, 3)},
        ["Exp", "Reshape", "Sin"],
    ),
    "axes put in twice": (
        [node("Exp", "x", "a"), node("Unsqueeze", "a o", "b"), node("Unsqueeze", "b z", "c"), node("Sin", "c", "y")],
        {"o": ints(1), "z": ints(0)},
        ["Exp", "Unsqueeze", "Sin"],
    ),
    "axes taken out twice": (
        [
            node("ReduceMax", "x", "a", axes=[1]),
            node("ReduceMin", "a", "b", axes=[2]),
            node("Exp", "b", "c"),
            node("Squeeze", "c o", "d"),
            node("Squeeze", "d l", "e"),
            node("Sin", "e", "y"),
        ],
        {"o": ints(1), "l": ints(-1)},
        ["ReduceMax", "ReduceMin", "Exp", "Squeeze", "Sin"],
    ),
    "an axis put in and taken out": (
        [node("Exp", "x", "a"), node("Unsqueeze", "a o", "b"), node("Squeeze", "b o", "c"), node("Sin", "c", "y")],
        {"o": ints(1)},
        ["Exp", "Sin"],
    ),
    "a reduction whose axis is put back": (
        [node("ReduceMax", "x", "a", axes=[-1], keepdims=0), node("Unsqueeze", "a l", "b"), node("Sin", "b", "y")],
        {"l": ints(2)},
        ["ReduceMax", "Sin"],
    ),
    "a reduction whose axis is taken out": (
        [node("ReduceMax", "x", "a", axes=[1]), node("Squeeze", "a o", "b"), node("Sin", "b", "y")],
        {"o": ints(1)},
        ["ReduceMax", "Sin"],
    ),
    "a transpose of an axis of length one": (
        [
            node("Exp", "x", "a"),
            node("Reshape", "a s", "b"),
            node("Transpose", "b", "c", perm=[0, 2, 1]),
            node("Sin", "c", "y"),
        ],
        {"s": ints(0, 1, 24)},
        ["Exp", "Reshape", "Sin"],
    ),
    "concatenations": (
        [
            node("Exp", "x", "a"),
            node("Sin", "x", "b"),
            node("Concat", "a b", "c", axis=1),
            node("Concat", "c a", "d", axis=1),
            node("Cos", "d", "y"),
        ],
        {},
        ["Exp", "Sin", "Concat", "Cos"],
    ),
    "casts": (
        [
            node("Exp", "x", "a"),
            node("Greater", "a z", "b"),
            node("Cast", "b", "c", to=7),
            node("Cast", "c", "d", to=1),
            node("Cast", "d", "e", to=1),
            node("Sin", "e", "y"),
        ],
        {"z": np.array(1, np.float32)},
        ["Exp", "Greater", "Cast", "Sin"],
    ),
    "casts that lose something": (
        [node("Exp", "x", "a"), node("Cast", "a", "b", to=7), node("Cast", "b", "c", to=1), node("Sin", "c", "y")],
        {},
        ["Exp", "Cast", "Cast", "Sin"],
    ),
    "what gives what it is given": (
        [
            node("Exp", "x", "a"),
            node("Pad", "a p", "b"),
            node("Slice", "b z w o", "c"),
            node("Expand", "c s", "d"),
            node("Transpose", "d", "e", perm=[0, 1, 2]),
            node("Sin", "e", "y"),
        ],
        {"p": ints(0, 0, 0, 0, 0, 0), "z": ints(0), "w": ints(9), "o": ints(1), "s": ints(1, 4, 6)},
        ["Exp", "Sin"],
    ),
    "integers that are moved": (
        [
            node("Cast", "x", "a", to=6),
            node("Reshape", "k s", "b"),
            node("Transpose", "b", "c", perm=[1, 0]),
            node("BitShift", "u u", "v", direction="LEFT"),
            node("Mod", "a c", "d"),
            node("Cast", "d", "e", to=1),
            node("Sin", "e", "y"),
        ],
        {"k": np.arange(1, 25, dtype=np.int32), "s": ints(6, 4), "u": np.array(1, np.uint8)},
        ["Cast", "Mod", "Cast", "Sin"],
    ),
    "a length that stays": (
        [
            node("Exp", "x", "a"),
            node("Compress", "a k", "b", axis=0),
            node("Shape", "b", "n"),
            node("Gather", "n z", "m"),
            node("Concat", "m r", "s", axis=0),
            node("Reshape", "b s", "c"),
            node("Sin", "c", "y"),
        ],
        {"k": np.array([True, False, True]), "z": ints(0), "r": ints(3, -1)},
        ["Exp", "Compress", "Reshape", "Sin"],
    ),
    "a reversal": (
        [node("Exp", "x", "a"), node("Slice", "a l f o l", "b"), node("Sin", "b", "y")],
        {"l": ints(-1), "f": ints(-9), "o": ints(1)},
        ["Exp", "Slice", "Sin"],
    ),
    "lengths that are asked for twice": (
        [
            node("Exp", "x", "a"),
            node("Shape", "x", "n"),
            node("Gather", "n z", "m"),
            node("Shape", "a", "k"),
            node("Gather", "k z", "l"),
            node("Concat", "m l o", "s", axis=0),
            node("Tile", "a s", "c"),
            node("Sin", "c", "y"),
        ],
        {"z": ints(0), "o": ints(1)},
        ["Exp", "Shape", "Gather", "Concat", "Tile", "Sin"],
    ),
    "a shape that an exporter works out": (
        [
            node("Exp", "x", "a"),
            node("Shape", "a", "n"),
            node("Shape", "n", "k"),
            node("ConstantOfShape", "k", "e", value=onnx.numpy_helper.from_array(ints(1))),
            node("Mul", "e m", "f"),
            node("Equal", "n f", "g"),
            node("Where", "g e n", "h"),
            node("Expand", "a h", "b"),
            node("Sin", "b", "y"),
        ],
        {"m": ints(-1)},
        ["Exp", "Sin"],
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
    "products with 1": (
        [
            node("Mul", "one x", "a"),
            node("Relu", "a", "b"),
            node("Div", "b one", "c"),
            node("Sub", "c zero", "d"),
            node("Mul", "d ones", "e"),
            node("Mul", "e most", "f"),
            node("Exp", "f", "y"),
        ],
        {
            "one": np.array([1], np.float32),
            "zero": np.array(0, np.float32),
            "ones": np.ones((1, 1, 6), np.float32),
            "most": np.array([1, 1, 1, 1, 1, 2], np.float32),
        },
        ["Relu", "Mul", "Exp"],
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

#: Where no node goes by the clean-up: where one does, the certificate says that it does not speak of that.
STAYED = {
    "slices of one axis", "what is drawn by chance", "a reversal", "casts that lose something",
    "concatenations", "a reshape that asks for lengths", "integers that are moved",  # these three go before it
}  # fmt: skip


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
    assert ("these edits were not compared" in result.certificate.statement) == (name not in STAYED)
    new = result.save(tmp_path / "b.onnx")
    x = np.random.default_rng(0).integers(-2, 3, (3, 4, 6)).astype(np.float32)
    right, found = (session(each, level="none").run(None, {"x": x})[0] for each in (path, new))
    assert np.array_equal(right, found)


def test_a_large_constant_is_moved_with_its_numbers(tmp_path: Path) -> None:
    """Numbers of more than 128 KiB are set aside meanwhile."""
    w = np.arange(6 * 6000, dtype=np.float32).reshape(6000, 6)
    nodes = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "a"), node("Exp", "a", "y")]
    held = [onnx.numpy_helper.from_array(w, "w")]
    x, y = (helper.make_tensor_value_info(key, FLOAT, shape) for key, shape in (("x", [2, 6]), ("y", None)))
    path = tmp_path / "a.onnx"
    graph = helper.make_graph(nodes, "network", [x], [y], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    result = collapse_onnx(path)
    assert [each.op_type for each in result.model.graph.node] == ["MatMul", "Exp"]
    (weight,) = result.model.graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(weight), w.T)


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


def large(tmp_path: Path, *arrays: np.ndarray) -> Path:
    """x times the first matrix, through a sine, and so on."""
    names = [f"w{place}" for place in range(len(arrays))]
    last, nodes = "x", []
    for name in names:
        nodes += [node("MatMul", f"{last} {name}", f"m{name}"), node("Sin", f"m{name}", f"s{name}")]
        last = f"s{name}"
    graph = onnx.helper.make_graph(
        [*nodes, node("Identity", last, "y")],
        "large",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", len(arrays[0])])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", len(arrays[0])])],
        [onnx.numpy_helper.from_array(array, name) for name, array in zip(names, arrays, strict=True)],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "large.onnx")
    return tmp_path / "large.onnx"


def test_large_weights_are_one_where_they_are_equal_bit_for_bit(tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    other = w.copy()
    other[255, 255] = np.nextafter(other[255, 255], np.float32(9))
    path = large(tmp_path, w, w.copy(), other, w.T.copy())
    result = collapse_onnx(path)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in result.model.graph.initializer}
    assert sorted(held) == ["w0", "w2", "w3"]
    for name, array in {"w0": w, "w2": other, "w3": w.T}.items():
        assert np.array_equal(held[name].view(np.int32), array.copy().view(np.int32))
    new = result.save(tmp_path / "new.onnx")
    x = np.random.default_rng(1).standard_normal((3, 256)).astype(np.float32)
    right, found = (session(each, level="none").run(None, {"x": x})[0] for each in (path, new))
    assert np.array_equal(right, found)
