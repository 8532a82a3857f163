"""A node that is not read: a call that says of itself what it is, and what shapes it gives, and no more.

Opaque      the node, as the target of a call
captured    names that the subgraphs of a node read from outside
repeats     whether a node does something as often as its numbers say
draws       whether a node may give other numbers each time
unsaid      a node without inputs that say what leaving them out says
NoShape     the node does not say what shape it gives
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import TraceError
from ...extras import required
from .nodes import dtype_of, element_of
from .pen import tensor_proto
from .values import Unread, Value

#: Tensors that have numbers; others are what torch traces a module with.
_WITH_NUMBERS = (Tensor, nn.Parameter, nn.Buffer)
#: Operators that give other numbers each time.
_CHANCE = frozenset(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)
#: Domains whose operators are functions of what they are given; one of a file's own may draw numbers inside.
_FIXED = ("", "ai.onnx", "ai.onnx.ml")
#: Inputs that are 0 where they are left out.
_ZERO = {"LSTM": (3, 5, 6, 7), "GRU": (3, 5), "RNN": (3, 5)}
#: Numbers of a constant that may say a shape, at most.
_FEW = 4096


class NoShape(Exception):
    """Where ONNX's shape inference does not say a shape."""


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs among the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def captured(node: Any) -> list[str]:
    """Names that the subgraphs of a node read from outside, in a fixed order."""
    return list(dict.fromkeys(name for graph in subgraphs(node) for name in _outside(graph)))


def _outside(graph: Any) -> Iterator[str]:
    own = {value.name for value in (*graph.input, *graph.initializer)}
    for node in graph.node:
        yield from (name for name in (*node.input, *captured(node)) if name and name not in own)
        own.update(node.output)
    yield from (value.name for value in graph.output if value.name not in own)


def repeats(node: Any) -> bool:
    """Whether a node, or one inside it, does something as often as its numbers say."""
    return node.op_type in ("Loop", "Scan") or any(repeats(each) for graph in subgraphs(node) for each in graph.node)


def draws(node: Any) -> bool:
    """Whether a node, or one inside it, may give other numbers each time."""
    if node.op_type in _CHANCE or node.domain not in _FIXED:
        return True
    return any(draws(each) for graph in subgraphs(node) for each in graph.node)


def unsaid(node: Any, given: Sequence[Any]) -> Any:
    """The node without what it is given where that is what it takes by itself: biases, states and peepholes of 0."""
    places = _ZERO.get(node.op_type, ()) if node.domain in _FIXED[:2] else ()
    idle = [place for place in places if place < len(given) and _is_zero(given[place])]
    if not idle:
        return node
    new = type(node)()
    new.CopyFrom(node)
    for place in idle:
        new.input[place] = ""
    while new.input and not new.input[-1]:
        del new.input[-1]
    return new


def _is_zero(value: Any) -> bool:
    x = value.constant if isinstance(value, Value) else None
    return x is not None and not bool(x.count_nonzero()) and not bool(x.signbit().any())


