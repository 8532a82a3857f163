"""An ONNX file as a graph of calls: affine nodes as ATen calls, and every node that is not read as an opaque one.

    OnnxGraph   the graph, and where in the file each of its values is
    network     ModelProto -> OnnxGraph
    inferred    the file with the dtypes and shapes of its values

Constants come first: initializers that nobody can override, and what is made of them.  A node that its table does not
read, whatever the reason, is an opaque call of the namespace "onnx".  Where even the shapes that it gives are unknown,
it is taken out of the graph: what it is given is an output of the graph, and what it gives an input, if its shape is
known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ...errors import TraceError
from ...extras import required
from ..graph import Call, Graph, Ref, needed
from .builder import Builder
from .dispatch import domain_of, function_of, read
from .evaluating import Evaluation, missing
from .functions import local, told
from .inputs import EXAMPLES, Inputs, inputs_of, rungs, symbols_of
from .lengths import counts_far
from .nodes import Given, dtype_of
from .opaque import NoShape, Opaque, captured, unsaid
from .tables.constants import tensor_of
from .tables.indexing import SELECTING
from .values import Bound, Rankless, Refused, Unread, Value


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A file as a graph.

    Attributes:
        model: the file.
        graph: its calls.
        values: what each tensor of the file is; None where that is not known.
        makers: by the name of each call of the graph, the place of the node that it comes from.
        why: by the place of each node that was not read, why.
        cut: the places of the nodes that were taken out of the graph.
        inputs: the inputs of the file as they were taken.
        kinds: dtypes of tensors of the file, as shape inference says.
        calls: those of the graph, and those that it does not need.
        constants: likewise.
        run: what computes its nodes one by one.
        refused: nodes that torch refuses at the example's sizes: a longer example may be what they want.
        shown: the names of those outputs of the file that the graph has.
    """

    model: Any
    graph: Graph
    values: Mapping[str, Given]
    makers: Mapping[str, int]
    why: Mapping[int, str]
    cut: Sequence[int]
    inputs: Inputs
    kinds: Mapping[str, torch.dtype | None]
    calls: Sequence[Call]
    constants: Mapping[str, torch.Tensor]
    run: Evaluation
    refused: Sequence[int] = ()
    shown: Sequence[str] = ()

    def with_outputs(self, names: Sequence[str]) -> OnnxGraph:
        """The network whose graph computes some more values."""
        outputs = (*self.graph.outputs, *map(Ref, names))
        calls, used = needed(self.calls, [out.name for out in outputs])
        constants = {name: x for name, x in self.constants.items() if name in used}
        return replace(self, graph=replace(self.graph, outputs=outputs, calls=calls, constants=constants))

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the file's inputs."""
        return self.inputs.names

    @property
    def returned(self) -> tuple[str, ...]:
        """The names of the file's outputs."""
        return tuple(value.name for value in self.model.graph.output)


def network(
    model: Any, shapes: Mapping[str, Sequence[int | None]] | None = None, where: object = "the file"
) -> OnnxGraph:
    """The graph of a model.

    Args:
        model: a ModelProto that the checker took.
        shapes: of some of its inputs, in the example; free axes stay free.
        where: the file, for errors.

    Raises:
        ShapeError: if a shape does not fit its input.
        DataError: if an input is too large.
        TraceError: if the file takes none of the sizes that were tried.
    """
    known = inferred(model)
    why, best = Bound(""), None
    for example in EXAMPLES:
        for rung in rungs(symbols_of(model, shapes or {}), example):
            try:
                found = _Reading(model, inputs_of(model, shapes or {}, rung, where), known).network()
            except Bound as error:
                why = error
                continue
            best = found if best is None or len(found.why) < len(best.why) else best
            if not found.refused or not found.inputs.guessed:
                return found
            break
    if best is not None:
        return best
    raise TraceError(
        f"the file takes no sizes that were tried ({why})", expected="a shape for every input", where=where
    )


