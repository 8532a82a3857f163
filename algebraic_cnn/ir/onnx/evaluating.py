"""A file, or a part of it, on numbers: every node in its turn, by the tables that read it.

On tensors whose numbers are known, reading a node is computing it: every call is one on constants.  So what is
affine, what is not, and what only numbers decide (branches, loops, sequences, selections) has one meaning, that of
the tables.  What no table has is computed by the body that ONNX gives to its operator.

    Evaluation    the versions and the functions of a file
    Whole         a file as the target of one call
    missing       names of nodes that nothing computes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import AlgebraicError, TraceError
from .builder import Builder
from .dispatch import FUNCTIONS, TABLES, attributes_of, domain_of, function_of, read
from .functions import body_of, has_body, local, without_references
from .nodes import dtype_of
from .opaque import captured, subgraphs
from .sequences import SEQUENCES
from .tables.constants import tensor_of
from .values import Bound, Unread, Value

#: How many numbers a range may have.
_FAR = 2**24

#: What a node raises whose inputs are not those of its operator.
_WRONG = (Unread, Bound, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is common to the nodes of a file.

    Attributes:
        opsets: the versions of all domains.
        functions: those that the file defines, by domain and name.
    """

    opsets: Sequence[Any]
    functions: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    def graph(self, graph: Any, given: Sequence[Any], outer: Mapping[str, Any]) -> list[Any]:
        """The outputs of a graph.

        Args:
            graph: a GraphProto.
            given: the values of its inputs.
            outer: those of the graph around it, by name.

        Raises:
            TraceError: names a node that cannot be computed.
        """
        values = dict(outer)
        values |= _constants(graph)
        values |= zip((value.name for value in graph.input), given, strict=False)
        self.nodes(graph.node, values)
        return [values[value.name] for value in graph.output]

    def nodes(self, nodes: Sequence[Any], values: dict[str, Any]) -> None:
        """Compute nodes, and put what they give among the values.

        Raises:
            TraceError: names a node that cannot be computed.
        """
        for place, node in enumerate(nodes):
            given: list[Any] = []
            try:
                given = [values[name] if name else None for name in node.input]
                found = self.node(node, given, values)
                if len(found) < len(node.output):
                    raise Unread("more outputs than are computed")
            except _WRONG as error:
                if isinstance(error, AlgebraicError):
                    raise
                where = f"node {node.name or place}"
                if what := _said(error):
                    raise TraceError(what, got=node.op_type, where=where) from error
                takes = f"what ONNX's {node.op_type} takes"
                got = ", ".join(map(_kind, given)) or "nothing"
                raise TraceError(f"{node.op_type} cannot be computed", expected=takes, got=got, where=where) from error
            values.update((name, x) for name, x in zip(node.output, found, strict=False) if name)

    def node(self, node: Any, given: Sequence[Any], outer: Mapping[str, Any]) -> Sequence[Any]:
        """What one node gives.

        Raises:
            Unread: if nothing computes it.
            TraceError: names a node inside it that cannot be computed.
        """
        domain = domain_of(node)
        if (domain, node.op_type) in self.functions:
            return self._local(self.functions[domain, node.op_type], node, given)
        if not domain and node.op_type in SEQUENCES:
            return _several(SEQUENCES[node.op_type](attributes_of(node), given))
        if not domain and node.op_type in _CONTROL:
            return _CONTROL[node.op_type](self, node, given, outer)
        versions = {domain_of(o): o.version for o in self.opsets}
        try:
            return self._read(node, given, versions)
        except _WRONG as error:
            if run := function_of(node, versions):
                return _several(run(*given))
            if node.op_type == "Range" and not abs(float(given[1] - given[0]) / float(given[2])) < _FAR:
                raise  # ONNX's body of it takes a turn for every number
            if body := body_of(node, given, versions.get(domain, 1)):
                return self._local(body, node, given)
            raise Unread(_said(error)) from error

    def alone(self, node: Any) -> Callable[..., Any]:
        """What computes a node: on its inputs, and then on what its subgraphs read from outside."""
        free = captured(node)

        def computed(*given: Any) -> Any:
            values = dict(zip([*node.input, *free], map(_tensor, given), strict=True))
            self.nodes([node], values)
            return tuple(values[name] if name else None for name in node.output)

        return computed

    def _read(self, node: Any, given: Sequence[Any], versions: Mapping[str, int]) -> list[Any]:
        """By the tables, on constants."""
        builder = Builder({}, 1)
        if any(not isinstance(x, Tensor) for x in given if x is not None):
            raise Unread("a value that is no tensor")
        constants = tuple(None if x is None else builder.constant(x) for x in given)
        return [_plain(value) for value in read(builder, node, constants, versions)]

    def _local(self, function: Any, node: Any, given: Sequence[Any]) -> list[Any]:
        """A function that ONNX or the file defines, on what a call of it is given."""
        values = dict.fromkeys(function.input) | dict(zip(function.input, given, strict=False))
        nodes = without_references(function, node)
        Evaluation(function.opset_import, self.functions).nodes(nodes, values)
        return [values.get(name) for name in function.output]


def _constants(graph: Any) -> dict[str, Tensor | None]:
    """The initializers of a graph; None for numbers that torch does not have."""
    return {t.name: None if dtype_of(t.data_type) is None else tensor_of(t) for t in graph.initializer}


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        if value.constant is None:
            raise Unread("a value without numbers")
        return value.constant
    if isinstance(value, np.ndarray):
        floats = any(isinstance(n, float) for n in value.reshape(-1))
        dtype = torch.float32 if floats else torch.int64
        return torch.tensor(value.tolist(), dtype=dtype).reshape(value.shape)
    return value


