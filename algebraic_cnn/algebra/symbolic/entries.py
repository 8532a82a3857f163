"""Entries that are polynomials: the ring Q[k00, k01, ...], so that the code for numbers also derives formulas.

Polynomials      the ring, with the face of the rings of numbers: embed, reduce, matmul, divide, negate
symbol_array     a kernel [[k00, k01], [k10, k11]] of symbols
ring_of          the ring in all symbols of a recursion
entry_map        W and B of a recursion, every entry a polynomial in the symbols of its kernels and strengths
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import chain
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...errors import ShapeError
from ..affine import AffineMap


def symbol_array(name: str, shape: int | Sequence[int]) -> np.ndarray:
    """An object array of SymPy symbols, each the name and its indices.

    >>> symbol_array("k", (2, 2))
    array([[k00, k01],
           [k10, k11]], dtype=object)
    """
    from sympy import Symbol

    array = np.empty(shape, dtype=object)
    for index in np.ndindex(array.shape):
        array[index] = Symbol(name + ("_" if max(array.shape, default=0) > 10 else "").join(map(str, index)))
    return array


@dataclass(frozen=True)
class Polynomials:
    """The ring Q[symbols]: object arrays of ``sympy.polys.rings.PolyElement``; every operation exact.

    Args:
        symbols: the SymPy symbols that may occur, in any number.

    >>> k = symbol_array("k", (2,))
    >>> ring = Polynomials(tuple(k))
    >>> ring.matmul(ring.embed(k[None, :]), ring.embed(k[:, None]))
    array([[k0**2 + k1**2]], dtype=object)
    """

    symbols: tuple[Any, ...]

    @cached_property
    def _ring(self) -> Any:
        from sympy import QQ
        from sympy.polys.rings import PolyRing

        return PolyRing(self.symbols, QQ)

    @classmethod
    def of(cls, *arrays: Any) -> Polynomials:
        """The ring in all symbols that occur in the arrays; numbers, None and sparse matrices have none."""
        objects = [np.asarray(x, dtype=object).ravel() for x in arrays if not (x is None or sp.issparse(x))]
        found = set(chain.from_iterable(getattr(value, "free_symbols", ()) for value in chain(*objects)))
        return cls(tuple(sorted(found, key=str)))

    @property
    def exact(self) -> bool:
        """Whether sums and products are free of rounding: True."""
        return True

    def embed(self, x: Any) -> np.ndarray:
        """Numbers (a float is the rational it is), symbols and expressions as elements of the ring.

        Raises:
            ShapeError: if an entry is no finite number and no polynomial in the symbols.
        """
        array = np.asarray(x.toarray() if sp.issparse(x) else x)
        elements = np.empty(array.shape, dtype=object)
        element = cache(self._element)  # a convolution's matrix repeats few values
        elements.ravel()[:] = [element(value) for value in array.ravel().tolist()]
        return elements

    def _element(self, value: Any) -> Any:
        from sympy import QQ, Basic
        from sympy.polys.polyerrors import CoercionFailed, GeneratorsError

        if getattr(value, "ring", None) == self._ring:
            return value
        try:
            if isinstance(value, Basic):
                return self._ring.from_expr(value)
            fraction = Fraction(value)
            return self._ring.ground_new(QQ(int(fraction.numerator), int(fraction.denominator)))
        except (CoercionFailed, GeneratorsError, TypeError, ValueError, OverflowError) as error:
            names = ", ".join(map(str, self.symbols))
            raise ShapeError("an entry is not in the ring", expected=f"a polynomial in {names}", got=value) from error

    def reduce(self, x: Any) -> Any:
        """The array itself."""
        return x

    def matmul(self, a: Any, b: Any) -> np.ndarray:
        """The matrix product a b, row by row over the nonzero entries of a.

        Args:
            a: elements, shape (m, n).
            b: elements, shape (n, k) or (n,).
        """
        product = np.empty((len(a), *b.shape[1:]), dtype=object)
        product[:] = self._ring.zero
        for i, j in zip(*a.nonzero(), strict=True):
            product[i] = product[i] + b[j] * a[i, j]
        return product

    def divide(self, x: Any, n: Any) -> Any:
        """x / n entry by entry, n an array of integers."""
        inverses = [Fraction(1, int(value)) for value in np.ravel(n)]
        return x * self.embed(np.array(inverses, dtype=object).reshape(np.shape(n)))

    def negate(self, x: Any) -> Any:
        """-x."""
        return -x

    def to_sympy(self, x: Any) -> np.ndarray:
        """The elements as SymPy expressions, expanded, in an object array of the same shape."""
        expressions = np.empty(x.shape, dtype=object)
        expressions.ravel()[:] = [element.as_expr() for element in x.ravel().tolist()]
        return expressions


def ring_of(recursion: Any, *arrays: Any) -> Polynomials:
    """The ring in all symbols of a ``SkipRecursion`` and of further arrays."""
    of_layers = [x for layer in recursion.layers for x in (layer.W, layer.P, layer.b)]
    of_skips = [x for skip in recursion.skips.values() for x in (skip.t, skip.R, skip.r)]
    return Polynomials.of(*of_layers, *of_skips, *arrays)


def entry_map(recursion: Any) -> AffineMap:
    """W and B of [JV24, Thm 3.1] with SymPy entries: polynomials in the symbols of kernels, biases and strengths.

    For layers of a few pixels: a word of m layers has products of m taps.

    Args:
        recursion: a ``SkipRecursion`` whose matrices are dense object arrays, or numbers.

    Returns:
        The map; two layers with the same 2-tap kernel show the stencil product, and its border where one pads:

    >>> from algebraic_cnn.algebra.recursion import Layer, SkipRecursion
    >>> from algebraic_cnn.toeplitz import conv_matrix
    >>> k = symbol_array("k", (2,))
    >>> layer = Layer(conv_matrix(k[None, None], (1, 3), padding=[(0, 1)], format="dense"))
    >>> entry_map(SkipRecursion([layer, layer])).W
    array([[k0**2, 2*k0*k1, k1**2],
           [0, k0**2, 2*k0*k1],
           [0, 0, k0**2]], dtype=object)
    """
    ring = ring_of(recursion)
    f = recursion.collapse(ring)
    return AffineMap(ring.to_sympy(f.W), ring.to_sympy(f.b), f.in_shape, f.out_shape)
