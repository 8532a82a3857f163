"""Functions of ONNX: those that a file defines, and the bodies that ONNX gives to operators.

local               ModelProto -> its functions by domain and name
has_body, body_of   whether ONNX says an operator by others; the function that says it
without_references  the nodes of a function, with the attributes of the node that calls it
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from ...extras import required
from .nodes import element_of

#: Operators whose body depends on dtypes and ranks, asked for on tensors alone: for others ONNX ends the process.
_ON_TENSORS = frozenset(
    "Attention CenterCropPad GroupNormalization LayerNormalization NegativeLogLikelihoodLoss RMSNormalization "
    "RotaryEmbedding SoftmaxCrossEntropyLoss".split()
)


def local(model: Any) -> dict[tuple[str, str], Any]:
    """The functions of a file by domain and name."""
    return {(f.domain.removeprefix("ai.onnx"), f.name): f for f in model.functions}


def told(model: Any, node: Any) -> str:
    """What the functions of a file are, for a node that is one of them or may call them inside; "" for others."""
    if not model.functions or not (_key(node) in local(model) or any(a.HasField("g") for a in node.attribute)):
        return ""
    texts = sorted(f.SerializeToString(deterministic=True) for f in model.functions)
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _key(node: Any) -> tuple[str, str]:
    return node.domain.removeprefix("ai.onnx"), node.op_type


def has_body(node: Any, version: int) -> bool:
    """Whether ONNX says an operator by others."""
    schema = _schema(node.op_type, version, node.domain)
    return schema is not None and (schema.has_function or node.op_type in _ON_TENSORS)


def body_of(node: Any, given: Sequence[Any], version: int) -> Any:
    """The function by which ONNX says an operator, for inputs of these dtypes; None where there is none."""
    if node.op_type in _ON_TENSORS and not all(x is None or isinstance(x, Tensor) for x in given):
        return None
    kinds = tuple(element_of(x.dtype) if isinstance(x, Tensor) else None for x in given)
    ranks = tuple(tuple(x.shape) if isinstance(x, Tensor) else () for x in given)
    return _body(node.SerializeToString(), kinds, ranks, version) if has_body(node, version) else None


@lru_cache(maxsize=256)
def _body(written: bytes, kinds: tuple[int | None, ...], shapes: tuple[tuple[int, ...], ...], version: int) -> Any:
    onnx = required("onnx", "onnx")
    node = onnx.NodeProto.FromString(written)
    schema = _schema(node.op_type, version, node.domain)
    function = onnx.FunctionProto()
    usual = [each.default_value for each in schema.attributes.values() if each.default_value.name]
    if schema.has_function:
        bodies = [v for v in schema.function_opset_versions if v <= version] or [schema.since_version]
        function.ParseFromString(schema.get_function_with_opset_version(bodies[-1]))
    else:
        types = [_type(onnx, kind, shape).SerializeToString() for kind, shape in zip(kinds, shapes, strict=True)]
        bodies = [v for v in schema.context_dependent_function_opset_versions if v <= version] or [schema.since_version]
        function.ParseFromString(schema.get_context_dependent_function_with_opset_version(bodies[-1], written, types))
    function.attribute_proto.extend(usual)
    return function if function.node else None


def _type(onnx: Any, kind: int | None, shape: tuple[int, ...]) -> Any:
    if kind is None:
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(kind, shape)


@lru_cache(maxsize=256)
def _schema(op: str, version: int, domain: str) -> Any:
    onnx = required("onnx", "onnx")
    try:
        return onnx.defs.get_schema(op, version, domain.removeprefix("ai.onnx") if domain == "ai.onnx" else domain)
    except Exception:  # an operator that ONNX does not know; it raises an error of its own
        return None


def without_references(function: Any, node: Any) -> list[Any]:
    """The nodes of a function, with the attributes of the node that calls it in the place of their names."""
    held = {a.name: a for a in function.attribute_proto} | {a.name: a for a in node.attribute}
    return [_filled(each, held) for each in function.node]


def _filled(node: Any, held: dict[str, Any]) -> Any:
    onnx = required("onnx", "onnx")
    new = onnx.NodeProto()
    new.CopyFrom(node)
    del new.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in held:
                new.attribute.add().CopyFrom(held[attribute.ref_attr_name])
                new.attribute[-1].name = attribute.name
            continue
        new.attribute.add().CopyFrom(attribute)
        if attribute.HasField("g"):
            inner = new.attribute[-1].g
            filled = [_filled(each, held) for each in inner.node]
            del inner.node[:]
            inner.node.extend(filled)
    return new
