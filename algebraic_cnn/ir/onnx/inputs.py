"""The inputs of an ONNX file, and which of their sizes are free.

    Inputs       names, shapes at every trial, and the symbols of the free sizes
    inputs_of    ModelProto -> Inputs; a file that does not take free sizes is read again with fewer of them

The first axis is the batch where it is free.  Sizes of one name are one symbol; a size without a name is its own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...errors import DataError, ShapeError
from ...files import limits
from ..image_sizes import ImageSizes, Side
from .builder import BATCHES, Builder
from .nodes import dtype_of
from .values import Value

#: The length of a free axis in the example, and steps from trial to trial: most networks take multiples of 32.
_EXAMPLE, _STEP = 64, 32

#: In what order free sizes are given up: none, all but the batch, all.
_RUNGS = 3


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
    """

    names: tuple[str, ...]
    arguments: tuple[str, ...]
    lengths: dict[str, tuple[int, ...]]
    trials: int
    axes: Mapping[str, Sequence[int | str]]
    dtypes: Mapping[str, torch.dtype | None]
    params: dict[str, str] = field(default_factory=dict)
    more: dict[tuple[str, int], str] = field(default_factory=dict)

    def value(self, builder: Builder, name: str, argument: str) -> Value | None:
        """An input as a value; None where torch has no such numbers."""
        dtype = self.dtypes[name]
        if dtype is None:
            return None
        rows = [(n,) * self.trials if isinstance(n, int) else self.lengths[n] for n in self.axes[name]]
        return builder.given(argument, list(zip(*rows, strict=True)) or [()] * self.trials, dtype)

    def known(self, param: str) -> tuple[int, ...] | None:
        """The lengths of a size to which the file gives a name, if an input has it."""
        return self.lengths.get(self.params.get(param, ""))

    def free(self, argument: str, axis: int, param: str) -> None:
        """Note a free size of an input that the graph has beside those of the file."""
        self.more[argument, axis] = self.params.get(param, "") or f"{argument}_{axis}"

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


def inputs_of(model: Any, shapes: Mapping[str, Sequence[int]], bound: int = 0) -> Inputs:
    """The inputs of a model.

    Args:
        model: a ModelProto.
        shapes: of some inputs, in the example.
        bound: 0: all free sizes are free; 1: the batch alone; 2: none.

    Raises:
        ShapeError: if a shape does not fit its input, or there is no such input.
        DataError: if an input is too large.
    """
    constants = {tensor.name for tensor in model.graph.initializer} if model.ir_version < 4 else set()
    given = [value for value in model.graph.input if value.name not in constants]
    names = tuple(value.name for value in given)
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise ShapeError("the file has no such input", expected=names, got=unknown[0], where="shape")
    found = Inputs(names, _arguments(names), {}, 1, {}, {})
    axes, dtypes = {}, {}
    for number, value in enumerate(given):
        tensor = value.type.tensor_type
        dtypes[value.name] = dtype_of(tensor.elem_type) if value.type.HasField("tensor_type") and tensor.HasField("shape") else None
        if dtypes[value.name] is not None:
            axes[value.name] = _axes(found, number, value, shapes.get(value.name), bound)
    found.axes, found.dtypes = axes, dtypes
    found.trials = 1 if not found.lengths else len(BATCHES)
    _require_small(found)
    return found


def _arguments(names: Sequence[str]) -> tuple[str, ...]:
    """Names as torch's graphs may have them, each once."""
    found: list[str] = []
    builder = Builder({}, 1)
    for name in names:
        found.append(builder.fresh(name))
    return tuple(found)


def _axes(found: Inputs, number: int, value: Any, wanted: Sequence[int] | None, bound: int) -> list[int | str]:
    """Every axis of one input: a number, or the name of a free size."""
    dims = value.type.tensor_type.shape.dim
    if wanted is not None and len(wanted) != len(dims):
        raise ShapeError("a shape of another rank", expected=len(dims), got=tuple(wanted), where=value.name)
    axes: list[int | str] = []
    for axis, dim in enumerate(dims):
        asked = None if wanted is None else wanted[axis]
        if dim.dim_value > 0:
            if asked not in (None, dim.dim_value):
                raise ShapeError("a length that is fixed", expected=dim.dim_value, got=asked, where=value.name)
            axes.append(dim.dim_value)
        elif axis == 0 and bound < _RUNGS - 1:
            found.lengths["N"] = BATCHES
            axes.append("N")
        elif axis == 0 or bound:
            axes.append(asked or (1 if axis == 0 else _EXAMPLE))
        else:
            axes.append(_symbol(found, f"n{number}_{axis}", dim.dim_param, asked))
    return axes


def _symbol(found: Inputs, name: str, param: str, asked: int | None) -> str:
    """The name of a free size; that of an earlier one where the file calls both alike."""
    if param and param in found.params:
        return found.params[param]
    start = asked or _EXAMPLE
    turn = len(found.lengths) + 1
    found.lengths[name] = start, start + _STEP * turn, start + _STEP * (3 * turn + 1)
    if param:
        found.params[param] = name
    return name


def _require_small(found: Inputs) -> None:
    for name, axes in found.axes.items():
        size = math.prod(n if isinstance(n, int) else max(found.lengths[n]) for n in axes)
        if size * 8 > limits.SAMPLES:
            expected = f"at most {limits.SAMPLES:,} bytes"
            raise DataError(f"the input {name} is too large", expected=expected, got=tuple(axes))
