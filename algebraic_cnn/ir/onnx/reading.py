"""An ONNX file as a torch module, by the table of operators.py, so that it can be compared, derived and collapsed.

    load_onnx   .onnx -> module; an operator that the table does not have is refused by name
    node        every node is a module under its own name, which reports and certificates then give as the place

The numbers are the file's own, bit for bit; only an attribute of a node is read as the decimal that it came from.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import AlgebraicError, DataError, TraceError
from ...extras import required
from ...files import limits, read_bytes
from .operators import OPERATORS, Attributes
from .writing import require_inside, require_whole


def load_onnx(path: str | os.PathLike[str]) -> tuple[OnnxNetwork, tuple[Tensor, ...]]:
    """Read an ONNX file as a module in evaluation mode.

    Args:
        path: the file.

    Returns:
        The module, and inputs of zeros for it; a free axis is taken as 2.

    Raises:
        MissingExtraError: if the extra "onnx" is not installed.
        DataError: if the file is missing, damaged, too large, no ONNX model, or keeps numbers in other files.
        TraceError: if the table does not have an operator of it; names the operator and its node.
    """
    onnx = required("onnx", "onnx")
    content = read_bytes(path, limit=limits.ONNX, expected="an .onnx file")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the parser raises errors of many classes
        raise _no_model(error, path) from error
    require_whole(content, model, path)
    require_inside(model, path)
    try:
        onnx.checker.check_model(model)
        return _network(onnx, model, path)
    except AlgebraicError:
        raise
    except Exception as error:  # so do the checker, and the reader of constants
        raise _no_model(error, path) from error


def _no_model(error: Exception, path: object) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(f"not an ONNX model ({reason})", where=path)


def _network(onnx: Any, model: Any, path: object) -> tuple[OnnxNetwork, tuple[Tensor, ...]]:
    """The module of a model whose parts were checked, and inputs for it."""
    graph = model.graph
    constants = {tensor.name: _constant(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    nodes = []
    for index, node in enumerate(graph.node):
        attributes = {a.name: _attribute(onnx.helper.get_attribute_value(a)) for a in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            constants[node.output[0]] = _constant(onnx.numpy_helper.to_array(attributes["value"]))
            continue
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            what = "the table of ONNX operators does not have it"
            where = f"{path}, node {node.name or index}"
            raise TraceError(what, expected=", ".join(sorted(OPERATORS)), got=node.op_type, where=where)
        name = node.name or f"{node.op_type}_{index}"
        nodes.append((name, node.op_type, attributes, tuple(node.input), tuple(node.output)))
    inputs = [value for value in graph.input if value.name not in constants]
    examples = tuple(_example(onnx, value, path) for value in inputs)
    outputs = tuple(value.name for value in graph.output)
    network = OnnxNetwork(nodes, constants, [value.name for value in inputs], outputs)
    network.eval()
    return network, examples


def _attribute(value: Any) -> Any:
    """ONNX keeps a number such as epsilon = 1e-5 as float32; it is the shortest decimal that rounds to that."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _constant(array: Any) -> Any:
    """A tensor; integers of at most one axis as a list or a number, a single float as a number."""
    if array.ndim == 0 or (array.dtype.kind in "iub" and array.ndim == 1):
        return array.tolist()
    return torch.from_numpy(array.copy())


def _example(onnx: Any, value: Any, path: object) -> Tensor:
    kind = value.type.tensor_type
    shape = [axis.dim_value or 2 for axis in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize > limits.SAMPLES:
        expected = f"at most {limits.SAMPLES:,} bytes"
        raise DataError(f"the input {value.name} is too large", expected=expected, got=tuple(shape), where=path)
    return torch.zeros(shape, dtype=getattr(torch, str(dtype)))


class OnnxNode(nn.Module):
    """One node: an operator and its attributes."""

    def __init__(self, op: str, attributes: Attributes) -> None:
        super().__init__()
        self.op, self.attributes = op, dict(attributes)

    def forward(self, *arguments: Any) -> Any:
        """What the operator computes."""
        return OPERATORS[self.op](list(arguments), self.attributes)


class OnnxNetwork(nn.Module):
    """The nodes of a file in their order, its floating numbers as buffers."""

    def __init__(
        self, nodes: Sequence[Any], constants: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.fixed, self.buffer_of, self.steps = inputs, outputs, {}, {}, []
        for name, value in constants.items():
            if isinstance(value, Tensor):
                self.buffer_of[name] = f"number_{_plain(name)}_{len(self.buffer_of)}"
                self.register_buffer(self.buffer_of[name], value)
            else:
                self.fixed[name] = value
        for name, op, attributes, given, results in nodes:
            child = _plain(name)
            while child in self._modules or hasattr(self, child):
                child += "_"
            self.add_module(child, OnnxNode(op, attributes))
            self.steps.append((child, given, results))

    def forward(self, *arguments: Tensor) -> Any:
        """The outputs of the graph; a single one as it is."""
        values: dict[str, Any] = dict(self.fixed) | {name: getattr(self, own) for name, own in self.buffer_of.items()}
        values |= dict(zip(self.inputs, arguments, strict=True)) | {"": None}
        for child, given, results in self.steps:
            found = getattr(self, child)(*(values[name] for name in given))
            values |= dict(zip(results, found if isinstance(found, tuple) else (found,), strict=False))
        found = tuple(values[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "node"
