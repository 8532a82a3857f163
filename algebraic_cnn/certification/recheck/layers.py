"""Convolutions as the checker's proof knows them: one kind of layer for everything affine with shared weights.

Window        padding before and after, extent of the kernel, stride, dilation
Table         any other way to meet the positions along an axis, written out
Integers      whole numbers of any length over a common divisor, times a power of two
Coefficients  weights: floats over a common divisor, one float everywhere, or such integers
Convolution   earlier values summed with strengths, padded, met by a kernel in groups, plus a bias for each channel
Program       the shape of the input, the layers
each          the identity on every channel by itself, whose kernel and bias can be changed
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np

from ...errors import DataError

#: (channels, rows, columns) of a value.
Shape = tuple[int, int, int]

#: Divisors of files are at most this.
MOST_DIVIDED = 1 << 30

#: Padding modes in the order in which files number them.
MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Window:
    """How a kernel walks along one axis.

    Attributes:
        before: positions padded before the first.
        after: positions padded after the last.
        extent: taps of the kernel.
        stride: steps between outputs.
        dilation: steps between taps.
    """

    before: int = 0
    after: int = 0
    extent: int = 1
    stride: int = 1
    dilation: int = 1

    def outputs(self, n: int) -> int:
        """How many outputs there are along an axis of n positions.

        >>> Window(1, 1, extent=3, stride=2).outputs(7)
        4
        """
        return (n + self.before + self.after - self.dilation * (self.extent - 1) - 1) // self.stride + 1


@dataclass(frozen=True, eq=False)
class Table:
    """Which position each tap meets at each output, written out.

    Attributes:
        met: (taps, outputs) of int64; -1 meets a zero.
    """

    met: np.ndarray

    @property
    def extent(self) -> int:
        """How many taps there are."""
        return self.met.shape[0]

    def outputs(self, n: int) -> int:
        """How many outputs there are along an axis."""
        return self.met.shape[1]


Walk: TypeAlias = Window | Table


class Integers(NamedTuple):
    """The numbers ``values`` 2^``exponent`` / ``divisor``; the values are Python's integers, of any shape."""

    values: np.ndarray
    divisor: int
    exponent: int


def integers(values: np.ndarray) -> Integers:
    """Fractions whose denominators are powers of two times one small odd number.

    Raises:
        DataError: if that number is beyond what a file can say.

    >>> integers(np.array([Fraction(1, 12), Fraction(2)], dtype=object))
    Integers(values=array([1, 24], dtype=object), divisor=3, exponent=-2)
    """
    flat = [Fraction(value) for value in values.ravel().tolist()]
    divisor = math.lcm(*(value.denominator // (value.denominator & -value.denominator) for value in flat))
    if divisor > MOST_DIVIDED:
        raise DataError("the numbers have no small common divisor", expected="at most 2^30", got=divisor)
    twos = max(((value.denominator & -value.denominator).bit_length() - 1 for value in flat), default=0)
    scaled = np.empty(values.shape, dtype=object)
    scaled.reshape(-1)[:] = [value.numerator * ((divisor << twos) // value.denominator) for value in flat]
    return Integers(scaled, divisor, -twos)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Weights, a row for every output channel.

    Attributes:
        values: (rows, columns) of float32, float64, int64 or Python's integers; or one float64 for all of them.
        shape: (rows, columns).
        divisor: what every value is divided by.
        exponent: of a power of two by which Python's integers are multiplied.
    """

    values: np.ndarray
    shape: tuple[int, int]
    divisor: int = 1
    exponent: int = 0

    @classmethod
    def of(cls, values: np.ndarray | Integers, divisor: int = 1) -> Coefficients:
        """The numbers of an array, or of one of fractions; its first axis is that of the rows.

        Raises:
            DataError: if fractions have no small common divisor.
        """
        if not isinstance(values, Integers) and not values.dtype.hasobject:
            rows = values.reshape(len(values), -1)
            return cls(rows, (rows.shape[0], rows.shape[1]), divisor)
        given = values if isinstance(values, Integers) else integers(values)
        rows = given.values.reshape(len(given.values), -1)
        return cls(rows, (rows.shape[0], rows.shape[1]), given.divisor, given.exponent)

    @classmethod
    def all(cls, value: float, rows: int, columns: int = 1, divisor: int = 1) -> Coefficients:
        """The same number everywhere."""
        return cls(np.array(value, dtype=np.float64), (rows, columns), divisor)

    def fractions(self) -> list[Fraction]:
        """The numbers exactly, row by row."""
        flat = np.broadcast_to(self.values, self.shape).ravel().tolist()
        scale = Fraction(2) ** self.exponent / self.divisor
        return [Fraction(value) * scale for value in flat]


@dataclass(frozen=True, eq=False)
class Convolution:
    """One layer of a program.

    Attributes:
        feeds: numbers of earlier values, 0 being the input, each with its strength.
        kernel: for every output channel its weights: input channels of its group, rows, columns.
        bias: one number for every output channel.
        rows: how the kernel walks down.
        columns: how it walks to the right.
        mode: of the padding: "zeros", "reflect", "replicate" or "circular".
        groups: of channels.
    """

    feeds: tuple[tuple[int, float], ...]
    kernel: Coefficients
    bias: Coefficients
    rows: Walk = Window()
    columns: Walk = Window()
    mode: str = "zeros"
    groups: int = 1

    def result(self, shape: Shape) -> Shape:
        """The shape of its value, from that of its feeds."""
        return self.kernel.shape[0], self.rows.outputs(shape[1]), self.columns.outputs(shape[2])


@dataclass(frozen=True, eq=False)
class Program:
    """A network as layers; the last one is its output.

    Attributes:
        shape: of the input.
        layers: in order; layer i makes value i + 1, or later where there are more inputs.
        others: shapes of the inputs after the first.
    """

    shape: Shape
    layers: tuple[Convolution, ...]
    others: tuple[Shape, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Those of all inputs."""
        return (self.shape, *self.others)


def each(
    feeds: tuple[tuple[int, float], ...],
    channels: int,
    kernel: Coefficients | None = None,
    bias: Coefficients | None = None,
    rows: Walk = Window(),
    columns: Walk = Window(),
    mode: str = "zeros",
) -> Convolution:
    """A layer that treats every channel by itself; by default it changes nothing."""
    kernel = Coefficients.all(1.0, channels, rows.extent * columns.extent) if kernel is None else kernel
    bias = Coefficients.all(0.0, channels) if bias is None else bias
    return Convolution(feeds, kernel, bias, rows, columns, mode, channels)
