"""Rings: every computation of the library takes one, and this room is all that it knows about numbers.

Every ring carries the same code.  Arrays are NumPy arrays or torch tensors; torch is never imported here, it is
recognised.  A float is a dyadic rational m 2^e, so the exact rings receive *the numbers that the floats are*.

    Ring             what all of them have in common
    Float(dtype)     IEEE floating point; results are rounded
    PrimeField(p)    residues modulo an odd prime, centred in [-(p-1)/2, (p-1)/2], carried exactly in float64
    Rationals()      ``fractions.Fraction`` entries in object arrays; exact and slow
    Majorant()       absolute values: the semiring in which rounding errors are bounded
    embed            the image of an array of floats in the ring (a ring morphism on dyadic rationals)
    reduce           the representative of a carrier after additions and multiplications
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from ..errors import ShapeError, UnknownNameError
from .arrays import as_float64, fractions, holds_integers, namespace, require_finite
from .prime_field import PrimeField

__all__ = ["UNIT_ROUNDOFF", "Float", "Majorant", "PrimeField", "Rationals", "Ring"]

#: u of every floating dtype: half the distance from 1 to the next number.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


class Ring(Protocol):
    """What a computation asks of its numbers; any class with these members will do."""

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding."""
        ...

    def embed(self, x: Any) -> Any:
        """The image of an array of numbers in the ring."""
        ...

    def reduce(self, x: Any) -> Any:
        """The representatives of sums and products."""
        ...

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b."""
        ...

    def negate(self, x: Any) -> Any:
        """-x."""
        ...

    def divide(self, x: Any, n: Any) -> Any:
        """x / n for an array n of integers that are units of the ring."""
        ...


@dataclass(frozen=True)
class Float:
    """Floating point numbers: a + b and a b are rounded to the nearest number of the dtype.

    Args:
        dtype: "float64", "float32", "float16" or, for torch tensors, "bfloat16".

    Raises:
        UnknownNameError: if there is no such dtype.

    >>> Float("float32").embed(np.array([0.1])).dtype
    dtype('float32')
    """

    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.dtype not in UNIT_ROUNDOFF:
            names = tuple(UNIT_ROUNDOFF)
            raise UnknownNameError("no such floating dtype", expected=names, got=self.dtype, where="dtype")

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: False."""
        return False

    @cached_property
    def unit_roundoff(self) -> float:
        """u = 2^-precision: a rounded operation errs by at most the factor 1 + u (Higham 2002, Thm 2.2)."""
        return UNIT_ROUNDOFF[self.dtype]

    def embed(self, x: Any) -> Any:
        """The array rounded to the dtype, of any shape, NumPy or torch like the input.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
            ShapeError: if an entry is no number.
        """
        xp = namespace(x)
        try:
            x = x.to(getattr(xp, self.dtype)) if xp is not np else np.asarray(x, dtype=self.dtype)
        except (TypeError, ValueError) as error:
            expected = "numbers (symbols need a ring of polynomials, as symbolic.ring_of makes one)"
            raise ShapeError("an entry is no number", expected=expected, got=error, where="Float.embed") from error
        require_finite(x, "Float.embed")
        return x

    def reduce(self, x: Any) -> Any:
        """The array itself: floats are their own representatives."""
        return x

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b, shapes (m, n) and (n, k) or (n,); ``a`` or both may be SciPy sparse."""
        return a @ b

    def negate(self, x: Any) -> Any:
        """-x."""
        return -x

    def divide(self, x: Any, n: Any) -> Any:
        """x / n entry by entry, in the dtype of x."""
        return x / namespace(x).asarray(n, dtype=x.dtype)


@dataclass(frozen=True)
class Majorant:
    """The semiring of magnitudes: every number is replaced by its absolute value, in float64.

    The network over it, |f|, bounds the network and what rounding does to it: if every product passes through at
    most N roundings, |computed f(x) - f(x)| <= gamma_N |f|(|x|) (Higham 2002, sec. 3.1).

    >>> M = Majorant()
    >>> M.embed(np.array([-2.0, 3.0])) + M.negate(np.array([1.0, 1.0]))
    array([3., 4.])
    """

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: False."""
        return False

    @property
    def dtype(self) -> str:
        """The dtype of the carriers: "float64"."""
        return "float64"

    def embed(self, x: Any) -> Any:
        """The absolute values as float64, rounded up where integers or rationals are no floats.

        Raises:
            NonFiniteError: if an entry is NaN or infinite.
            ShapeError: if an entry is no number.
        """
        xp = namespace(x)
        if xp is np and np.asarray(x).dtype == object:
            x = np.asarray(x)
            exact = fractions(x.ravel().tolist(), "Majorant.embed")
            return np.array([_above(abs(value)) for value in exact], dtype=np.float64).reshape(x.shape)
        require_finite(x, "Majorant.embed")
        values = abs(as_float64(x))
        above = xp.nextafter(values, xp.full_like(values, np.inf))
        return xp.where(values < 2.0**53, values, above) if holds_integers(x) else values

    def reduce(self, x: Any) -> Any:
        """The array itself."""
        return x

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b of nonnegative matrices, shapes (m, n) and (n, k) or (n,)."""
        return a @ b

    def negate(self, x: Any) -> Any:
        """x itself: |-x| = |x|."""
        return x

    def divide(self, x: Any, n: Any) -> Any:
        """x / |n| entry by entry."""
        return x / abs(namespace(x).asarray(n, dtype=x.dtype))


def _above(value: Fraction) -> float:
    """A float that is no smaller."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else float(np.nextafter(nearest, np.inf))


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
            ShapeError: if an entry is no rational number.
        """
        array = x if namespace(x) is not np else np.asarray(x.todense() if sp.issparse(x) else x)
        rationals = np.empty(tuple(array.shape), dtype=object)
        rationals.reshape(-1)[:] = fractions(array.reshape(-1).tolist(), "Rationals.embed")
        return rationals

    def reduce(self, x: Any) -> Any:
        """The array itself."""
        return x

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product a b of object arrays, shapes (m, n) and (n, k) or (n,), over the nonzero entries of a."""
        product = np.full((len(a), *b.shape[1:]), Fraction(0))
        for i, j in zip(*a.nonzero(), strict=True):
            product[i] = product[i] + b[j] * a[i, j]
        return product

    def negate(self, x: Any) -> Any:
        """-x."""
        return -x

    def divide(self, x: Any, n: Any) -> Any:
        """x / n entry by entry, n an array of integers."""
        return x / self.embed(n)
