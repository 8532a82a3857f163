"""What a collapse chose, as plain data that travels with its result: in the module, in its program, in its file.

A result alone does not say which of its calls were raced and kept, or under which prices its forms were chosen.  With
these choices the collapse can be made again and compared, bit for bit.  They are hints, and nothing is believed.

    FreeAxis      an axis of an input that stayed free beside the batch
    choices_of    module or program -> what it carries, if that is plain data
    free_axes     sizes -> the free axes; dynamic_shapes: choices -> how torch.export takes them
    carrying      writes choices to a module or a program
    spelled, read    the same as the bytes of a file's entry
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx
from torch.export import ExportedProgram

from ..files import limits
from ..files.plain_json import built, parsed
from .dynamic_shapes import dimensions
from .image_sizes import ImageSizes, Side

Choices = Mapping[str, Any]
_KEY = "algebraic_cnn.choices"


@dataclass(frozen=True)
class FreeAxis:
    """An axis of an input that has the length slope v + start, v the value of a symbol.

    Attributes:
        input: its number.
        axis: from 1 on; axis 0 is the batch.
        symbol: its name.
        slope: positive.
        start: any integer.
        first: the least value of the symbol.
        stop: beyond the greatest value; None where there is none.
        step: between values.
    """

    input: int
    axis: int
    symbol: str
    slope: int
    start: int
    first: int
    stop: int | None
    step: int


def free_axes(sizes: ImageSizes | None, inputs: Sequence[str]) -> tuple[FreeAxis, ...]:
    """The free axes of a network's inputs as plain data."""
    found = []
    for (name, axis), side in sizes.sides.items() if sizes is not None else ():
        values = sizes.values[side.symbol] if sizes is not None else range(0)
        stop = None if values.stop == sys.maxsize else values.stop
        place = list(inputs).index(name)
        found.append(
            FreeAxis(place, axis, side.symbol, side.slope, side.start, values.start, stop, values.step)
        )
    return tuple(found)


def dynamic_shapes(choices: Choices | None, ranks: Sequence[int]) -> Any:
    """The free axes that choices speak of, as ``torch.export`` takes them; None if they speak of none, or of no such.

    Args:
        choices: from an unknown hand.
        ranks: of the inputs.
    """
    try:
        axes = built(tuple[FreeAxis, ...], (choices or {}).get("free", []))
    except ValueError:
        return None
    sides: dict[tuple[str, int], Side] = {}
    values: dict[str, range] = {}
    for each in axes:
        inside = 0 <= each.input < len(ranks) and 0 < each.axis < ranks[each.input]
        if not inside or not each.symbol.isidentifier() or min(each.slope, each.step) < 1 or each.first < 0:
            return None
        sides[str(each.input), each.axis] = Side(each.symbol, each.slope, each.start)
        values[each.symbol] = range(each.first, sys.maxsize if each.stop is None else each.stop, each.step)
    if not sides or not all(values.values()):
        return None
    return dimensions(ImageSizes(sides, values), [str(place) for place in range(len(ranks))], ranks)


def choices_of(model: Any) -> Choices | None:
    """What a module or a program carries, None if it is nothing of the kind."""
    held = model.graph_module if isinstance(model, ExportedProgram) else model
    found = held.meta.get(_KEY) if isinstance(held, fx.GraphModule) else None
    return found if isinstance(found, Mapping) else None


def carrying(model: Any, choices: Choices | None) -> None:
    """Let a module or a program carry choices, if there are any."""
    held = model.graph_module if isinstance(model, ExportedProgram) else model
    if choices is not None and isinstance(held, fx.GraphModule):
        held.meta[_KEY] = dict(choices)


def spelled(choices: Choices) -> bytes:
    """Choices as an entry of a file."""
    return json.dumps(dict(choices), sort_keys=True).encode()


def read(content: bytes, where: object) -> Choices | None:
    """Choices from an entry of a file.

    Raises:
        DataError: if it is no JSON.
    """
    found = parsed(content, where, limit=limits.JSON)
    return found if isinstance(found, Mapping) else None
