"""A skip recursion under construction: layers, and between them formal sums that stay exact.

    combination  sum_k t R f^(k), with t a rational number and R a matrix of non-negative integers (None: the identity)
    whole        a value that is one f^(k) itself; every value can be made whole by a layer with W = 1
    cut feed     f^(i-1) does not enter layer i: t^(i-1,i-1) = 0

Sums and multiples of values change the t, integer matrices change the R.  Whatever would have to be rounded that way
(two resizings of one f^(k), integers beyond 2^53) is made whole first: no number of the recursion is ever rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..errors import NonFiniteError
from .affine import Shape
from .recursion import Layer, Skip, SkipRecursion

#: Sums of non-negative integers below this are exact in float64.
EXACT = 2.0**53


@dataclass(frozen=True, eq=False)
class Combination:
    """sum_k t R f^(k), a tensor without batch axis.

    Attributes:
        shape: of the tensor.
        terms: k to (t, R); R sparse, of shape (prod(shape), n_k), or None for the identity.
    """

    shape: Shape
    terms: Mapping[int, tuple[Fraction, Any]]

    def __mul__(self, factor: Fraction) -> Combination:
        """The multiple: every t times the factor."""
        return replace(self, terms={k: (t * factor, R) for k, (t, R) in self.terms.items()})

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    @property
    def is_whole(self) -> bool:
        """Whether it is one f^(k) itself."""
        return len(self.terms) == 1 and all(t == 1 and R is None for t, R in self.terms.values())


class Assembly:
    """The layers and skips put together so far.

    Args:
        in_shape: shape of x without batch axis.

    >>> work = Assembly((2,))
    >>> y = work.layer(work.input, (1,), sp.csr_array([[1.0, 2.0]]), b=np.array([3.0]))
    >>> work.recursion(y).forward(np.array([1.0, 1.0]))
    array([6.])
    """

    def __init__(self, in_shape: Shape) -> None:
        self.input = Combination(tuple(in_shape), {0: (Fraction(1), None)})
        self._layers: list[Layer] = []
        self._skips: dict[tuple[int, int], Skip] = {}
        self._sizes = [self.input.size]

    def layer(
        self, value: Combination, shape: Shape, W: Any, *, P: Any = None, b: Any = None, r: Any = None
    ) -> Combination:
        """The new f^(i) = W P (value + r) + b.

        Args:
            value: what enters.
            shape: of what comes out.
            W: matrix (prod(shape), rows of P).
            P: padding matrix, or None.
            b: bias vector of length prod(shape), or None.
            r: vector added to the value before P, or None.
        """
        if r is not None and all(t != 1 for t, _ in value.terms.values()):
            value = self.whole(value)  # r goes with a term of strength 1, where no product is rounded
        self._layers.append(Layer(W, P, b))
        i = len(self._layers)
        for k, (t, R) in value.terms.items():
            self._skips[k, i] = Skip(_strength(t), R, r if t == 1 else None)
            r = None if t == 1 else r
        if i - 1 not in value.terms:
            self._skips[i - 1, i] = Skip(0.0, sp.csr_array((value.size, self._sizes[-1])))
        self._sizes.append(W.shape[0])
        return Combination(shape, {i: (Fraction(1), None)})

    def whole(self, value: Combination) -> Combination:
        """The value as one f^(k): itself if it is, else a new layer with W = 1."""
        return value if value.is_whole else self.layer(value, value.shape, sp.eye_array(value.size, format="csr"))

    def mapped(self, value: Combination, S: Any, shape: Shape) -> Combination:
        """S times the value, S a matrix of non-negative integers or None for the identity."""
        if S is None:
            return replace(value, shape=shape)
        terms = {k: (t, S if R is None else S @ R) for k, (t, R) in value.terms.items()}
        if any(R.nnz and R.max() >= EXACT for _, R in terms.values()):
            return self.mapped(self.whole(value), S, shape)
        return Combination(shape, terms)

    def divided(self, value: Combination, divisors: Any) -> Combination:
        """The value with entry r divided by ``divisors[r]``, exactly.

        Where 1 / divisors[r] = n_r / common with small positive integers n_r, they go into R and 1 / common into t;
        else the entries with one divisor become a layer of their own.

        Raises:
            NonFiniteError: if a divisor is 0.
        """
        distinct, which = np.unique(np.asarray(divisors, dtype=np.float64), return_inverse=True)
        fractions = [Fraction(d) for d in distinct.tolist()]
        if 0 in fractions:
            raise NonFiniteError("a division by zero", expected="divisors other than 0", where="Assembly.divided")
        if len(fractions) == 1:
            return value * (1 / fractions[0])
        common = Fraction(math.lcm(*(d.numerator for d in fractions)), math.gcd(*(d.denominator for d in fractions)))
        counts = [common / d for d in fractions]
        if all(0 < n < EXACT for n in counts):
            S = sp.diags_array(np.array(counts, dtype=np.float64)[which], format="csr")
            return self.mapped(value, S, value.shape) * (1 / common)
        masks = (sp.diags_array((which == j).astype(np.float64), format="csr") for j in range(len(fractions)))
        parts = (self.mapped(value, S, value.shape) * (1 / d) for S, d in zip(masks, fractions, strict=True))
        return reduce(self.sum, [self.whole(part) for part in parts])

    def sum(self, x: Combination, y: Combination) -> Combination:
        """x + y, of one shape."""
        shared = x.terms.keys() & y.terms.keys()
        if any(x.terms[k][1] is not y.terms[k][1] for k in shared):
            return self.sum(x, self.whole(y)) if x.is_whole else self.sum(self.whole(x), y)
        merged = {k: (x.terms[k][0] + y.terms[k][0], x.terms[k][1]) for k in shared}
        return replace(x, terms={**x.terms, **y.terms, **merged})

    def recursion(self, out: Combination) -> SkipRecursion:
        """The finished recursion, whose last layer is the output (one with W = 1 where it is no layer yet)."""
        if not (out.is_whole and out.terms.keys() == {len(self._layers)} and self._layers):
            out = self.layer(out, out.shape, sp.eye_array(out.size, format="csr"))
        return SkipRecursion(self._layers, self._skips, self.input.shape, out.shape)


def _strength(t: Fraction) -> float | Fraction:
    """The number as a float where that is exact."""
    try:
        rounded = float(t)
    except OverflowError:
        return t
    return rounded if Fraction(rounded) == t else t
