"""A file whose graph was rewritten: the nodes that stayed, copied, and new ones in the place of the others.

    edited     OnnxGraph, rewritten graph -> ModelProto
    stays      a node whose calls are all in the rewritten graph, on the same values: it is copied to the letter

Which call of the rewritten graph is which of the file's is found by value numbering: equal calls on equal values.
Names of inputs, outputs and kept nodes, metadata, versions and subgraphs are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ...extras import required
from ..graph import Call, Graph, Ref
from .bodies import names_of
from .network import OnnxGraph
from .opaque import captured
from .pen import Pen, Unwritten, tensor_proto
from .spelling import SPELLINGS
from .tidying import assembled
from .values import Size, Value, plain_lengths


def edited(network: OnnxGraph, after: Graph, values: Mapping[str, Ref]) -> Any:
    """The file with the rewritten graph in it.

    Args:
        network: the file as it was read.
        after: its graph, rewritten.
        values: what the new graph calls those values of the old one that it still has.

    Raises:
        Unwritten: if a call has no spelling in ONNX, or a shape is asked of a value that is no more.
    """
    edit = _Edit(network, after, dict(values))
    edit.number()
    edit.write()
    return edit.model()


def _key(call: Call, names: Mapping[str, str]) -> str:
    """What a call is: equal for equal calls on equal values."""

    def named(leaf: Any) -> Any:
        return ("value", names[leaf.name]) if isinstance(leaf, Ref) else leaf

    return repr((call.op, pytree.tree_map(named, (list(call.args), dict(call.kwargs)))))


_ARITHMETIC = {"operator.add": "Add", "operator.sub": "Sub", "operator.mul": "Mul", "operator.floordiv": "Div"}


@dataclass(eq=False)
class _Edit:
    """One file under work.

    Attributes:
        now: what the new graph calls the values of the old one.
        same: by the names of calls of the new graph, the calls of the old one that they are.
        stayed: calls of the old graph that are in the new one.
        made: by the names of values of the new graph, their names in the file.
    """

    network: OnnxGraph
    after: Graph
    values: dict[str, Ref]
    now: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    copied: set[int] = field(default_factory=set)
    stayed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        network, model = self.network, self.network.model
        self.proto = list(model.graph.node)
        self.makers = {name: k for k, node in enumerate(self.proto) for name in node.output if name}
        self.held = {tensor.name for tensor in model.graph.initializer}
        self.calls: dict[int, list[str]] = {}
        for name, place in network.makers.items():
            self.calls.setdefault(place, []).append(name)
        self.by_name = {call.name: call for call in self.after.calls}
        version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        shapes, dtypes = self.after.shapes(), self.after.dtypes()
        ranks = {name: len(shape) for name, shape in shapes.items()}
        self.pen = Pen(version, ranks, dtypes, self.tensor, self._shape, names_of(model.graph))
        self.wished: dict[str, str] = {}

    def number(self) -> None:
        """Find which calls of the old graph are in the new one."""
        found: dict[str, str] = {}
        keys: dict[str, str] = {}
        own = {call.name: call.name for call in self.after.calls} | {n: n for n in self.after.inputs}
        own |= {name: name for name in self.after.constants}
        for call in self.after.calls:
            keys[call.name] = _key(call, own)
            first = found.setdefault(keys[call.name], call.name)
            if _is_size(call):  # a size that is asked twice is one
                own[call.name] = first
        outs = zip(self.network.graph.outputs, self.after.outputs, strict=True)
        self.values |= {old.name: new for old, new in outs if isinstance(old, Ref) and isinstance(new, Ref)}
        self.now = {name: name for name in (*self.network.graph.inputs, *self.network.graph.constants)}
        for call in self.network.graph.calls:
            if all(name in self.now for name in call.refs()):
                key = _key(call, self.now)
                alone = keys.get(call.name) == key and not _is_size(call)  # not every call gives the same twice
                here = call.name if alone else found.get(key) or self._size_alike(call)
                if here is not None:
                    self.same.setdefault(here, call.name)
                    self.stayed.add(call.name)
                    self.now[call.name] = here
            if call.name in self.values:
                self.now[call.name] = self.values[call.name].name
        outputs = [value.name for value in self.network.model.graph.output]
        for tensor in (*outputs, *(name for node in self.proto for name in node.output if name)):
            value = self.network.values.get(tensor)
            if isinstance(value, Value) and value.constant is None and value.name in self.now:
                self.wished.setdefault(self.now[value.name], tensor)

    def _size_alike(self, call: Call) -> str | None:
        """The size of the same name, where the new graph asks it of another value of that length."""
        other = self.by_name.get(call.name)
        return call.name if other is not None and _is_size(call) and _is_size(other) else None

    def write(self) -> None:
        """Write every call of the new graph, then what the file's outputs and unread nodes need."""
        for tensor, value in self.network.values.items():
            if isinstance(value, Value) and value.name in self.network.graph.inputs:
                self.made.setdefault(value.name, tensor)
        for call in self.after.calls:
            if not _is_size(call) and call.name not in self.made:
                self._written(call)
        for place in self.network.cut:
            self._copy(place)
        for value in self.network.model.graph.output:
            self._exactly(value.name)

    def model(self) -> Any:
        """The edited file."""
        constants = list(self.pen.initializers.values())
        return assembled(self.network.model, self.pen.nodes, constants)

    def tensor(self, name: str) -> str:
        """The name in the file of a value of the new graph."""
        if name in self.made:
            return self.made[name]
        if name in self.after.constants:
            own = self._initializers.get(name, "")
            self.made[name] = own or self.pen.constant(self.after.constants[name], name)
            return self.made[name]
        if name not in self.by_name:
            raise Unwritten("a value that is no more", name)
        self._written(self.by_name[name], inner=True)
        return self.made[name]

    def _written(self, call: Call, *, inner: bool = False) -> None:
        """A call: its node copied where it stays, else a new one."""
        place = self.network.makers.get(self.same.get(call.name, ""), -1)
        if place >= 0 and all(name in self.stayed for name in self._live(place)):
            results = [v for t in self.proto[place].output if isinstance(v := self.network.values.get(t), Value)]
            if any(self.now.get(value.name) == call.name for value in results):
                self._copy(place)
                return
            if call.op.startswith("onnx::") or not inner:
                return
        if call.op not in SPELLINGS:
            self._moved(call)
            return
        wished = self.wished.get(call.name, "")
        out = (
            wished if wished and wished not in self.made.values() else self.pen.fresh(f"{call.module or call.name}_new")
        )
        self.made[call.name] = out
        before, self.pen.out = self.pen.out, out
        SPELLINGS[call.op](self.pen, call)
        self.pen.out = before

    def _live(self, place: int) -> list[str]:
        """The calls of a node that the old graph has: others were not needed."""
        return [name for name in self.calls.get(place, ()) if name in self._old]

    @cached_property
    def _old(self) -> set[str]:
        return {call.name for call in self.network.graph.calls}

    @cached_property
    def _initializers(self) -> dict[str, str]:
        """The file's own initializers by what the graph calls them."""
        values = self.network.values.items()
        return {v.name: t for t, v in values if isinstance(v, Value) and v.constant is not None and t in self.held}

    def _copy(self, place: int) -> None:
        """A node of the file to the letter, but for the names of inputs that are now called otherwise."""
        if place in self.copied:
            return
        self.copied.add(place)
        node = required("onnx", "onnx").NodeProto()
        node.CopyFrom(self.proto[place])
        node.input[:] = self._given(node)
        for name in captured(node):
            self._exactly(name)
        self.pen.nodes.append(node)
        for name in node.output:
            value = self.network.values.get(name)
            if isinstance(value, Value) and value.constant is None and value.name in self.now:
                self.made.setdefault(self.now[value.name], name)

    def _given(self, node: Any) -> list[str]:
        """What the inputs of a node are called now; the shape of a Reshape is a constant where that says it."""
        shape = self.network.values.get(node.input[1]) if node.op_type == "Reshape" and not node.attribute else None
        x = self.network.values.get(node.input[0]) if isinstance(shape, np.ndarray) else None
        if isinstance(shape, np.ndarray) and isinstance(x, Value) and (plain := plain_lengths(shape, x)):
            return [self._old_tensor(node.input[0]), self.pen.constant(torch.tensor(plain), f"{node.output[0]}_shape")]
        return [self._old_tensor(name) if name else "" for name in node.input]

    def _moved(self, call: Call) -> None:
        """A call without a spelling: the node that it was, on what it is given now.

        Raises:
            Unwritten: if it was no node of its own.
        """
        old = next((each for each in self.network.graph.calls if each.name == call.name and each.op == call.op), None)
        place = self.network.makers.get(call.name, -1)
        pairs = [] if old is None else list(zip(old.refs(), call.refs(), strict=False))
        if not pairs or place in self.copied or self._live(place) != [call.name]:
            raise Unwritten(f"{call.op} has no spelling")
        now = dict(pairs)
        self.copied.add(place)
        node = required("onnx", "onnx").NodeProto()
        node.CopyFrom(self.proto[place])
        for number, name in enumerate(node.input):
            value = self.network.values.get(name)
            if isinstance(value, Value) and value.name in now and value.constant is None:
                node.input[number] = self.tensor(now[value.name])
            elif name:
                node.input[number] = self._old_tensor(name)
        self.pen.nodes.append(node)
        self.made[call.name] = node.output[0]

    def _old_tensor(self, name: str) -> str:
        """What a tensor of the file is called now."""
        value = self.network.values.get(name)
        if value is None:
            place = self.makers.get(name, -1)
            if place >= 0 and place not in self.network.cut:  # an empty sequence: the graph has no such value
                self._copy(place)
            return name
        if isinstance(value, np.ndarray):
            return self._sized(name, value)
        if value.constant is not None:
            if name in self.held or name not in self.makers:
                return name
            return self.pen.constant(value.constant, name)
        if value.name not in self.now:
            return self._alike(value)
        return self.tensor(self.now[value.name])

    def _sized(self, name: str, value: Any) -> str:
        """Numbers that sizes decide: a constant, or the file's own nodes."""
        place = self.makers[name]
        if not any(isinstance(n, Size) for n in value.reshape(-1)):
            dtype = self.network.kinds.get(name) or torch.int64
            return self.pen.constant(torch.tensor(value.tolist(), dtype=dtype), name)
        if self.proto[place].op_type in ("Shape", "Size"):
            given = self.network.values[self.proto[place].input[0]]
            if isinstance(given, Value) and given.constant is None and self.now.get(given.name) not in self.made:
                self._copy_on(place, self._alike(given))
                return name
        self._copy(place)
        return name

    def _copy_on(self, place: int, given: str) -> None:
        """A node that asks for a shape, on another tensor of that shape."""
        if place not in self.copied:
            self.copied.add(place)
            node = required("onnx", "onnx").NodeProto()
            node.CopyFrom(self.proto[place])
            node.input[0] = given
            self.pen.nodes.append(node)

    def _alike(self, value: Value) -> str:
        """A tensor that was written already and always has the shape of a value that is no more."""
        wanted = [tuple(shell.shape) for shell in value.shells]
        for other in self.network.values.values():
            if not isinstance(other, Value) or self.now.get(other.name, "") not in self.made:
                continue
            if other.constant is None and [tuple(shell.shape) for shell in other.shells] == wanted:
                return self.made[self.now[other.name]]
        if value.name in self.now:
            return self.tensor(self.now[value.name])
        raise Unwritten("the shape of a value that is no more", value.name)

    def _exactly(self, name: str) -> None:
        """See to it that a tensor has the name that it has in the file."""
        value, found = self.network.values.get(name), self._old_tensor(name)
        made = {out for node in self.pen.nodes for out in node.output}
        if found == name or name in made or name in self.held:
            return
        if isinstance(value, Value) and value.constant is not None:  # a body may ask what its numbers are
            self.pen.put("Constant", [], name, value=tensor_proto(value.constant, name))
        else:
            self.pen.put("Identity", [found], name)

    def _shape(self, wanted: Sequence[Any], given: str) -> str:
        """The name of a tensor of lengths, some of which are sizes; as few nodes as possible."""
        known: list[Any] = list(wanted)
        for axis, n in enumerate(wanted):
            size = self.by_name.get(n.name) if isinstance(n, Ref) else None
            if size is not None and size.op == "sym_size" and size.args == (Ref(given), axis):
                known[axis] = 0
        free = [axis for axis, n in enumerate(known) if isinstance(n, Ref)]
        if len(free) == 1 and -1 not in known and len(wanted) > 1:
            known[free[0]] = -1
        if not any(isinstance(n, Ref) for n in known):
            return self.pen.ints(known)
        parts = [self._size(n.name) if isinstance(n, Ref) else self.pen.ints([n]) for n in wanted]
        return parts[0] if len(parts) == 1 else self.pen.put("Concat", parts, axis=0)

    def _size(self, name: str) -> str:
        """The name of a tensor of one number, a size."""
        if name not in self.made:
            call = self.by_name[name]
            if call.op == "sym_size":
                lengths = self.pen.put("Shape", [self._shaped(call.args[0].name)])
                self.made[name] = self.pen.put("Gather", [lengths, self.pen.ints([call.args[1]])], axis=0)
            elif call.op in _ARITHMETIC:
                parts = [self._size(n.name) if isinstance(n, Ref) else self.pen.ints([n]) for n in call.args]
                self.made[name] = self.pen.put(_ARITHMETIC[call.op], parts)
            else:
                raise Unwritten(f"a size by {call.op}")
        return self.made[name]

    def _shaped(self, name: str) -> str:
        """A tensor that has the shape of a value of the new graph."""
        own = next(
            (v for v in self.network.values.values() if isinstance(v, Value) and self.now.get(v.name) == name), None
        )
        return self.tensor(name) if own is None or name in self.made else self._alike(own)


def _is_size(call: Call) -> bool:
    """Whether a call works out a size."""
    return call.op.startswith(("sym_", "operator.", "math.")) and not call.shape and call.dtype is None
