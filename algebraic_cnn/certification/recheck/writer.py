"""Writing a network as layers of the checker: what every spelling of a call needs.

Feeds      a sum of earlier values with strengths, its shape as the checker has it and as torch has it
Writer     the layers so far
windowed   rows and columns padded, cut off, or left out
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from ...errors import NotAffineError
from ...ir.graph import Call, Graph, Ref
from .layers import Coefficients, Convolution, Integers, Shape, Window, each

#: Constants that are floats in the place of other numbers, by name: these numbers.
Exact = Mapping[str, Callable[[], Integers]]


@dataclass(frozen=True)
class Feeds:
    """What a call has made.

    Attributes:
        feeds: values of the program, with strengths; their sum is the value.
        shape: (channels, rows, columns) of each of them.
        seen: the shape that torch sees, without batch axis; the entries are the same in row-major order.
    """

    feeds: tuple[tuple[int, float], ...]
    shape: Shape
    seen: tuple[int, ...]

    @property
    def image(self) -> bool:
        """Whether torch sees it with the axes of the program."""
        return self.seen == self.shape or (self.shape[1] == 1 and self.seen == (self.shape[0], self.shape[2]))


@dataclass
class Writer:
    """The layers so far.

    Attributes:
        graph: the network.
        inputs: how many inputs there are.
        layers: one after the other.
        exact: numbers in whose place the network has floats, and which are wanted here.
    """

    graph: Graph
    inputs: int = 1
    layers: list[Convolution] = field(default_factory=list)
    exact: Exact = field(default_factory=dict)

    def add(self, layer: Convolution, shape: Shape, axes: int) -> Feeds:
        """The value of a new layer; torch sees it with one axis, two or three."""
        self.layers.append(layer)
        made = layer.result(shape)
        seen = {1: (math.prod(made),), 2: (made[0], made[2]), 3: made}[axes]
        return Feeds(((self.inputs + len(self.layers) - 1, 1.0),), made, seen)

    def array(self, argument: Any) -> np.ndarray:
        """The floats of a constant argument."""
        tensor: Tensor = self.graph.constants[argument.name] if isinstance(argument, Ref) else argument
        numbers = tensor.detach().cpu()
        return numbers.double().numpy() if numbers.element_size() > 4 else numbers.float().numpy()

    def numbers(
        self, argument: Any, arranged: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
    ) -> Coefficients:
        """The numbers of a constant argument, arranged; exactly, where the network has floats in their place."""
        if not isinstance(argument, Ref) or argument.name not in self.exact:
            return Coefficients.of(arranged(self.array(argument)))
        given = self.exact[argument.name]()
        return Coefficients.of(given._replace(values=arranged(given.values)))


Spelling = Callable[[Writer, Call, dict[str, Any], Feeds], Feeds]


def refused(call: Call, why: str = "a call that the checker does not know") -> NotAffineError:
    """The error that names the call and its source line."""
    return NotAffineError(f"{why}: {call.op}", where=call.where)


def axes_of(call: Call, value: Feeds) -> int:
    """How many axes an image has as torch sees it, that of the channels included."""
    if not value.image or len(value.seen) < 2:
        raise refused(call, "an image was expected, after a reshaping")
    return len(value.seen)


def pair(numbers: Any, axes: int, one: int) -> tuple[int, int]:
    """An argument for rows and for columns; of one-dimensional calls the rows are trivial."""
    given = [numbers] if isinstance(numbers, int) else list(numbers)
    given = given * (axes - 1) if len(given) == 1 else given
    return (one, given[0]) if axes == 2 else (given[0], given[1])


def bias_of(writer: Writer, argument: Any, channels: int) -> Coefficients:
    """The biases of an argument; zeros where there is none."""
    return Coefficients.all(0.0, channels) if argument is None else writer.numbers(argument)


def windowed(
    writer: Writer, x: Feeds, axes: int, walks: tuple[tuple[int, int, int], ...], mode: str = "zeros"
) -> Feeds:
    """Rows and columns padded, or cut off where that is negative; every so many of them kept.

    A kernel with one 1 and zeros beside it cuts off as many positions as it has zeros, on that side.
    """
    cuts = [(max(-before, 0), max(-after, 0)) for before, after, _ in walks]
    (top, bottom), (left, right) = cuts
    kernel = np.zeros((x.shape[0], top + bottom + 1, left + right + 1), dtype=np.float32)
    kernel[:, top, left] = 1
    rows, columns = (
        Window(max(before, 0), max(after, 0), sum(cut) + 1, step)
        for (before, after, step), cut in zip(walks, cuts, strict=True)
    )
    layer = each(x.feeds, x.shape[0], Coefficients.of(kernel), rows=rows, columns=columns, mode=mode)
    return writer.add(layer, x.shape, axes)
