"""The exact numbers of a recipe, many at once: its residues modulo primes, lifted.

A collapse makes its numbers of dyadic ones and of averages, by sums and products: they are N / (2^k odd), |N| is known
from their majorants, and ``lift`` finds N.  How large k is, no recipe says: powers of two are tried until what is
lifted lies beside the numbers in float64.  The proof does not rest on this: the checker decides whether the numbers
are those of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from ...ir.graph import Graph
from ...ops.denominators import Denominator
from ...ops.registry import OPS
from ...rings.crt import lift, primes_for
from ...rings.prime_field import PrimeField
from ...rings.ring import Float, Majorant, Rationals, Ring
from .layers import MOST_DIVIDED, Integers, integers

#: How a constant is computed over any ring; several, by name.
Recipe = Callable[[Ring], Any]
Recipes = Mapping[str, Recipe]

#: The k that are tried; after them the recipe runs over the rational numbers, entry by entry.
_TRIED = (96, 160, 288, 544, 1056)

#: Bits between the numbers and half the product of the primes: what is no multiple of the unit lands far off.
_SPARE = 48


def odd_counts(graph: Graph) -> int:
    """The product of the odd parts of all counts that a network divides by; 1 if it is too large for a file."""
    shapes = graph.shapes()
    counts = (OPS[call.op].counts(call, shapes) for call in graph.calls if call.op in OPS)
    odd = math.prod(Denominator.of(count).odd for count in counts)
    return odd if odd <= MOST_DIVIDED else 1


def lifted(recipe: Recipe, terms: int, odd: int) -> Integers:
    """The numbers that a recipe makes over the rational numbers.

    Args:
        recipe: ring -> array.
        terms: how many products it sums at the most.
        odd: which its denominators may divide, but for powers of two.
    """
    near = np.asarray(recipe(Float()))
    largest = float(np.max(np.abs(np.asarray(recipe(Majorant()))), initial=0.0))
    columns: list[np.ndarray] = []
    for k in _TRIED if math.isfinite(largest) else ():
        bits = k + math.log2(max(largest, 1.0)) + math.log2(odd) + _SPARE
        primes = primes_for(bits, terms, odd)
        for p in primes[len(columns) :]:
            columns.append(np.asarray(recipe(PrimeField(p))).ravel())
        fields = [PrimeField(p) for p in primes]
        scales = [float(field.embed(np.array(Fraction(odd << k), dtype=object))) for field in fields]
        scaled = [f.reduce(column * scale) for f, column, scale in zip(fields, columns, scales, strict=True)]
        found = lift(np.stack(scaled), primes)
        if _beside(found, near.ravel(), k, odd, largest):
            return Integers(found.reshape(near.shape), odd, -k)
    return integers(np.asarray(recipe(Rationals())))


def _beside(found: np.ndarray, near: np.ndarray, k: int, odd: int, largest: float) -> bool:
    """Whether N / (2^k odd) is about the number in float64, for all of them."""
    kept = min(k, 64)
    values = (found >> (k - kept)).astype(np.float64) / odd * 2.0**-kept
    return bool((np.abs(values - near) <= 2.0**-20 * largest + 2.0**-60).all())
