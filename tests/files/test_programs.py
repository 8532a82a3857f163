"""Programs as files: what is saved comes back, and no file gets to run anything."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export.pt2_archive import constants

from algebraic_cnn.errors import DataError, UnknownNameError
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.refusal import quiet as torch_is_quiet
from algebraic_cnn.ir.trace import export

from .forging import CONSTANTS, GRAPH, SAMPLES, WEIGHTS, Bomb, graph_changed, pickled, records, rewritten, stored

archives_of_today = pytest.mark.skipif(
    not hasattr(constants, "WEIGHTS_CONFIG_FILENAME_FORMAT"),
    reason="this torch keeps all weights in one entry and no guards, so there is no such place to forge",
)


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    return export(model.eval(), torch.zeros(1, 1, 4, 4))


@pytest.fixture(params=["torch's", "ours"])
def path(program: torch.export.ExportedProgram, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The same program as torch writes it and as we do: a forger can change both, and make our sum anew."""
    if request.param == "ours":
        return save_program(program, tmp_path / "model.pt2")
    torch.export.save(program, tmp_path / "model.pt2")
    return tmp_path / "model.pt2"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there if something ran."""
    return tmp_path / "mark"


def refused(path: Path, mark: Path, words: str = ".") -> str:
    """Refused in our words, at once, and nothing ran; the message."""
    started = time.monotonic()
    with pytest.raises(DataError, match=words) as caught:
        load_program(path).module()
    assert time.monotonic() - started < 5
    assert not mark.exists()
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_program_comes_back_with_its_free_batch_and_its_example(
    program: torch.export.ExportedProgram, path: Path
) -> None:
    again, x = load_program(path), torch.arange(80.0).reshape(5, 1, 4, 4)
    assert torch.equal(again.module()(x), program.module()(x))
    assert again.example_inputs[0][0].shape[1:] == (1, 4, 4)
    assert [file.name for file in path.parent.iterdir()] == ["model.pt2"]


def test_torch_reads_what_we_write(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    again = torch.export.load(save_program(program, tmp_path / "model.pt2"))
    assert str(again.graph) == str(program.graph)


def test_weights_as_older_torch_wrote_them_are_read(program: torch.export.ExportedProgram, path: Path) -> None:
    def older(content: dict[str, bytes]) -> None:
        for name in [name for name in content if name.startswith(("data/weights", "data/constants"))]:
            del content[name]
        for name, tensors in {"weights": dict(program.state_dict), "constants": {}}.items():
            buffer = io.BytesIO()
            torch.save(tensors, buffer)
            content[f"data/{name}/model.pt"] = buffer.getvalue()

    rewritten(path, older)
    again, x = load_program(path), torch.arange(80.0).reshape(5, 1, 4, 4)
    assert torch.equal(again.module()(x), program.module()(x))


def written(path: str) -> bytes:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).eval()
    return save_program(export(model, torch.zeros(1, 1, 4, 4)), path).read_bytes()


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    other = tmp_path / "another name.pt2"
    code = f"from tests.files.test_programs import written; written({str(other)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert other.read_bytes() == written(str(tmp_path / "a.pt2"))


class Net(nn.Module):
    """A function as a module, with numbers to use."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.arange(4.0))
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, *given: Any) -> Any:
        return self.function(self, *given)


def writes(net: Any, x: torch.Tensor) -> torch.Tensor:
    net.seen.add_(x.sum(0))
    return x + net.seen


def cast(net: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ x.T


def windows(net: Any, x: torch.Tensor) -> Any:
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).flatten(3), (h + 1) // 2 * w


def chosen(net: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))


