"""Graphs inside nodes (branches, bodies of loops) as files of their own, and back.

Body        one such graph: its node, the attribute, and where in the file it is
bodies_of   the bodies of a file that can be read as files
as_model    a body as a ModelProto: what it reads from outside is its input, or a constant
put_back    a body's nodes and numbers in the place of the old ones, under names that nothing has
decided     branches whose condition is known, in the place of their node
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...extras import required
from ..graph import unused
from .opaque import captured, subgraphs


@dataclass(frozen=True, eq=False)
class Body:
    """A graph inside a node.

    Attributes:
        node: the place of the node.
        attribute: of the node, by its place.
        name: of both, for people.
        graph: a GraphProto.
        free: names that it reads from outside.
    """

    node: int
    attribute: int
    name: str
    graph: Any
    free: tuple[str, ...]


def bodies_of(model: Any) -> Iterator[Body]:
    """The graphs inside the nodes of a file, not those inside them."""
    for place, node in enumerate(model.graph.node):
        for number, attribute in enumerate(node.attribute):
            if attribute.HasField("g"):
                shell = required("onnx", "onnx").NodeProto(attribute=[attribute])
                name = f"{attribute.name} of {node.name or node.op_type}"
                yield Body(place, number, name, attribute.g, tuple(captured(shell)))


def names_of(graph: Any) -> set[str]:
    """Every name that a graph and its subgraphs have."""
    found = {value.name for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer)}
    for node in graph.node:
        found.update((node.name, *node.input, *node.output))
        for inner in subgraphs(node):
            found |= names_of(inner)
    return found


def as_model(model: Any, body: Body, infos: Mapping[str, Any], more: Sequence[str] = ()) -> Any:
    """A body as a file; None where a value has no known dtype or is no tensor, or first axes may differ.

    Args:
        model: the file.
        body: of it.
        infos: what shape inference says of the values of the file, by name.
        more: names of values of the file that are inputs as well.
    """
    onnx = required("onnx", "onnx")
    given = {value.name for value in model.graph.input}
    held = {t.name: t for t in model.graph.initializer if t.name not in given}
    read = [name for name in dict.fromkeys((*body.free, *more)) if name not in held]
    if any(name not in infos or not infos[name].type.HasField("tensor_type") for name in read):
        return None
    inputs = [*body.graph.input, *(infos[name] for name in read)]
    others = (v for v in (*inputs, *body.graph.output) if v.type.WhichOneof("value") not in (None, "tensor_type"))
    if any(others) or not _one_batch(inputs):
        return None
    graph = onnx.GraphProto()
    graph.CopyFrom(body.graph)
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(held[name] for name in body.free if name in held)
    made = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=max(model.ir_version, 8))
    made.functions.extend(model.functions)
    return made


def _one_batch(inputs: Sequence[Any]) -> bool:
    """Whether all free first axes are known to be as long as one another."""
    firsts = [v.type.tensor_type.shape.dim[0] for v in inputs if len(v.type.tensor_type.shape.dim)]
    free = [dim.dim_param for dim in firsts if not dim.dim_value > 0]
    return len(free) < 2 or (len(set(free)) == 1 and bool(free[0]))


def put_back(model: Any, body: Body, new: Any, taken: set[str]) -> None:
    """Write a body's new nodes and numbers into its file.

    Args:
        model: the file, which is changed.
        body: of it.
        new: the body as a file, rewritten.
        taken: every name of the file; new ones are added.
    """
    graph = model.graph.node[body.node].attribute[body.attribute].g
    old = names_of(body.graph) | set(body.free)
    fresh = sorted(names_of(new.graph) - old - {""})
    names: dict[str, str] = {}
    for name in fresh:
        names[name] = unused(name, taken)
        taken.add(names[name])
    for node in new.graph.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    numbers = [tensor for tensor in new.graph.initializer if tensor.name not in body.free]
    for tensor in numbers:
        tensor.name = names.get(tensor.name, tensor.name)
    infos = [value for value in new.graph.value_info if value.name not in body.free]
    for field, values in (
        (graph.node, list(new.graph.node)), (graph.initializer, numbers), (graph.value_info, infos)
    ):  # fmt: skip
        del field[:]
        field.extend(values)


def decided(model: Any, conditions: Mapping[str, bool]) -> Any:
    """The file where every branch whose condition is known stands in the place of its node; None where none is.

    Args:
        model: the file.
        conditions: the known values of conditions, by their names.
    """
    onnx = required("onnx", "onnx")
    known = [node for node in model.graph.node if node.op_type == "If" and node.input[0] in conditions]
    if not known:
        return None
    new = onnx.ModelProto()
    new.CopyFrom(model)
    del new.graph.node[:]
    taken = _outside(model.graph, conditions)
    for node in model.graph.node:
        if node.op_type != "If" or node.input[0] not in conditions:
            new.graph.node.append(node)
            continue
        word = "then_branch" if conditions[node.input[0]] else "else_branch"
        branch = onnx.GraphProto()
        branch.CopyFrom(next(a.g for a in node.attribute if a.name == word))
        _apart(branch, taken)
        new.graph.node.extend(branch.node)
        new.graph.initializer.extend(branch.initializer)
        new.graph.value_info.extend(branch.value_info)
        pairs = [(value.name, name) for value, name in zip(branch.output, node.output, strict=True) if name]
        new.graph.node.extend(onnx.helper.make_node("Identity", [one], [other]) for one, other in pairs)
    return new


def _outside(graph: Any, conditions: Mapping[str, bool]) -> set[str]:
    """The names of a graph without those of branches whose condition is known."""
    shell = type(graph)()
    shell.CopyFrom(graph)
    for node in shell.node:
        if node.op_type == "If" and node.input[0] in conditions:
            del node.attribute[:]
    return names_of(shell)


def _apart(graph: Any, taken: set[str]) -> None:
    """Give what a branch makes names that nothing else has: those of another branch may be the same."""
    names: dict[str, str] = {}
    for name in dict.fromkeys(_made(graph)):
        names[name] = unused(name, taken)
        taken.add(names[name])
    _rename(graph, names)


def _made(graph: Any) -> Iterator[str]:
    """Names of values that are made in a graph, and inside it."""
    yield from (value.name for value in (*graph.input, *graph.initializer))
    for node in graph.node:
        yield from filter(None, node.output)
        for inner in subgraphs(node):
            yield from _made(inner)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give values other names, in graphs inside as well."""
    for value in (*graph.input, *graph.initializer, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in subgraphs(node):
            _rename(inner, names)
