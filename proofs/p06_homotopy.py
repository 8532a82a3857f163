r"""Theorem 6.  In one skip strength t the collapsed network is a polynomial of degree at most floor(L / 2).

Notation.  t multiplies the strength of every skip (k, i), k < i - 1; the feeds keep theirs.  Then f^(L) = A(t) X +
C(t).

Statement.  A(t) = sum_d t^d A_d and C(t) = sum_d t^d C_d, where A_d and C_d are the sums of the words that take d
skips. d is at most floor(L / 2), and with all skips there is such a path with d = floor(L / 2).  All coefficients
come from one recursion: A_{i,d} = W^(i) P^(i) ( R^(i-1,i-1) A_{i-1,d} + sum_{k<i-1} t^(k,i-1) R^(k,i-1) A_{k,d-1} ),
C likewise.

Proof.  Sort the words of Theorem 5 by the number d of their skips.  A path from s to L advances by L - s in total, by
at least 2 for each skip and 1 for each feed, so 2 d <= L - s <= L.  Skips of length 2, after one feed if L is odd,
attain it.

Derived here: the derivation of A and C with respect to a symbol t, with a symbol for every other entry, L = 4; the
degree and its attainment, and the number of words with d skips against the generating function 1 / (1 - x - t x^2 /
(1 - x)), up to L = 8.  The instances compare A(t) and C(t) with the collapse at random t, over Q and F_p.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from algebraic_cnn import AffineMap, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import HomotopyPolynomial, Skeleton, ring_of

from .instances import dyadic, generic, recursion, rings
from .record import Record, require

INSTANCES = 20

Polynomial = Callable[..., HomotopyPolynomial]


def at_strength(f: SkipRecursion, t: object) -> SkipRecursion:
    """The recursion with the strength of every skip that is no feed multiplied by t."""
    skips = {(k, i): skip if k == i - 1 else Skip(skip.t * t, skip.R, skip.r) for (k, i), skip in f.skips.items()}
    return replace(f, skips=skips)


def prove(polynomial: Polynomial = SkipRecursion.polynomial, seed: int = 6) -> Record:
    """Theorem 6 for ``polynomial``, a function from (recursion, ring) to a ``HomotopyPolynomial``."""
    _derive_polynomial(polynomial)
    _derive_degree()
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        f = recursion(generator, depth=int(generator.integers(1, 7)))
        t = dyadic(generator, 1)[0]
        for ring in rings(generator):
            p = polynomial(f, ring)
            require(p.degree <= len(f.layers) // 2, "the degree is at most floor(L / 2)")
            require(p(t).exactly_equals(at_strength(f, t).collapse(ring)), f"A({t}) and C({t}) over {ring}")
    return Record(
        theorem="in one strength t, W and B have degree at most floor(L / 2)",
        derived="L = 4 with a symbol t and every entry a symbol, d/dt too; words counted up to L = 8",
        instances=INSTANCES,
        rocq=("homotopy_Wof", "homotopy_Bof", "Apoly_degree", "degree_attained"),
    )


def _derive_polynomial(polynomial: Polynomial) -> None:
    from sympy import Symbol

    t = Symbol("t")
    f = at_strength(generic(depth=4, size=1), 1)
    ring = ring_of(f, np.array(t))
    p, W = polynomial(f, ring), at_strength(f, t).collapse(ring)
    require(p(t).exactly_equals(W), "sum_d t^d f_d is the collapse at t")
    require(p.derivative()(t).exactly_equals(_differentiated(W, ring, t)), "its derivative is that of the collapse")


def _differentiated(f: AffineMap, ring: Any, t: Any) -> AffineMap:
    parts = [ring.embed(np.array([entry.diff(t) for entry in ring.to_sympy(part).ravel()], dtype=object))
             for part in (f.W, f.b)]  # fmt: skip
    return replace(f, W=parts[0].reshape(f.W.shape), b=parts[1])


def _derive_degree() -> None:
    from sympy import Poly, series, symbols

    x, t = symbols("x t")
    generating = Poly(series(1 / (1 - x - t * x**2 / (1 - x)), x, 0, 9).removeO(), x, t)
    for L in range(1, 9):
        skips = [sum(k < i - 1 for k, i in pairwise(path)) for path in Skeleton.full(L).paths()]
        require(max(skips) == L // 2, f"floor(L / 2) skips are possible and no more, L = {L}")
        for d in range(L // 2 + 1):
            require(skips.count(d) == generating.coeff_monomial(x**L * t**d), f"the words with {d} skips, L = {L}")
