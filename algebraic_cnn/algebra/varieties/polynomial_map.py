"""A network with polynomial activations as what it is: a polynomial map, every coefficient exact.

f^(i)(x) = act( W P sum_k t R f^(k)(x) + b ), the recursion of [JV24] with act after every layer but the last, run over
the ring Q[x_0, x_1, ...] on the letters x.  Without an activation the degree is 1 and the coefficients are W and B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import NotAffineError, ShapeError, TooLargeError
from ...files.limits import MAP
from ...rings.arrays import fractions
from ...rings.matrices import in_ring, multiple, product, total
from ...rings.ring import Rationals
from ...toeplitz.arguments import bytes_allowed
from ..affine import AffineMap
from ..recursion import SkipRecursion
from ..symbolic.entries import Polynomials, symbol_array
from .architecture import polynomial

#: Bytes that one term of a polynomial takes, about.
_TERM = 200

Terms = Mapping[tuple[int, ...], Fraction]


@dataclass(frozen=True, eq=False)
class PolynomialMap:
    """x to polynomials in x, over Q.

    Args:
        terms: of every output, exponents to coefficient; none of them 0.
        in_shape: shape of x without batch axis.
        out_shape: shape of the value; its entries are the outputs, row-major.

    >>> square = PolynomialMap(({(2,): Fraction(1), (0,): Fraction(-2)},), (1,), (1,))
    >>> square(np.array([3])), square.degree, (square @ square).terms[0][4,]
    (array([Fraction(7, 1)], dtype=object), 2, Fraction(1, 1))
    """

    terms: tuple[Terms, ...]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    @classmethod
    def of(cls, f: SkipRecursion, activation: Any = None, *, memory_budget: int = MAP) -> PolynomialMap:
        """The map of a recursion with an activation after every layer but the last.

        Args:
            f: the recursion; its floats are the rationals that they are.
            activation: a power r for x^r, or coefficients from the constant one on; none if absent.
            memory_budget: bytes that the coefficients may take.

        Raises:
            NotAffineError: if the activation is no polynomial.
            TooLargeError: if there may be more coefficients than fit.

        >>> from algebraic_cnn import Layer
        >>> f = SkipRecursion([Layer(np.array([[1.0, 2.0]])), Layer(np.array([[3.0]]))])
        >>> dict(PolynomialMap.of(f, 2).terms[0])                              # 3 (x + 2 y)^2
        {(2, 0): Fraction(3, 1), (1, 1): Fraction(12, 1), (0, 2): Fraction(12, 1)}
        """
        act = None if activation is None else polynomial(activation)
        n, m = f.sizes[0], f.sizes[-1]
        degree = 1 if act is None else (len(act) - 1) ** (len(f.layers) - 1)
        needed, allowed = _TERM * m * math.comb(n + degree, min(n, degree)), bytes_allowed(memory_budget)
        if needed > allowed:
            what = f"the coefficients of degree {degree} in {n} variables are beyond the budget"
            raise TooLargeError(what, needed=needed, budget=allowed)
        letters = symbol_array("x", (n,))
        ring = Polynomials(tuple(letters))
        values = [ring.embed(letters)[:, None]]
        for i, layer in enumerate(f.layers, 1):
            fed: Any = None
            for k, skip in f.into(i):
                term = product(skip.R, values[k], ring)
                if skip.r is not None:
                    term = term + in_ring(skip.r, ring)[:, None]
                fed = total(fed, multiple(skip.t, term, ring), ring)
            y = product(layer.W, product(layer.P, fed, ring), ring)
            y = y if layer.b is None else y + in_ring(layer.b, ring)[:, None]
            values.append(_applied(act, y, ring) if act and i < len(f.layers) else y)
        terms = tuple(_terms(entry) for entry in values[-1][:, 0])
        return cls(terms, tuple(f.in_shape or (n,)), tuple(f.out_shape or (m,)))

    @cached_property
    def degree(self) -> int:
        """The largest degree of a term; 0 for constants, and for the map that is 0."""
        return max((sum(exponents) for terms in self.terms for exponents in terms), default=0)

    def coefficient(self, output: int, exponents: Sequence[int]) -> Fraction:
        """The coefficient of a monomial in an output.

        Args:
            output: its number, row-major.
            exponents: of every variable.
        """
        return self.terms[output].get(tuple(exponents), Fraction(0))

    def __call__(self, x: Any) -> np.ndarray:
        """The value at a point of shape ``in_shape``, as fractions.

        Raises:
            ShapeError: if x has another shape or entries that are no numbers.
        """
        x = np.asarray(x)
        if x.shape != self.in_shape:
            raise ShapeError("x does not fit the map", expected=self.in_shape, got=x.shape, where="PolynomialMap")
        point = fractions(x.ravel().tolist(), "PolynomialMap")
        values = np.empty(len(self.terms), dtype=object)
        values[:] = [_at(terms, point) for terms in self.terms]
        return values.reshape(self.out_shape)

    def __matmul__(self, other: PolynomialMap) -> PolynomialMap:
        """The composition: first the other map, then this one.

        Raises:
            ShapeError: if the other's values do not fit.
        """
        if other.out_shape != self.in_shape:
            raise ShapeError("the maps do not compose", expected=self.in_shape, got=other.out_shape, where="@")
        letters = symbol_array("x", (math.prod(other.in_shape),))
        ring = Polynomials(tuple(letters))
        x = ring.embed(letters)
        inner = [_value(terms, x.tolist(), ring) for terms in other.terms]
        terms = tuple(_terms(_value(outer, inner, ring)) for outer in self.terms)
        return PolynomialMap(terms, other.in_shape, self.out_shape)

    def exactly_equals(self, other: PolynomialMap) -> bool:
        """Whether all coefficients agree, and the shapes."""
        return (self.terms, self.in_shape, self.out_shape) == (other.terms, other.in_shape, other.out_shape)

    def affine(self) -> AffineMap:
        """W and B, where the degree is at most 1.

        Raises:
            NotAffineError: if it is not.
        """
        if self.degree > 1:
            raise NotAffineError("a polynomial map of higher degree", expected="degree 1", got=self.degree)
        n = math.prod(self.in_shape)
        one = np.eye(n, dtype=int).tolist()
        W = np.array([[self.coefficient(i, e) for e in one] for i in range(len(self.terms))], dtype=object)
        b = np.array([self.coefficient(i, [0] * n) for i in range(len(self.terms))], dtype=object)
        ring = Rationals()
        return AffineMap(ring.embed(W.reshape(-1, n)), ring.embed(b), self.in_shape, self.out_shape)


def _at(terms: Terms, point: Sequence[Fraction]) -> Fraction:
    """A polynomial at a point."""
    return sum((c * math.prod(map(pow, point, exponents)) for exponents, c in terms.items()), Fraction(0))


def _applied(act: Sequence[Fraction], y: Any, ring: Polynomials) -> Any:
    """The activation of every entry, by Horner's rule."""
    result = y * 0
    for c in ring.embed(np.array(list(reversed(act)), dtype=object)):
        result = result * y + c
    return result


def _terms(entry: Any) -> dict[tuple[int, ...], Fraction]:
    """Exponents to coefficient of an element of the ring."""
    return {tuple(e): Fraction(int(c.numerator), int(c.denominator)) for e, c in entry.terms() if c}


def _value(terms: Terms, at: Sequence[Any], ring: Polynomials) -> Any:
    """A polynomial at elements of the ring."""
    factors = ring.embed(np.array([Fraction(0), *terms.values()], dtype=object))
    result = factors[0]
    for exponents, factor in zip(terms, factors[1:], strict=True):
        result = result + factor * math.prod(value**e for value, e in zip(at, exponents, strict=True) if e)
    return result
