"""The bytes of a .cert file, little-endian throughout; proofs/rocq/checker/reader.ml reads them.

    file     "ACNNCERT", version, length of a text, the text, c, h, w; the network; the number of claims, the claims;
             MD5 of all that (against damage, not against forgery)
    network  the number of layers; each: the number of feeds, each a number and a float64; the padding mode; before,
             after, extent, stride, dilation of rows, then of columns; groups; output channels; weights of each;
             the weights, the biases
    numbers  a kind, a divisor, then: 0 float32, 1 float64, 2 an exponent e and large m for m 2^e, 3 uint32,
             4 one float64 for all of them
    claim    0 and a network: equal over the rational numbers.  1, a prime p and a network: equal modulo p.
             2, a network of one layer, an int32 e, and floats: equal, and the floats are the layer's numbers correctly
             rounded, or no float is further than 2^e from its number

All counts are uint32.  A large integer is the number of its bytes, plus 2^31 where it is negative, and its bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from ...errors import DataError
from .layers import MODES, Axis, Layer, Numbers, Program

MAGIC = b"ACNNCERT"
VERSION = 1


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
    said, made = text.encode(), list(claims)
    parts = [MAGIC, counts(VERSION, len(said)), said, counts(*network.shape), network_of(network)]
    content = b"".join([*parts, counts(len(made)), *made])
    return content + hashlib.md5(content, usedforsecurity=False).digest()


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
    floats = b"".join(_numbers(Numbers.of(each)) for each in (W, b))
    return counts(2) + network_of(network) + struct.pack("<i", furthest) + floats


def named_start(network: bytes, index: int) -> int:
    """Where the search for the prime of claim ``index`` begins: the hash of the network's bytes says it."""
    digest = hashlib.md5(network + counts(index), usedforsecurity=False).digest()
    return (1 << 19) + (int.from_bytes(digest[:4], "little") & ((1 << 19) - 1))


def network_of(network: Program) -> bytes:
    """A network's bytes."""
    return counts(len(network.layers)) + b"".join(map(_layer, network.layers))


def _layer(layer: Layer) -> bytes:
    feeds = b"".join(struct.pack("<Id", k, t) for k, t in layer.feeds)
    head = counts(MODES.index(layer.mode), *_axis(layer.rows), *_axis(layer.columns), layer.groups, *layer.kernel.shape)
    return counts(len(layer.feeds)) + feeds + head + _numbers(layer.kernel) + _numbers(layer.bias)


def _axis(axis: Axis) -> Iterator[int]:
    return iter((axis.before, axis.after, axis.extent, axis.stride, axis.dilation))


def _numbers(numbers: Numbers) -> bytes:
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


def _large(numbers: Numbers) -> bytes:
    """Fractions whose denominators are powers of two times one odd number."""
    values = numbers.fractions()
    odd = [value.denominator // (value.denominator & -value.denominator) for value in values]
    divisor = int(np.lcm.reduce(np.array([*odd, 1], dtype=object)))
    if divisor > 1 << 30:
        raise DataError("the numbers have no small common divisor", expected="at most 2^30", got=divisor)
    scaled = [value * divisor for value in values]
    exponent = max((value.denominator.bit_length() - 1 for value in scaled), default=0)
    mantissas = [int(value * (1 << exponent)) for value in scaled]
    return counts(2, divisor) + struct.pack("<i", -exponent) + b"".join(map(_integer, mantissas))


def _integer(m: int) -> bytes:
    size = (abs(m).bit_length() + 7) // 8
    return counts(size + (1 << 31 if m < 0 else 0)) + abs(m).to_bytes(size, "little")
