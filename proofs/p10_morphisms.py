"""Theorem 10.  Collapse commutes with ring morphisms, and one random point mod p finds a wrong (W, B).

Notation.  phi: Z[1/2] -> F_p sends a float m 2^e to m 2^e mod p, p odd.  phi of a network takes phi of every weight.

Statement.
(a) phi is a ring morphism, and the collapse of phi(network) is (phi(W), phi(B)): a check mod p speaks of the real
    network.
(b) If (W, B) != (W', B') over F_p, then W x + B = W' x + B' holds for at most p^(n-1) of the p^n points x: a uniformly
    random one misses the difference with probability at most 1/p, and k of them with at most p^-k.
(c) A nonzero integer of absolute value below a^c has fewer than c prime factors that are at least a: few primes are
    unlucky, and hide a difference over Q.

Proof.  (a) W and B are sums of products of weights (Theorem 5), and phi goes through both.  (b) Some row r of the
difference is nonzero.  If its linear part is 0, no x agrees.  Else some coefficient r_j is invertible: for every
choice of the other coordinates exactly one x_j agrees.  (c) c such primes would have a product of at least a^c.

Checked here, not derived with symbols: (a) on random networks, and on floats of 20 bits with distant exponents, (b) for
every single row (W - W', B - B') over F_3 and F_5 in up to two unknowns, (c) for every integer up to 3000.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from algebraic_cnn import PrimeField, Rationals, SkipRecursion
from algebraic_cnn.rings.primes import random_prime

from .instances import recursion
from .record import Record, require

INSTANCES = 20


def prove(field: Callable[[int], PrimeField] = PrimeField, seed: int = 10) -> Record:
    """Theorem 10 for ``field``, which makes F_p from p; its ``embed`` is phi."""
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        F = field(random_prime(64, generator))
        _check_morphism(F, generator)
        _check_collapse(F, recursion(generator, depth=int(generator.integers(1, 6))))
    rows = sum(_count_agreements(p, n) for p, n in ((3, 1), (3, 2), (5, 1), (5, 2)))
    _count_unlucky_primes()
    return Record(
        theorem="collapse commutes with Z[1/2] -> F_p; a random point misses a wrong (W, B) with odds 1/p",
        derived="",
        instances=INSTANCES + rows,
        rocq=("Wof_morph", "Bof_morph", "freivalds", "freivalds_points", "few_bad_primes"),
    )


def _check_morphism(F: PrimeField, generator: np.random.Generator) -> None:
    """phi(a + b) = phi(a) + phi(b) and phi(a b) = phi(a) phi(b), for a and b of 20 bits and distant exponents."""
    a, b = np.ldexp(generator.integers(-(2**20), 2**20, (2, 50)), generator.integers(-6, 7, (2, 50)))
    require(F.embed(np.ones(1)) == 1, "phi(1) = 1")
    require((F.embed(a + b) == F.reduce(F.embed(a) + F.embed(b))).all(), f"phi(a + b) = phi(a) + phi(b), {F}")
    require((F.embed(a * b) == F.reduce(F.embed(a) * F.embed(b))).all(), f"phi(a b) = phi(a) phi(b), {F}")


def _check_collapse(F: PrimeField, f: SkipRecursion) -> None:
    """phi of the collapse over Q is the collapse over F_p, where every weight goes through phi first."""
    over_Q, over_F = f.collapse(Rationals()), f.collapse(F)
    require((F.embed(over_Q.W) == over_F.W).all(), f"phi(W) is the W of phi(network), {F}")
    require((F.embed(over_Q.b) == over_F.b).all(), f"phi(B) is the B of phi(network), {F}")


def _count_agreements(p: int, n: int) -> int:
    """The number of nonzero rows (D, c) over F_p, after checking that each is 0 at no more than p^(n-1) points."""
    points = np.array(list(product(range(p), repeat=n)))
    rows = [row for row in product(range(p), repeat=n + 1) if any(row)]
    for *D, c in rows:
        zeros = int(((points @ np.array(D) + c) % p == 0).sum())
        require(zeros <= p ** (n - 1), f"{D} x + {c} = 0 at {zeros} points of F_{p}^{n}")
    return len(rows)


def _count_unlucky_primes() -> None:
    from sympy import primefactors

    for N, a in product(range(1, 3001), (2, 5, 11)):
        c = next(c for c in range(1, 13) if a**c > N)
        require(sum(q >= a for q in primefactors(N)) < c, f"{N} < {a}^{c} has fewer than {c} prime factors from {a} on")