def sized(net: Any, x: torch.Tensor) -> torch.Tensor:
    return F.adaptive_avg_pool2d(x, (x.shape[2] // 2, 3)).flatten(1) + x.shape[2] ** 2 + max(x.shape[3], 3)


def counted(net: Any, x: torch.Tensor) -> torch.Tensor:
    count = x.sum().to(torch.int64).item()
    torch._check(count >= 0)
    torch._check(count < 400)
    return x + count


ROW, IMAGE = torch.arange(8.0).reshape(2, 4), torch.arange(512.0).reshape(2, 4, 8, 8)
PROGRAMS: dict[str, tuple[Callable, tuple[Any, ...]]] = {
    "einsum": (lambda net, x: torch.einsum("bi,ij->bj", x, torch.eye(4)), (ROW,)),
    "masks of infinity": (lambda net, x: x.masked_fill(x > 2, float("-inf")), (ROW,)),
    "a number that is none": (lambda net, x: torch.full_like(x, float("nan")), (ROW,)),
    "complex numbers": (lambda net, x: x * (1 + 2j), (ROW,)),
    "a choice": (chosen, (ROW,)),
    "a cast": (cast, (ROW,)),
    "a buffer that is written": (writes, (ROW,)),
    "a size from numbers": (counted, (ROW,)),
    "windows": (windows, (IMAGE,)),
    "sizes in numbers": (sized, (IMAGE,)),
    "a resizing": (lambda net, x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), (IMAGE,)),
    "a dictionary": (lambda net, given: {"a": given["x"] * 2, "b": [given["y"], net.weight]}, ({"x": ROW, "y": ROW},)),
    "parts": (lambda net, x: x.split([1, 3], 1), (ROW,)),
    "rounding": (lambda net, x: torch.div(x, 2, rounding_mode="floor"), (ROW,)),
    "other types": (lambda net, x: x.to(torch.int8) + torch.zeros(4, dtype=torch.float64), (ROW,)),
    "weights that share": (lambda net, x: x * net.weight[1:2] + net.seen.view(2, 2).T.reshape(-1), (ROW,)),
}


@archives_of_today
@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ordinary_programs_are_read_as_torch_reads_them(tmp_path: Path, name: str, free: bool) -> None:
    function, example = PROGRAMS[name]
    axes = {0: torch.export.Dim.AUTO} | ({2: torch.export.Dim.AUTO} if example[0] is IMAGE else {})
    shapes = tuple(dict.fromkeys(given, axes) if isinstance(given, dict) else axes for given in example)
    program = torch.export.export(Net(function).eval(), example, dynamic_shapes={"given": shapes} if free else None)
    path = save_program(program, tmp_path / "model.pt2")
    again, expected = load_program(path), torch.export.load(path)
    assert str(again.graph) == str(expected.graph)
    assert again.graph_signature == expected.graph_signature
    assert again.range_constraints == expected.range_constraints
    assert again._guards_code == expected._guards_code
    assert again.call_spec == expected.call_spec
    assert again.state_dict.keys() == expected.state_dict.keys()
    got, wanted = again.module()(*example), expected.module()(*example)
    torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)


def sample_inputs(content: dict[str, bytes], mark: Path) -> None:
    content[SAMPLES] = pickled(Bomb(mark))


def bare_pickle(content: dict[str, bytes], mark: Path) -> None:
    content[SAMPLES] = pickle.dumps((Bomb(mark),))


def pickled_weight(content: dict[str, bytes], mark: Path) -> None:
    config = json.loads(content[WEIGHTS])
    next(iter(config["config"].values()))["use_pickle"] = True
    content[WEIGHTS], content["data/weights/weight_0"] = json.dumps(config).encode(), pickled(Bomb(mark))


def old_weights(content: dict[str, bytes], mark: Path) -> None:
    content["data/weights/model.pt"] = pickled(Bomb(mark))


def old_constants(content: dict[str, bytes], mark: Path) -> None:
    content["data/constants/model.pt"] = pickled(Bomb(mark))


def custom_object(content: dict[str, bytes], mark: Path) -> None:
    payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    content[CONSTANTS] = json.dumps({"config": {"c": payload}}).encode()
    content["data/constants/opaque_obj_0"] = pickle.dumps(Bomb(mark))


def library(content: dict[str, bytes], mark: Path) -> None:
    content["data/aotinductor/model/x.so"] = b""


def second_model(content: dict[str, bytes], mark: Path) -> None:
    content["models/other.json"] = content[GRAPH]


