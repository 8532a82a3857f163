"""The bytes of a .cert file, read back; it shares nothing with what writes them but the classes of layers.

    Claimed   an affine region with what is claimed of it, or a call
    read      the whole file
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from .layers import Coefficients, Convolution, Program, Shape, Table, Walk, Window

_MODES = ("zeros", "reflect", "replicate", "circular")
_DTYPES = {0: np.dtype("<f4"), 1: np.dtype("<f8"), 3: np.dtype("<u4")}


@dataclass(frozen=True)
class Floats:
    """Floats in the place of numbers.

    Attributes:
        values: the floats.
        loose: how many are perhaps not the nearest ones.
        furthest: b; these are no further than 2^b from their numbers.
    """

    values: Coefficients
    loose: int
    furthest: int


@dataclass(frozen=True)
class Claim:
    """What is claimed of a region.

    Attributes:
        kind: 0 equal, 1 equal modulo a prime, 2 and 3 equal and rounded.
        network: the region of the second network, or its exact numbers.
        modulus: the prime, of kind 1.
        floats: what is held for the kernel and for the bias of each layer; None: its numbers.  Of kinds 2 and 3.
    """

    kind: int
    network: Program
    modulus: int | None = None
    floats: tuple[tuple[Floats | None, Floats | None], ...] = ()


@dataclass(frozen=True)
class Claimed:
    """One value of two networks.

    Attributes:
        given: numbers of the values that it is given, in the first network and in the second.
        network: the region of the first network; None of a call.
        claims: of a region.
        names: of a call, in both networks.
    """

    given: tuple[tuple[int, ...], tuple[int, ...]]
    network: Program | None = None
    claims: tuple[Claim, ...] = ()
    names: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class File:
    """A file.

    Attributes:
        text: what its writer says.
        inputs: shapes of the inputs.
        steps: in order.
        returned: which values the two networks return.
    """

    text: str
    inputs: tuple[Shape, ...]
    steps: tuple[Claimed, ...]
    returned: tuple[tuple[int, ...], tuple[int, ...]]


def read(path: str | os.PathLike[str]) -> File:
    """Reads a file that ``Certificate.write`` wrote.

    Raises:
        DataError: if it is missing, damaged or not of this format.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(str(error.strerror), expected="a .cert file", where=path) from error
    if content[:8] != b"ACNNCERT" or hashlib.md5(content[:-16], usedforsecurity=False).digest() != content[-16:]:
        raise DataError("not a certificate, or damaged", expected="a file that Certificate.write wrote", where=path)
    try:
        return _Reader(content[:-16], 8).file()
    except (struct.error, IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DataError(f"not a certificate ({error})", expected="a file of version 2", where=path) from error


@dataclass
class _Reader:
    content: bytes
    at: int

    def take(self, size: int) -> bytes:
        """The next bytes, so many."""
        if size > len(self.content) - self.at:
            raise ValueError("it ends too early")
        self.at += size
        return self.content[self.at - size : self.at]

    def count(self) -> int:
        """An unsigned number of 32 bits."""
        return int.from_bytes(self.take(4), "little")

    def counts(self, n: int) -> tuple[int, ...]:
        """So many of them."""
        return tuple(np.frombuffer(self.take(4 * n), "<u4").tolist())

    def text(self) -> str:
        """A text, its length before it."""
        return self.take(self.count()).decode(errors="replace")

    def values(self) -> tuple[int, ...]:
        """Numbers, how many before them."""
        return self.counts(self.count())

    def file(self) -> File:
        """All of it, to the last byte."""
        if self.count() != 2:
            raise ValueError("another version")
        text = self.text()
        inputs = tuple((c, h, w) for c, h, w in (self.counts(3) for _ in range(self.count())))
        shapes, steps = list(inputs), []
        for _ in range(self.count()):
            steps.append(self.step(shapes))
        file = File(text, inputs, tuple(steps), (self.values(), self.values()))
        if self.at != len(self.content):
            raise ValueError("bytes are left")
        return file

    def step(self, shapes: list[Shape]) -> Claimed:
        """A region or a boundary; the shape of what it makes is added."""
        kind, given = self.count(), (self.values(), self.values())
        if kind:
            names = self.text(), self.text()
            c, h, w = self.counts(3)
            shapes.append((c, h, w))
            return Claimed(given, names=names)
        inputs = [shapes[i] for i in given[0]]
        network = self.network(inputs)
        shapes.append(results(network)[-1])
        return Claimed(given, network, tuple(self.claim(inputs) for _ in range(self.count())))

    def claim(self, inputs: list[Shape]) -> Claim:
        """What is said of a region, with the other network's."""
        kind = self.count()
        if kind == 1:
            p = self.count()
            return Claim(kind, self.network(inputs), p)
        network = self.network(inputs)
        if kind == 0:
            return Claim(kind, network)
        if kind == 2:
            rows, columns = network.layers[0].kernel.shape
            furthest = self.signed()
            W, b = self.numbers(rows, columns), self.numbers(rows, 1)
            most = 1 << 32
            return Claim(kind, network, floats=((Floats(W, most, furthest), Floats(b, most, furthest)),))
        if kind != 3:
            raise ValueError("a claim of another kind")
        pairs = tuple((self.held(*layer.kernel.shape), self.held(*layer.bias.shape)) for layer in network.layers)
        return Claim(kind, network, floats=pairs)

    def held(self, rows: int, columns: int) -> Floats | None:
        """Floats in the place of numbers; None where these stay."""
        if self.count() == 0:
            return None
        loose, furthest = self.count(), self.signed()
        return Floats(self.numbers(rows, columns), loose, furthest)

    def signed(self) -> int:
        """A number of 32 bits that may be negative."""
        return int.from_bytes(self.take(4), "little", signed=True)

    def network(self, inputs: list[Shape]) -> Program:
        """Layers on inputs of these shapes."""
        return Program(inputs[0], tuple(self.layer() for _ in range(self.count())), tuple(inputs[1:]))

    def layer(self) -> Convolution:
        """A convolution, and what enters it."""
        feeds = tuple(struct.unpack("<Id", self.take(12)) for _ in range(self.count()))
        mode, rows, columns = _MODES[self.count()], self.walk(), self.walk()
        groups, outputs, weights = self.counts(3)
        kernel, bias = self.numbers(outputs, weights), self.numbers(outputs, 1)
        return Convolution(feeds, kernel, bias, rows, columns, mode, groups)

    def walk(self) -> Walk:
        """How a kernel goes along an axis: by stride and dilation, or written out."""
        if self.count() == 0:
            return Window(*self.counts(5))
        taps, outputs = self.counts(2)
        return Table(np.array(self.counts(taps * outputs), dtype=np.int64).reshape(taps, outputs) - 1)

    def numbers(self, rows: int, columns: int) -> Coefficients:
        """A matrix, in any of the ways in which numbers are stored."""
        kind, divisor = self.counts(2)
        if kind == 4:
            return Coefficients.all(struct.unpack("<d", self.take(8))[0], rows, columns, divisor)
        if kind == 2:
            exponent, values = self.signed(), np.empty(rows * columns, dtype=object)
            values[:] = [self.large() for _ in range(rows * columns)]
            return Coefficients(values.reshape(rows, columns), (rows, columns), divisor, exponent)
        dtype = _DTYPES[kind]
        raw = np.frombuffer(self.take(rows * columns * dtype.itemsize), dtype)
        values = raw.astype(np.int64) if kind == 3 else raw.astype(dtype.newbyteorder("="))
        return Coefficients(values.reshape(rows, columns), (rows, columns), divisor)

    def large(self) -> int:
        """A whole number of any length, its sign in the highest bit of the length."""
        size = self.count()
        m = int.from_bytes(self.take(size & 0x7FFFFFFF), "little")
        return -m if size >> 31 else m


def results(program: Program) -> list[Shape]:
    """The shapes of all values of a program, its inputs first."""
    shapes = list(program.shapes)
    for layer in program.layers:
        shapes.append(layer.result(shapes[layer.feeds[0][0]]))
        if math.prod(shapes[-1]) < 1:
            raise ValueError("a value without entries")
    return shapes
