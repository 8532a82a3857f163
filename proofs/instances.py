"""Random instances of the recursion, exact in every ring that the theorems are checked over.

rings        Q, and F_p for a random prime p
whole        an array of small integers;  dyadic: of small integers divided by 4, which have an image in every F_p
recursion    L layers, any matrices W, P and R, strengths, biases, and a random set of skips
generic      the same with a letter for every entry: what holds for it holds for all values at its sizes
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from algebraic_cnn import Layer, PrimeField, Rationals, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import symbol_array
from algebraic_cnn.rings.primes import random_prime

Generator = np.random.Generator


def rings(generator: Generator, terms: int = 64) -> list[Any]:
    """Q, and F_p for a random p in which sums of ``terms`` products are exact."""
    return [Rationals(), PrimeField(random_prime(terms, generator))]


def whole(generator: Generator, *shape: int) -> np.ndarray:
    """Integers from -4 to 4 as float64."""
    return generator.integers(-4, 5, shape).astype(np.float64)


def dyadic(generator: Generator, *shape: int) -> np.ndarray:
    """Integers from -16 to 16, divided by 4."""
    return generator.integers(-16, 17, shape) / 4


def all_skips(depth: int) -> list[tuple[int, int]]:
    """Every edge (k, i) with k < i - 1."""
    return [(k, i) for k, i in combinations(range(depth + 1), 2) if k < i - 1]


def recursion(generator: Generator, depth: int, skips: Sequence[tuple[int, int]] | None = None) -> SkipRecursion:
    """A random recursion: f^(i) of 2 to 4 entries, each skip there with probability 1/2 unless they are given.

    Every resizing adds a constant r, those of the feeds too.
    """
    n, padded, fed = generator.integers(2, 5, (3, depth + 1))
    if skips is None:
        skips = [edge for edge in all_skips(depth) if generator.integers(2)]

    def layer(i: int) -> Layer:
        return Layer(dyadic(generator, n[i], padded[i]), dyadic(generator, padded[i], fed[i]), dyadic(generator, n[i]))

    def skip(k: int, i: int) -> Skip:
        t = 1.0 if k == i - 1 else dyadic(generator, 1)[0]
        return Skip(t, dyadic(generator, fed[i], n[k]), dyadic(generator, fed[i]))

    feeds = [(i - 1, i) for i in range(1, depth + 1)]
    return SkipRecursion([layer(i) for _, i in feeds], {edge: skip(*edge) for edge in [*feeds, *skips]})


def generic(depth: int, size: int = 2) -> SkipRecursion:
    """All skips, every f^(i) of ``size`` entries, and a symbol for every entry of every W, b, R and every strength.

    P is left out, for W P is as generic as W.
    """
    from sympy import Symbol

    square = (size, size)
    layers = [Layer(symbol_array(f"W{i}_", square), b=symbol_array(f"b{i}_", (size,))) for i in range(1, depth + 1)]
    skips = {(k, i): Skip(Symbol(f"t{k}{i}"), symbol_array(f"R{k}{i}_", square)) for k, i in all_skips(depth)}
    return SkipRecursion(layers, skips)
