"""Branches and bodies of loops in ONNX files, collapsed as files of their own; ONNX Runtime says what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

from algebraic_cnn import certify, collapse_onnx, load_onnx
from algebraic_cnn.ir.onnx.writing import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
backend = pytest.importorskip("onnx.backend.test.case.node")
to_array = onnx.numpy_helper.to_array
helper, FLOAT, INT, BOOL = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
IMAGE = ["N", 2, 6, 6]


def whole(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


def held(**arrays: np.ndarray) -> list[Any]:
    return [onnx.numpy_helper.from_array(np.asarray(x), name) for name, x in arrays.items()]


def value(name: str, kind: int = FLOAT, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def two_layers(given: str, out: str, mark: str, inside: list[Any]) -> Any:
    """Two convolutions of a value of the graph around it, the second one's numbers its own."""
    nodes = [
        helper.make_node("Conv", [given, "w"], [f"{mark}_a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", [f"{mark}_a", f"{mark}_v"], [out]),
    ]
    return helper.make_graph(nodes, mark, [], [value(out, FLOAT, IMAGE)], inside)


def saved(path: Path, nodes: list[Any], inputs: list[Any], numbers: list[Any]) -> Path:
    graph = helper.make_graph(nodes, "outer", inputs, [value("y", FLOAT, IMAGE)], numbers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def branches(path: Path, condition: list[Any], inputs: list[Any]) -> Path:
    ways = [
        two_layers("x", f"{mark}_y", mark, held(**{f"{mark}_v": whole(2, 40, 1, 1, seed=seed)}))
        for seed, mark in enumerate(("yes", "no"))
    ]
    nodes = [
        helper.make_node("If", ["c"], ["h"], name="choice", then_branch=ways[0], else_branch=ways[1]),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    return saved(path, nodes, [value("x", FLOAT, IMAGE), *inputs], [*held(w=whole(40, 2, 3, 3)), *condition])


def same(path: Path, new: Path, feeds: dict[str, np.ndarray]) -> None:
    right, found = (session(each, level="none").run(None, feeds)[0] for each in (path, new))
    assert np.array_equal(right, found)
    module, _ = load_onnx(path)
    with torch.no_grad():
        assert np.array_equal(module(*(torch.from_numpy(np.asarray(x)) for x in feeds.values())).numpy(), right)


def mutant(path: Path, new: Path, body: str) -> Path:
    """The file with one number inside a node another one."""
    model = onnx.load(path)
    graphs = [a.g for node in model.graph.node for a in node.attribute if a.name == body]
    tensor = next(t for graph in graphs for t in graph.initializer if t.dims)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] += 1
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, new)
    return new


def test_both_branches_are_collapsed_with_certificates_of_their_own(tmp_path: Path) -> None:
    path = branches(tmp_path / "a.onnx", [], [value("c", BOOL, [])])
    result = collapse_onnx(path)
    assert result.nodes == (6, 4)
    assert {name: each.nodes for name, each in result.inner.items()} == {
        "then_branch of choice": (2, 1),
        "else_branch of choice": (2, 1),
    }
    assert all(each.certificate is not None and each.certificate.ok for each in result.inner.values())
    assert result.certificate is not None
    assert "each has a certificate of its own" in result.certificate.statement
    new = result.save(tmp_path / "b.onnx")
    onnx.checker.check_model(str(new), full_check=True)
    for c in (True, False):
        same(path, new, {"x": whole(3, 2, 6, 6, seed=5), "c": np.array(c)})
    certificate = certify(path, new)
    assert certificate.verdict == "equal", certificate
    assert "Inside, then_branch of choice: " in certificate.statement


@pytest.mark.parametrize("way", ["then_branch", "else_branch"])
def test_another_number_inside_a_branch_is_another_network(way: str, tmp_path: Path) -> None:
    path = branches(tmp_path / "a.onnx", [], [value("c", BOOL, [])])
    result = collapse_onnx(path)
    other = mutant(result.save(tmp_path / "b.onnx"), tmp_path / "c.onnx", way)
    certificate = certify(path, other)
    assert not certificate.ok
    assert f"Inside, {way} of choice: " in certificate.statement


@pytest.mark.parametrize("c", [True, False])
def test_a_branch_whose_condition_is_known_takes_the_place_of_its_node(c: bool, tmp_path: Path) -> None:
    path = branches(tmp_path / "a.onnx", held(c=np.array(c)), [])
    result = collapse_onnx(path)
    assert [node.op_type for node in result.model.graph.node] == ["Conv", "Relu"]
    new = result.save(tmp_path / "b.onnx")
    same(path, new, {"x": whole(3, 2, 6, 6, seed=5)})
    assert certify(path, new).ok


def test_the_body_of_a_loop_is_collapsed(tmp_path: Path) -> None:
    """So often as an input says, x becomes two convolutions of it."""
    nodes = [
        helper.make_node("Conv", ["z", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("Identity", ["go"], ["on"]),
    ]
    inputs = [value("i", INT, []), value("go", BOOL, []), value("z", FLOAT, IMAGE)]
    body = helper.make_graph(nodes, "body", inputs, [value("on", BOOL, []), value("b", FLOAT, IMAGE)])
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], name="turns", body=body)
    numbers = held(w=whole(40, 2, 3, 3), v=whole(2, 40, 1, 1, seed=1))
    path = saved(tmp_path / "a.onnx", [loop], [value("x", FLOAT, IMAGE), value("n", INT, [])], numbers)
    result = collapse_onnx(path)
    assert result.inner["body of turns"].nodes == (3, 2)
    new = result.save(tmp_path / "b.onnx")
    onnx.checker.check_model(str(new), full_check=True)
    for n in (0, 1, 2):
        same(path, new, {"x": whole(1, 2, 6, 6, seed=n), "n": np.array(n)})
    assert certify(path, new).ok
    assert not certify(path, mutant(new, tmp_path / "c.onnx", "body")).ok


def test_the_body_of_a_scan_is_collapsed(tmp_path: Path) -> None:
    """What was is one convolution more of itself and the next image: the sums are what comes out, one by one."""
    nodes = [
        helper.make_node("Conv", ["z", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("Add", ["b", "x_i"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Identity", ["d"], ["e"]),
    ]
    image = [1, 2, 6, 6]
    inputs, outputs = ([value(name, FLOAT, image) for name in names] for names in (("z", "x_i"), ("d", "e")))
    body = helper.make_graph(nodes, "body", inputs, outputs)
    scan = helper.make_node("Scan", ["s", "x"], ["last", "y"], name="turns", body=body, num_scan_inputs=1)
    numbers = held(w=whole(40, 2, 3, 3), v=whole(2, 40, 1, 1, seed=1))
    given, shown = ([value("s", FLOAT, image), value("x", FLOAT, ["T", *image])], [value("y", FLOAT, ["T", *image])])
    graph = helper.make_graph([scan], "outer", given, shown, numbers)
    path = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    result = collapse_onnx(path)
    assert result.inner["body of turns"].nodes[1] < result.inner["body of turns"].nodes[0]
    new = result.save(tmp_path / "b.onnx")
    onnx.checker.check_model(str(new), full_check=True)
    for turns in (1, 3):
        same(path, new, {"s": whole(1, 2, 6, 6, seed=turns), "x": whole(turns, *image, seed=2)})
    assert certify(path, new).verdict == "equal"
    assert not certify(path, mutant(new, tmp_path / "c.onnx", "body")).ok


def test_branches_inside_a_branch_that_is_taken_are_compared(tmp_path: Path) -> None:
    """The outer condition is known, the inner one is not: collapsed, the inner node stands alone."""
    inner = onnx.load(branches(tmp_path / "inner.onnx", [], [value("c", BOOL, [])]))
    taken = helper.make_graph(inner.graph.node, "taken", [], [value("y", FLOAT, IMAGE)])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["n"])], "other", [], [value("n", FLOAT, IMAGE)])
    node = helper.make_node("If", ["sure"], ["y"], name="outer", then_branch=taken, else_branch=other)
    numbers = held(w=whole(40, 2, 3, 3), sure=np.array(True))  # inside and outside is a value called y
    path = saved(tmp_path / "a.onnx", [node], [value("x", FLOAT, IMAGE), value("c", BOOL, [])], numbers)
    new = collapse_onnx(path).save(tmp_path / "b.onnx")
    assert [node.op_type for node in onnx.load(new).graph.node] == ["If", "Relu"]
    for c in (True, False):
        same(path, new, {"x": whole(3, 2, 6, 6, seed=5), "c": np.array(c)})
    assert certify(path, new).verdict == "equal"
    assert not certify(path, mutant(new, tmp_path / "c.onnx", "else_branch")).ok


def test_a_body_that_reads_what_has_no_dtype_stays(tmp_path: Path) -> None:
    """What a node that nobody knows gives may be anything."""
    mystery = helper.make_node("Mystery", ["x"], ["m"], domain="somewhere.else")
    way = two_layers("m", "yes_y", "yes", held(yes_v=whole(2, 40, 1, 1)))
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["no_y"])], "no", [], [value("no_y", FLOAT, None)])
    nodes = [mystery, helper.make_node("If", ["c"], ["y"], then_branch=way, else_branch=other)]
    inputs = [value("x", FLOAT, IMAGE), value("c", BOOL, [])]
    graph = helper.make_graph(nodes, "outer", inputs, [value("y")], held(w=whole(40, 2, 3, 3)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("somewhere.else", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "a.onnx")
    result = collapse_onnx(tmp_path / "a.onnx")
    assert result.inner == {}
    assert list(result.model.graph.node) == nodes


def test_a_function_of_the_same_name_is_another_network_where_it_computes_something_else(tmp_path: Path) -> None:
    paths = []
    for name, op in (("a", "Exp"), ("b", "Exp"), ("c", "Sin")):
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        own = helper.make_function("own", "Bent", ["a"], ["b"], [helper.make_node(op, ["a"], ["b"])], opsets[:1])
        nodes = [helper.make_node("Bent", ["x"], ["h"], domain="own"), helper.make_node("Relu", ["h"], ["y"])]
        graph = helper.make_graph(nodes, "outer", [value("x", FLOAT, IMAGE)], [value("y", FLOAT, IMAGE)])
        paths.append(tmp_path / f"{name}.onnx")
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[own]), paths[-1])
    assert certify(paths[0], paths[1]).ok
    assert not certify(paths[0], paths[2]).ok