@archives_of_today
@pytest.mark.parametrize(
    "attack",
    [sample_inputs, bare_pickle, pickled_weight, old_weights, old_constants, custom_object, library, second_model],
)
def test_a_file_with_more_than_arrays_and_json_is_refused(path: Path, mark: Path, attack: Callable) -> None:
    before = path.read_bytes()
    rewritten(path, lambda content: attack(content, mark))
    assert path.read_bytes() != before
    refused(path, mark, "refused, for reading it could run code|not an archive of example inputs")


def test_the_bomb_goes_off_when_it_is_unpickled(mark: Path) -> None:
    torch.load(io.BytesIO(pickled(Bomb(mark))), weights_only=False)
    assert mark.exists()


@archives_of_today
@pytest.mark.parametrize("kind", ["a sample", "a size", "a guard", "a name"])
def test_torch_itself_would_run_what_we_refuse(path: Path, mark: Path, kind: str) -> None:
    code = CODE.replace("{}", str(mark))
    changes: dict[str, Callable] = {
        "a size": lambda graph: [place.update(expr_str=f"{code} or Integer(2)") for place in expressions(graph)],
        "a guard": lambda graph: graph.update(guards_code=[f"{code} or True"]),
        "a name": lambda graph: placeholder(graph, code),
    }
    if kind == "a sample":
        rewritten(path, lambda content: bare_pickle(content, mark))
    else:
        graph_changed(path, changes[kind])
    with contextlib.suppress(Exception), torch_is_quiet():
        torch.export.load(path).module()(torch.zeros(2, 1, 4, 4))
    assert mark.exists()
    mark.unlink()
    refused(path, mark)


def expressions(graph: Any) -> list[dict[str, Any]]:
    """The places in a program's JSON that hold an expression of a size."""
    if isinstance(graph, list):
        return [found for part in graph for found in expressions(part)]
    if not isinstance(graph, dict):
        return []
    return [graph] if "expr_str" in graph else [found for part in graph.values() for found in expressions(part)]


CODE = "__import__('pathlib').Path('{}').touch()"
SIZES = {
    "code": CODE,
    "code in a text": 'S(\'__import__("pathlib").Path("{}").touch()\')',
    "code in a name": "Symbol('{}', integer=True)",
    "code beside": "Symbol('s0', integer=True) if " + CODE + " else 1",
    "a power": "Pow(Integer(9), Pow(Integer(9), Pow(Integer(9), Integer(9))))",
    "a power of Python": "9**9**9**9",
    "a power that grows": "Pow(Pow(Pow(Integer(9), Integer(8)), Integer(8)), Integer(8))",
    "a shift": "LShift(Integer(1), Integer(99999999999))",
    "a power by name": "PowByNatural(Symbol('s0', integer=True), Integer(999999999))",
    "many signs": "-" * 100_000 + "1",
    "many brackets": "(" * 100_000,
    "deep": "Add(" * 500 + "Integer(1)" + ")" * 500,
    "long": "Add(" + ", ".join(["Integer(1)"] * 2_000) + ")",
    "maxima": "Max(" + ", ".join(f"Symbol('s{i}', positive=True)" for i in range(80)) + ")",
    "products of sums": "Mul(" + ", ".join(["Add(Symbol('s0'), Symbol('s1'), Symbol('s2'))"] * 9) + ")",
    "a large number": "Integer(" + "9" * 30 + ")",
    "an unknown function": "factorial(Integer(99999999))",
    "a sum over all": "Sum(Symbol('k'), (Symbol('k'), Integer(1), Integer(99999999)))",
    "a float without end": "Float('1e999999999', precision=999999999)",
    "nothing": "",
    "a lone name": "exit",
    "a method": "Symbol('s0').func('x')",
    "another kind of text": 'Symbol("s0")',
    "a fraction of nothing": "Rational(1, 0)",
}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_is_an_expression_of_sizes(path: Path, mark: Path, name: str) -> None:
    text = SIZES[name].replace("{}", str(mark))
    graph_changed(path, lambda graph: [place.update(expr_str=text) for place in expressions(graph)])
    assert text[:20] in refused(path, mark, "an expression to evaluate").replace("\\'", "'").replace('\\"', '"')


