"""Operators of the domain com.microsoft.nchwc: images whose channels ONNX Runtime keeps in blocks, and weights so.

    BLOCKED      operator -> what is made of it
    in_blocks    what ONNX's own operators do with images in blocks

A blocked image is an image; how it lies in memory is no part of its numbers.  Channels are filled up to whole blocks
with filters of zeros, which are left out: what reads them must be 0 as well, or the node is not read.  How many make a
block depends on the processor, and no file says it: ONNX Runtime is asked for what it does here.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ....extras import required
from ..builder import Builder
from ..nodes import Attributes, Node, Reader
from ..values import Unread, Value
from .boundaries import BOUNDARIES
from .runtime import RUNTIME
from .windows import WINDOWS

_ATEN = torch.ops.aten

#: Of the operators of ONNX that are meant.
_VERSION = 12


@cache
def block() -> int:
    """How many channels ONNX Runtime keeps together on this machine; 0 where it does not."""
    onnx, runtime = required("onnx", "onnx"), required("onnxruntime", "onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, (1, 1, 1, 1), [1.0])
    ends = [helper.make_tensor_value_info(name, kind, (1, 1, 1, 1)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _VERSION)], ir_version=8)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "model.onnx")
        runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        written = onnx.load(options.optimized_model_filepath).graph
    if all(node.domain != "com.microsoft.nchwc" for node in written.node):
        return 0
    return max(tensor.dims[0] for tensor in written.initializer if len(tensor.dims) == 4)


def _unblocked(weight: Tensor) -> Tensor:
    """Filters as others have them; those of few channels are in blocks of filters alone."""
    size, (filters, channels, height, width) = block(), weight.shape
    if not size or filters % size:
        raise Unread("blocks of channels that this machine does not have")
    if channels < size:
        parts = weight.reshape(filters // size, channels, height, width, size)
        return parts.permute(0, 4, 1, 2, 3).reshape(weight.shape)
    if channels % size:
        raise Unread("blocks of channels that this machine does not have")
    parts = weight.reshape(filters // size, channels // size, height, width, size, size)
    return parts.permute(0, 5, 1, 4, 2, 3).reshape(weight.shape)


def _filled(weight: Tensor, bias: Tensor | None, channels: int) -> int:
    """How many filters there are before those that fill the last block."""
    used = weight.flatten(1).ne(0).any(1)
    used = used if bias is None else used | bias.ne(0)
    last = int(used.nonzero().max()) + 1 if bool(used.any()) else 0
    return max(last, channels)


def _conv(b: Builder, node: Node) -> Value:
    x, held, more = node.floating(), node.x(1).constant, node.optional(2)
    bias = None if more is None else more.constant
    if held is None or held.ndim != 4 or (more is not None and bias is None) or x.shape[1] is None:
        raise Unread("weights that are no constants")
    weight, groups, given = _unblocked(held), node.get("group", 1), x.shape[1]
    least = len(weight) - block() + 1 if groups == 1 else given if weight.shape[1] == 1 else len(weight)
    count = least if groups > 1 else _filled(weight, bias, max(least, node.x(3).shape[1] or 0 if node.has(3) else 0))
    read = weight.shape[1] * groups
    if groups == 1:
        if bool(weight[:, given:].any()):
            raise Unread("channels that only fill a block are read")
        weight = weight[:, :given]
    elif read != len(weight) and weight.shape[1] == 1:
        raise Unread("groups of several filters")
    parts = [x, b.constant(weight[:count].clone()), None if bias is None else b.constant(bias[:count].clone())]
    attributes = Attributes({**node.attributes, "group": count if groups > 1 and weight.shape[1] == 1 else groups})
    made = Node("FusedConv", node.version, attributes, (*parts, node.optional(3)), 1, b)
    found = RUNTIME["FusedConv"](b, made)
    node.attributes.asked.update(attributes.asked)
    return found


def _reordered(b: Builder, node: Node) -> Value:
    x = node.floating()
    return b.call(_ATEN.movedim.int, x, -1, 1) if node.get("channels_last") else x


def _restored(b: Builder, node: Node) -> Value:
    x, channels = node.floating(), node.attributes["channels"]
    given = x.shape[1]
    if given is None or given < channels:
        raise Unread("channels whose filters are 0")
    whole = given == channels
    x = b.call(_ATEN.clone.default, x) if whole else b.call(_ATEN.slice.Tensor, x, 1, 0, channels)  # in no blocks
    return b.call(_ATEN.movedim.int, x, 1, -1) if node.get("channels_last") else x


def _as(reader: Reader, op: str) -> Reader:
    def read(b: Builder, node: Node) -> Any:
        return reader(b, Node(op, _VERSION, node.attributes, node.given, node.outputs, b))

    return read


def _upsampled(b: Builder, node: Node) -> Value:
    x, scales = node.floating(), node.get("scales", [])
    mode = node.word("mode", "nearest"), node.word("coordinate_transformation_mode", "asymmetric")
    if mode != ("nearest", "asymmetric") or len(scales) != 4 or list(scales[:2]) != [1, 1]:
        raise Unread("an enlargement of another mode")
    return b.call(_ATEN.upsample_nearest2d.vec, x, None, [float(n) for n in scales[2:]])


#: Operators that take numbers one by one.
_ENTRYWISE = frozenset("Add Mul Sum Sub Div Max Min Relu Sigmoid HardSigmoid HardSwish Tanh Clip Mish Elu".split())


def in_blocks(b: Builder, node: Node, reader: Reader) -> Any:
    """What an operator gives, where it is given images in blocks: the same images, seen as five axes or as four."""
    given = [b.blocks[x.name] for x in node.given if isinstance(x, Value) and x.name in b.blocks]
    if node.op == "Reshape" and given and isinstance(node.given[0], Value):
        found, opened = node.given[0], len(node.sizes(1)) == 5
        _require_view(found, list(node.sizes(1)))
    else:
        whole = len(given) == len(node.given) and all(given)
        if any(given) and not (node.op in _ENTRYWISE and whole):
            raise Unread("an axis that says how channels lie in memory")
        found, opened = reader(b, node), any(given)
    if given:
        b.blocks |= {x.name: opened for x in (found if isinstance(found, list) else [found]) if isinstance(x, Value)}
    return found


def _require_view(x: Value, shape: list[Any]) -> None:
    """Refuse a shape that is no other view of an image in blocks.

    Raises:
        Unread: if it is none.
    """
    channels = shape[1] * shape[4] if len(shape) == 5 else shape[1] if len(shape) == 4 else 0
    plain = all(isinstance(n, int) for n in shape) and x.rank == 4 and x.shape[1] is not None
    same = plain and all(
        n in (0, own) for n, own in zip((shape[0], *shape[2:4]), (x.shape[0], *x.shape[2:]), strict=True)
    )
    filled = -(-x.shape[1] // block()) * block() if plain and block() and x.shape[1] else 0
    if not same or channels not in (filled, x.shape[1]) or (len(shape) == 5 and shape[4] != block()):
        raise Unread("another shape of an image in blocks")


def _marked(reader: Reader) -> Reader:
    def read(b: Builder, node: Node) -> Any:
        found = reader(b, node)
        b.blocks[found.name] = False
        return found

    return read


_OPERATORS: dict[str, Reader] = {
    "AveragePool": _as(WINDOWS["AveragePool"], "AveragePool"),
    "Conv": _conv,
    "GlobalAveragePool": _as(WINDOWS["GlobalAveragePool"], "GlobalAveragePool"),
    "GlobalMaxPool": _as(BOUNDARIES["GlobalMaxPool"], "GlobalMaxPool"),
    "MaxPool": _as(BOUNDARIES["MaxPool"], "MaxPool"),
    "ReorderInput": _reordered,
    "ReorderOutput": _restored,
    "Upsample": _upsampled,
}

BLOCKED = {name: each if name == "ReorderOutput" else _marked(each) for name, each in _OPERATORS.items()}
