r"""Theorem 5.  W and B are sums over paths; with all skips there are 2^(L-1) of them.

Notation.  A path from s to L is s = i_0 < i_1 < ... < i_m = L with every (i_{j-1}, i_j) a feed or a skip.  Its word is
the product, j = m .. 1 from left to right, of t^(i_{j-1}, i_j - 1) W^(i_j) P^(i_j) R^(i_{j-1}, i_j - 1).

Statement.  W is the sum of the words of all paths from 0 to L, and B = sum_s (the sum of the words of all paths from s
to L) B^(s), s = 1 .. L, where the word of the path (L) is 1.  (A resizing R x + r that adds a constant adds to B the
words of the paths from i, applied to W^(i) P^(i) t^(k,i-1) r^(k,i-1).)  If every skip is there, the paths from 0 to L
are 2^(L-1).

Proof.  Induction on L: the last edge of a path comes from some k < L, and before it stands a path to k.  That is A_L
= W^(L) P^(L) sum_k t R A_k, and the same with C_k, where the path (L) adds B^(L).  For the number N_L of paths from
0, N_0 = 1 and N_L = N_0 + ... + N_{L-1}; if N_k = 2^(k-1) for 0 < k < L, the sum is 1 + (2^(L-1) - 1).

Derived here: for every set of skips up to L = 4, the recursion run over a polynomial ring has exactly the listed
paths as its monomials, each with coefficient 1; and the sum in the count, for a symbol L.  The instances multiply the
matrices of every word, over Q and F_p, and compare with the collapse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, combinations, pairwise
from typing import Any

import numpy as np

from algebraic_cnn import Layer, SkipRecursion
from algebraic_cnn.algebra.symbolic import Skeleton
from algebraic_cnn.algebra.symbolic.expansion import alphabet, forward
from algebraic_cnn.rings.matrices import in_ring, multiple, product

from .instances import all_skips, recursion, rings
from .record import Record, require

INSTANCES = 20

Paths = Callable[[Skeleton, int], Iterable[tuple[int, ...]]]


def skeletons(largest: int) -> Iterator[Skeleton]:
    """Every recursion of 1 to ``largest`` layers, with every set of skips."""
    for depth in range(1, largest + 1):
        edges = all_skips(depth)
        for skips in chain.from_iterable(combinations(edges, n) for n in range(len(edges) + 1)):
            yield replace(Skeleton.full(depth, skips), shifted=frozenset(skips))


def prove(paths: Paths = Skeleton.paths, seed: int = 5) -> Record:
    """Theorem 5 for ``paths``, which lists the paths of a skeleton from a layer to the last."""
    for skeleton in skeletons(largest=4):
        _derive_words(paths, skeleton)
    _derive_count(paths)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _check_products(paths, recursion(generator, depth=int(generator.integers(1, 5))), generator)
    return Record(
        theorem="W and B are sums over paths, 2^(L-1) of them with all skips",
        derived="every set of skips up to L = 4; the count for a symbol L",
        instances=INSTANCES,
        rocq=("Wof_path_sum", "Bof_path_sum", "path_count"),
    )


def _derive_words(paths: Paths, skeleton: Skeleton) -> None:
    letters = alphabet(skeleton)
    total = letters.one * 0
    for (_, s), start in letters.start.items():
        for path in paths(skeleton, s):
            word = start
            for edge in pairwise(path):
                word = word * letters.edge[edge]
            total = total + word
    require(forward(skeleton, letters) == total, f"the words of {sorted(skeleton.skips)} for L = {skeleton.depth}")


def _derive_count(paths: Paths) -> None:
    from sympy import Symbol, simplify, summation

    L, k = Symbol("L", integer=True, positive=True), Symbol("k", integer=True)
    total: Any = summation(2 ** (k - 1), (k, 1, L - 1))
    require(simplify(1 + total - 2 ** (L - 1)) == 0, "1 + (1 + 2 + ... + 2^(L-2)) = 2^(L-1)")
    for depth in range(1, 11):
        skeleton = Skeleton.full(depth)
        count = len(list(paths(skeleton, 0)))
        require(count == skeleton.count_paths() == 2 ** (depth - 1), f"2^(L-1) paths for L = {depth}")


def _check_products(paths: Paths, f: SkipRecursion, generator: np.random.Generator) -> None:
    for ring in rings(generator):
        g = f.collapse(ring)
        W, B = g.W * 0, g.b * 0
        for path in paths(f.skeleton, 0):
            W = ring.reduce(W + word(f, path, in_ring(np.eye(f.sizes[0]), ring), ring))
        for s, layer in enumerate(f.layers, 1):
            shifts = [_through(layer, multiple(skip.t, in_ring(skip.r, ring), ring), ring) for _, skip in f.into(s)]
            for path in paths(f.skeleton, s):
                for constant in [in_ring(layer.b, ring), *shifts]:
                    B = ring.reduce(B + word(f, path, constant, ring))
        require((W == g.W).all() and (g.b == B).all(), f"W and B are the sums of their words over {ring}")


def word(f: SkipRecursion, path: tuple[int, ...], x: Any, ring: Any) -> Any:
    """The word of a path applied to the columns x, which are in the ring."""
    for k, i in pairwise(path):
        skip = f.skips[k, i]
        x = _through(f.layers[i - 1], product(skip.R, multiple(skip.t, x, ring), ring), ring)
    return x


def _through(layer: Layer, x: Any, ring: Any) -> Any:
    return product(layer.W, product(layer.P, x, ring), ring)
