"""The bytes of a .cert file, little-endian throughout; proofs/rocq/checker/reader.ml reads them.

    file     "ACNNCERT", version, a text, the number of inputs, their shapes c, h, w; the number of steps, the steps;
             which values the two networks return; MD5 of all that (against damage, not against forgery)
    step     makes one value.  0, an affine region: which values it is given in the first network, which in the second;
             the network; the number of claims, the claims.  1, any other call: what it is given in the first network,
             in the second; its name in the first, in the second, as texts; the shape of what it returns
    network  the number of layers; each: the number of feeds, each a number and a float64; the padding mode; how rows
             are met, then columns; groups; output channels; weights of each; the weights, the biases
    walk     0, before, after, extent, stride, dilation.  1, taps, outputs, and for each which position is met, counted
             from 1; 0 meets a zero
    numbers  a kind, a divisor, then: 0 float32, 1 float64, 2 an exponent e and large m for m 2^e, 3 uint32,
             4 one float64 for all of them
    claim    0 and a network: equal over the rational numbers.  1, a prime p and a network: equal modulo p.
             2, a network of one layer, an int32 e, and floats: equal, and the floats are the layer's numbers correctly
             rounded, or no float is further than 2^e from its number.  3, a network, and for each of its layers what
             the second network holds for its kernel, then for its bias: 0, these very numbers; 1, n, an int32 e and
             floats: all but n are these numbers correctly rounded, and no other is further than 2^e from its number

All counts are uint32.  A text is a number of bytes and these, a list of values a number of them and these.
A large integer is the number of its bytes, plus 2^31 where it is negative, and its bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from operator import or_
from typing import TypeAlias

import numpy as np

from ...errors import DataError
from .layers import MODES, Coefficients, Convolution, Program, Shape, Table, Window

#: Numbers of values: the inputs, then what the steps make.
Values: TypeAlias = tuple[int, ...]

MAGIC = b"ACNNCERT"
VERSION = 2


def counts(*numbers: int) -> bytes:
    """Numbers below 2^32.

    >>> counts(1, 2).hex()
    '0100000002000000'
    """
    return struct.pack(f"<{len(numbers)}I", *numbers)


def file_of(text: str, network: Program, claims: Iterable[bytes]) -> bytes:
    """The whole file.

    Args:
        text: what the writer says of it; no checker relies on it.
        network: the first network, of which the claims speak.
        claims: as ``equal``, ``modulo`` and ``rounded`` make them.
    """
    given = tuple(range(len(network.shapes)))
    return steps_file(text, network.shapes, [region(network, claims, given)], ((len(given),), (len(given),)))


def steps_file(text: str, inputs: Sequence[Shape], steps: Sequence[bytes], returned: tuple[Values, Values]) -> bytes:
    """The file of two networks that are not affine, step by step.

    Args:
        text: what the writer says of it.
        inputs: shapes of the inputs, the first values.
        steps: as ``region`` and ``call`` make them; step i makes value i, counted from behind the inputs.
        returned: numbers of the values that the first network returns, and the second.
    """
    parts = [MAGIC, counts(VERSION), _text(text), counts(len(inputs)), *(counts(*shape) for shape in inputs)]
    content = b"".join([*parts, counts(len(steps)), *steps, *map(_values, returned)])
    return content + hashlib.md5(content, usedforsecurity=False).digest()


def region(network: Program, claims: Iterable[bytes], given: Values, other: Values | None = None) -> bytes:
    """The step that is an affine region.

    Args:
        network: of the first network.
        claims: as ``equal``, ``modulo`` and ``rounded`` make them.
        given: numbers of the values that it is given in the first network.
        other: in the second; by default the same.
    """
    made = list(claims)
    wires = _values(given) + _values(given if other is None else other)
    return counts(0) + wires + network_of(network) + counts(len(made)) + b"".join(made)


def call(names: tuple[str, str], given: tuple[Values, Values], shape: Shape) -> bytes:
    """The step that is a call of which only the name is known, as the first network makes it and as the second does."""
    return counts(1) + b"".join(map(_values, given)) + b"".join(map(_text, names)) + counts(*shape)


def equal(network: Program) -> bytes:
    """The claim that the first network is this one, over the rational numbers."""
    return counts(0) + network_of(network)


def modulo(p: int, network: Program) -> bytes:
    """The claim that the first network is this one modulo p, the prime that ``named_start`` leads to."""
    return counts(1, p) + network_of(network)


def rounded(network: Program, W: np.ndarray, b: np.ndarray, furthest: int) -> bytes:
    """The claim that the first network is this one, of one layer, and W and b are its numbers, rounded.

    Args:
        network: W and b exactly, as ``mapped`` makes it.
        W: (m, n) of float32 or float64.
        b: (m,) likewise.
        furthest: no float is further than 2^furthest from its number, if they are not all the nearest.
    """
    floats = b"".join(_numbers(Coefficients.of(each)) for each in (W, b))
    return counts(2) + network_of(network) + struct.pack("<i", furthest) + floats


#: Floats in the place of numbers, how many are not the nearest ones, and the distance that these have at the most.
#: None: the numbers themselves.
Held: TypeAlias = tuple[Coefficients, int, Fraction] | None


def held(network: Program, layers: Iterable[tuple[Held, Held]]) -> bytes:
    """The claim that the first network is this one, and that the second holds floats in the place of its numbers.

    Args:
        network: the second one with the numbers that were rounded.
        layers: of each layer what it holds for the kernel and for the bias.
    """
    return counts(3) + network_of(network) + b"".join(_held(each) for pair in layers for each in pair)


def furthest(distance: Fraction) -> int:
    """The least b >= -1074 such that no float that is so far from its number is further than 2^b.

    >>> furthest(Fraction(3, 8)), furthest(Fraction(1, 8)), furthest(Fraction(0))
    (-1, -3, -1074)
    """
    if not distance:
        return -1074
    b = distance.numerator.bit_length() - distance.denominator.bit_length()
    return max(b if distance <= Fraction(2) ** b else b + 1, -1074)


def _held(floats: Held) -> bytes:
    if floats is None:
        return counts(0)
    return counts(1, floats[1]) + struct.pack("<i", furthest(floats[2])) + _numbers(floats[0])


def named_start(network: bytes, index: int) -> int:
    """Where the search for the prime of claim ``index`` begins: the hash of the network's bytes says it."""
    digest = hashlib.md5(network + counts(index), usedforsecurity=False).digest()
    return (1 << 19) + (int.from_bytes(digest[:4], "little") & ((1 << 19) - 1))


