"""What is known of the shapes in an ONNX file: every length a number, a name, or nothing.

    Lengths      shapes and dtypes of values
    counts_far   whether ONNX's inference might write down very many numbers

Names come from ONNX's own shape inference: two lengths of one name are equal whatever the inputs are.  What a file
itself says of the shapes inside it may lie, and is not read.  Names of lengths of the inputs stand for at least one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ...extras import required
from .opaque import subgraphs

#: A length: a number, a name, or unknown.
Length = int | str | None

#: Constants with more numbers say no shapes.
_FEW = 64

#: Operators of others that give the shapes of one of ONNX's own, and how many inputs that has.
_LIKE = {("com.microsoft", "DynamicQuantizeLSTM"): ("LSTM", 8)}

#: How far a file may count while its shapes are inferred.
_FAR = 2**24

#: What is a name for a size: some exporters call all of them "?".
_NAMED = re.compile(r"[A-Za-z_]")


class Lengths:
    """Shapes of the values of a file.

    Args:
        model: the file.
    """

    def __init__(self, model: Any) -> None:
        self.free: set[str] = set()
        self.shapes: dict[str, tuple[Length, ...]] = {}
        self.kinds: dict[str, int] = {}
        for tensor in model.graph.initializer:
            self.constant(tensor.name, tensor)
        inferred = _inferred(_light(model, self.free))
        for value in () if inferred is None else (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = value.type.tensor_type
            if tensor.elem_type:
                self.kinds[value.name] = tensor.elem_type
            if tensor.HasField("shape"):
                self.shapes[value.name] = tuple(map(_length, tensor.shape.dim))

    def constant(self, name: str, tensor: Any) -> None:
        """Note a constant."""
        self.shapes[name], self.kinds[name] = tuple(tensor.dims), tensor.data_type

    def shape(self, name: str) -> tuple[Length, ...] | None:
        """The shape of a value."""
        return self.shapes.get(name)

    def alike(self, one: str, other: str) -> bool:
        """Whether two values surely have the same shape."""
        first = self.shapes.get(one)
        return first is not None and None not in first and first == self.shapes.get(other)

    def plain(self, wanted: Sequence[Length] | None, given: Sequence[Length] | None) -> list[int] | None:
        """A shape as Reshape takes it, in numbers alone: 0 for a length of the same axis, -1 for one more.

        An axis of length -1 needs others that are not of length 0, so that beside it stand numbers and names of
        lengths of the inputs alone.

        Args:
            wanted: the shape of the result.
            given: that of what is reshaped.
        """
        if wanted is None or given is None:
            return None
        found: list[int] = []
        for axis, n in enumerate(wanted):
            own = isinstance(n, str) and axis < len(given) and given[axis] == n
            found.append(n if isinstance(n, int) else 0 if own else -1)
        if 0 in [n for n in wanted if isinstance(n, int)] or found.count(-1) > 1:
            return None
        copied = [n for n, m in zip(wanted, found, strict=True) if m == 0]
        return None if -1 in found and any(n not in self.free for n in copied) else found


def _length(dim: Any) -> Length:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return dim.dim_param or None


def _light(model: Any, free: set[str]) -> Any:
    """The file for shape inference: without what it says of its own values, without large constants.

    Args:
        model: the file.
        free: filled with the names of the lengths of its inputs.
    """
    onnx = required("onnx", "onnx")
    light = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = "light"
    light.graph.node.extend(model.graph.node)
    given = {value.name for value in model.graph.input}
    for number, value in enumerate(model.graph.input):
        new = light.graph.input.add()
        new.CopyFrom(value)
        for axis, dim in enumerate(new.type.tensor_type.shape.dim):
            if not dim.dim_value > 0:
                dim.dim_param = dim.dim_param if _NAMED.match(dim.dim_param) else f"length {axis} of input {number}"
                free.add(dim.dim_param)
    for tensor in model.graph.initializer:
        if tensor.name in given:
            continue
        if math.prod(tensor.dims) <= _FEW:
            light.graph.initializer.append(tensor)
        else:
            dims = list(tensor.dims)
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    light.graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in model.graph.output)
    for node in light.graph.node:
        if (node.domain, node.op_type) in _LIKE:
            node.op_type, count = _LIKE[node.domain, node.op_type]
            node.domain = ""
            del node.input[count:]
        for inner in subgraphs(node):
            _bare(inner)
    return light


def _bare(graph: Any) -> None:
    """A graph inside a node, without what it says of its own values."""
    del graph.value_info[:]
    for node in graph.node:
        for inner in subgraphs(node):
            _bare(inner)


def _inferred(model: Any) -> Any:
    onnx = required("onnx", "onnx")
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=not counts_far(model.graph)).graph
    except Exception:  # it raises errors of many classes; then nothing is known
        return None


def counts_far(graph: Any) -> bool:
    """Whether a file may count far: ONNX would write all the numbers down to know a shape."""
    tensors = [*graph.initializer, *(a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute)]
    scalars = [t for t in tensors if not t.dims and t.data_type in (6, 7)]
    to_array = required("onnx", "onnx").numpy_helper.to_array
    return any(n.op_type == "Range" for n in graph.node) and any(abs(int(to_array(t))) > _FAR for t in scalars)