class Opaque:
    """A node as the target of a call: (what it is, what it is given ...) -> what it gives.

    Args:
        node: of the file; subgraphs may read values from outside, which are then given after its inputs.
        opsets: versions of all domains.
        kinds: dtypes of its outputs by ONNX's numbers, where the file says them.
        run: computes it, where torch can.
        shaped: whether that gives the shapes without numbers too; else ONNX's shape inference says them.
        own: what the functions of the file are, where the node is one of them or calls them.
    """

    namespace = "onnx"

    def __init__(
        self,
        node: Any,
        opsets: Sequence[Any],
        kinds: Sequence[int],
        run: Callable[..., Any] | None = None,
        *,
        shaped: bool = True,
        own: str = "",
    ) -> None:
        self.own = own
        self.node, self.opsets, self.kinds, self.run, self.shaped = node, list(opsets), list(kinds), run, shaped
        self.__name__ = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        self.__module__ = self.namespace
        self.held: dict[int, Tensor] = {}
        self._arrays: dict[int, Any] = {}
        self._known: dict[Any, list[tuple[torch.dtype, tuple[int, ...]]]] = {}

    @cached_property
    def endless(self) -> bool:
        """Whether nobody knows how long it takes: it is not carried out while a file is read."""
        return repeats(self.node)

    def hold(self, given: Sequence[Any]) -> list[Any]:
        """Keep small constants that may say its shapes as a part of what the node is: what else it is given."""
        if self.endless or (self.run is not None and self.shaped):
            return list(given)
        for place, value in enumerate(given):
            if isinstance(value, Value) and value.constant is not None and value.constant.numel() < _FEW:
                self.held[place] = value.constant
                self._arrays[place] = tensor_proto(value.constant, "")
        return [None if place in self.held else value for place, value in enumerate(given)]

    @cached_property
    def text(self) -> str:
        """What the node is, but for the names of its values."""
        onnx = required("onnx", "onnx")
        bare = onnx.NodeProto(op_type=self.node.op_type, domain=self.node.domain)
        bare.attribute.extend(sorted(self._told(), key=lambda a: a.name))
        names = {name: f"#{place}" for place, name in enumerate(captured(self.node))}
        for graph in subgraphs(bare):
            _renamed(graph, dict(names))
        digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()
        versions = sorted(
            (o.domain.removeprefix("ai.onnx"), o.version) for o in self.opsets if o.domain == self.node.domain
        )
        given, found = ([bool(name) for name in names] for names in (self.node.input, self.node.output))
        held = [(place, str(x.dtype), tuple(x.shape), x.tolist()) for place, x in sorted(self.held.items())]
        more = hashlib.sha256(repr(held).encode()).hexdigest() if held else ""
        shape = f"{_shortened(given)} {len(_shortened(found))}"
        return f"{self.__name__} {versions} {digest} {shape} {more} {self.own}".strip()

    def _told(self) -> list[Any]:
        """The attributes that say more than leaving them out: some tools write every default down."""
        onnx = required("onnx", "onnx")
        domain = self.node.domain.removeprefix("ai.onnx") if self.node.domain == "ai.onnx" else self.node.domain
        version = next((o.version for o in self.opsets if o.domain in (self.node.domain, domain)), 0)
        try:
            schema = onnx.defs.get_schema(self.node.op_type, version, domain)
        except Exception:  # an operator that ONNX does not know; it raises an error of its own
            return list(self.node.attribute)
        usual = {name: each.default_value for name, each in schema.attributes.items() if each.default_value.name}
        values = {name: onnx.helper.get_attribute_value(each) for name, each in usual.items()}
        return [a for a in self.node.attribute if not (a.name in values and _is(a, values[a.name]))]

    def __call__(self, text: str, *given: Any) -> Any:
        """What it gives; where torch cannot run it, shells of that, and for numbers there is ONNX Runtime alone.

        Raises:
            TraceError: if it is asked for numbers that torch cannot compute.
            NoShape: if its shapes are not known.
        """
        given = tuple(self.held.get(place, x) for place, x in enumerate(given))
        given = tuple(map(_tensor_of, given)) if self.run is not None and self.shaped else given
        tensors = [x for x in given if isinstance(x, Tensor)]
        shell = next((x for x in tensors if x.is_meta or type(x) not in _WITH_NUMBERS), None)
        if self.run is not None and (shell is None or self.shaped):
            try:
                return self._run(self.run, list(map(_tensor_of, given)))
            except AssertionError:  # tensors of its own have numbers, among some that have none
                if shell is None:
                    raise
        if shell is None:
            what = "the table of ONNX operators does not have it, so that torch cannot run it"
            raise TraceError(what, got=self.__name__, where=self.node.name)
        device = torch.device("meta") if shell.is_meta else torch.device("cpu")
        found = [torch.empty(shape, dtype=dtype, device=device) for dtype, shape in self.shapes(given)]
        return found[0] if len(found) == 1 else tuple(found)

    def _run(self, run: Callable[..., Any], given: Sequence[Any]) -> Any:
        try:
            found = run(*given)
        except Unread as error:
            raise TraceError(str(error), got=self.__name__, where=self.node.name) from error
        return found[: len(self.kinds)] if isinstance(found, tuple) and len(self.kinds) > 1 else _first(found)

    def shapes(self, given: Sequence[Any]) -> list[tuple[torch.dtype, tuple[int, ...]]]:
        """Dtype and shape of every output, as ONNX's shape inference says.

        Raises:
            NoShape: if it does not.
        """
        kinds = [(x.dtype, tuple(map(int, x.shape))) if isinstance(x, Tensor) else str(x) for x in given]
        key = tuple(kinds)
        if key not in self._known:
            self._known[key] = self._inferred(given)
        return self._known[key]

    def _inferred(self, given: Sequence[Any]) -> list[tuple[torch.dtype, tuple[int, ...]]]:
        onnx = required("onnx", "onnx")
        helper, inputs, constants = onnx.helper, [], []
        named = [*self.node.input, *captured(self.node)]
        for place, (name, x) in enumerate(zip(named, given, strict=True)):
            if not name or x is None:
                continue
            if place in self._arrays:
                constants.append(onnx.TensorProto(name=name))
                constants[-1].MergeFrom(self._arrays[place])
            elif isinstance(x, Tensor):
                inputs.append(helper.make_tensor_value_info(name, element_of(x.dtype), list(map(int, x.shape))))
            else:
                constants.append(onnx.numpy_helper.from_array(_array(x), name))
        constants = list({tensor.name: tensor for tensor in constants}.values())
        inputs = list({value.name: value for value in inputs}.values())
        outputs = [onnx.ValueInfoProto(name=name) for name in self.node.output if name]
        inputs = [value for value in inputs if value.name not in {c.name for c in constants}]
        graph = helper.make_graph([self.node], "one", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=self.opsets, ir_version=8)
        # Numbers that say shapes are few; ONNX writes down as many as it is told, one by one.
        few = self.node.op_type != "Range" and all(x.numel() < _FEW for x in given if isinstance(x, Tensor))
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=few, strict_mode=True)
        except Exception as error:  # it raises errors of many classes
            raise NoShape(str(error)) from error
        return [self._read(value, kind) for value, kind in zip(inferred.graph.output, self.kinds, strict=True)]

    def _read(self, value: Any, kind: int) -> tuple[torch.dtype, tuple[int, ...]]:
        tensor = value.type.tensor_type
        dtype = dtype_of(tensor.elem_type or kind)
        if (
            dtype is None
            or not tensor.HasField("shape")
            or not all(d.HasField("dim_value") and d.dim_value >= 0 for d in tensor.shape.dim)
        ):
            raise NoShape(value.name)
        return dtype, tuple(d.dim_value for d in tensor.shape.dim)