def _tensor(value: Any) -> Any:
    """Numbers that sizes decide, as a tensor."""
    tensors = isinstance(value, list) and any(isinstance(x, Tensor) for x in value)
    return torch.tensor(value) if isinstance(value, int | float | list) and not tensors else value


def _several(found: Any) -> Sequence[Any]:
    return found if isinstance(found, tuple) else (found,)


def _graphs(node: Any) -> dict[str, Any]:
    return {a.name: a.g for a in node.attribute if a.HasField("g")}


def _if(run: Evaluation, node: Any, given: Sequence[Any], outer: Mapping[str, Any]) -> list[Any]:
    branch = "then_branch" if bool(given[0]) else "else_branch"
    return run.graph(_graphs(node)[branch], [], outer)


def _loop(run: Evaluation, node: Any, given: Sequence[Any], outer: Mapping[str, Any]) -> list[Any]:
    """So often as it is said, while its condition holds; what every turn adds is stacked."""
    body, (limit, going, *state) = _graphs(node)["body"], given
    going, turn, rows = True if going is None else bool(going), 0, []
    while going and (limit is None or turn < int(limit)):
        kept, *found = run.graph(body, [torch.tensor(turn), torch.tensor(going), *state], outer)
        state, added = found[: len(state)], found[len(state) :]
        going, turn = bool(kept), turn + 1
        rows.append(added)
    count = len(body.output) - 1 - len(state)
    if rows:
        return [*state, *(torch.stack([row[k] for row in rows]) for k in range(count))]
    empty = [torch.zeros(0, *_lengths(value)) for value in body.output[1 + len(state) :]]
    return [*state, *empty]


def _lengths(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _scan(run: Evaluation, node: Any, given: Sequence[Any], outer: Mapping[str, Any]) -> list[Any]:
    """Of version 9 and later: one turn for every entry along an axis of the inputs that are scanned."""
    body, a = _graphs(node)["body"], attributes_of(node)
    count = a["num_scan_inputs"]
    state, rows = list(given[: len(given) - count]), []
    ins = zip(given[len(state) :], a.get("scan_input_axes", [0] * count), strict=True)
    scanned = [x.movedim(axis, 0) for x, axis in ins]
    turned = a.get("scan_input_directions", [0] * count)
    scanned = [x.flip(0) if way else x for x, way in zip(scanned, turned, strict=True)]
    for entry in zip(*scanned, strict=True):
        found = run.graph(body, [*state, *entry], outer)
        state = found[: len(state)]
        rows.append(found[len(state) :])
    if not rows:
        raise Unread("a scan of nothing")
    outs = len(rows[0])
    axes, ways = (a.get(name, [0] * outs) for name in ("scan_output_axes", "scan_output_directions"))
    stacked = [torch.stack([row[k] for row in rows[:: -1 if ways[k] else 1]], axes[k]) for k in range(outs)]
    return [*state, *stacked]


_CONTROL: dict[str, Callable[..., list[Any]]] = {"If": _if, "Loop": _loop, "Scan": _scan}


class Whole:
    """A file as the target of one call: inputs -> outputs, each node in its turn.

    Args:
        model: the file.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.__name__, self.__module__ = model, "whole", "onnx"
        self._run = Evaluation(model.opset_import, local(model))
        self._constants = _constants(model.graph)

    def __call__(self, *given: Tensor) -> Any:
        """The outputs.

        Raises:
            TraceError: names a node that cannot be computed.
        """
        graph = self.model.graph
        names = [value.name for value in graph.input if self.model.ir_version > 3 or value.name not in self._constants]
        values = self._constants | dict(zip(names, given, strict=False))
        self._run.nodes(graph.node, values)
        found = [values[value.name] for value in graph.output]
        return found[0] if len(found) == 1 else tuple(found)

    def missing(self) -> str:
        """The first operator that nothing computes; "" where all are."""
        return next(iter(missing(self.model.graph.node, self._run)), "")


def _said(error: BaseException | None) -> str:
    """What an error says in our words; "" where they are those of Python or torch."""
    while isinstance(error, Unread) and (isinstance(error.__cause__, Unread) or not str(error)):
        error = error.__cause__
    return str(error).splitlines()[0] if isinstance(error, Unread) and error.__cause__ is None else ""


def _kind(x: Any) -> str:
    """What a value is, without its numbers."""
    if isinstance(x, Tensor):
        return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
    return "a sequence" if isinstance(x, list | tuple) else "nothing" if x is None else type(x).__name__


def missing(nodes: Sequence[Any], run: Evaluation) -> list[str]:
    """Names of nodes, also inside others, that nothing computes.

    Args:
        nodes: of a file.
        run: its versions and functions.
    """
    versions, found = {domain_of(o): o.version for o in run.opsets}, []
    for place, node in enumerate(nodes):
        key = domain_of(node), node.op_type
        tables = TABLES.get(key[0], {}), FUNCTIONS.get(key[0], {}), {} if key[0] else {**SEQUENCES, **_CONTROL}
        if key in run.functions:
            inner = run.functions[key]
            found += missing(inner.node, Evaluation(inner.opset_import, run.functions))
        elif not any(key[1] in table for table in tables) and not has_body(node, versions.get(key[0], 1)):
            found.append(f"{node.op_type} of node {node.name or place}")
        for graph in subgraphs(node):
            found += missing(graph.node, run)
    return found