def looked_up(path: Path, words: list[str]) -> Path:
    """The first entries of x that are larger than zero, and a word beside them: nobody knows how many there are."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Gather", ["words", "places"], ["w"]),
        helper.make_node("Cast", ["places"], ["y"], to=FLOAT),
    ]
    table = helper.make_tensor("words", onnx.TensorProto.STRING, [len(words)], [word.encode() for word in words])
    outputs = [value("y", FLOAT), value("w", onnx.TensorProto.STRING)]
    graph = helper.make_graph(nodes, "outer", [value("x", FLOAT, ["N"])], outputs, [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_nodes_whose_shapes_nobody_knows_are_compared(tmp_path: Path) -> None:
    one, same_, other = (
        looked_up(tmp_path / f"{place}.onnx", words) for place, words in enumerate((["a", "b"], ["a", "b"], ["a", "c"]))
    )
    assert certify(one, same_).ok
    assert not certify(one, other).ok


def places_of(path: Path, nodes: list[Any]) -> Path:
    """What nodes make of the places of entries that are not zero: nobody knows how many there are."""
    first = helper.make_node("NonZero", ["x"], ["p"])
    graph = helper.make_graph([first, *nodes], "outer", [value("x", FLOAT, ["N"])], [value("y", INT), value("z", INT)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_the_order_of_nodes_whose_shapes_nobody_knows_is_no_difference(tmp_path: Path) -> None:
    """Nor are nodes that give what they are given; who is given what, is."""
    one = [helper.make_node("Neg", ["p"], ["y"]), helper.make_node("Abs", ["p"], ["z"])]
    same_ = [
        helper.make_node("Identity", ["p"], ["q"]),
        helper.make_node("Cast", ["q"], ["r"], to=INT),
        helper.make_node("Abs", ["r"], ["z"]),
        helper.make_node("Neg", ["q"], ["y"]),
    ]
    other = [helper.make_node("Neg", ["p"], ["z"]), helper.make_node("Abs", ["p"], ["y"])]
    shortened = [helper.make_node("Cast", ["p"], ["q"], to=onnx.TensorProto.INT8)]
    shortened += [helper.make_node("Cast", ["q"], ["r"], to=INT), helper.make_node("Abs", ["r"], ["z"]), one[0]]
    paths = [places_of(tmp_path / f"{place}.onnx", nodes) for place, nodes in enumerate((one, same_, other, shortened))]
    assert certify(paths[0], paths[1]).ok
    assert not certify(paths[0], paths[2]).ok
    assert not certify(paths[0], paths[3]).ok


def test_numbers_drawn_once_and_twice_are_not_the_same(tmp_path: Path) -> None:
    """x - x is nothing; the difference of two draws is something, however alike their nodes are."""
    draws = [helper.make_node("Bernoulli", ["p"], [name], dtype=INT) for name in ("a", "b")]
    shown = helper.make_node("Identity", ["p"], ["z"])
    twice = [*draws, helper.make_node("Sub", ["a", "b"], ["y"]), shown]
    once = [*draws, helper.make_node("Sub", ["a", "a"], ["y"]), shown]
    one, same_, other = (places_of(tmp_path / f"{k}.onnx", nodes) for k, nodes in enumerate((twice, twice, once)))
    assert certify(one, same_).ok
    assert not certify(one, other).ok


def test_an_input_that_need_not_be_given_is_compared(tmp_path: Path) -> None:
    paths = []
    for place, number in enumerate((1.0, 1.0, 2.0)):
        inputs = [value("x", FLOAT, IMAGE), value("s", FLOAT, [])]
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "s"], ["y"])], "outer", inputs, [value("y", FLOAT, IMAGE)],
            held(s=np.array(number, np.float32)),
        )  # fmt: skip
        paths.append(tmp_path / f"{place}.onnx")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), paths[-1])
    assert certify(paths[0], paths[1]).ok
    assert "need not be given" in certify(paths[0], paths[2]).statement


@pytest.mark.parametrize("kind", ["sequence_map_identity_1_sequence", "linear_attention_linear"])
def test_what_a_body_reads_is_written_as_it_was(kind: str, tmp_path: Path) -> None:
    """An empty sequence; constants by which ONNX Runtime knows shapes inside: two of ONNX's own node tests."""
    family = "_".join(kind.split("_")[:2])
    pytest.importorskip(f"onnx.backend.test.case.node.{family}", reason="an onnx without this operator")
    case = next(case for case in backend._NodeTestCases if case.name == f"test_{kind}_expanded")
    path, new = tmp_path / "model.onnx", tmp_path / "new.onnx"
    onnx.save(case.model, path)
    collapse_onnx(path, certify=None).save(new)
    onnx.checker.check_model(str(new))
    given = [to_array(x) if isinstance(x, onnx.TensorProto) else x for x in case.data_sets[0][0]]
    feeds = dict(zip((value.name for value in case.model.graph.input), given, strict=True))
    expected, found = (pytree.tree_leaves(session(str(file), level="none").run(None, feeds)) for file in (path, new))
    assert all(map(np.array_equal, expected, found))
    assert len(expected) == len(found) > 0


@pytest.mark.parametrize("level", ["bounded", "sampled", "auto"])
def test_a_branch_that_reads_nothing_is_compared_by_its_numbers(level: str, tmp_path: Path) -> None:
    """A branch may hold a constant alone: it has no inputs of its own."""

    def written(number: float, path: Path) -> Path:
        constant = onnx.numpy_helper.from_array(np.array([[number, 2]], np.float32))
        ways = [
            helper.make_graph([helper.make_node("Constant", [], ["t"], value=constant)], "then", [], [float_of("t")]),
            helper.make_graph([helper.make_node("Relu", ["x"], ["e"])], "else", [], [float_of("e")]),
        ]
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["c"], to=onnx.TensorProto.BOOL),
            helper.make_node("If", ["c"], ["y"], name="choice", then_branch=ways[0], else_branch=ways[1]),
        ]
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2])
        graph = helper.make_graph(nodes, "network", [x], [float_of("y")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return path

    def float_of(name: str) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2])

    one, again, other = (written(n, tmp_path / f"{place}.onnx") for place, n in enumerate((1.0, 1.0, 1.5)))
    assert certify(one, again, level=level).ok
    assert not certify(one, other, level=level).ok
