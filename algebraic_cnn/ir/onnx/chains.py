"""Moves after moves as one, and nodes that give what they are given: rules of the clean-up, each exact.

    CHAINS    operator -> rules, each (Sheet, place, node) -> whether it changed something

A rule looks at one node and at those before it.  Numbers are moved, never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .sheet import Sheet, attribute

Rule = Callable[[Sheet, int, Any], bool]

#: Dtypes that NumPy has, by ONNX's numbers.
_MOVED = frozenset((1, 2, 3, 5, 6, 7, 9, 10, 11))

#: What only gives axes other lengths.
_VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")

#: Dtypes by ONNX's numbers, and those that have all numbers of them.
_WIDER = {9: {1, 6, 7, 10, 11}, 10: {1, 11}, 1: {11}, 6: {7, 11}, 2: {3, 5, 6, 7, 1, 11}, 3: {5, 6, 7, 1, 11}}


def gives_alike(sheet: Sheet, place: int, node: Any) -> bool:
    """A node that gives what it is given."""
    if len([name for name in node.output if name]) != 1 or not node.input:
        return False
    return _is_alike(sheet, node) and sheet.same(place, node.input[0])


def _is_alike(sheet: Sheet, node: Any) -> bool:
    kind, x, y = node.op_type, node.input[0], node.output[0]
    if kind == "Identity" or (kind in ("Concat", "Sum", "Max", "Min", "Mean") and len(node.input) == 1):
        return True
    if kind == "Dropout":
        return sheet.version < 12 or len(node.input) < 3 or not node.input[2]
    if kind == "Cast":
        return sheet.lengths.kinds.get(x) == attribute(node, "to").i
    if kind == "Transpose":
        perm = attribute(node, "perm")
        return perm is not None and list(perm.ints) == list(range(len(perm.ints)))
    if kind in (*_VIEWS, "Expand"):
        return sheet.lengths.alike(x, y)
    if kind == "Slice":
        steps = sheet.integers(node.input[4]) if len(node.input) > 4 else [1]
        return steps is not None and all(n == 1 for n in steps) and sheet.lengths.alike(x, y)
    if kind == "Pad":
        pads = sheet.option(node, "pads", 1)
        return pads is not None and not any(pads)
    return False


def by_one(sheet: Sheet, place: int, node: Any) -> bool:
    """A product with 1, a quotient by 1, a difference with 0: the other number, to its sign."""
    for number in (1, 0) if node.op_type == "Mul" else (1,):
        numbers, other = sheet.known(node.input[number]), node.input[1 - number]
        if numbers is None or not numbers.size or np.signbit(numbers).any():
            continue
        if bool((numbers == (node.op_type != "Sub")).all()) and sheet.lengths.alike(other, node.output[0]):
            return sheet.same(place, other)
    return False


def of_constant(sheet: Sheet, place: int, node: Any) -> bool:
    """A constant that is moved is another constant."""
    tensor, out = sheet.numbers.get(node.input[0]), node.output[0]
    shape = sheet.lengths.shape(out)
    if tensor is None or tensor.data_type not in _MOVED or shape is None or out in sheet.kept:
        return False
    lengths = [n for n in shape if isinstance(n, int)]
    array = sheet.array(node.input[0])
    if node.op_type == "Transpose":
        perm = attribute(node, "perm")
        array = array.transpose(None if perm is None else list(perm.ints))
    elif len(lengths) < len(shape) or np.prod(lengths) != array.size:
        return False
    else:
        array = array.reshape(lengths)
    return sheet.same(place, sheet.constant(np.ascontiguousarray(array).reshape(array.shape), f"{out}_moved"))


def _other(sheet: Sheet, place: int, op: str, given: Sequence[str], **attributes: Any) -> bool:
    node = sheet.nodes[place]
    sheet.put(place, sheet.make(node, op, given, **attributes))
    return True


def reshaped(sheet: Sheet, place: int, x: str, shape: Sequence[int]) -> bool:
    """Another node: a value in a shape that is a constant."""
    return _other(sheet, place, "Reshape", [x, sheet.constant(shape, f"{sheet.nodes[place].output[0]}_shape")])


def one_view(sheet: Sheet, place: int, node: Any) -> bool:
    """Views after views as one Reshape in numbers alone."""
    before = sheet.before(node)
    if before is None or before.op_type not in _VIEWS or sheet.version < 5:
        return False
    if node.op_type == "Reshape":
        shape = sheet.integers(node.input[1])
        if shape is not None and 0 not in shape:
            return _other(sheet, place, "Reshape", [before.input[0], node.input[1]])
    if node.op_type != "Reshape" and not sheet.alone(node.input[0]):
        return False
    x, y = before.input[0], node.output[0]
    shape = sheet.lengths.plain(sheet.lengths.shape(y), sheet.lengths.shape(x))
    if shape is None or sheet.lengths.alike(x, y):
        return shape is not None and sheet.same(place, x)
    return reshaped(sheet, place, x, shape)


def shape_in_numbers(sheet: Sheet, place: int, node: Any) -> bool:
    """The shape of a Reshape as a constant, where numbers and lengths that stay say it."""
    if sheet.version < 5 or node.input[1] in sheet.numbers:
        return False
    shapes = (sheet.lengths.shape(name) for name in (node.output[0], node.input[0]))
    shape = sheet.lengths.plain(*shapes)
    if shape is None:
        return False
    return reshaped(sheet, place, node.input[0], shape)


def axes_together(sheet: Sheet, place: int, node: Any) -> bool:
    """Unsqueeze after Unsqueeze, and Squeeze after Squeeze, as one; Squeeze of what was unsqueezed as nothing."""
    before = sheet.before(node)
    if before is None or before.op_type not in ("Squeeze", "Unsqueeze") or not sheet.alone(node.input[0]):
        return False
    x, y = sheet.lengths.shape(node.input[0]), sheet.lengths.shape(node.output[0])
    one, other = sheet.option(before, "axes", 1), sheet.option(node, "axes", 1)
    if x is None or y is None or one is None or other is None:
        return False
    middle, up = len(x), node.op_type == "Unsqueeze"
    other = [axis % (len(y) if up else middle) for axis in other]
    if before.op_type != node.op_type:
        same = not up and {axis % middle for axis in one} == set(other)
        return same and sheet.same(place, before.input[0])
    if up:  # the later axes are those of the result, the earlier ones among what is left
        one = [[k for k in range(len(y)) if k not in other][axis % middle] for axis in one]
    else:
        rank = middle + len(one)
        one = [axis % rank for axis in one]
        other = [[k for k in range(rank) if k not in one][axis] for axis in other]
    axes = sorted({*one, *other})
    if sheet.version < 13:
        return _other(sheet, place, node.op_type, [before.input[0]], axes=axes)
    return _other(sheet, place, node.op_type, [before.input[0], sheet.constant(axes, f"{node.output[0]}_axes")])


def one_transpose(sheet: Sheet, place: int, node: Any) -> bool:
    """Transpose after Transpose as one."""
    before, perm = sheet.before(node), attribute(node, "perm")
    first = None if before is None or before.op_type != "Transpose" else attribute(before, "perm")
    if before is None or perm is None or first is None or len(perm.ints) != len(first.ints):
        return False
    return _other(sheet, place, "Transpose", [before.input[0]], perm=[first.ints[axis] for axis in perm.ints])


def transpose_as_view(sheet: Sheet, place: int, node: Any) -> bool:
    """A Transpose that moves axes of length 1 alone, beside a view: then both are one."""
    shape, perm = sheet.lengths.shape(node.input[0]), attribute(node, "perm")
    if shape is None or perm is None or not sheet.alone(node.input[0]):
        return False
    long = [axis for axis in perm.ints if shape[axis] != 1]
    before = sheet.before(node)
    if long != sorted(long) or before is None or before.op_type not in _VIEWS:
        return False
    wanted = sheet.lengths.plain([shape[axis] for axis in perm.ints], sheet.lengths.shape(before.input[0]))
    if wanted is None:
        return False
    return reshaped(sheet, place, before.input[0], wanted)


def one_slice(sheet: Sheet, place: int, node: Any) -> bool:
    """Slices along other axes as one."""
    before = sheet.before(node)
    if before is None or before.op_type != "Slice" or sheet.version < 10 or not sheet.alone(node.input[0]):
        return False
    one, other = (list(_bounds(sheet, each)) for each in (before, node))
    axes = [row[2] for row in (*one, *other)]
    if not one or not other or min(axes) < 0 or len(set(axes)) < len(axes):
        return False
    arrays = [np.array(column, dtype=np.int64) for column in zip(*one, *other, strict=True)]
    words = ("starts", "ends", "axes", "steps")
    names = [sheet.constant(array, f"{node.output[0]}_{word}") for word, array in zip(words, arrays, strict=True)]
    return _other(sheet, place, "Slice", [before.input[0], *names])


def _bounds(sheet: Sheet, node: Any) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, axis, step) of every axis; nothing where they are not known."""
    found = [sheet.integers(name) for name in node.input[1:]]
    if len(found) < 3 or any(each is None for each in found):
        return
    starts, ends, axes, steps = [*(each or [] for each in found), [1] * len(found[0] or [])][:4]
    yield from zip(starts, ends, axes, steps, strict=True)


