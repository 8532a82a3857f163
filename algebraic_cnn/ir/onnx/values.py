"""What the values of an ONNX file are while it is read.

    Value       a tensor: its name in the graph, its shape at every trial, and its numbers where they are constant
    Size        a number that the free sizes of the inputs decide
    Sizes       an array of such numbers, as ONNX computes shapes: a NumPy array of objects
    Unread      why a node is not read: it stays as it is, whatever it computes
    Refused     that torch does not take it at the sizes of the example
    plain_lengths  a shape as Reshape takes it, in numbers alone
    Bound       why sizes that were tried as free ones are not free

A file is read at several trials at once: every free size has another length in each.  What is the same in all of them
is a number; what differs keeps its name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Sizes = NDArray[np.object_]


class Unread(Exception):
    """A node that is not read, and why."""


class Refused(Unread):
    """A node that torch refuses at the sizes of the example."""


class Rankless(Unread):
    """A node that gives other axes at some length of a free axis: none of its shapes speaks for all."""


class Bound(Exception):
    """A node that takes the lengths of one trial and not those of another, and why."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor.

    Attributes:
        name: in the graph.
        shells: the tensor without its numbers, at every trial.
        constant: its numbers, where they do not depend on the inputs.
    """

    name: str
    shells: tuple[Tensor, ...]
    constant: Tensor | None = None

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return self.shells[0].ndim

    @property
    def dtype(self) -> Any:
        """Its dtype."""
        return self.shells[0].dtype

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its lengths, None where they are free."""
        rows = zip(*(shell.shape for shell in self.shells), strict=True)
        return tuple(int(row[0]) if len(set(row)) == 1 else None for row in rows)

    def lengths(self, axis: int) -> tuple[int, ...]:
        """The length of one axis at every trial."""
        return tuple(int(shell.shape[axis]) for shell in self.shells)


@dataclass(frozen=True, eq=False)
class Size:
    """A number that the free sizes of the inputs decide; arithmetic with it makes calls of the graph.

    Attributes:
        numbers: it at every trial.
        name: of the value in the graph.
        text: as an expression in the free sizes, "" where that is not known.
        made: makes the call of a function on numbers.
    """

    numbers: tuple[Any, ...]
    name: str
    text: str
    made: Callable[..., Any]

    def __add__(self, other: Any) -> Any:
        return self.made(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.made(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self.made(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.made(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return self.made(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.made(operator.mul, other, self)

    def __neg__(self) -> Any:
        return self.made(operator.neg, self)


def quotient(x: Any, y: Any) -> Any:
    """x / y as ONNX divides: integers towards zero."""
    made = next((each.made for each in (x, y) if isinstance(each, Size)), None)
    numbers = [n for each in (x, y) for n in (each.numbers if isinstance(each, Size) else [each])]
    if any(isinstance(n, float) for n in numbers):
        return made(operator.truediv, x, y) if made else x / y
    if any(n < 0 for n in numbers):
        raise Unread("a quotient of negative sizes")
    return made(operator.floordiv, x, y) if made else x // y


def whole(x: Any) -> Any:
    """A number cut to an integer."""
    if not isinstance(x, Size):
        return int(x)
    return x if all(isinstance(n, int) for n in x.numbers) else x.made(math.trunc, x)


def number(x: Any) -> Any:
    """A number as a float."""
    return x * 1.0 if isinstance(x, Size) else float(x)


def numbers_of(sizes: Sizes) -> list[Any]:
    """The entries of an array of sizes, if they are all known.

    Raises:
        Unread: if one of them is free.
    """
    found = list(sizes.reshape(-1))
    if any(isinstance(each, Size) for each in found):
        raise Unread("a free size where a number is needed")
    return found


def plain_lengths(shape: Sizes, x: Value) -> list[int] | None:
    """A shape as Reshape takes it, in numbers alone: 0 for the length of x's own axis, -1 for one more; None for more.

    Args:
        shape: the lengths that are wanted.
        x: what is reshaped.
    """
    found, rest = [], 0
    for axis, n in enumerate(shape.reshape(-1)):
        own = isinstance(n, Size) and n.text and axis < x.rank and n.numbers == x.lengths(axis)
        rest += n == -1 if not isinstance(n, Size) else not own
        found.append(0 if own else -1 if isinstance(n, Size) else int(n))
    return found if rest <= 1 and any(isinstance(n, Size) for n in shape.reshape(-1)) else None
