"""The level "rational": W and B over the rational numbers, compared entry by entry.  Chance plays no part.

    networks    with calls that are not affine: every affine part between them (coefficients.py)

    equal       the exact W and B of both networks are the same
    nearest     W and b given are the exact ones, each rounded to the nearest float: on any machine, by any method
    explained   they are not all the nearest, but no entry is further off than a derivation in float64 and one rounding
                can take it, by a bound proved for each entry (rounding.py), and half of its bits are right
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from ..algebra.affine import AffineMap
from ..derivation.exact import exact_map
from ..ir.graph import Graph
from ..ops.precision import UNIT_ROUNDOFF
from ..rings.crt import nearest
from ..rings.ring import Rationals
from .accuracy import HALF
from .certificate import Certificate, Witness
from .check import Check, Network, dtype, stated
from .coefficients import compared_exactly
from .identity import networks
from .rounding import derivation_error

#: A few operations in float64 lose less than this.
_INFLATION = 1 + 2.0**-40

_SAME = "the two networks have the same W and B over the rational numbers: every entry was compared exactly."
_OTHER = "the two networks do not have the same W and B over the rational numbers; every entry was compared exactly."


def rational(check: Check) -> Certificate:
    """Whether W and B are the same over Q, or those given are the exact ones rounded."""
    if isinstance(check.original, Graph) and isinstance(check.collapsed, Graph) and not check.alike:
        found = networks(check, (check.original, check.collapsed), compared_exactly)
        return replace(found, level="rational")
    exact = _over_q(check.original, check)
    given = stated(check.collapsed, check.memory_budget)
    other = _over_q(given or check.collapsed, check)
    wrong = _different(exact, other)
    if wrong is None:
        return Certificate(_SAME, "rational", True)
    if given is None:
        return Certificate(_OTHER, "rational", False, witness=wrong)
    precision = str(dtype(check.collapsed)).removeprefix("torch.")
    rounded = AffineMap(nearest(exact.W, precision), nearest(exact.b, precision), exact.in_shape, exact.out_shape)
    wrong = _different(rounded, given)
    what = f"W and b given are the exact ones, each rounded to the nearest {precision}."
    if wrong is None:
        return Certificate(what, "rational", True)
    what = f"W and b given are not the exact ones, rounded to {precision}."
    return _explained(check, exact, given, Certificate(what, "rational", False, witness=wrong))


def _over_q(network: Network, check: Check) -> AffineMap:
    if not isinstance(network, AffineMap):
        return exact_map(network, memory_budget=check.memory_budget, progress=check.progress)
    ring = Rationals()
    return AffineMap(ring.embed(network.W), ring.embed(network.b), network.in_shape, network.out_shape)


def _different(expected: AffineMap, given: AffineMap) -> Witness | None:
    """The first entry in which two dense maps differ."""
    for name in ("W", "b"):
        wanted, got = np.asarray(getattr(expected, name)), np.asarray(getattr(given, name))
        for index in np.argwhere(wanted != got)[:1]:
            place = tuple(int(i) for i in index)
            return Witness(f"entry {place} of {name}", float(wanted[place]), float(got[place]))
    return None


def _explained(check: Check, exact: AffineMap, given: AffineMap, refused: Certificate) -> Certificate:
    """Yes after all, if every entry is within a derivation in float64 and one rounding."""
    if isinstance(check.original, AffineMap):
        return refused
    derived = derivation_error(check.original, memory_budget=check.memory_budget)
    errors, allowed = [], []
    for error, wanted, got in zip(derived, (exact.W, exact.b), (given.W, given.b), strict=True):
        distances = [abs(Fraction(g) - w) for w, g in zip(wanted.ravel(), np.ravel(got).tolist(), strict=True)]
        errors.append(np.array(distances, dtype=np.float64))
        reached = (np.abs(wanted.astype(np.float64)).ravel() + error.ravel()) * _INFLATION
        allowed.append((error.ravel() + _half_spacing(reached, dtype(check.collapsed))) * _INFLATION)
    observed, bound = np.concatenate(errors), np.concatenate(allowed)
    worst = int((observed - bound).argmax())
    outcome = replace(refused, observed=float(observed[worst]), bound=float(bound[worst]))
    if observed[worst] > bound[worst] or _meaningless(exact, given, dtype(check.collapsed)):
        return outcome
    precision = str(dtype(check.collapsed)).removeprefix("torch.")
    best = nearest(np.append(exact.W, exact.b), precision)
    off = int(np.count_nonzero(best != np.append(given.W, given.b)))
    what = f"W and b given are as close to the exact ones as a derivation in float64 and one rounding are; {off} of "
    what += f"{len(observed)} entries are not the nearest floats."
    return replace(outcome, statement=what, ok=True, witness=None)


def _meaningless(exact: AffineMap, given: AffineMap, precision: torch.dtype) -> bool:
    """Whether a derivation lost more than half of its bits by cancellation, beside the one rounding of its result."""
    W, b = (array.astype(np.float64) for array in (exact.W, exact.b))
    own = [Rationals().embed(array) for array in (given.W, given.b)]
    off = np.column_stack([exact.W - own[0], exact.b - own[1]]).astype(np.float64)
    sizes = np.maximum(abs(W).max(1, initial=0.0), abs(b))
    return bool((abs(off).max(1, initial=0.0) > HALF * sizes + _half_spacing(sizes, precision)).any())


def _half_spacing(sizes: np.ndarray, precision: torch.dtype) -> np.ndarray:
    """Half the distance of neighbouring floats at most: what one rounding of numbers up to these sizes can lose."""
    _, exponents = np.frexp(sizes)
    smallest = torch.finfo(precision).tiny
    return np.maximum(np.ldexp(UNIT_ROUNDOFF[precision] / 2, exponents), smallest * UNIT_ROUNDOFF[precision])
