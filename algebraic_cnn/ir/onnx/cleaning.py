"""What others clean up in ONNX files, as far as it moves no number: equal nodes once, moves after moves as one.

    cleaned    ModelProto -> ModelProto

Equal initializers and equal nodes on equal values are one; ``Reshape`` after ``Reshape``, ``Transpose`` after
``Transpose``, and ``Slice`` after ``Slice`` along other axes are one node.  Nodes that draw numbers by chance, that
have graphs inside, whose values such graphs read, or of which ONNX does not say what they do, stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...extras import required
from .opaque import captured, subgraphs

#: Operators that give other numbers each time.
_CHANCE = frozenset(
    "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)

#: Domains whose operators are functions of what they are given; one of a file's own may draw numbers inside.
_KNOWN = ("", "ai.onnx", "ai.onnx.ml")


def cleaned(model: Any) -> Any:
    """A file with fewer nodes and the same numbers.

    Args:
        model: the file, sorted, with no node that nobody reads.
    """
    new = required("onnx", "onnx").ModelProto()
    new.CopyFrom(model)
    while _once(new) or _shared(new.graph) or _merged(new):
        pass
    return new


def _kept(graph: Any) -> set[str]:
    """Names that must stay: outputs, and what graphs inside nodes read."""
    return {value.name for value in graph.output} | {name for node in graph.node for name in captured(node)}


def _renamed(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _once(model: Any) -> bool:
    """Equal initializers that nobody can override are one."""
    graph = model.graph
    given, kept = {value.name for value in graph.input}, _kept(graph)
    first: dict[bytes, str] = {}
    names: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.name not in given and tensor.name not in kept:
            key = _bare(tensor)
            if first.setdefault(key, tensor.name) != tensor.name:
                names[tensor.name] = first[key]
    _renamed(graph, names)
    left = [tensor for tensor in graph.initializer if tensor.name not in names]
    del graph.initializer[:]
    graph.initializer.extend(left)
    return bool(names)


def _bare(message: Any) -> bytes:
    """A message without its name."""
    bare = type(message)()
    bare.CopyFrom(message)
    bare.name = bare.doc_string = ""
    return bare.SerializeToString(deterministic=True)


def _shared(graph: Any) -> bool:
    """Equal nodes on equal values are one."""
    kept, first, names, nodes = _kept(graph), {}, {}, []
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        certain = node.domain in _KNOWN and node.op_type not in _CHANCE
        alone = not certain or any(True for _ in subgraphs(node)) or kept.intersection(node.output)
        bare = type(node)()
        bare.CopyFrom(node)
        bare.name = bare.doc_string = ""
        bare.output[:] = ["x" if name else "" for name in node.output]
        key = bare.SerializeToString(deterministic=True)
        if not alone and key in first:
            names |= zip(node.output, first[key].output, strict=True)
            continue
        if certain:
            first.setdefault(key, node)
        nodes.append(node)
    if names:
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)
    return bool(names)


def _merged(model: Any) -> bool:
    """A move after a move that nothing else reads is one move."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output if name}
    readers = Counter(name for node in graph.node for name in (*node.input, *captured(node)))
    kept, numbers = _kept(graph), {t.name: t for t in graph.initializer if t.name not in {v.name for v in graph.input}}
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if (
            before is None
            or before.op_type != node.op_type
            or node.domain
            or before.domain
            or node.op_type not in _MOVES
        ):
            continue
        inner = node.input[0]
        if readers[inner] > 1 or inner in kept:
            continue
        if _MOVES[node.op_type](graph, before, node, numbers, version):
            graph.node.remove(before)
            return True
    return False


def _reshapes(graph: Any, before: Any, node: Any, numbers: dict[str, Any], version: int) -> bool:
    """The second one alone, if no length of it is that of its input."""
    shape = _integers(numbers.get(node.input[1])) if version >= 5 and len(node.input) > 1 else None
    if shape is None or 0 in shape:
        return False
    node.input[0] = before.input[0]
    return True


def _transposes(graph: Any, before: Any, node: Any, numbers: dict[str, Any], version: int) -> bool:
    first, second = (next((list(a.ints) for a in each.attribute if a.name == "perm"), None) for each in (before, node))
    if first is None or second is None or len(first) != len(second):
        return False
    next(a for a in node.attribute if a.name == "perm").ints[:] = [first[axis] for axis in second]
    node.input[0] = before.input[0]
    return True


def _slices(graph: Any, before: Any, node: Any, numbers: dict[str, Any], version: int) -> bool:
    """Both as one, along the axes of both."""
    if version < 10:
        return False
    one, other = (list(_bounds(each, numbers)) for each in (before, node))
    axes = [row[2] for row in (*one, *other)]
    if not one or not other or min(axes) < 0 or len(set(axes)) < len(axes):
        return False
    arrays = [np.array(column, dtype=np.int64) for column in zip(*one, *other, strict=True)]
    taken = {t.name for t in graph.initializer} | {name for n in graph.node for name in (*n.input, *n.output)}
    names = []
    for word, array in zip(("starts", "ends", "axes", "steps"), arrays, strict=True):
        name = f"{node.output[0]}_{word}"
        while name in taken:
            name += "_"
        graph.initializer.append(required("onnx", "onnx").numpy_helper.from_array(array, name))
        names.append(name)
    node.input[:] = [before.input[0], *names]
    return True


def _bounds(node: Any, numbers: dict[str, Any]) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, axis, step) of every axis; nothing where they are not known."""
    found = [_integers(numbers.get(name)) for name in node.input[1:]]
    if len(found) < 3 or any(each is None for each in found):
        return
    starts, ends, axes, steps = [*(each or [] for each in found), [1] * len(found[0] or [])][:4]
    yield from zip(starts, ends, axes, steps, strict=True)


def _integers(tensor: Any) -> list[int] | None:
    return None if tensor is None else required("onnx", "onnx").numpy_helper.to_array(tensor).reshape(-1).tolist()


_MOVES: dict[str, Callable[..., bool]] = {"Reshape": _reshapes, "Slice": _slices, "Transpose": _transposes}
