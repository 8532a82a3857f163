"""Networks of rewritings.txt as ONNX files, and changes of what a tool made of them.

A block is a name, the input x with its shape, numbers, and nodes as ONNX prints them.  A number is a shape, whose
entries are drawn as whole eighths, positive after a "+", or a literal; a word before it is its dtype.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

TEXT = (Path(__file__).parent / "rewritings.txt").read_text()
BLOCKS = {block.splitlines()[0].lstrip("# "): block.splitlines()[1:] for block in TEXT.strip().split("\n\n")}
KIND = {"bool": np.bool_, "uint8": np.uint8, "int8": np.int8, "int32": np.int32, "int64": np.int64}


def number(name: str, text: str) -> np.ndarray:
    kind, _, rest = text.rpartition(" ")
    if re.fullmatch(r"\+?\d+(x\d+)*", rest) and kind not in ("int64", "uint8"):
        shape = tuple(map(int, rest.lstrip("+").split("x")))
        rng = np.random.default_rng([zlib.crc32(name.encode()), *shape])
        if kind:
            return rng.integers(-50, 51, shape).astype(KIND[kind])
        return (rng.integers(4 if rest[0] == "+" else -16, 17, shape) / 8).astype(np.float32)
    found = np.array(json.loads(text if text.startswith("[") else rest))
    return found.astype(KIND.get(kind, np.float32 if found.dtype.kind == "f" else found.dtype))


def written(name: str, path: Path) -> Path:
    """The network of a block as a file."""
    head, *rest = BLOCKS[name]
    (shape, _, version), numbers = head.removeprefix("x: ").partition(", version "), []
    if rest[0].startswith("where "):
        pairs = (item.split(" = ") for item in rest.pop(0).removeprefix("where ").split("; "))
        numbers = [onnx.numpy_helper.from_array(number(key, text), key) for key, text in pairs]
    lines = "\n".join(rest)
    opset = f'<ir_version: 8, opset_import: ["" : {version or 17}]>'
    model = onnx.parser.parse_model(f"{opset} g (float[{shape.replace('x', ', ')}] x) => (y) {{\n{lines}\n}}")
    for place, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{place}"
    model.graph.initializer.extend(numbers)
    kind = onnx.TensorProto.INT64 if model.graph.node[-1].op_type == "ArgMax" else onnx.TensorProto.FLOAT
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", kind, None))
    onnx.save(model, path)
    return path


def inputs(path: Path, seed: int) -> dict[str, np.ndarray]:
    shape = [d.dim_value or 2 for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    return {"x": 2 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def mutants(model: Any) -> Iterator[Any]:
    """The file with one number, attribute or pair of inputs changed; not all of them are networks."""
    for place, tensor in enumerate(model.graph.initializer):
        array = onnx.numpy_helper.to_array(tensor)
        for k in range(min(array.size, 3)):
            if array.dtype.kind in "fiu":
                changed = array.copy()
                if array.dtype.kind == "f":
                    changed.flat[k] += 0.125
                else:  # the last of a dtype has none after it
                    changed.flat[k] = changed.flat[k] + 1 if changed.flat[k] < 100 else changed.flat[k] - 1
                new = copy_of(model)
                new.graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
                yield new
    for place, node in enumerate(model.graph.node):
        for number_, attribute in enumerate(node.attribute):
            for changed in changes(attribute):
                new = copy_of(model)
                new.graph.node[place].attribute[number_].CopyFrom(changed)
                yield new
        for k in range(1, len(node.input)):
            new = copy_of(model)
            new.graph.node[place].input[k - 1], new.graph.node[place].input[k] = node.input[k], node.input[k - 1]
            yield new


def copy_of(proto: Any) -> Any:
    new = type(proto)()
    new.CopyFrom(proto)
    return new


def changes(attribute: Any) -> Iterator[Any]:
    """Other numbers of an attribute: a little more, one more, two of a list the other way round."""
    if attribute.HasField("f"):
        new = copy_of(attribute)
        new.f = attribute.f * 1.02 + 0.01
        yield new
    if attribute.HasField("i"):
        for step in (1, -1):
            new = copy_of(attribute)
            new.i += step
            yield new
    for k in range(len(attribute.floats)):
        new = copy_of(attribute)
        new.floats[k] = attribute.floats[k] * 1.02 + 0.01
        yield new
    for k in range(1, len(attribute.ints)):
        new = copy_of(attribute)
        new.ints[k - 1], new.ints[k] = attribute.ints[k], attribute.ints[k - 1]
        yield new