def one_concat(sheet: Sheet, place: int, node: Any) -> bool:
    """A Concat of what a Concat along the same axis made."""
    for number, name in enumerate(node.input):
        before = sheet.before(node, number)
        if before is None or before.op_type != "Concat" or list(node.input).count(name) > 1 or not sheet.alone(name):
            continue
        if (axis := attribute(node, "axis")) is not None and axis.i == attribute(before, "axis").i:
            given = [*node.input[:number], *before.input, *node.input[number + 1 :]]
            return _other(sheet, place, "Concat", given, axis=axis.i)
    return False


def one_cast(sheet: Sheet, place: int, node: Any) -> bool:
    """A Cast of what was cast to a dtype that has all its numbers."""
    before = sheet.before(node)
    if before is None or before.op_type != "Cast" or len(node.attribute) > 1 or len(before.attribute) > 1:
        return False
    wide = _WIDER.get(sheet.lengths.kinds.get(before.input[0], 0), set())
    if attribute(before, "to").i not in wide:
        return False
    return _other(sheet, place, "Cast", [before.input[0]], to=attribute(node, "to").i)


def kept_axes(sheet: Sheet, place: int, node: Any) -> bool:
    """A reduction whose axes are put back, or taken away, behind it."""
    before = sheet.before(node)
    if before is None or not before.op_type.startswith("Reduce") or not sheet.alone(node.input[0]):
        return False
    keeps = attribute(before, "keepdims")
    x, up = sheet.lengths.shape(before.input[0]), node.op_type == "Unsqueeze"
    one, other = sheet.option(before, "axes", 1), sheet.option(node, "axes", 1)
    if x is None or not one or other is None or up != (keeps is not None and keeps.i == 0):
        return False
    if {axis % len(x) for axis in one} != {axis % len(x) for axis in other}:
        return False
    new = sheet.make(node, before.op_type, before.input)
    new.attribute.extend(a for a in before.attribute if a.name != "keepdims")
    new.attribute.add(name="keepdims", type=2, i=int(up))
    sheet.put(place, new)
    return True


CHAINS: dict[str, tuple[Rule, ...]] = {
    "Cast": (gives_alike, one_cast),
    "Concat": (gives_alike, one_concat),
    **dict.fromkeys(("Div", "Mul", "Sub"), (by_one,)),
    "Flatten": (of_constant, gives_alike, one_view),
    "Reshape": (of_constant, gives_alike, one_view, shape_in_numbers),
    "Slice": (gives_alike, one_slice),
    "Squeeze": (of_constant, gives_alike, axes_together, kept_axes, one_view),
    "Transpose": (of_constant, gives_alike, one_transpose, transpose_as_view),
    "Unsqueeze": (of_constant, gives_alike, axes_together, kept_axes, one_view),
    **dict.fromkeys(("Dropout", "Expand", "Identity", "Max", "Mean", "Min", "Pad", "Sum"), (gives_alike,)),
}