@dataclass(eq=False)
class _Reading:
    """One reading of a file, with some of its sizes free."""

    model: Any
    inputs: Inputs
    inferred: Any
    values: dict[str, Given] = field(default_factory=dict)
    makers: dict[str, int] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    extra: dict[str, Value] = field(default_factory=dict)
    asked: list[Ref] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.builder = Builder(self.inputs.lengths, self.inputs.trials)
        self.builder.names.update(self.inputs.arguments)
        self.versions = {domain_of(o): o.version for o in self.model.opset_import}
        self.run = Evaluation(self.model.opset_import, local(self.model))
        graph = self.inferred.graph
        self.infos = {v.name: v for v in (*graph.value_info, *graph.output, *graph.input)}
        self.kinds = {name: v.type.tensor_type.elem_type for name, v in self.infos.items()}

    def network(self) -> OnnxGraph:
        """Read all nodes."""
        graph = self.model.graph
        for name, argument in zip(self.inputs.names, self.inputs.arguments, strict=True):
            self.values[name] = self.inputs.value(self.builder, name, argument)
        for tensor in graph.initializer:
            if tensor.name not in self.values:
                self.values[tensor.name] = self._initializer(tensor)
        for place, node in enumerate(graph.node):
            self._read(place, node)
        return self._finished()

    def _initializer(self, tensor: Any) -> Value | None:
        try:
            return self.builder.constant(tensor_of(tensor), tensor.name)
        except Unread:
            return None

    def _read(self, place: int, proto: Any) -> None:
        b = self.builder
        name = proto.name or f"{proto.op_type}_{place}"
        b.place, b.wanted = (f"node {name}", name), [each for each in proto.output if each]
        mark = b.mark()
        given = tuple(self.values.get(each) if each else None for each in proto.input)
        try:
            found = read(b, proto, given, self.versions)
        except (Unread, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # a node whose attributes or inputs are not those of its operator
            b.forget(mark)
            self.why[place] = str(error)
            self.refused += [place] if isinstance(error, Refused) else []
            found = self._opaque(place, proto, shaped=not isinstance(error, Rankless))
        self.makers.update((call.name, place) for call in b.calls[mark:])
        names = list(proto.output)
        self.values.update(zip(names, [*found, *[None] * len(names)], strict=False))

    def _opaque(self, place: int, proto: Any, *, shaped: bool = True) -> list[Given]:
        """An opaque call; where its shapes are not known, inputs of the graph."""
        b = self.builder
        kinds = [self.kinds.get(name, 0) for name in proto.output if name]
        proto = unsaid(proto, [self.values.get(each) for each in proto.input])
        target = self._target(proto, kinds)
        names = [name for name in (*proto.input, *captured(proto)) if name]
        arguments = [self.values.get(name) for name in names]
        mark = b.mark()
        try:
            if not shaped or any(argument is None for argument in arguments) or "" in proto.output:
                raise NoShape
            given = iter(_plain(argument) for argument in arguments)
            placed = [next(given) if name else None for name in proto.input]
            placed = [*placed, *given]
            if not all(isinstance(x, Value) and x.constant is not None for x in placed if x is not None):
                placed = target.hold(placed)
            found = b.call(target, target.text, *placed)
            return found if isinstance(found, list) else [found]
        except (NoShape, Unread):
            b.forget(mark)
        self.cut.append(place)
        self.asked += [Ref(v.name) for v in arguments if isinstance(v, Value) and v.constant is None]
        return [self._unknown(name) if name else None for name in proto.output]

    def _target(self, proto: Any, kinds: Sequence[int]) -> Opaque:
        """A node that is not read, and what computes it in torch, if something does."""
        opsets, run = self.model.opset_import, function_of(proto, self.versions)
        shaped = run is not None and proto.op_type not in SELECTING
        if run is None and not missing([proto], self.run):
            run = self.run.alone(proto)
        return Opaque(proto, opsets, kinds, run, shaped=shaped, own=told(self.model, proto))

    def _unknown(self, name: str) -> Value | None:
        """An output of a node that was taken out: an input of the graph, if its dtype and all its lengths are known."""
        info = self.infos.get(name)
        dtype = None if info is None else dtype_of(info.type.tensor_type.elem_type)
        if info is None or dtype is None or not info.type.tensor_type.HasField("shape"):
            return None
        shape = [self.inputs.lengths_of(dim) for dim in info.type.tensor_type.shape.dim]
        if None in shape:
            return None
        argument = self.builder.fresh(name)
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                self.inputs.free(argument, axis, dim.dim_param)
        value = self.builder.given(argument, list(zip(*shape, strict=True)) or [()] * self.inputs.trials, dtype)
        self.extra[argument] = value
        return value

    def _output(self, name: str) -> Value | None:
        """An output of the file; None where it is nothing that the graph has."""
        value = self.values.get(name)
        if isinstance(value, np.ndarray):
            try:
                return self.builder.tensor(value)
            except Unread:
                return None
        return value

    def _finished(self) -> OnnxGraph:
        """The graph of all that was read."""
        b, graph, inputs = self.builder, self.model.graph, self.inputs
        outputs = [self._output(value.name) for value in graph.output]
        refs = [Ref(v.name) for v in outputs if v is not None]
        given = [self.values[name] for name in inputs.names]
        values = [*(v for v in given if isinstance(v, Value)), *self.extra.values()]
        shown = [*refs, *dict.fromkeys(self.asked)]
        calls, used = needed(b.calls, [ref.name for ref in shown])
        constants = {name: x for name, x in b.constants.items() if name in used}
        shapes = tuple(inputs.shape(value) for value in values)
        dtypes = tuple(value.dtype for value in values)
        floats = [x for x in (*dtypes, *(x.dtype for x in constants.values())) if x.is_floating_point]
        firsts = [shape[0] for shape in shapes if shape]
        paths = {v.name: name for name, v in self.values.items() if isinstance(v, Value) and v.name in constants}
        made = Graph(
            inputs=tuple(value.name for value in values),
            input_shapes=shapes,
            calls=calls,
            constants=constants,
            outputs=tuple(shown),
            out_spec=pytree.tree_structure(0 if len(refs) == 1 else (0,) * len(refs)) if not self.cut else None,
            batch=None if None in firsts or not firsts else firsts[0],
            dtype=floats[0] if floats else torch.float32,
            input_dtypes=dtypes,
            example_shapes=tuple(tuple(map(int, value.shells[0].shape)) for value in values),
            sizes=inputs.sizes(values),
            paths=paths,
        )
        kinds = {name: dtype_of(kind) for name, kind in self.kinds.items()}
        read = (self.model, made, self.values, self.makers, self.why, self.cut, inputs, kinds, b.calls, b.constants)
        shown = [value.name for value, found in zip(graph.output, outputs, strict=True) if found is not None]
        return OnnxGraph(*read, self.run, self.refused, shown)


def inferred(model: Any) -> Any:
    """The model with the dtypes and shapes of its values, as far as ONNX's inference knows them."""
    onnx = required("onnx", "onnx")
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=not counts_far(model.graph))
    except Exception:  # it raises errors of many classes; what a model says of itself is left
        return model


def _plain(value: Given) -> Any:
    """What an opaque call is given: a tensor, or numbers."""
    return value.tolist() if isinstance(value, np.ndarray) else value
