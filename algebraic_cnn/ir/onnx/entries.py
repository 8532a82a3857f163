"""The integers that say shapes, entry by entry: numbers, and names of lengths.

    Shapes    the entries of the values of a graph

What computes shapes is few operators on few numbers.  Their results are constants where all entries are numbers, and
two results of the same entries are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...extras import required
from .lengths import Length
from .sheet import Sheet, attribute

#: Entries and the shape that they have: () for a number alone.
Entries = tuple[list[Length], bool]

#: Values of more entries say no shapes.
_FEW = 64

#: Arithmetic beyond this might not fit a dtype of integers.
_FAR = 2**31 - 1


class Shapes:
    """Entries of values of a graph, each worked out once.

    Args:
        sheet: the graph; what it computes may not change while this is used.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self._found: dict[str, Entries | None] = {}

    def entries(self, name: str) -> Entries | None:
        """The entries of a value, and whether it has an axis; None where it is no such value."""
        if name not in self._found:
            self._found[name] = None  # while it is worked out
            self._found[name] = self._worked_out(name)
        return self._found[name]

    def _worked_out(self, name: str) -> Entries | None:
        sheet = self.sheet
        if name in sheet.numbers:
            shape, numbers = sheet.lengths.shape(name), sheet.integers(name)
            few = numbers is not None and len(numbers) <= _FEW and shape is not None and len(shape) < 2
            return (list(numbers or []), bool(shape)) if few else None
        place = sheet.makers.get(name)
        node = None if place is None else sheet.nodes[place]
        if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _OPERATORS:
            return None
        return _OPERATORS[node.op_type](self, node)


def _all(shapes: Shapes, node: Any) -> list[Entries] | None:
    found = [shapes.entries(name) for name in node.input if name]
    return None if None in found else [each for each in found if each is not None]


def _shape(shapes: Shapes, node: Any) -> Entries | None:
    shape = shapes.sheet.lengths.shape(node.input[0])
    if shape is None or len(shape) > _FEW:
        return None
    ends = (attribute(node, name) for name in ("start", "end"))
    return list(shape[slice(*(None if end is None else end.i for end in ends))]), True


def _gather(shapes: Shapes, node: Any) -> Entries | None:
    x, places = shapes.entries(node.input[0]), shapes.entries(node.input[1])
    if x is None or places is None or not x[1]:
        return None
    if not all(isinstance(k, int) and -len(x[0]) <= k < len(x[0]) for k in places[0]):
        return None
    return [x[0][k] for k in places[0] if isinstance(k, int)], places[1]


def _concat(shapes: Shapes, node: Any) -> Entries | None:
    parts = _all(shapes, node)
    if parts is None or not all(axis for _, axis in parts):
        return None
    joined = [n for numbers, _ in parts for n in numbers]
    return (joined, True) if len(joined) <= _FEW else None


def _slice(shapes: Shapes, node: Any) -> Entries | None:
    x = shapes.entries(node.input[0])
    bounds = [shapes.sheet.integers(name) for name in node.input[1:] if name]
    known = len(bounds) > 1 and "" not in node.input and all(each is not None and len(each) == 1 for each in bounds)
    if x is None or not x[1] or not known:
        return None
    start, end, _, step = [*(each[0] for each in bounds if each), *(0, 1)[len(bounds) - 2 :]]
    return (x[0][slice(start, end, step)], True) if step > 0 else None


def _raised(shapes: Shapes, node: Any) -> Entries | None:
    x = shapes.entries(node.input[0])
    axes = shapes.sheet.option(node, "axes", 1)
    return None if x is None or x[1] or axes is None or axes not in ([0], [-1]) else (x[0], True)


def _lowered(shapes: Shapes, node: Any) -> Entries | None:
    x = shapes.entries(node.input[0])
    return None if x is None or not x[1] or len(x[0]) != 1 else (x[0], False)


def _reshaped(shapes: Shapes, node: Any) -> Entries | None:
    x, shape = shapes.entries(node.input[0]), shapes.sheet.lengths.shape(node.output[0])
    return None if x is None or shape is None or len(shape) > 1 else (x[0], bool(shape))


def _alike(shapes: Shapes, node: Any) -> Entries | None:
    """What has the same entries in another dtype: of the integers alone."""
    return shapes.entries(node.input[0]) if shapes.sheet.lengths.kinds.get(node.output[0]) in (6, 7) else None


def _entrywise(operation: Callable[[Sequence[Length]], Length]) -> Callable[[Shapes, Any], Entries | None]:
    """Entry by entry, a number alone being as long as the others."""

    def run(shapes: Shapes, node: Any) -> Entries | None:
        parts = _all(shapes, node)
        if parts is None:
            return None
        count = max(len(numbers) for numbers, _ in parts)
        if any(len(numbers) not in (1, count) for numbers, _ in parts):
            return None
        rows = zip(*(numbers if len(numbers) == count else numbers * count for numbers, _ in parts), strict=True)
        found = [operation(row) for row in rows]
        far = any(isinstance(n, int) and abs(n) > _FAR for n in found)
        return None if far else (found, any(axis for _, axis in parts))

    return run


def _sum(row: Sequence[Length]) -> Length:
    one, other = row
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return one if other == 0 else other if one == 0 else None


def _product(row: Sequence[Length]) -> Length:
    one, other = row
    if isinstance(one, int) and isinstance(other, int):
        return one * other
    return one if other == 1 else other if one == 1 else None


def _quotient(row: Sequence[Length]) -> Length:
    one, other = row
    if isinstance(one, int) and isinstance(other, int) and one >= 0 and other > 0:
        return one // other
    return one if other == 1 else None


def _difference(row: Sequence[Length]) -> Length:
    one, other = row
    if isinstance(one, int) and isinstance(other, int):
        return one - other
    return one if other == 0 else None


def _equal(row: Sequence[Length]) -> Length:
    """A name is a length: it is no negative number."""
    one, other = row
    if isinstance(one, int) and isinstance(other, int):
        return int(one == other)
    if one is not None and one == other:
        return 1
    return 0 if any(isinstance(n, int) and n < 0 for n in row) and None not in row else None


def _where(row: Sequence[Length]) -> Length:
    condition, one, other = row
    return one if condition == 1 else other if condition == 0 else one if one == other else None


def _filled(shapes: Shapes, node: Any) -> Entries | None:
    """Integers alike, as many as a known number says."""
    count = shapes.entries(node.input[0])
    tensor = next((a.t for a in node.attribute if a.name == "value"), None)
    if count is None or tensor is None or tensor.data_type not in (6, 7) or len(count[0]) > 1:
        return None
    n = count[0][0] if count[0] else 1
    if not isinstance(n, int) or not 0 <= n <= _FEW:
        return None
    value = int(required("onnx", "onnx").numpy_helper.to_array(tensor).reshape(-1)[0])
    return [value] * n, bool(count[0])


_OPERATORS: dict[str, Callable[[Shapes, Any], Entries | None]] = {
    "Add": _entrywise(_sum),
    "Cast": _alike,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _entrywise(_quotient),
    "Equal": _entrywise(_equal),
    "Gather": _gather,
    "Identity": lambda shapes, node: shapes.entries(node.input[0]),
    "Mul": _entrywise(_product),
    "Reshape": _reshaped,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _lowered,
    "Sub": _entrywise(_difference),
    "Unsqueeze": _raised,
    "Where": _entrywise(_where),
}
