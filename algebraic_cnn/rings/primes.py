"""Random primes for exact checks: how large, how many, and how rarely one misleads.

largest_modulus   the largest odd p for which sums of so many products of residues stay exact in float64
prime_interval    the interval (low, high] from which primes are drawn
random_prime      a prime uniform in that interval
at_random_prime   what a trial finds modulo one; another is drawn where a divisor vanishes
entropy           a seed that nobody knows beforehand
unlucky           the probability that a random prime divides a given nonzero integer
fewest_primes     a lower bound of the number of primes in an interval

References:
    P. Dusart, The k-th prime is greater than k(ln k + ln ln k - 1) for k >= 2, Math. Comp. 68 (1999).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..errors import NonFiniteError
from .prime_field import EXACT_LIMIT, PrimeField

Found = TypeVar("Found")

#: After so many primes that divide a divisor, it is taken for 0.
_DRAWS = 64


def largest_modulus(terms: int) -> int:
    """The largest odd p for which a sum of ``terms`` products of residues is exact.

    >>> from algebraic_cnn.rings.prime_field import PrimeField
    >>> p = largest_modulus(4608)
    >>> PrimeField(p).capacity >= 4608, PrimeField(p + 2).capacity >= 4608
    (True, False)
    """
    half = math.isqrt(EXACT_LIMIT // max(terms, 1))
    while half > 1 and terms * half**2 + 2 * half + 1 > EXACT_LIMIT:
        half -= 1
    return min(2 * half + 1, 2**26 - 1)


def prime_interval(terms: int) -> tuple[int, int]:
    """The interval (low, high] from which ``random_prime`` draws: high the largest modulus, low an eighth of it."""
    high = largest_modulus(terms)
    return high // 8, high


def random_prime(terms: int, generator: np.random.Generator) -> int:
    """A prime uniform among those of ``prime_interval(terms)``.

    Args:
        terms: the largest number of products that a computation sums before it reduces.
        generator: where the randomness comes from.

    >>> random_prime(9, np.random.default_rng(0)) > 2**21
    True
    """
    from sympy import isprime

    low, high = prime_interval(terms)
    while True:
        candidate = int(generator.integers(low + 1, high + 1))
        if candidate % 2 and isprime(candidate):
            return candidate


def entropy() -> int:
    """A seed from the system: who chooses a network does not know the primes and points that it will meet.

    >>> entropy() == entropy()
    False
    """
    return secrets.randbits(63)


def at_random_prime(
    terms: int, generator: np.random.Generator, trial: Callable[[PrimeField], Found]
) -> tuple[PrimeField, Found]:
    """What a trial finds modulo a random prime; where that divides a divisor, another one is drawn.

    The prime is then uniform among those that divide no divisor.  With a and d the probabilities that a prime is
    unlucky and that it divides a divisor, one that does not is unlucky with probability a / (1 - d) <= a + d at most.

    Args:
        terms: as for ``random_prime``.
        generator: where the randomness comes from.
        trial: from a field to what it finds; raises ZeroDivisionError if it must divide by 0 there.

    Raises:
        NonFiniteError: if it divides by 0 modulo every prime that was drawn.

    >>> field, inverse = at_random_prime(9, np.random.default_rng(0), lambda field: pow(2, -1, field.p))
    >>> 2 * inverse % field.p
    1
    """
    for _ in range(_DRAWS):
        field = PrimeField(random_prime(terms, generator))
        try:
            return field, trial(field)
        except ZeroDivisionError:
            continue
    raise NonFiniteError("a divisor is 0", expected="divisors that are not", where="at_random_prime")


def unlucky(bits: float, terms: int) -> float:
    """An upper bound of the probability that a prime of ``random_prime(terms, ...)`` divides a nonzero integer.

    An integer below 2^bits has at most bits / log2(low) prime factors above low; every prime of the interval is
    equally likely to be drawn.

    Args:
        bits: log2 of a bound of the integer's magnitude.
        terms: as for ``random_prime``.

    >>> unlucky(20, 9), unlucky(4000, 4608) < 2e-3
    (0.0, True)
    """
    low, high = prime_interval(terms)
    factors = math.floor(bits / math.log2(low)) if math.isfinite(bits) else math.inf
    return min(1.0, factors / fewest_primes(low, high))


def fewest_primes(low: int, high: int) -> float:
    """A lower bound of the number of primes p with low < p <= high; exact below 5393.

    From x / (ln x - 1) <= pi(x) for x >= 5393 and pi(x) <= x / ln x (1 + 1.2762 / ln x) for x > 1 [Dusart 1999].

    >>> fewest_primes(10, 20), round(fewest_primes(10**5, 10**6))             # there are 4, and 78498 - 9592 = 68906
    (4, 68382)
    """
    if high < 5393:
        from sympy import primepi

        return int(primepi(high) - primepi(low))
    up_to_low = low / math.log(low) * (1 + 1.2762 / math.log(low))
    return high / (math.log(high) - 1) - up_to_low
