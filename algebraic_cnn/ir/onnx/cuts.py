"""What the nodes are that were taken out of the graph of an ONNX file, in words that two files can be compared by.

    TakenOut    a value that they make, an output that only they know, or the number that an input is if not given
    taken_out   OnnxGraph -> all of them

A node that was taken out is no call of the graph: what it is given is an output there, and what it gives an input.
Two files of equal graphs are the same function only where these values are made alike; and where an input that need
not be given is the same number in both if it is not.  A value is told by how it is made, all the way from the graph:
the order of the nodes, equal nodes that stand twice, and nodes that give what they are given make no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...extras import required
from ..canonical import bits
from ..graph import Ref
from .functions import told
from .network import OnnxGraph
from .opaque import Opaque, captured, draws
from .values import Size, Value

#: Integers that may be sizes, at most so many.
_FEW = 64


@dataclass(frozen=True)
class TakenOut:
    """Something of a file that its graph does not say.

    Attributes:
        kind: what it is: a value that a node makes, an input's usual number, or an output.
        text: all that is known of it; two files say the same where these are equal.
    """

    kind: Literal["node", "usual", "output"]
    text: str

    @property
    def title(self) -> str:
        """What to call it: of a node's value, the operator."""
        return self.text.split()[0] if self.kind == "node" else self.kind


def taken_out(read: OnnxGraph) -> tuple[TakenOut, ...]:
    """Each value that nodes that were taken out make and the graph reads, usual numbers, and outputs of theirs."""
    nodes = [read.model.graph.node[place] for place in read.cut]
    graph = read.model.graph
    unread = [t for t in graph.initializer if t.name in read.given or read.values.get(t.name) is None]
    stored = {t.name: _digest(t) for t in unread} | {t.values.name: _digest(t) for t in graph.sparse_initializer}
    shown = {ref.name: k for k, ref in enumerate(read.graph.outputs) if isinstance(ref, Ref)}
    made: dict[str, str] = {}

    def wired(name: str) -> str:
        value = read.values.get(name)
        if name in made:
            return made[name]
        if isinstance(value, np.ndarray):
            numbers = [n.numbers if isinstance(n, Size) else n for n in value.reshape(-1)]
            return f"numbers {value.shape} {numbers}"
        if not isinstance(value, Value):
            return f"what {stored.get(name, name)} gives"
        if value.constant is not None and not value.constant.is_floating_point() and value.constant.numel() < _FEW:
            return f"numbers {tuple(value.constant.shape)} {value.constant.reshape(-1).tolist()}"
        if value.constant is not None:
            return f"constant {value.constant.dtype} {tuple(value.constant.shape)} {bits(value.constant)}"
        return f"value {shown.get(value.name, value.name)}"

    for place, node in enumerate(nodes):
        made |= _made(read, node, wired, str(place) if draws(node) else "")
    entered = {name: k for k, name in enumerate(read.graph.inputs)}
    values = {name: read.values.get(name) for name in made}
    found = sorted(f"{made[n]} is input {entered[v.name]}" for n, v in values.items() if isinstance(v, Value))
    usual = [f"{name} {stored[name]}" for name in read.given if name in stored]
    lost = sorted(name for name in read.returned if name not in read.shown)
    return (
        *(TakenOut("node", text) for text in dict.fromkeys(found)),
        *(TakenOut("usual", text) for text in usual),
        *(TakenOut("output", f"{name} is {wired(name)}") for name in lost),
    )


def _made(read: OnnxGraph, node: Any, wired: Callable[[str], str], mark: str) -> dict[str, str]:
    """How the outputs of a node are made: its operator for people, and a digest of all that they come from."""
    kinds = [read.kinds.get(name) for name in (*node.input[:1], *node.output)]
    moves = node.op_type == "Identity" or (node.op_type == "Cast" and kinds[0] is not None and kinds[0] == kinds[1])
    if moves and node.domain in ("", "ai.onnx"):
        return {node.output[0]: wired(node.input[0])}
    given = [wired(name) if name else "" for name in (*node.input, *captured(node))]
    words = _text(read, node), given, mark
    digest = hashlib.sha256(repr(words).encode()).hexdigest()
    return {name: f"{node.op_type} {k} {digest}" for k, name in enumerate(node.output) if name}


def _digest(tensor: Any) -> str:
    """What a tensor is, but for its name and how its numbers are written."""
    if hasattr(tensor, "indices"):
        return f"{list(tensor.dims)} {_digest(tensor.values)} {_digest(tensor.indices)}"
    array = required("onnx", "onnx").numpy_helper.to_array(tensor)
    words = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    return f"{tensor.data_type} {list(tensor.dims)} {hashlib.sha256(words).hexdigest()}"


def _text(read: OnnxGraph, node: Any) -> str:
    return Opaque(node, read.model.opset_import, [], own=told(read.model, node)).text
