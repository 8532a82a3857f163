"""Identities of networks, decided modulo random primes at random points.

    identical   f(x) = g(x) for a random x in F_p^n, once for every prime
    Euler       f(x) = f_W(x) + f(0) and <u, f_W(x)> = <grad <u, f_W>(x), x>: a polynomial map satisfies Euler's
                identity if and only if it is linear, and then its backward pass is the adjoint.  So the derivation of
                W, one forward or backward pass per column or row, is right as a computation over the rationals.
    rounded     W and b given are that derivation's, carried out in float64 and rounded once, equal to the last bit

A false identity of rational numbers stays false modulo a random prime unless the prime divides a certain integer
(``unlucky``, by ``height``), and a false identity modulo p passes at a random point with probability at most its
degree over p (Schwartz 1980, Zippel 1979).  Primes and points are independent, so the probabilities multiply.  They
speak of a network that was not chosen with the seed in hand.

References:
    R. Freivalds, Probabilistic machines can use less running time, IFIP 1977.
    J. T. Schwartz, Fast probabilistic algorithms for verification of polynomial identities, J. ACM 27 (1980).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .affine import AffineMap
from .certificate import Certificate, Witness
from .check import Check, Network, derived, device, dtype, residues, stated, sums
from .evaluate import Evaluator
from .graph import Graph
from .heights import height
from .prime_field import PrimeField
from .primes import prime_interval, random_prime, unlucky


@dataclass(frozen=True)
class Trials:
    """Independent trials of an identity between networks, as many as a probability of error takes.

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
        return min(1.0, unlucky(height(*self.networks), self.terms) + self.degree / low)

    def fields(self, generator: np.random.Generator) -> list[PrimeField]:
        """Random prime fields, one for each trial."""
        count = math.ceil(-self.bits / math.log2(self.chance)) if self.chance < 1 else self.bits
        return [PrimeField(random_prime(self.terms, generator)) for _ in range(count)]


def modular(check: Check) -> Certificate:
    """Whether two networks are the same function over Q, or one is the other's map rounded once."""
    certificate = _identical(check)
    given = None if certificate.ok else stated(check.collapsed, check.memory_budget)
    return certificate if given is None else _rounded(check, given)


def _identical(check: Check) -> Certificate:
    trials = Trials((check.original, check.collapsed), 1, 10 * check.points)
    generator = np.random.default_rng(check.seed)
    fields = trials.fields(generator)
    for done, field in enumerate(fields, 1):
        x = _uniform(field, (1, *check.shape), generator)
        y, z = (residues(network, field)(x) for network in (check.original, check.collapsed))
        witness = _difference(field, x, y, z)
        if witness is not None:
            what = "the two networks are not the same function over the rational numbers."
            return Certificate(what, "modular", False, witness=witness, primes=_primes(fields[:done]))
        check.progress(done, len(fields))
    what = "the two networks are the same function over the rational numbers."
    return Certificate(what, "modular", True, trials.chance ** len(fields), primes=_primes(fields))


def _rounded(check: Check, given: AffineMap) -> Certificate:
    """W and b are those of the original: exactly derived as its derivation goes, then in float64, then rounded once."""
    precision = str(dtype(check.collapsed)).removeprefix("torch.")
    expected = derived(check.original, check.method, check.memory_budget)
    witness = _wrong_entry(expected, given, dtype(check.collapsed))
    if witness is not None:
        what = "neither are the networks the same function over the rational numbers, nor is W, b the map of the first "
        what += f"as derived here in float64 and rounded to {precision}."
        return Certificate(what, "modular", False, witness=witness)
    if isinstance(check.original, AffineMap):
        what = f"W and b are those of the original, rounded to {precision}, equal to the last bit."
        return Certificate(what, "modular", True)
    trials = Trials((check.original,), 2, 10 * check.points)
    generator = np.random.default_rng(check.seed)
    fields = trials.fields(generator)
    for done, field in enumerate(fields, 1):
        witness = _euler(check.original, field, generator)
        if witness is not None:
            what = "the derivation of W and b does not reproduce the network."
            return Certificate(what, "modular", False, witness=witness, primes=_primes(fields[:done]))
        check.progress(done, len(fields))
    what = "the map derived from the network equals the network over the rational numbers, and the W and b given are "
    what += f"that derivation in float64, rounded to {precision}, equal to the last bit."
    return Certificate(what, "modular", True, trials.chance ** len(fields), primes=_primes(fields))


def _euler(graph: Graph, field: PrimeField, generator: np.random.Generator) -> Witness | None:
    """f = f_W + f(0), f_W is linear, and its backward pass is its adjoint: tried at one random x and cotangent u."""
    in_shape, out_shape = graph.single()
    run = Evaluator(graph, field, device(graph))
    x, u = (_uniform(field, (1, *shape), generator) for shape in (in_shape, out_shape))
    point = torch.from_numpy(x).to(run.device).requires_grad_()
    linear = run(point, linear=True)
    (gradient,) = torch.autograd.grad(linear, point, torch.from_numpy(u).to(run.device))
    with torch.no_grad():
        values = run(torch.cat([point, torch.zeros_like(point)])).cpu().numpy()
    y, z = (tensor.detach().cpu().numpy() for tensor in (linear, gradient))
    pairings = [field.reduce(field.reduce(a * field.reduce(b)).sum()).reshape(1, 1) for a, b in ((u, y), (x, z))]
    constant = field.reduce(values[:1] - values[1:])
    return _difference(field, x, *pairings, what="<u, f_W(x)> against <W^T u, x>") or _difference(
        field, x, constant.reshape(1, -1), y.reshape(1, -1)
    )


def _uniform(field: PrimeField, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    return generator.integers(-field.half, field.half + 1, size=shape).astype(np.float64)


def _primes(fields: Sequence[PrimeField]) -> tuple[int, ...]:
    return tuple(field.p for field in fields)


def _difference(field: PrimeField, x: np.ndarray, y: np.ndarray, z: np.ndarray, what: str = "") -> Witness | None:
    """The first entry in which residues (1, m) differ."""
    for row, place in np.argwhere(field.reduce(y - z) != 0)[:1]:
        what = what or f"output {place} at the integer input recorded here"
        return Witness(what, float(y[row, place]), float(z[row, place]), field.p, x.ravel().tolist())
    return None


def _wrong_entry(expected: AffineMap, given: AffineMap, precision: torch.dtype) -> Witness | None:
    """The first entry of W or b that is not the expected one, rounded."""
    for name in ("W", "b"):
        exact, got = (np.asarray(getattr(network, name)) for network in (expected, given))
        wanted = torch.from_numpy(exact).to(precision).double().numpy()
        for index in np.argwhere(wanted != got)[:1]:
            place = tuple(int(i) for i in index)
            return Witness(f"entry {place} of {name}", float(wanted[place]), float(got[place]))
    return None