GUARDS = {
    "code": CODE,
    "code beside": "L['input'].size()[0] == 2 or " + CODE,
    "code after": "True, 'x'); " + CODE + "; (1",
    "a power": "9**9**9 == L['input'].size()[0]",
    "a call": "L['input'].size()[0] == exit()",
    "a call of torch's": "torch.sym_load('{}') == 1",
    "an attribute": "L['input'].__class__ == 1",
    "a quote": "L['in\"put'].size()[0] == 1",
    "a lambda": "(lambda: 1)() == 1",
    "deep": "(" * 200 + "1" + ")" * 200,
    "two lines": "1 == 1\n" + CODE,
}


@archives_of_today
@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_is_a_condition_on_sizes(path: Path, mark: Path, name: str) -> None:
    text = GUARDS[name].replace("{}", str(mark))
    graph_changed(path, lambda graph: graph.update(guards_code=[text]))
    refused(path, mark, "an expression to evaluate")


def renamed(graph: Any, old: str, new: str) -> Any:
    """The JSON with another name of a value, wherever it is made or used."""
    if isinstance(graph, list):
        return [renamed(part, old, new) for part in graph]
    if not isinstance(graph, dict):
        return graph
    if graph == {"name": old}:
        return {"name": new}
    return {new if key == old else key: renamed(part, old, new) for key, part in graph.items()}


def inject(*keys: Any) -> Callable:
    """Put the code in at a place of the graph's JSON."""

    def change(graph: Any, code: str) -> None:
        for key in keys[:-1]:
            graph = graph[key]
        graph[keys[-1]] = code

    return change


def tree_of(context: str, kind: str = "builtins.dict", child: str = "") -> str:
    leaf = '{"type": null, "context": null, "children_spec": []}'
    return f'[1, {{"type": "{kind}", "context": {json.dumps(context)}, "children_spec": [{child or leaf}]}}]'


