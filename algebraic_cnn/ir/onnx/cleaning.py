"""What others clean up in ONNX files, as far as it moves no number: equal nodes once, moves after moves as one.

    written_down    constants as initializers
    cleaned         ModelProto -> ModelProto

Equal initializers and equal nodes on equal values are one; views, transposes, slices, concatenations and casts after
their like are one node (chains.py); what gives what it is given goes; integers that say shapes are constants where
they are known, and one where they are the same (entries.py).  Nodes that draw numbers by chance, that have graphs
inside, whose values such graphs read, or of which ONNX does not say what they do, stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ...extras import required
from .chains import CHAINS, reshaped
from .entries import Shapes
from .opaque import captured, draws, subgraphs
from .sheet import Sheet, attribute
from .tidying import tidied

#: Domains of ONNX's own operators.
_OWN = ("", "ai.onnx")

#: ONNX's numbers for the integers that say shapes.
_INTEGERS = {6: np.int32, 7: np.int64}


def cleaned(model: Any, weights: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A file with fewer nodes and the same numbers.

    Args:
        model: the file, sorted, with no node that nobody reads.
        weights: by name, initializers whose numbers were set aside.
    """
    new, changed = written_down(model), True
    while changed:
        changed = _once(new)
        sheet = Sheet(new, weights)
        changed |= _said(sheet)
        while _chained(sheet) | _shared(sheet):
            changed = True
        sheet.write()
        new = tidied(new)
    return new


def written_down(model: Any) -> Any:
    """A file whose constants are initializers, and no nodes, inside its nodes too."""
    new = required("onnx", "onnx").ModelProto()
    new.CopyFrom(model)
    _write_down(new.graph)
    return new


def _write_down(graph: Any) -> None:
    kept = {value.name for value in graph.output} | {name for node in graph.node for name in captured(node)}
    for node in list(graph.node):
        for inner in subgraphs(node):
            _write_down(inner)
        if node.op_type != "Constant" or node.domain not in _OWN or node.output[0] in kept:
            continue
        tensor = _tensor(node)
        if tensor is not None:
            graph.initializer.append(tensor)
            graph.node.remove(node)


def _tensor(node: Any) -> Any:
    """The initializer that a constant is; None for one that is no tensor of numbers."""
    onnx = required("onnx", "onnx")
    if len(node.attribute) != 1 or not node.output[0]:
        return None
    name, value = node.attribute[0].name, onnx.helper.get_attribute_value(node.attribute[0])
    if name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        return tensor
    kinds = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    return onnx.numpy_helper.from_array(np.array(value, dtype=kinds[name]), node.output[0]) if name in kinds else None


def _once(model: Any) -> bool:
    """Equal initializers that nobody can override are one."""
    graph = model.graph
    given = {value.name for value in graph.input}
    kept = {value.name for value in graph.output} | {name for node in graph.node for name in captured(node)}
    like: dict[tuple[Any, ...], list[Any]] = {}
    for tensor in graph.initializer:
        if tensor.name not in given and tensor.name not in kept:
            like.setdefault((tuple(tensor.dims), tensor.data_type), []).append(tensor)
    names: dict[str, str] = {}
    for tensors in like.values():
        first: dict[bytes, str] = {}
        for tensor in tensors if len(tensors) > 1 else ():
            key = _bare(tensor)
            if first.setdefault(key, tensor.name) != tensor.name:
                names[tensor.name] = first[key]
    if not names:
        return False
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    left = [tensor for tensor in graph.initializer if tensor.name not in names]
    del graph.initializer[:]
    graph.initializer.extend(left)
    return True


def _bare(message: Any) -> bytes:
    """A message without its name."""
    bare = type(message)()
    bare.CopyFrom(message)
    bare.name = bare.doc_string = ""
    return bare.SerializeToString(deterministic=True)


def _said(sheet: Sheet) -> bool:
    """Integers that say shapes: constants where all are known, and one value where they are the same."""
    shapes, first, changed = Shapes(sheet), {}, False
    for place, node in sheet:
        if node.op_type == "Reshape" and node.domain in _OWN:
            changed |= _in_numbers(sheet, shapes, place, node)
    found = [(place, node, shapes.entries(node.output[0])) for place, node in sheet if len(node.output) == 1]
    for place, node, entries in found:
        kind = sheet.lengths.kinds.get(node.output[0], 0)
        if entries is None or kind not in _INTEGERS or None in entries[0]:
            continue
        out, key = node.output[0], (kind, tuple(entries[0]), entries[1])
        if all(isinstance(n, int) for n in entries[0]):
            array = np.array(entries[0] if entries[1] else entries[0][0], dtype=_INTEGERS[kind])
            if out not in sheet.kept:
                changed |= sheet.same(place, sheet.constant(array, f"{out}_known"))
        elif key in first:
            changed |= sheet.same(place, first[key])
        else:
            first[key] = out
    return changed


def _in_numbers(sheet: Sheet, shapes: Shapes, place: int, node: Any) -> bool:
    """The shape of a Reshape as a constant: 0 for a length that stays, which is what a length of 0 would say too."""
    if sheet.version < 5 or node.input[1] in sheet.numbers:
        return False
    wanted, given = shapes.entries(node.input[1]), sheet.lengths.shape(node.input[0])
    zeros = getattr(attribute(node, "allowzero"), "i", 0) and 0 in (wanted or ([],))[0]
    if wanted is None or given is None or zeros:
        return False
    stays = [0 if isinstance(n, str) and given[axis : axis + 1] == (n,) else n for axis, n in enumerate(wanted[0])]
    numbers = [n for n in stays if isinstance(n, int)]
    if len(numbers) < len(stays):
        return False
    return reshaped(sheet, place, node.input[0], numbers)


def _chained(sheet: Sheet) -> bool:
    """Go through the nodes with the rules of each; what nobody reads goes."""
    changed = False
    for place in range(len(sheet.nodes)):
        node = sheet.nodes[place]
        if node is None or node.domain not in _OWN or node.op_type not in CHAINS:
            continue
        for rule in CHAINS[node.op_type]:
            if rule(sheet, place, node):
                changed, node = True, sheet.nodes[place]
                if node is None or node.op_type not in CHAINS:
                    break
    for place in reversed(range(len(sheet.nodes))):
        node = sheet.nodes[place]
        if node is not None and not any(sheet.readers.get(name) or name in sheet.kept for name in node.output):
            sheet.remove(place)
    return changed


def _shared(sheet: Sheet) -> bool:
    """Equal nodes on equal values are one."""
    first: dict[bytes, Any] = {}
    changed = False
    for place, node in sheet:
        if draws(node):
            continue
        bare = type(node).FromString(node.SerializeToString())
        bare.name = bare.doc_string = ""
        bare.output[:] = ["x" if name else "" for name in node.output]
        key = bare.SerializeToString(deterministic=True)
        other = first.setdefault(key, node)
        inside = any(True for _ in subgraphs(node))
        if other is not node and not inside and not sheet.kept.intersection(node.output):
            changed |= sheet.alike(place, other)
    return changed
