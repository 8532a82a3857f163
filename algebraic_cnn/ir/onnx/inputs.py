"""The inputs of an ONNX file, and which of their sizes are free.

    Inputs       names, shapes at every trial, and the symbols of the free sizes
    Rung         how free the sizes are that are tried: a file that does not take them is read again with less freedom
    rungs        the rungs, from all lengths to none
    inputs_of    ModelProto -> Inputs
    symbols_of   ModelProto -> its free sizes

The first axis is the batch where it is free.  Sizes of one name are one symbol; a size without a name is its own.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...errors import DataError, ShapeError
from ...files import limits
from ..image_sizes import ImageSizes, Side
from .builder import BATCHES, Builder
from .model import read_model
from .nodes import dtype_of
from .values import Bound, Value

#: Lengths of a free axis in the example, tried in this order: images, then signals; and what they are multiples of,
#: where only that is taken.
EXAMPLES, _STEP = (64, 1024), 32

#: What is a name for a size: some exporters call all of them "?".
_NAMED = re.compile(r"[A-Za-z_]")


@dataclass(frozen=True)
class Rung:
    """How free the sizes are that are tried.

    Attributes:
        step: lengths go by steps of so many.
        bound: names of sizes that have the length of the example alone.
        example: the length of a free axis of which nobody said one.
    """

    step: int = 1
    bound: frozenset[str] = frozenset()
    example: int = EXAMPLES[0]


def rungs(symbols: Sequence[str], example: int = EXAMPLES[0]) -> Iterator[Rung]:
    """From all lengths to none: first multiples, then without one of them, without all but the batch, without all."""
    images = [symbol for symbol in symbols if symbol != "N"]
    yield Rung(example=example)
    yield Rung(_STEP, example=example)
    yield from (Rung(_STEP, frozenset([symbol]), example) for symbol in images if len(images) > 1)
    yield Rung(_STEP, frozenset(images), example)
    yield Rung(_STEP, frozenset([*images, "N"]), example)


@dataclass(eq=False)
class Inputs:
    """The inputs of a file.

    Attributes:
        names: of the inputs that are no constants.
        arguments: what the graph calls them.
        lengths: of every free size its length at every trial; "N" is the batch.
        trials: how many there are.
        axes: of every input, what each axis is: a number, or the name of a free size.
        dtypes: of the inputs.
        params: the names that the file has for free sizes, and ours.
        more: free sizes of inputs that the graph has beside those of the file.
        bound: lengths of the sizes that are free in the file and were not taken as free.
        unsaid: axes among them for which nobody said a length, in words.
        rung: how free they were taken.
        guessed: whether nobody said the length of some free axis.
    """

    names: tuple[str, ...]
    arguments: tuple[str, ...]
    lengths: dict[str, tuple[int, ...]]
    trials: int
    axes: Mapping[str, Sequence[int | str]]
    dtypes: Mapping[str, torch.dtype | None]
    params: dict[str, str] = field(default_factory=dict)
    more: dict[tuple[str, int], str] = field(default_factory=dict)
    bound: dict[str, int] = field(default_factory=dict)
    unsaid: list[str] = field(default_factory=list)
    rung: Rung = field(default_factory=Rung)
    guessed: bool = False

    def value(self, builder: Builder, name: str, argument: str) -> Value | None:
        """An input as a value; None where torch has no such numbers."""
        dtype = self.dtypes[name]
        if dtype is None:
            return None
        for axis, n in enumerate(self.axes[name]):
            if isinstance(n, str):
                builder.places.setdefault(n, (argument, axis))
        rows = [(n,) * self.trials if isinstance(n, int) else self.lengths[n] for n in self.axes[name]]
        return builder.given(argument, list(zip(*rows, strict=True)) or [()] * self.trials, dtype)

    def lengths_of(self, dim: Any) -> tuple[int, ...] | None:
        """The lengths at the trials of an axis inside the file; None where nothing is known of it."""
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            return (dim.dim_value,) * self.trials
        return self.lengths.get(self.params.get(dim.dim_param, ""))

    def free(self, argument: str, axis: int, param: str) -> None:
        """Note a free size of an input that the graph has beside those of the file."""
        self.more[argument, axis] = self.params[param]

    def shape(self, value: Value) -> tuple[int | None, ...]:
        """The shape of an input of the graph."""
        return tuple(n if (value.name, axis) not in self._free() else None for axis, n in enumerate(value.shape))

    def sizes(self, values: Sequence[Value]) -> ImageSizes | None:
        """The free sizes but the batch."""
        sides = {key: Side(symbol) for key, symbol in self._free().items() if symbol != "N"}
        return ImageSizes(sides, {side.symbol: range(2, sys.maxsize) for side in sides.values()}) if sides else None

    def _free(self) -> dict[tuple[str, int], str]:
        found = {
            (argument, axis): n
            for name, argument in zip(self.names, self.arguments, strict=True)
            if self.dtypes[name] is not None
            for axis, n in enumerate(self.axes[name])
            if isinstance(n, str)
        }
        return {**found, **self.more}


def inputs_of(model: Any, shapes: Mapping[str, Sequence[int | None]], rung: Rung, where: object = None) -> Inputs:
    """The inputs of a model.

    Args:
        model: a ModelProto.
        shapes: of some inputs, in the example.
        rung: how free the sizes are.
        where: the file, for errors.

    Raises:
        ShapeError: if a shape does not fit its input, or there is no such input.
        DataError: if an input is too large, or has a negative length.
        Bound: if it is too large at lengths that nobody asked for.
    """
    found = _inputs(model, shapes, rung)
    _require_small(found, where)
    return found


def symbols_of(model: Any, shapes: Mapping[str, Sequence[int | None]]) -> list[str]:
    """The free sizes of a model, as ``inputs_of`` calls them.

    Raises:
        ShapeError: if a shape does not fit its input, or there is no such input.
    """
    return list(_inputs(model, shapes, Rung()).lengths)


def _inputs(model: Any, shapes: Mapping[str, Sequence[int | None]], rung: Rung) -> Inputs:
    constants = {tensor.name for tensor in model.graph.initializer} if model.ir_version < 4 else set()
    given = [value for value in model.graph.input if value.name not in constants]
    names = tuple(value.name for value in given)
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise ShapeError("the file has no such input", expected=names, got=unknown[0], where="shape")
    found = Inputs(names, _arguments(names), {}, 1, {}, {}, rung=rung)
    axes, dtypes = {}, {}
    for number, value in enumerate(given):
        tensor = value.type.tensor_type
        known = value.type.HasField("tensor_type") and tensor.HasField("shape")
        dtypes[value.name] = dtype_of(tensor.elem_type) if known else None
        if dtypes[value.name] is not None:
            axes[value.name] = _axes(found, number, value, shapes.get(value.name), rung)
    found.axes, found.dtypes = axes, dtypes
    found.trials = 1 if not found.lengths else len(BATCHES)
    return found


def onnx_shapes(path: str | os.PathLike[str]) -> dict[str, list[int | None]]:
    """The shapes of the inputs of a file by name, None where they are free.

    Raises:
        DataError, MissingExtraError: as ``read_model`` raises them.
    """
    model = read_model(path)
    own = {tensor.name for tensor in model.graph.initializer} if model.ir_version < 4 else set()
    inputs = [value for value in model.graph.input if value.name not in own]
    return {v.name: [max(dim.dim_value, 0) or None for dim in v.type.tensor_type.shape.dim] for v in inputs}


def agreed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[int | None]]:
    """The shapes of inputs that two files have in common, where either fixes a length.

    >>> agreed({"x": [None, 3, None]}, {"x": [None, 3, 320], "y": [1]})
    {'x': [None, 3, 320]}
    """
    both = [name for name in one if name in other and len(one[name]) == len(other[name])]
    return {name: [n or m for n, m in zip(one[name], other[name], strict=True)] for name in both}


def _arguments(names: Sequence[str]) -> tuple[str, ...]:
    """Names as torch's graphs may have them, each once."""
    found: list[str] = []
    builder = Builder({}, 1)
    for name in names:
        found.append(builder.fresh(name))
    return tuple(found)


