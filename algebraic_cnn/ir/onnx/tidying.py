"""Nodes and initializers put together to a file again: sorted, what nobody reads left out, equal ones once.

assembled    ModelProto, nodes, new initializers -> ModelProto
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import DataError
from ...extras import required
from .opaque import captured


def assembled(model: Any, nodes: Sequence[Any], constants: Sequence[Any]) -> Any:
    """A file with other nodes in the place of its own; everything else is that of the file.

    Args:
        model: the file.
        nodes: in any order.
        constants: initializers that the file does not have.

    Raises:
        DataError: if the nodes read one another in a circle.
    """
    onnx = required("onnx", "onnx")
    new = onnx.ModelProto()
    new.CopyFrom(model)
    graph = new.graph
    kept = live(ordered(nodes), [value.name for value in graph.output])
    read = {value.name for value in graph.output} | {name for node in kept for name in _read(node)}
    given = {value.name for value in graph.input}
    initializers = [t for t in (*model.graph.initializer, *constants) if t.name in read or t.name in given]
    made = {name for node in kept for name in node.output}
    infos = [value for value in model.graph.value_info if value.name in made]
    annotations = [
        a for a in model.graph.quantization_annotation if a.tensor_name in made | {t.name for t in initializers}
    ]
    fields = (graph.node, kept), (graph.initializer, initializers), (graph.value_info, infos)
    for field, values in (*fields, (graph.quantization_annotation, annotations)):
        del field[:]
        field.extend(values)
    if new.ir_version < 4:  # every initializer was an input then
        new.ir_version = 4
    return new


def _read(node: Any) -> list[str]:
    return [name for name in (*node.input, *captured(node)) if name]


def ordered(nodes: Sequence[Any]) -> list[Any]:
    """The nodes, each after those whose values it reads; as they were given where that allows it.

    Raises:
        DataError: if they read one another in a circle.
    """
    makers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    state: dict[int, int] = {}
    found: list[Any] = []
    for start in range(len(nodes)):
        waiting = [(start, iter(_needs(nodes[start], makers)))] if start not in state else []
        state.setdefault(start, 1)
        while waiting:
            place, needs = waiting[-1]
            following = next(needs, None)
            if following is None:
                waiting.pop()
                state[place] = 2
                found.append(nodes[place])
            elif following not in state:
                state[following] = 1
                waiting.append((following, iter(_needs(nodes[following], makers))))
            elif state[following] == 1:
                raise DataError("nodes that read one another in a circle", where=nodes[following].name)
    return found


def _needs(node: Any, makers: dict[str, int]) -> list[int]:
    return [makers[name] for name in _read(node) if name in makers]


def live(nodes: Sequence[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that the outputs need, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            wanted.update(_read(node))
            kept.append(node)
    return kept[::-1]


def tidied(model: Any) -> Any:
    """The file without nodes and initializers that nobody reads."""
    return assembled(model, list(model.graph.node), [])
