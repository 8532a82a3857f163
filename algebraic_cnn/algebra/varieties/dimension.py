"""The dimension of the space of functions that an architecture can express: the generic rank of its Jacobian.

rank at a point      never more than the generic rank over Q: a certain lower bound of the dimension
upper bounds         parameters minus the dimension of an orbit; the number of coefficients of any such function
certain              where the rank meets one of them
else                 the rank is too small only if a minor that is not 0 vanishes at the point (Schwartz and Zippel:
                     with probability at most its degree over the number of integers drawn from), or is not 0 there
                     and divisible by the prime (which a random prime is rarely); each prime has its own point

References:
    K. Kohn, G. Montúfar, V. Shahverdi, M. Trager, Function space and critical points of linear convolutional networks,
    arXiv:2304.05752.  V. Shahverdi, G. L. Marchetti, K. Kohn, arXiv:2410.00722 (x^r) and arXiv:2505.11846.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import GeometryError, TooLargeError
from ...files.limits import MAP
from ...rings.prime_field import PrimeField
from ...rings.primes import at_random_prime, entropy, unlucky
from ...toeplitz.arguments import bytes_allowed
from .architecture import Architecture, Entrywise, Strength, Sum, Weights
from .elimination import rank
from .jacobian import Growth, Point, growth, longest_sum
from .symmetries import Action

#: Weights, inputs and combinations are drawn from so many integers.
BOUND = 2**26
#: Degrees of a network's polynomials, at most: the ambient space of more has no use.
_DEGREES = 10_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Dimension:
    """What is known of the dimension of a function space.

    Attributes:
        value: the largest rank that was found; the dimension is no smaller.
        parameters: the number of weights, free strengths among them.
        symmetries: the dimension of the orbits of the symmetries that were counted.
        ambient: the number of coefficients of a general polynomial map of these degrees between these spaces.
        error_probability: of the dimension being larger; 0 where it cannot be.
        reason: why it cannot be, or what the probability rests on.

    >>> Dimension(5, 6, 1, 9, 0.0, "it is parameters minus symmetries")
    Dimension(value=5, parameters=6, symmetries=1, ambient=9, error_probability=0.0, reason='it is ...symmetries')
    """

    value: int
    parameters: int
    symmetries: int
    ambient: int
    error_probability: float
    reason: str

    @property
    def certain(self) -> bool:
        """Whether the value is the dimension, and not only probably so."""
        return self.error_probability == 0


def dimension_of(
    architecture: Architecture,
    *,
    primes: int = 2,
    seed: int | None = None,
    memory_budget: int = MAP,
    progress: Progress | None = None,
) -> Dimension:
    """The dimension of the function space of an architecture.

    Args:
        architecture: the network.
        primes: how many random primes and points are tried, unless the first is certain already.
        seed: of primes and points; nobody's choice if absent.
        memory_budget: bytes that the Jacobian may take.
        progress: called with (primes done, primes in all).

    Returns:
        The largest rank, and how sure it is.

    Raises:
        GeometryError: if there is no prime to try.
        TooLargeError: if the Jacobian would not fit the budget; nothing was allocated.

    >>> dimension_of(Architecture.chain([3, 3, 2], strides=[2, 2, 1]), seed=0).value       # sum k - (L - 1) = 6
    6
    >>> dimension_of(Architecture.chain([3, 3, 2], strides=[2, 2, 1], skips={(0, 3): 3}), seed=0).value
    7
    """
    if primes < 1:
        raise GeometryError("a rank needs a prime", expected="primes >= 1", got=primes, where="dimension_of")
    n, ambient = architecture.parameters, ambient_of(architecture)
    needed, allowed = 8 * n * min(n, ambient), bytes_allowed(memory_budget)
    if needed > allowed:
        raise TooLargeError("the Jacobian is beyond the budget", needed=needed, budget=allowed)
    generator = np.random.default_rng(entropy() if seed is None else seed)
    action, terms, size = Action.of(architecture), longest_sum(architecture), growth(architecture, BOUND)
    value = orbit = 0
    error, certain = 1.0, ""

    def trial(field: PrimeField) -> tuple[int, int]:
        point = Point(architecture, field, field.embed(generator.integers(0, BOUND, n)))
        moved = action.orbit(point)
        return moved, rank(point.jacobian(min(n - moved, ambient), generator, BOUND), field)

    for done in range(primes):
        _, (moved, found) = at_random_prime(terms, generator, trial)
        value, orbit = max(value, found), max(orbit, moved)
        certain = _certain(value, n - orbit, ambient)
        error *= _missed(size, min(n - orbit, ambient), terms)
        if progress:
            progress(done + 1, primes)
        if certain:
            break
    reason = certain or "the same rank or less at random points modulo random primes"
    return Dimension(value, n, orbit, ambient, 0.0 if certain else min(1.0, error), reason)


def _certain(value: int, fibres: int, ambient: int) -> str:
    """Which upper bound the rank meets, in words; none."""
    if value == fibres:
        return "it is parameters minus symmetries"
    return "it fills the ambient space" if value == ambient else ""


def _missed(size: Growth, order: int, terms: int) -> float:
    """The probability that a minor of at most that order, not 0 as a polynomial, is 0 modulo a prime at a point."""
    bits = order * (size.bits + size.denominator + 0.5 * math.log2(max(order, 2)))
    vanishes = order * size.degree / BOUND
    return min(1.0, vanishes + unlucky(bits, terms) + unlucky(size.denominator, terms))


def ambient_of(architecture: Architecture) -> int:
    """The number of coefficients of a general map of the degrees that the network's outputs have.

    >>> ambient_of(Architecture.chain([3, 2], activation=2))               # quadratic forms of 4 variables
    10
    """
    n, m = architecture.size(0), architecture.size(len(architecture.steps))
    degrees: list[frozenset[int]] = [frozenset({1})]
    for step in architecture.steps:
        if isinstance(step, Sum):
            degrees.append(frozenset().union(*(degrees[source] for source in step.sources)))
        elif isinstance(step, Entrywise):
            degrees.append(_powers(degrees[step.source], [r for r, c in enumerate(step.coefficients) if c]))
        elif isinstance(step, Weights) and step.bias is not None:
            degrees.append(degrees[step.source] | {0})
        else:
            gone = isinstance(step, Strength) and step.parameter is None and not step.t
            degrees.append(frozenset() if gone else degrees[step.source])
    return m * sum(math.comb(n + d - 1, d) for d in degrees[-1])


def _powers(degrees: frozenset[int], exponents: list[int]) -> frozenset[int]:
    """The degrees of the powers of a polynomial that has such degrees."""
    power, found = frozenset({0}), set()
    for r in range(max(exponents) + 1):
        if r in exponents:
            found |= power
        power = frozenset(a + b for a in power for b in degrees)
        if max(power, default=0) > _DEGREES:
            raise TooLargeError("the degree is beyond all use", needed=max(power), budget=_DEGREES, where="activation")
    return frozenset(found)
