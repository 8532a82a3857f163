"""What is inside the nodes of an ONNX file, branches and bodies of loops, collapsed as files of their own.

    with_bodies    ModelProto, what collapses a file -> the file with new bodies, and what was done in each
    nodes_in       how many nodes a graph has, those inside its nodes too

A body is a network like another: what it reads from outside is its input.  It stays as it is where the dtype of such
a value is not known, where it takes several free first axes that may differ, or where nothing gets smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DataError, NonFiniteError, ShapeError, TooLargeError, TraceError
from ..extras import required
from ..ir.onnx.bodies import as_model, bodies_of, names_of, put_back
from ..ir.onnx.network import inferred
from ..ir.onnx.opaque import subgraphs


def with_bodies(model: Any, collapsed: Callable[[Any, str], Any]) -> tuple[Any, dict[str, Any]]:
    """A file whose bodies are collapsed, and the result for each of them that is another now.

    Args:
        model: the file.
        collapsed: collapses a file, which has a name for people.

    Raises:
        UncertifiedError: if a certificate refutes a body.
    """
    bodies = list(bodies_of(model))
    if not bodies:
        return model, {}
    new, taken, done = required("onnx", "onnx").ModelProto(), names_of(model.graph), {}
    new.CopyFrom(model)
    known = inferred(model).graph
    infos = {value.name: value for value in (*known.value_info, *known.input)}
    for body in bodies:
        inner = as_model(model, body, infos)
        if inner is None:
            continue
        try:
            result = collapsed(inner, body.name)
        except (DataError, TraceError, ShapeError, TooLargeError, NonFiniteError):  # it stays as it is
            continue
        certain = result.certificate is None or result.certificate.ok
        if certain and nodes_in(result.model.graph) < nodes_in(body.graph):
            put_back(new, body, result.model, taken)
            done[body.name] = result
    return new, done


def nodes_in(graph: Any) -> int:
    """How many nodes a graph has, those inside its nodes too."""
    return sum(1 + sum(map(nodes_in, subgraphs(node))) for node in graph.node)
