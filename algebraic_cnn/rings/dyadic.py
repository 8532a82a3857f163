"""Floats as integers over powers of two: what every prime has to know of an array, found once for all of them.

    x = n_0 2^-e_0 + n_1 2^-e_1 + ...      entry by entry, with integers |n_i| < 2^50 and e_i = e_0 + 50 i

The e_i are the same for all entries.  One n_0 holds the weights of a layer as a rule: those of float32 have 24 bits,
and their magnitudes differ by less than 2^26.

    Dyadic       an array and its exponents
    Known        exponents of arrays that were asked for, each found once
    parts        the array a cache at a time, beside where its residues go
    digits       n_0, n_1, ... of a part
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import as_float64, largest, namespace

#: Bits of an n_i: with so many, x (1/p) in float64 still rounds to the right quotient (prime_field.py).
DIGIT = 50

#: Entries taken together, so that what lies between the steps stays in the processor's cache; fewer than torch shares
#: among its threads, whose meetings would take longer than the steps.
_IN_CACHE = 3 * 2**13

#: Factors 2^e stay in the range of float64.
_HIGHEST = 1000


@dataclass(frozen=True, eq=False)
class Dyadic:
    """An array of floats with e_0, ..., e_k for which its digits leave nothing.

    >>> x = Dyadic.of(np.array([0.75, 2.0**60]))
    >>> x.exponents, [(n.tolist()) for n in digits(x.numbers, x.exponents)]
    ((-11, 39), [[0.0, 562949953421312.0], [412316860416.0, 0.0]])
    """

    numbers: Any
    exponents: tuple[int, ...]

    @classmethod
    def of(cls, x: Any) -> Dyadic:
        """An array of floats, NumPy or torch.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
        """
        _, top = math.frexp(largest(x, "PrimeField.embed"))
        x = x if namespace(x) is np else x.detach()
        first, count = min(DIGIT - top, _HIGHEST), 1
        for (part,) in _parts(x):
            rests = _rests(as_float64(part), itertools.count(first, DIGIT))
            count = max(count, next(i for i, (_, rest) in enumerate(rests, 1) if not bool(rest.any())))
        return cls(x, tuple(range(first, first + DIGIT * count, DIGIT)))

    def parts(self, residues: Any) -> Iterator[tuple[Any, ...]]:
        """Flat parts of the array and of another one, contiguous, of its shape, to which they write."""
        return _parts(self.numbers, residues)


@dataclass(frozen=True, eq=False)
class Known:
    """Exponents of arrays, by the memory that an array is; it holds them, so that nothing else comes to lie there.

    Its arrays must not be written while it is used.

    >>> known, x = Known(), np.array([0.75, 2.0])
    >>> known.of(x).exponents is known.of(x).exponents
    True
    """

    _found: dict[Any, Dyadic] = field(default_factory=dict)

    def of(self, x: Any) -> Dyadic:
        """``Dyadic.of``, whose exponents are found once for each array.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
        """
        key = _memory(x)
        if key not in self._found:
            self._found[key] = Dyadic.of(x)
        return Dyadic(x if namespace(x) is np else x.detach(), self._found[key].exponents)


def _memory(x: Any) -> tuple[Any, ...]:
    """Where the entries of an array lie, and how; the same of a tensor and of the array that shares its memory."""
    if namespace(x) is np:
        return "cpu", x.ctypes.data, x.shape, x.strides, x.dtype.name
    steps = tuple(step * x.element_size() for step in x.stride())
    return str(x.device), x.data_ptr(), tuple(x.shape), steps, str(x.dtype).removeprefix("torch.")


def digits(part: Any, exponents: tuple[int, ...]) -> Iterator[Any]:
    """n_0, n_1, ... of floats, each as float64."""
    part = as_float64(part)
    if len(exponents) == 1:
        return iter((part * 2.0 ** exponents[0],))
    return (digit for digit, _ in _rests(part, exponents))


def _rests(v: Any, exponents: Iterable[int]) -> Iterator[tuple[Any, Any]]:
    """Every digit, and what is left without it; nothing is rounded but where a product that is below 1/2 vanishes."""
    xp, scaled = namespace(v), 0
    for e in exponents:
        if e < 0:
            digit = xp.trunc(v * 2.0**e)
            v = v - digit * 2.0**-e
        else:
            v, scaled = v * 2.0 ** (e - scaled), e
            digit = xp.trunc(v)
            v = v - digit
        yield digit, v


def _parts(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    if namespace(arrays[0]) is np:
        yield arrays
        return
    flat = [arrays[0].reshape(-1), *(array.view(-1) for array in arrays[1:])]
    size = _IN_CACHE if flat[0].device.type == "cpu" else len(flat[0])
    yield from zip(*(array.split(max(1, size)) for array in flat), strict=True)
