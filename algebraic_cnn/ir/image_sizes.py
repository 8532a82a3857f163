"""The image sizes that a network takes, where it takes several.

    Side         one free axis of an input: its length is slope v + start, v the value of a symbol
    ImageSizes   the free axes of all inputs, and which values each symbol may take

The batch axis is not among them: that one is free on its own (graph.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Size = tuple[int | None, ...]


@dataclass(frozen=True)
class Side:
    """The length slope v + start of one axis, v the value of a symbol.

    Attributes:
        symbol: its name; sides of one symbol have lengths that belong together.
        slope: positive.
        start: any integer.
    """

    symbol: str
    slope: int = 1
    start: int = 0

    def length(self, value: int) -> int:
        """The length at a value of the symbol."""
        return self.slope * value + self.start


@dataclass(frozen=True)
class ImageSizes:
    """The free axes of the inputs of a network.

    Attributes:
        sides: by (name of the input, axis).
        values: of every symbol, the values that it may take; without end where the range ends at ``sys.maxsize``.
    """

    sides: Mapping[tuple[str, int], Side]
    values: Mapping[str, range]

    def lengths(self, name: str, axis: int) -> range:
        """The lengths that an axis of an input may have.

        >>> sizes = ImageSizes({("x", 2): Side("h", 2)}, {"h": range(2, 33)})
        >>> sizes.lengths("x", 2)
        range(4, 65, 2)
        """
        side = self.sides[name, axis]
        values = self.values[side.symbol]
        last = sys.maxsize - 1 if values.stop == sys.maxsize else side.length(values[-1])
        return range(side.length(values.start), last + 1, side.slope * values.step)

    def shapes(self, names: Sequence[str], shapes: Sequence[Size], values: Mapping[str, int]) -> list[Size]:
        """The shapes of inputs where the symbols have these values; the batch axis stays as it is."""
        found = []
        for name, shape in zip(names, shapes, strict=True):
            sides = [self.sides.get((name, axis)) for axis in range(len(shape))]
            pairs = zip(shape, sides, strict=True)
            found.append(tuple(n if side is None else side.length(values[side.symbol]) for n, side in pairs))
        return found

    def of(self, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """The values of the symbols that inputs of these shapes have."""
        by_name = dict(zip(names, shapes, strict=True))
        return {s.symbol: (by_name[name][axis] - s.start) // s.slope for (name, axis), s in self.sides.items()}

    def narrowed(self, symbol: str, values: range) -> ImageSizes:
        """The same with fewer values of one symbol."""
        return replace(self, values={**self.values, symbol: values})

    def __str__(self) -> str:
        """Every free axis with its lengths."""
        return ", ".join(f"axis {a} of {name}: {spoken(self.lengths(name, a))}" for name, a in self.sides)


def spoken(lengths: range) -> str:
    """A range in words.

    >>> spoken(range(4, 65, 2)), spoken(range(5, sys.maxsize)), spoken(range(8, 9))
    ('4 to 64 in steps of 2', '5 or more', '8 alone')
    """
    if len(lengths[:2]) == 1:
        return f"{lengths[0]} alone"
    steps = f" in steps of {lengths.step}" if lengths.step > 1 else ""
    return (f"{lengths.start} or more" if lengths.stop == sys.maxsize else f"{lengths.start} to {lengths[-1]}") + steps
