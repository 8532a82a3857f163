"""Independent random trials of an identity over the rationals, and what one that fails leaves behind.

A false identity of rational numbers stays false modulo a random prime unless the prime divides a certain integer
(``unlucky``, by ``height``), and a false identity modulo p passes at a random point with probability at most its
degree over p (Schwartz 1980, Zippel 1979).  Primes and points are independent, so the probabilities multiply.  They
speak of networks that were not chosen with the seed in hand.

References:
    R. Freivalds, Probabilistic machines can use less running time, IFIP 1977.
    J. T. Schwartz, Fast probabilistic algorithms for verification of polynomial identities, J. ACM 27 (1980).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..derivation.magnitudes.heights import denominator, height
from ..rings.prime_field import PrimeField
from ..rings.primes import at_random_prime, prime_interval, unlucky
from .certificate import Certificate, Witness
from .check import Check, Network, sums

#: Tries an identity modulo one prime; gives a witness if it fails there.
Trial = Callable[[PrimeField, np.random.Generator], Witness | None]


@dataclass(frozen=True)
class Trials:
    """As many trials as a probability of error takes.

    Args:
        networks: what the identity is about; its numerators are bounded by theirs.
        degree: total degree of the identity in the random numbers.
        bits: minus log2 of the probability of error that is asked for.
    """

    networks: Sequence[Network]
    degree: int
    bits: int

    @property
    def terms(self) -> int:
        """The most products that are summed before they are reduced."""
        return max(sums(network) for network in self.networks)

    @property
    def chance(self) -> float:
        """The probability that one trial passes a false identity."""
        low, _ = prime_interval(self.terms)
        bits = height(*self.networks) + sum(math.log2(denominator(network).odd) for network in self.networks)
        return min(1.0, unlucky(bits, self.terms) + self.degree / low)

    def run(self, trial: Trial, check: Check, holds: Certificate, fails: Certificate) -> Certificate:
        """The certificate ``holds`` if every trial passes, else ``fails`` with the witness."""
        generator = np.random.default_rng(check.seed)
        chance, terms = self.chance, self.terms
        count = math.ceil(-self.bits / math.log2(chance)) if chance < 1 else self.bits
        primes: tuple[int, ...] = ()
        for done in range(1, count + 1):
            field, witness = at_random_prime(terms, generator, lambda field: trial(field, generator))
            primes += (field.p,)
            if witness is not None:
                return replace(fails, witness=witness, primes=primes)
            check.progress(done, count)
        return replace(holds, error_probability=chance**count, primes=primes)


def difference(field: PrimeField, y: Any, z: Any, place: str, x: np.ndarray | None = None) -> Witness | None:
    """The first entry in which two flat arrays of residues differ, or two sizes.

    Args:
        field: the field of the residues.
        y: of the original.
        z: of the other.
        place: what is compared, in words; "{}" becomes the entry's number.
        x: the input, if the entry is to be found again from it.
    """
    if np.shape(y) != np.shape(z):
        return Witness(f"the number of entries, {place}", float(np.size(y)), float(np.size(z)))
    if not isinstance(y, np.ndarray):
        return None if y == z else Witness(f"a size, {place}", float(y or 0), float(z or 0))
    for entry in np.flatnonzero(field.reduce(y - z))[:1]:
        values = float(y[entry]), float(z[entry])
        return Witness(place.replace("{}", str(entry), 1), *values, field.p, None if x is None else x.ravel().tolist())
    return None