def _axes(found: Inputs, number: int, value: Any, wanted: Sequence[int | None] | None, rung: Rung) -> list[int | str]:
    """Every axis of one input: a number, or the name of a free size."""
    dims = value.type.tensor_type.shape.dim
    if wanted is not None and len(wanted) != len(dims):
        raise ShapeError("a shape of another rank", expected=len(dims), got=tuple(wanted), where=value.name)
    axes: list[int | str] = []
    for axis, dim in enumerate(dims):
        asked = None if wanted is None else wanted[axis]
        if dim.dim_value not in (0, -1):  # some exporters say -1 of a free length
            if asked not in (None, dim.dim_value):
                raise ShapeError("a length that is fixed", expected=dim.dim_value, got=asked, where=value.name)
            axes.append(dim.dim_value)
        elif axis == 0 and "N" in rung.bound:
            axes.append(asked or 1)
        elif axis == 0:
            found.lengths["N"] = BATCHES
            axes.append("N")
        else:
            axes.append(_symbol(found, (number, axis), dim.dim_param, asked, rung))
    return axes


def _symbol(found: Inputs, place: tuple[int, int], param: str, asked: int | None, rung: Rung) -> str | int:
    """A free size by its name, that of an earlier one where the file calls both alike; its length where it is bound."""
    name = f"n{place[0]}_{place[1]}"
    name = found.params.setdefault(param, name) if _NAMED.match(param) else name
    start = asked or rung.example
    found.guessed = found.guessed or asked is None
    if name in rung.bound:
        found.bound[name] = start
        if asked is None:
            found.unsaid.append(f"axis {place[1]} of {found.names[place[0]]}")
        return start
    if name not in found.lengths:
        turn = len(found.lengths) + 1
        more = (_STEP * turn, _STEP * (3 * turn + 1)) if rung.step > 1 else (_STEP * turn + 3, (3 * _STEP + 5) * turn)
        found.lengths[name] = start, start + more[0], start + more[1]
    return name


def _require_small(found: Inputs, where: object) -> None:
    for name, axes in found.axes.items():
        if any(isinstance(n, int) and n < 0 for n in axes):
            raise DataError(f"the input {name} has a negative length", got=tuple(axes), where=where)
        size = math.prod(n if isinstance(n, int) else max(found.lengths[n]) for n in axes)
        if size * 8 > limits.SAMPLES and any(isinstance(n, str) for n in axes) and found.guessed:
            raise Bound(f"the input {name} is too large at lengths that were tried: {tuple(axes)}")
        if size * 8 > limits.SAMPLES:
            expected = f"at most {limits.SAMPLES:,} bytes"
            raise DataError(f"the input {name} is too large", expected=expected, got=tuple(axes), where=where)