def parameter(graph: Any, code: str) -> None:
    graph["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = f'w") or {code} or ("'


def placeholder(graph: Any, code: str) -> None:
    changed = renamed(graph, "input", f"x={code}")
    graph.clear()
    graph.update(changed)


def result(graph: Any, code: str) -> None:
    changed = renamed(graph, graph["graph_module"]["graph"]["nodes"][0]["name"], f"{code}; y")
    graph.clear()
    graph.update(changed)


def text_input(graph: Any, code: str) -> None:
    spec = {"constant_input": {"name": "t", "value": {"as_string": f"' or {code} or '"}}}
    graph["graph_module"]["signature"]["input_specs"].append(spec)
    graph["graph_module"]["graph"]["inputs"].append({"as_string": f"' or {code} or '"})


NODE = ("graph_module", "graph", "nodes", 0)
CALLED = ("graph_module", "module_call_graph", 0, "signature")
TEXTS: dict[str, Callable] = {
    "an input's name": placeholder,
    "a value's name": result,
    "a node's name": inject(*NODE, "name"),
    "a weight's name": parameter,
    "a text as an input": text_input,
    "an argument's name": inject(*CALLED, "forward_arg_names", 0),
    "a called function": lambda graph, code: inject(*NODE, "target")(graph, "torch.os.system"),
    "a loader": lambda graph, code: inject(*NODE, "target")(graph, "torch.ops.load_library"),
    "an operator's inside": lambda graph, code: inject(*NODE, "target")(graph, "torch.ops.aten.__class__.mro"),
    "an operator that writes": lambda graph, code: inject(*NODE, "target")(graph, "torch.ops.aten.from_file.default"),
    "a class": lambda graph, code: inject(*NODE, "target")(graph, "torch.nn.Linear"),
    "an extension": lambda graph, code: inject(*NODE, "target")(graph, "#os:system"),
    "a compiled call": lambda graph, code: inject(*NODE, "target")(graph, "torch.ops.higher_order.aoti_call_delegate"),
    "a builtin": lambda graph, code: inject(*NODE, "target")(graph, "_operator.methodcaller"),
    "a module that is imported": lambda graph, code: inject(*CALLED, "in_spec")(
        graph, tree_of('{"__enum__": true, "fqn": "antigravity:x", "name": "y"}', "builtins.tuple")
    ),
    "an enumeration as a key": lambda graph, code: inject(*CALLED, "in_spec")(
        graph, tree_of('[{"__enum__": true, "fqn": "antigravity:x", "name": "y"}]')
    ),
    "a factory": lambda graph, code: inject(*CALLED, "in_spec")(
        graph, tree_of('{"default_factory_module": "os", "default_factory_name": "abort"}', "collections.defaultdict")
    ),
    "a key with code": lambda graph, code: inject(*CALLED, "in_spec")(graph, tree_of(json.dumps([f"x'] or {code}"]))),
    "a lone half of a letter": inject("torch_version"),
    "a verifier": lambda graph, code: inject("verifiers")(graph, ["../x"]),
    "a symbol's range": lambda graph, code: graph["range_constraints"].update({code: {"min_val": 0, "max_val": None}}),
    "a symbol to count to": lambda graph, code: graph["range_constraints"].update(
        u99999999999={"min_val": 0, "max_val": None}
    ),
    "an integer without end": lambda graph, code: graph["opset_version"].update(aten=10**30),
    "another type": inject("graph_module", "graph", "nodes"),
    "a missing field": lambda graph, code: graph["graph_module"].pop("signature"),
    "a custom object": lambda graph, code: inject("graph_module", "graph", "custom_obj_values")(
        graph, {"a": {"name": "a", "class_fqn": "b"}}
    ),
}


@archives_of_today
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_what_it_may_be(path: Path, mark: Path, name: str) -> None:
    code = CODE.replace("{}", str(mark)) if "half" not in name else "\ud800"
    graph_changed(path, lambda graph: TEXTS[name](graph, code))
    refused(path, mark, "refused, for reading it could run code")


@pytest.mark.parametrize(("op", "name"), [("contiguous", "memory_format"), ("full_like", "dtype"), ("sum", "dtype")])
def test_a_dtype_or_a_layout_is_no_number(tmp_path: Path, mark: Path, op: str, name: str) -> None:
    """torch ends the whole process on -1 in such a place, once the program is looked at."""

    class Model(nn.Module):
        def forward(self, x):
            return torch.full_like(x, 2.0) + x.t().contiguous().t() + x.sum(dtype=torch.float32)

    def forged(graph: dict[str, Any]) -> None:
        found = next(node for node in graph["graph_module"]["graph"]["nodes"] if f".{op}." in node["target"])
        found["inputs"] = [given for given in found["inputs"] if given["name"] != name]
        found["inputs"].append({"name": name, "arg": {"as_int": -1}, "kind": 2})

    path = save_program(export(Model().eval(), torch.zeros(2, 3)), tmp_path / "model.pt2")
    graph_changed(path, forged)
    refused(path, mark, f"a number for a {name}")


def test_a_program_whose_first_module_is_not_the_whole_is_refused(path: Path, mark: Path) -> None:
    graph_changed(path, lambda graph: inject("graph_module", "module_call_graph", 0, "fqn")(graph, "x"))
    refused(path, mark, "not a program")


def test_a_call_of_a_library_says_that_it_is_to_be_imported(path: Path, mark: Path) -> None:
    graph_changed(path, lambda graph: inject(*NODE, "target")(graph, "torch.ops.mylib.neg.default"))
    assert "torch.ops.mylib.neg.default" in refused(path, mark, "its library to be imported first")


WEIGHT_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a size beyond the bytes": lambda meta: meta.update(sizes=[{"as_int": 10**6}], strides=[{"as_int": 1}]),
    "a stride beyond the bytes": lambda meta: meta["strides"].__setitem__(0, {"as_int": 10**12}),
    "an offset beyond the bytes": lambda meta: meta.update(storage_offset={"as_int": 10**12}),
    "a negative size": lambda meta: meta["sizes"].__setitem__(0, {"as_int": -2}),
    "a negative stride": lambda meta: meta["strides"].__setitem__(0, {"as_int": -1}),
    "a negative offset": lambda meta: meta.update(storage_offset={"as_int": -1}),
    "one number spread over a terabyte": lambda meta: meta.update(sizes=[{"as_int": 10**12}], strides=[{"as_int": 0}]),
    "a size with a name": lambda meta: meta["sizes"].__setitem__(
        0, {"as_expr": {"expr_str": "Symbol('s0')", "hint": None}}
    ),
    "another layout": lambda meta: meta.update(layout=1),
    "a device without numbers": lambda meta: meta.update(device={"type": "meta", "index": None}),
    "no type": lambda meta: meta.update(dtype=0),
    "an unknown type": lambda meta: meta.update(dtype=99),
    "wider numbers": lambda meta: meta.update(dtype=11),
    "more axes than there are": lambda meta: meta.update(sizes=[{"as_int": 1}] * 99, strides=[{"as_int": 1}] * 99),
    "fewer strides than sizes": lambda meta: meta.update(strides=[]),
}


