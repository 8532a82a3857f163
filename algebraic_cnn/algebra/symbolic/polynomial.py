"""The homotopy polynomial: f_t = sum_d t^d f_d, collapsed once for every skip strength t.

t          multiplies the strength of every skip that is no feed: t = 1 is the recursion, t = 0 its chain of feeds
f_d        an affine map: A_d x + C_d, the sum of all words that take d skips
degree     the most skips on a path from a bias or from x, at most floor(L / 2)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...rings.matrices import multiple, reduced
from ..affine import AffineMap


@dataclass(frozen=True, eq=False)
class HomotopyPolynomial:
    """A(t) x + C(t) with A(t) = sum_d t^d A_d and C(t) = sum_d t^d C_d.

    Args:
        coefficients: the maps f_0 .. f_D; W and b of f_d are A_d and C_d.
        ring: where they live.

    >>> import numpy as np
    >>> from algebraic_cnn import Layer, Skip, SkipRecursion
    >>> double = Layer(np.array([[2.0]]), b=np.array([1.0]))
    >>> f = SkipRecursion([double, double], {(0, 2): Skip()}).polynomial()         # 2 (t x + (2 x + 1)) + 1
    >>> [(c.W.item(), c.b.item()) for c in f.coefficients]
    [(4.0, 3.0), (2.0, 0.0)]
    >>> f(0.5).W, f.derivative()(0.5).W
    (array([[5.]]), array([[2.]]))
    """

    coefficients: tuple[AffineMap, ...]
    ring: Any

    @property
    def degree(self) -> int:
        """D, the power of t in the last coefficient."""
        return len(self.coefficients) - 1

    def __call__(self, t: Any) -> AffineMap:
        """The affine map of the recursion at strength t, by Horner's rule.

        Args:
            t: a number that the ring can embed.
        """
        value = self.coefficients[-1]
        for coefficient in self.coefficients[-2::-1]:
            value = self._reduced(self._multiple(t, value) + coefficient)
        return value

    def derivative(self) -> HomotopyPolynomial:
        """d/dt: the coefficients d f_d for d = 1 .. D, or 0 where D = 0."""
        multiples = [self._multiple(d, f) for d, f in enumerate(self.coefficients)]
        return replace(self, coefficients=tuple(multiples[1:] or multiples))

    def _multiple(self, t: Any, f: AffineMap) -> AffineMap:
        return replace(f, W=multiple(t, f.W, self.ring), b=multiple(t, f.b, self.ring))

    def _reduced(self, f: AffineMap) -> AffineMap:
        return replace(f, W=reduced(f.W, self.ring), b=reduced(f.b, self.ring))
