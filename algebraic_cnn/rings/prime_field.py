"""The field F_p in floating point carriers.

carrier    a float64 that holds an integer exactly
residue    the centred representative in [-(p-1)/2, (p-1)/2]
embed      the residues of the rationals that floats are; 2 is invertible modulo an odd p (dyadic.py)
reduce     back to residues after additions and multiplications
capacity   how many products of two residues may be summed before that
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..errors import ShapeError
from .arrays import fractions, holds_integers, namespace, whole
from .dyadic import Dyadic, Known, digits

#: Sums of products of residues stay below this: then ``x / p`` rounds to the right integer and ``reduce`` is exact.
EXACT_LIMIT = 2**52


@dataclass(frozen=True)
class PrimeField:
    """The field F_p, its elements carried as centred integers in float64, so that BLAS and convolutions compute in it.

    Sums of at most ``capacity`` products of two elements are exact in the carrier; ``reduce`` then returns the
    representative in [-(p-1)/2, (p-1)/2].

    Args:
        p: an odd prime below 2^26; primality is the caller's promise (``random_prime`` keeps it).
        known: exponents of floats that other fields embed too; None where there are none.

    Raises:
        ShapeError: if p is even or outside 3 <= p < 2^26.

    >>> F = PrimeField(7)
    >>> F.embed(np.array([0.5, -3.0, 10.0]))        # 1/2 = 4 = -3 modulo 7
    array([-3., -3.,  3.])
    >>> F.matmul(np.array([[3.0, 3.0]]), np.array([[2.0], [3.0]]))
    array([[1.]])
    """

    p: int
    known: Known | None = field(default=None, repr=False, compare=False)

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

    def uniform(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Independent random residues, each as likely as every other: centred, as float64."""
        return generator.integers(-self.half, self.half + 1, size=shape).astype(np.float64)

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
        xp = namespace(x)
        x = np.asarray(x) if xp is np else x
        if holds_integers(x) or str(x.dtype).endswith("bool"):
            return self._of_integers(x)
        residues = np.empty(x.shape) if xp is np else xp.empty(x.shape, dtype=xp.float64, device=x.device)
        return self.embed_into(residues, Dyadic.of(x) if self.known is None else self.known.of(x))

    def _of_integers(self, x: Any) -> Any:
        """By NumPy: torch has no remainder of its unsigned integers, and short ones cannot hold p."""
        xp = namespace(x)
        array = whole(x if xp is np else x.detach().cpu().numpy())
        residues = self.reduce((array % self.p).astype(np.float64))
        return residues if xp is np else xp.from_numpy(np.asarray(residues)).to(x.device)

    def embed_into(self, residues: Any, x: Dyadic) -> Any:
        """The same for floats whose exponents are known already.

        Args:
            residues: where they go; float64, contiguous, of the shape of the floats.
            x: the floats.
        """
        units = [float(self._residue(Fraction(2) ** -e)) for e in x.exponents]
        for part, place in x.parts(residues):
            first, *others = (
                self._folded(self._folded(digit) * unit)
                for digit, unit in zip(digits(part, x.exponents), units, strict=True)
            )
            place[...] = self.reduce(sum(others, first)) if others else first
        return residues

    def _folded(self, n: Any) -> Any:
        """``reduce``, in place, for integers up to 2^50: then the quotient may be a product with 1/p.

        It errs by a relative 2^-52, hence by less than the distance 1/(2p) of n/p from a half-integer.
        """
        quotient = n * (1 / self.p)
        if namespace(n) is not np:
            return n.sub_(quotient.round_(), alpha=self.p)
        n -= np.rint(quotient) * self.p
        return n

    def _residue(self, value: Fraction) -> int:
        if value.denominator % self.p == 0:
            raise ZeroDivisionError(f"{value} has no residue modulo {self.p}: its denominator is 0 there")
        residue = value.numerator * pow(value.denominator, -1, self.p) % self.p
        return residue - self.p if residue > self.half else residue

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