@archives_of_today
@pytest.mark.parametrize("name", WEIGHT_CHANGES)
def test_a_weight_lies_within_its_bytes(path: Path, mark: Path, name: str) -> None:
    def change(table: dict[str, Any]) -> None:
        WEIGHT_CHANGES[name](table["config"]["0.weight"]["tensor_meta"])

    graph_changed(path, change, WEIGHTS)
    refused(path, mark)


@archives_of_today
@pytest.mark.parametrize("place", ["../../secret", "weight_99", "weight_0/../weight_0", "model_weights_config.json"])
def test_a_weight_is_a_weight_of_the_archive(path: Path, mark: Path, place: str) -> None:
    graph_changed(path, lambda table: table["config"]["0.weight"].update(path_name=place), WEIGHTS)
    refused(path, mark)


@archives_of_today
def test_a_weight_without_bytes_takes_no_memory(path: Path, mark: Path) -> None:
    rewritten(path, lambda content: content.update({"data/weights/weight_0": b""}))
    refused(path, mark, "reaches beyond its 0 bytes")


ALIKE = {
    "the same": lambda name: name,
    "other case": lambda name: name.replace("model.pt", "MODEL.PT"),
    "composed otherwise": lambda name: unicodedata.normalize("NFD", name.replace("model.pt", "mod\u00e9l.pt")),
    "a wide letter": lambda name: name.replace("model.pt", "mo\uff44el.pt"),
    "a dot more": lambda name: name + ".",
    "a blank more": lambda name: name + " ",
    "a way around": lambda name: name.replace("/data/", "/data/../data/"),
    "a way that stays": lambda name: name.replace("/data/", "/./data/"),
    "two strokes": lambda name: name.replace("/data/", "//data/"),
    "other strokes": lambda name: name.replace("/", "\\"),
    "an absolute way": lambda name: "/" + name,
    "a drive": lambda name: "C:/" + name,
    "a folder up": lambda name: "../" + name,
    "a folder": lambda name: name + "/",
    "another root": lambda name: "other/" + name.partition("/")[2],
    "a line more": lambda name: name + "\n",
}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("first", [True, False])
def test_an_entry_has_one_name(path: Path, mark: Path, name: str, first: bool) -> None:
    root, content = records(path)
    entries: list[tuple[Any, bytes]] = [(f"{root}/{each}", data) for each, data in content.items()]
    if "composed" in name:
        entries.append((f"{root}/{SAMPLES}".replace("model.pt", "mod\u00e9l.pt"), b""))
    evil = (ALIKE[name](f"{root}/{SAMPLES}"), pickled(Bomb(mark)))
    with pytest.warns(UserWarning, match="Duplicate name") if name == "the same" else contextlib.nullcontext():
        stored(path, [evil, *entries] if first else [*entries, evil])
    refused(path, mark)


def test_the_name_at_the_entry_is_the_name_in_the_list(path: Path, mark: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"model.pt")
    path.write_bytes(content[:at] + b"nodel.pt" + content[at + 8 :])
    refused(path, mark, "damaged")


def listed(path: Path) -> tuple[bytearray, int]:
    """The bytes of an archive, and where its list begins."""
    with zipfile.ZipFile(path) as archive:
        return bytearray(path.read_bytes()), archive.start_dir


