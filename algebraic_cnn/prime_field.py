"""The field F_p in floating point carriers.

carrier    a float64 that holds an integer exactly
residue    the centred representative in [-(p-1)/2, (p-1)/2]
embed      the residues of the rationals that floats are; 2 is invertible modulo an odd p
reduce     back to residues after additions and multiplications
capacity   how many products of two residues may be summed before that
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .arrays import as_float64, fractions, holds_integers, namespace, require_finite
from .errors import ShapeError

#: Sums of products of residues stay below this: then ``x / p`` rounds to the right integer and ``reduce`` is exact.
EXACT_LIMIT = 2**52

#: Weights are embedded so many at a time, so that what lies between the steps stays in the processor's cache.
_IN_CACHE = 2**15


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
        if not (hasattr(self.p, "__index__") and 3 <= self.p < 2**26 and self.p % 2):
            expected = "an odd prime below 2^26"
            raise ShapeError("the modulus does not fit", expected=expected, got=repr(self.p), where="p")

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
        """x - p round(x / p): the centred residue of every integer of magnitude at most 2^52 in the carrier.

        The quotient errs by a relative 2^-53, hence by less than the distance 1/(2p) of x/p from a half-integer.
        To torch's autograd it is the identity, as it should be: the quotient is a constant.
        """
        xp = namespace(x)
        if xp is np:
            quotient = np.asarray(x / self.p)
            np.rint(quotient, out=quotient)
            quotient *= self.p
            return x - quotient if quotient.ndim == 0 else np.subtract(x, quotient, out=quotient)
        return xp.sub(x, (x.detach() / self.p).round_(), alpha=self.p)

    def embed(self, x: Any) -> Any:
        """The residues of dyadic rationals m 2^e (every float is one), of integers, or of ``Fraction`` entries.

        Args:
            x: array of any shape; floats or integers, NumPy or torch, or an object array of rationals.

        Returns:
            Centred residues as float64, of the shape of x.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
            ShapeError: if an entry of an object array is no rational number.
            ZeroDivisionError: if a rational's denominator is divisible by p.
        """
        if isinstance(x, np.ndarray) and x.dtype == object:
            residues = [self._residue(value) for value in fractions(x.ravel().tolist(), "PrimeField.embed")]
            return np.array(residues, dtype=np.float64).reshape(x.shape)
        x = np.asarray(x) if namespace(x) is np else x
        require_finite(x, "PrimeField.embed")
        xp = namespace(x)
        x = x % self.p if holds_integers(x) else x  # float64 would round those from 2^53 on
        if x.dtype == xp.float32:
            return self._embed_float32(x)
        x = as_float64(x)
        if math.prod(x.shape) and float(abs(x).max()) <= self.half and bool((x == x.round()).all()):
            return x
        mantissa, exponent = xp.frexp(x)  # x = mantissa 2^exponent, its 53 bits taken as 26 high, 27 low
        high = (mantissa * 2.0**26).round()
        low = mantissa * 2.0**53 - high * 2.0**27
        integer = self.reduce(self.reduce(high) * self._residue(Fraction(2**27)) + self.reduce(low))
        return self.reduce(integer * self._powers_of_two(exponent))

    def _embed_float32(self, x: Any) -> Any:
        """Residues of m 2^e, |m| < 2^24: the product with 2^-e (2^e mod p) is an integer, and not rounded."""
        xp = namespace(x)
        if xp is np:
            return self.reduce(x * self._float32_factors[(x.view(np.int32) >> 23) & 255])
        x = x.detach().contiguous()
        factors = xp.from_numpy(self._float32_factors).to(x.device)
        residues = xp.empty(x.shape, dtype=xp.float64, device=x.device)
        size = _IN_CACHE if x.device.type == "cpu" else max(1, x.numel())
        for part, out in zip(x.view(-1).split(size), residues.view(-1).split(size), strict=True):
            xp.mul(factors[(part.view(xp.int32) >> 23).bitwise_and_(255)], part, out=out)
            out.copy_(self.reduce(out))
        return residues

    @cached_property
    def _float32_factors(self) -> np.ndarray:
        """2^-e (2^e mod p) for the exponent e of the last bit of a float32, by its exponent bits."""
        exponents = [max(bits, 1) - 150 for bits in range(255)]
        return np.array([math.ldexp(self._residue(Fraction(2) ** e), -e) for e in exponents])

    def _residue(self, value: Fraction) -> int:
        if value.denominator % self.p == 0:
            raise ZeroDivisionError(f"{value} has no residue modulo {self.p}: its denominator is 0 there")
        residue = value.numerator * pow(value.denominator, -1, self.p) % self.p
        return residue - self.p if residue > self.half else residue

    def _powers_of_two(self, exponent: Any) -> Any:
        if math.prod(exponent.shape) == 0:
            return as_float64(exponent)
        lowest, highest = int(exponent.min()), int(exponent.max())
        table = [self._residue(Fraction(2) ** (e - 53)) for e in range(lowest, highest + 1)]
        xp = namespace(exponent)
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

    def negate(self, x: Any) -> Any:
        """-x, which is centred as x is."""
        return -x

    def divide(self, x: Any, n: Any) -> Any:
        """x n^-1 modulo p; every entry of n must be invertible.

        A gradient that torch sends back through it is reduced as well: a rule may divide more than once.

        Raises:
            ZeroDivisionError: if an entry of n is divisible by p.
        """
        if getattr(x, "requires_grad", False):
            x.register_hook(self.reduce)
        xp = namespace(n)
        values = n.detach().cpu().numpy() if xp is not np else np.asarray(n, dtype=np.float64)
        distinct, where = np.unique(values, return_inverse=True)
        inverses = np.array([self._residue(1 / Fraction(value)) for value in distinct.tolist()], dtype=np.float64)
        inverse = inverses[where].reshape(values.shape)
        return self.reduce(x * (xp.asarray(inverse, device=n.device) if xp is not np else inverse))
