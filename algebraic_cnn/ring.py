"""The number seam: every computation of the library takes a ring, and this file is all it knows about numbers.

Three rings carry the same code.  Arrays are NumPy arrays or torch tensors; torch is never imported here, it is
recognised.  A float is a dyadic rational m 2^e, so the exact rings receive *the numbers that the floats are*.

    Float(dtype)     IEEE floating point; results are rounded
    PrimeField(p)    residues modulo an odd prime, centred in [-(p-1)/2, (p-1)/2], carried exactly in float64
    Rationals()      ``fractions.Fraction`` entries in object arrays; exact and slow
    embed            the image of an array of floats in the ring (a ring morphism on dyadic rationals)
    reduce           the representative of a carrier after additions and multiplications
    capacity         how many products of two residues may be summed in a carrier before it must be reduced
    random_prime     a prime for a given number of terms, uniform in a stated interval
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .errors import NonFiniteError, ShapeError

#: Sums of products of residues stay below this: then ``x / p`` rounds to the right integer and ``reduce`` is exact.
EXACT_LIMIT = 2**52


def _namespace(x: Any) -> Any:
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def _float64(x: Any) -> Any:
    xp = _namespace(x)
    return x.detach().double() if xp is not np else np.asarray(x, dtype=np.float64)


def _require_finite(x: Any, where: str) -> None:
    if not bool(_namespace(x).isfinite(x).all()):
        raise NonFiniteError("the array has NaN or infinite entries", expected="finite numbers", where=where)


@dataclass(frozen=True)
class Float:
    """Floating point numbers: a + b and a b are rounded to the nearest number of the dtype.

    Args:
        dtype: "float64", "float32", "float16" or, for torch tensors, "bfloat16".

    >>> Float("float32").embed(np.array([0.1])).dtype
    dtype('float32')
    """

    dtype: str = "float64"

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: False."""
        return False

    @cached_property
    def unit_roundoff(self) -> float:
        """u = 2^-precision: a rounded operation errs by at most the factor 1 + u (Higham 2002, Thm 2.2)."""
        return {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[self.dtype]

    def embed(self, x: Any) -> Any:
        """The array rounded to the dtype, of any shape, NumPy or torch like the input.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
        """
        xp = _namespace(x)
        x = x.to(getattr(xp, self.dtype)) if xp is not np else np.asarray(x, dtype=self.dtype)
        _require_finite(x, "Float.embed")
        return x

    def reduce(self, x: Any) -> Any:
        """The array itself: floats are their own representatives."""
        return x

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b; ``a`` or both may be SciPy sparse."""
        return a @ b

    def divide(self, x: Any, n: Any) -> Any:
        """x / n entry by entry, in the dtype of x."""
        return x / _namespace(x).asarray(n, dtype=x.dtype)


@dataclass(frozen=True)
class PrimeField:
    """The field F_p, its elements carried as centred integers in float64, so that BLAS and convolutions compute in it.

    Sums of at most ``capacity`` products of two elements are exact in the carrier; ``reduce`` then returns the
    representative in [-(p-1)/2, (p-1)/2].

    Args:
        p: an odd prime below 2^26; primality is the caller's promise (``random_prime`` keeps it).

    Raises:
        ShapeError: if p is even or outside 3 <= p < 2^26.

    >>> F = PrimeField(7)
    >>> F.embed(np.array([0.5, -3.0, 10.0]))        # 1/2 = 4 = -3 modulo 7
    array([-3., -3.,  3.])
    >>> F.matmul(np.array([[3.0, 3.0]]), np.array([[2.0], [3.0]]))
    array([[1.]])
    """

    p: int

    def __post_init__(self) -> None:
        if not (3 <= self.p < 2**26 and self.p % 2):
            raise ShapeError("the modulus does not fit", expected="an odd prime below 2^26", got=self.p, where="p")

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: True."""
        return True

    @property
    def half(self) -> int:
        """(p - 1) / 2, the largest centred residue."""
        return self.p // 2

    @property
    def capacity(self) -> int:
        """The number n of products with n ((p-1)/2)^2 + p <= 2^52."""
        return (EXACT_LIMIT - self.p) // self.half**2

    def reduce(self, x: Any) -> Any:
        """x - p round(x / p): the centred residue of every integer in the carrier, exact for \\|x\\| <= 2^52.

        The quotient errs by a relative 2^-53, hence by less than the distance 1/(2p) of x/p from a half-integer.
        """
        return x - (x / self.p).round() * self.p

    def embed(self, x: Any) -> Any:
        """The residues of dyadic rationals m 2^e (every float is one), of integers, or of ``Fraction`` entries.

        Args:
            x: array of any shape; floats or integers, NumPy or torch, or an object array of rationals.

        Returns:
            Centred residues as float64, of the shape of x.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
            ZeroDivisionError: if a rational's denominator is divisible by p.
        """
        if isinstance(x, np.ndarray) and x.dtype == object:
            residues = [self._residue(Fraction(value)) for value in x.ravel()]
            return np.array(residues, dtype=np.float64).reshape(x.shape)
        x = _float64(x)
        _require_finite(x, "PrimeField.embed")
        mantissa, exponent = _namespace(x).frexp(x)  # x = mantissa 2^exponent, 53 bits taken as 26 high and 27 low
        high = (mantissa * 2.0**26).round()
        low = mantissa * 2.0**53 - high * 2.0**27
        integer = self.reduce(self.reduce(high) * self._residue(Fraction(2**27)) + self.reduce(low))
        return self.reduce(integer * self._powers_of_two(exponent))

    def _residue(self, value: Fraction) -> int:
        if value.denominator % self.p == 0:
            raise ZeroDivisionError(f"{value} has no residue modulo {self.p}: its denominator is 0 there")
        residue = value.numerator * pow(value.denominator, -1, self.p) % self.p
        return residue - self.p if residue > self.half else residue

    def _powers_of_two(self, exponent: Any) -> Any:
        if math.prod(exponent.shape) == 0:
            return _float64(exponent)
        lowest, highest = int(exponent.min()), int(exponent.max())
        table = [self._residue(Fraction(2) ** (e - 53)) for e in range(lowest, highest + 1)]
        xp = _namespace(exponent)
        if xp is np:
            return np.array(table, dtype=np.float64)[exponent - lowest]
        return xp.tensor(table, dtype=xp.float64, device=exponent.device)[(exponent - lowest).long()]

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product modulo p, in as many column blocks of ``a`` as the capacity asks for.

        Args:
            a: residues, shape (m, n), dense or SciPy sparse.
            b: residues, shape (n, k) or (n,), dense or SciPy sparse.
        """
        n = a.shape[1]
        if n <= self.capacity:
            return self._reduce_any(a @ b)
        columns = a.tocsc() if sp.issparse(a) else a
        blocks = [slice(start, start + self.capacity) for start in range(0, n, self.capacity)]
        parts = [self._reduce_any(columns[:, block] @ b[block]) for block in blocks]
        return self._reduce_any(sum(parts[1:], parts[0]))

    def _reduce_any(self, x: Any) -> Any:
        if sp.issparse(x):
            x = x.copy()
            x.data = self.reduce(x.data)
            return x
        return self.reduce(x)

    def divide(self, x: Any, n: Any) -> Any:
        """x n^-1 modulo p; every entry of n must be invertible.

        Raises:
            ZeroDivisionError: if an entry of n is divisible by p.
        """
        xp = _namespace(n)
        values = n.detach().cpu().numpy() if xp is not np else np.asarray(n, dtype=np.float64)
        distinct, where = np.unique(values, return_inverse=True)
        inverses = np.array([self._residue(1 / Fraction(value)) for value in distinct.tolist()], dtype=np.float64)
        inverse = inverses[where].reshape(values.shape)
        return self.reduce(x * (xp.asarray(inverse, device=n.device) if xp is not np else inverse))


@dataclass(frozen=True)
class Rationals:
    """The field Q: object arrays of ``Fraction``; every operation exact.  For small instances and proofs.

    >>> Rationals().embed(np.array([0.5]))
    array([Fraction(1, 2)], dtype=object)
    """

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: True."""
        return True

    def embed(self, x: Any) -> np.ndarray:
        """The rationals that the floats are, as an object array of the same shape.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
        """
        array = np.asarray(x.todense() if sp.issparse(x) else x)
        if array.dtype != object:
            _require_finite(array, "Rationals.embed")
        fractions = np.empty(array.shape, dtype=object)
        fractions.ravel()[:] = [Fraction(value) for value in array.ravel().tolist()]
        return fractions

    def reduce(self, x: Any) -> Any:
        """The array itself."""
        return x

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b of object arrays."""
        return a @ b

    def divide(self, x: Any, n: Any) -> Any:
        """x / n entry by entry, n an array of integers."""
        return x / self.embed(n)


Ring = Float | PrimeField | Rationals


def largest_modulus(terms: int) -> int:
    """The largest odd p for which a sum of ``terms`` products of residues is exact.

    >>> p = largest_modulus(4608)
    >>> PrimeField(p).capacity >= 4608, PrimeField(p + 2).capacity >= 4608
    (True, False)
    """
    half = math.isqrt(EXACT_LIMIT // max(terms, 1))
    while half > 1 and terms * half**2 + 2 * half + 1 > EXACT_LIMIT:
        half -= 1
    return min(2 * half + 1, 2**26 - 1)


def prime_interval(terms: int) -> tuple[int, int]:
    """The interval (low, high] from which ``random_prime`` draws: high the largest modulus, low an eighth of it."""
    high = largest_modulus(terms)
    return high // 8, high


def random_prime(terms: int, generator: np.random.Generator) -> int:
    """A prime uniform among those of ``prime_interval(terms)``.

    Args:
        terms: the largest number of products that a computation sums before it reduces.
        generator: where the randomness comes from.

    >>> random_prime(9, np.random.default_rng(0)) > 2**21
    True
    """
    from sympy import isprime

    low, high = prime_interval(terms)
    while True:
        candidate = int(generator.integers(low + 1, high + 1))
        if candidate % 2 and isprime(candidate):
            return candidate