def test_a_link_and_an_encrypted_entry_are_refused(path: Path, mark: Path) -> None:
    root, content = records(path)
    link = zipfile.ZipInfo(f"{root}/extra/link")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    stored(path, [*((f"{root}/{name}", data) for name, data in content.items()), (link, b"/etc/passwd")])
    refused(path, mark, "a link")
    stored(path, [(f"{root}/{name}", data) for name, data in content.items()])
    raw, entry = listed(path)
    raw[entry + 8] |= 1
    path.write_bytes(raw)
    refused(path, mark, "an encrypted entry")


def test_what_unpacks_to_more_is_refused_before_it_is_unpacked(path: Path, mark: Path) -> None:
    root, content = records(path)
    entries: list[tuple[Any, bytes]] = [(f"{root}/{name}", data) for name, data in content.items()]
    stored(path, [*entries, (f"{root}/extra/big", bytes(2**27))], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refused(path, mark, "packed in an unusual way")


def test_an_entry_that_says_another_size_is_refused(path: Path, mark: Path) -> None:
    raw, entry = listed(path)
    for size in (2**31, 2**32 - 1, 1, 0):
        raw[entry + 24 : entry + 28] = size.to_bytes(4, "little")
        path.write_bytes(raw)
        refused(path, mark)


def deep(content: dict[str, bytes]) -> None:
    content[GRAPH] = b"[" * 10**6 + b"]" * 10**6


def deep_objects(content: dict[str, bytes]) -> None:
    content[GRAPH] = b'{"a":' * 300 + b"1" + b"}" * 300


def twice(content: dict[str, bytes]) -> None:
    content[GRAPH] = content[GRAPH][:-1] + b', "guards_code": ["exit()"]}'


def no_number(content: dict[str, bytes]) -> None:
    content[GRAPH] = content[GRAPH][:-1] + b', "x": NaN}'


def beyond_floats(content: dict[str, bytes]) -> None:
    content[GRAPH] = content[GRAPH][:-1] + b', "x": 1e999}'


def long_integer(content: dict[str, bytes]) -> None:
    content[GRAPH] = content[GRAPH][:-1] + b', "x": ' + b"9" * 10**6 + b"}"


def no_text(content: dict[str, bytes]) -> None:
    content[GRAPH] = content[GRAPH].replace(b"torch", b"\xfforch", 1)


@archives_of_today
@pytest.mark.parametrize("change", [deep, deep_objects, twice, no_number, beyond_floats, long_integer, no_text])
def test_json_says_one_thing_within_bounds(path: Path, mark: Path, change: Callable) -> None:
    rewritten(path, change)
    refused(path, mark)


def flip_a_weight(path: Path) -> None:
    _, content = records(path)
    raw, weight = path.read_bytes(), content["data/weights/weight_0"]
    at = raw.index(weight)
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def only_json(content: dict[str, bytes]) -> None:
    content.update({name: b"{" for name in content if name.endswith(".json")})


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a program"),
    "text": (lambda path: path.write_text("hello, hello"), "not a program"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-500]), "not a program|damaged"),
    "one bit": (flip_a_weight, "damaged: .*weight_0"),
    "no graph": (lambda path: rewritten(path, lambda content: content.pop(GRAPH)), "no entry"),
    "not json": (lambda path: rewritten(path, only_json), "not JSON"),
    "other zip": (lambda path: stored(path, [("a/b", b"c")]), "format"),
    "empty zip": (lambda path: stored(path, []), "not a program"),
}


@archives_of_today
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name(path: Path, mark: Path, damage: str) -> None:
    apply, words = DAMAGES[damage]
    apply(path)
    refused(path, mark, words)


@archives_of_today
def test_a_changed_number_in_a_file_of_ours_is_noticed(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    path = save_program(program, tmp_path / "model.pt2")
    root, content = records(path)
    content["data/weights/weight_0"] = bytes(len(content["data/weights/weight_0"]))
    stored(path, [(f"{root}/{name}", data) for name, data in content.items()])
    refused(path, tmp_path / "mark", "the sum of the file is wrong")


def test_a_folder_and_another_ending_are_refused(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_program(tmp_path)
    with pytest.raises(UnknownNameError, match=r"expected model\.pt2, got model\.pth"):
        save_program(program, tmp_path / "model.pth")