def _is(attribute: Any, value: Any) -> bool:
    """Whether an attribute is a number or a word, and this one."""
    found = required("onnx", "onnx").helper.get_attribute_value(attribute)
    return isinstance(found, int | float | bytes) and type(found) is type(value) and found == value


def _shortened(names: list[bool]) -> list[bool]:
    """Without what is left out at the end."""
    while names and not names[-1]:
        names = names[:-1]
    return names


def _first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def _tensor_of(x: Any) -> Any:
    """Sizes that are plain numbers as the tensor that the operator is given."""
    plain = isinstance(x, list | tuple) and all(type(n) is int for n in x)
    return torch.tensor(x, dtype=torch.int64) if plain or type(x) is int else x


def _array(x: Any) -> Any:
    import numpy as np

    found = np.asarray(x)
    return found.astype(np.float32 if found.dtype.kind == "f" else np.int64)


def _renamed(graph: Any, names: dict[str, str]) -> None:
    """The values of a subgraph by their places, constants by their numbers: names say nothing."""
    for value in graph.input:
        value.name = names[value.name] = _place(names)
    names |= {tensor.name: _number(tensor) for tensor in graph.initializer}
    del graph.initializer[:]
    for node in list(graph.node):
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].HasField("t"):
            names[node.output[0]] = _number(node.attribute[0].t)
            graph.node.remove(node)
            continue
        node.name = node.doc_string = ""
        inner = list(subgraphs(node))
        node.input[:] = [names.get(name, name) for name in node.input]
        for each in inner:
            _renamed(each, dict(names))
        for place, name in enumerate(node.output):
            names[name] = _place(names) if name else ""
            node.output[place] = names[name]
    for value in graph.output:
        value.name = names.get(value.name, value.name)
    graph.name = graph.doc_string = ""
    del graph.value_info[:]


def _place(names: dict[str, str]) -> str:
    """The name of the next value that is no constant."""
    return f"%{sum(not each.startswith('=') for each in names.values())}"


def _number(tensor: Any) -> str:
    """A constant by its numbers, however they are written."""
    array = required("onnx", "onnx").numpy_helper.to_array(tensor)
    words = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    return f"={tensor.data_type} {list(tensor.dims)} {hashlib.sha256(words).hexdigest()}"
