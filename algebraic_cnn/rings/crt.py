"""Integers from their residues, and floats from rationals: exactly, and many at once.

    primes_for     the largest primes of a given capacity whose product exceeds a number of bits
    lift           the signed integers below half the product of the primes, from their residues (Chinese remainders)
    nearest        the float nearest to each rational, in any precision

``lift`` sums a_i M / p_i, M the product of the primes, in limbs of 16 bits carried in float64, as one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..errors import NonFiniteError, UnknownNameError
from .prime_field import PrimeField
from .primes import largest_modulus

_LIMB = 16

#: Entries lifted together: their limbs should stay in a cache.
_TOGETHER = 2**14


def primes_for(bits: float, terms: int, avoid: int = 1) -> list[int]:
    """The largest primes that sums of ``terms`` products allow, as many as it takes to exceed 2^bits.

    Args:
        bits: log2 of what their product must exceed.
        terms: products that are summed before they are reduced.
        avoid: an integer that none of them may divide.

    >>> primes_for(50, 9)
    [44739181, 44739173]
    """
    from sympy import prevprime

    primes, reached, p = [], 0.0, largest_modulus(terms) + 1
    while reached <= bits:
        p = int(prevprime(p))
        if avoid > 1 and avoid % p == 0:
            continue
        primes.append(p)
        reached += math.log2(p) - 2.0**-40
    return primes


def lift(residues: np.ndarray, primes: Sequence[int]) -> np.ndarray:
    """The integers of magnitude below 2^-8 times the product of the primes that have these residues.

    Args:
        residues: float64 or integers (k, n), row i modulo the i-th prime, in any representative below 2^26.
        primes: k different odd primes below 2^26, k < 2^10.

    Returns:
        Python integers as object array (n,).

    >>> lift(np.array([[84, -1, 40], [86, -1, 40]]), [101, 103])
    array([-17, -1, 40], dtype=object)
    """
    product = math.prod(primes)
    width = product.bit_length() // _LIMB + 3
    cofactors = [product // p for p in primes]
    limbs = np.stack([_limbs(cofactor, width) for cofactor in cofactors])
    inverses = [pow(cofactor, -1, p) for cofactor, p in zip(cofactors, primes, strict=True)]
    lifted = np.empty(residues.shape[1], dtype=object)
    for start in range(0, residues.shape[1], _TOGETHER):
        part = slice(start, start + _TOGETHER)
        weights = np.stack([_weight(row[part], p, inverse) for row, p, inverse in
                            zip(residues, primes, inverses, strict=True)])  # fmt: skip
        wraps = np.rint((weights / np.array(primes, dtype=np.float64)[:, None]).sum(0))
        lifted[part] = _integers(weights.T @ limbs - np.outer(wraps, _limbs(product, width)))
    return lifted


def _weight(row: np.ndarray, p: int, inverse: int) -> np.ndarray:
    field = PrimeField(p)
    centred = inverse - p if inverse > field.half else inverse
    return field.reduce(field.reduce(row.astype(np.float64)) * centred)


def _limbs(value: int, width: int) -> np.ndarray:
    """The digits of a nonnegative integer to base 2^16, least first."""
    return np.frombuffer(value.to_bytes(width * 2, "little"), dtype="<u2").astype(np.float64)


def _integers(digits: np.ndarray) -> list[int]:
    """Integers from signed, overfull digits (n, width), each below 2^52."""
    whole = digits.astype(np.int64)
    for place in range(whole.shape[1] - 1):
        whole[:, place + 1] += whole[:, place] >> _LIMB
    packed = (whole & (2**_LIMB - 1)).astype("<u2").tobytes()
    size = 2 * whole.shape[1]
    return [int.from_bytes(packed[i : i + size], "little", signed=True) for i in range(0, len(packed), size)]


def nearest(values: np.ndarray, dtype: str = "float64") -> np.ndarray:
    """Each rational rounded once to the nearest number of a dtype, ties to even.

    Args:
        values: object array of ``Fraction`` or integers, any shape.
        dtype: "float64", "float32", "float16" or "bfloat16"; the latter comes as float32 with those values.

    Raises:
        UnknownNameError: if there is no such dtype.
        NonFiniteError: if a number is beyond the range of float64.

    >>> nearest(np.array([Fraction(1, 3), Fraction(2**24 + 1)], dtype=object), "float32")
    array([3.3333334e-01, 1.6777216e+07], dtype=float32)
    """
    if dtype not in ("float64", "float32", "float16", "bfloat16"):
        raise UnknownNameError("no such dtype", expected="float64, float32, float16, bfloat16", got=dtype)
    flat = [Fraction(value) for value in values.ravel().tolist()]
    try:
        rounded = np.array([float(value) for value in flat]).reshape(values.shape)
    except OverflowError as error:
        raise NonFiniteError("a number is beyond float64", expected="below 2^1024", where="nearest") from error
    if dtype == "float64":
        return rounded
    odd = _to_odd(rounded, np.array([(v > r) - (v < r) for v, r in zip(flat, rounded.ravel(), strict=True)]))
    if dtype != "bfloat16":
        return odd.astype(dtype)
    narrow = odd.astype(np.float32)
    narrow = _to_odd(narrow, (np.sign(odd - narrow)).ravel())
    bits = narrow.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def _to_odd(rounded: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Of the two floats around a number, the one with odd mantissa: rounding it again is rounding the number itself.

    ``side`` is the sign of the number minus its nearest float, 0 where they are equal (Boldo and Melquiond 2008).
    """
    side = side.reshape(rounded.shape)
    integers = rounded.view(np.int64 if rounded.dtype == np.float64 else np.int32)
    even = (integers & 1) == 0
    neighbour = np.nextafter(rounded, np.where(side > 0, np.inf, -np.inf).astype(rounded.dtype))
    return np.where(even & (side != 0), neighbour, rounded)