def network_of(network: Program) -> bytes:
    """A network's bytes."""
    return counts(len(network.layers)) + b"".join(map(_layer, network.layers))


def _layer(layer: Convolution) -> bytes:
    feeds = b"".join(struct.pack("<Id", k, t) for k, t in layer.feeds)
    walks = _walk(layer.rows) + _walk(layer.columns)
    head = counts(MODES.index(layer.mode)) + walks + counts(layer.groups, *layer.kernel.shape)
    return counts(len(layer.feeds)) + feeds + head + _numbers(layer.kernel) + _numbers(layer.bias)


def _walk(walk: Window | Table) -> bytes:
    if isinstance(walk, Window):
        return counts(0, walk.before, walk.after, walk.extent, walk.stride, walk.dilation)
    return counts(1, *walk.met.shape) + (walk.met + 1).astype("<u4").tobytes()


def _values(numbers: Values) -> bytes:
    return counts(len(numbers), *numbers)


def _text(text: str) -> bytes:
    said = text.encode()
    return counts(len(said)) + said


def _numbers(numbers: Coefficients) -> bytes:
    values = numbers.values
    if values.dtype.hasobject:
        return _large(numbers)
    if values.ndim == 0:
        return counts(4, numbers.divisor) + struct.pack("<d", float(values))
    kind = {"float32": 0, "float64": 1, "int64": 3}[values.dtype.name]
    if kind < 2 and not np.isfinite(values).all():
        raise DataError("a weight is infinite or not a number", expected="finite numbers")
    written = values.astype("<u4" if kind == 3 else values.dtype.newbyteorder("<"))
    return counts(kind, numbers.divisor) + written.tobytes()


def _large(numbers: Coefficients) -> bytes:
    """Whole numbers, the power of two that all of them have taken out."""
    values = numbers.values.ravel().tolist()
    common = reduce(or_, values, 0)
    twos = max((common & -common).bit_length() - 1, 0)
    head = counts(2, numbers.divisor) + struct.pack("<i", numbers.exponent + twos)
    return head + b"".join(_integer(value >> twos) for value in values)


def _integer(m: int) -> bytes:
    size = (abs(m).bit_length() + 7) // 8
    return counts(size + (1 << 31 if m < 0 else 0)) + abs(m).to_bytes(size, "little")
