r"""Theorem 14.  A skip over one layer is other weights; over more it ties symmetries; strides divide polyphase parts.

Notation.  f goes through layers of matrices W^(i); g in GL(c) acts behind layer i by W^(i) -> g W^(i),
b^(i) -> g b^(i) and W^(i+1) -> W^(i+1) g^-1.  A filter w is the polynomial sum_a w_a x^a; w_r, its polyphase parts,
have the taps r, r + S, r + 2 S, ...

Statement.

  * A skip (0, 2) with t R is no skip but the weights W^(1) + t R: the function is the same for all weights.
  * g behind a layer leaves the function alone.  With a skip (k, i), R = 1, g behind layer k leaves it alone if and only
    if the same g acts behind layer i - 1.
  * If w(x) = u(x) v(x^S), then w_r = u_r v for every r < S: v divides all polyphase parts, and so their gcd.
  * The rank of an integer matrix modulo a prime is at most its rank over Q.

Proof.  W x + t R x = (W + t R) x.  W^(i+1) g^-1 (g y + t x) = W^(i+1) (y + t g^-1 x) is W^(i+1) (y + t x) for all
weights and x only if g^-1 = 1.  Multiply sum_r x^r u_r(x^S) by v(x^S) and compare the taps r + S q.  A minor that is 0
over Q is 0 modulo every prime.

Derived here with a symbol for every entry of two and three layers of two channels.  The instances check the first three
over Q and F_p, the last against SymPy's rank over Q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from algebraic_cnn import Layer, PrimeField, Rationals, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import ring_of, symbol_array
from algebraic_cnn.algebra.varieties.elimination import rank
from algebraic_cnn.algebra.varieties.factoring import composed
from algebraic_cnn.rings.primes import random_prime

from .instances import dyadic, generic, rings, whole
from .record import Record, require

INSTANCES = 20


def absorbed(f: SkipRecursion) -> SkipRecursion:
    """Two layers with the skip (0, 2) as two layers without it."""
    first, second = f.layers
    skip = f.skips[0, 2]
    W = first.W + (skip.R if isinstance(skip.t, int | float) and skip.t == 1 else skip.R * skip.t)
    return SkipRecursion([replace(first, W=W), second])


def moved(f: SkipRecursion, behind: dict[int, tuple[Any, Any]]) -> SkipRecursion:
    """The recursion with g behind some layers: their number to (g, g^-1)."""
    layers = []
    for i, layer in enumerate(f.layers, 1):
        g, before = behind.get(i, (None, None))[0], behind.get(i - 1, (None, None))[1]
        W = layer.W if before is None else layer.W @ before
        b = layer.b
        layers.append(Layer(W if g is None else g @ W, b=b if g is None or b is None else g @ b))
    return SkipRecursion(layers, {edge: skip for edge, skip in f.skips.items() if edge[0] < edge[1] - 1})


def prove(
    absorb: Callable[[SkipRecursion], SkipRecursion] = absorbed,
    seed: int = 14,
    *,
    act: Callable[[SkipRecursion, dict[int, tuple[Any, Any]]], SkipRecursion] = moved,
    compose: Callable[..., Any] = composed,
) -> Record:
    """Theorem 14 for a way to take a skip over, to let g act, and to compose filters."""
    _derive(absorb, act)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _check_absorption(absorb, generator)
        _check_polyphase(compose, generator)
        _check_rank(generator)
    return Record(
        theorem="a skip over one layer is other weights, over more it ties symmetries; strides divide polyphase parts",
        derived="every entry of two and of three layers a symbol",
        instances=INSTANCES,
        rocq=("skip_absorbed", "gl_symmetry", "skip_ties", "skip_breaks", "polyphase_mul", "last_layer_divides"),
    )


def _derive(absorb: Callable[..., SkipRecursion], act: Callable[..., SkipRecursion]) -> None:
    two = generic(depth=2)
    ring = ring_of(two)
    require(two.collapse(ring).exactly_equals(absorb(two).collapse(ring)), "the skip is W + t R")
    from sympy import Symbol

    s, t = Symbol("s"), Symbol("t")
    layers = [Layer(symbol_array(f"W{i}_", (2, 2)), b=symbol_array(f"b{i}_", (2,))) for i in (1, 2, 3)]
    plain, tied, held = (SkipRecursion(layers, skips) for skips in ({}, {(1, 3): Skip(t)}, {(0, 3): Skip(t)}))
    g = (np.array([[1, s], [0, 1]], dtype=object), np.array([[1, -s], [0, 1]], dtype=object))
    for f, behind, stays in (
        (plain, {1: g}, True),
        (plain, {2: g}, True),
        (tied, {1: g, 2: g}, True),
        (tied, {1: g}, False),
        (tied, {2: g}, False),
        (held, {1: g}, True),
        (held, {2: g}, False),
    ):
        ring = ring_of(f, *g)
        same = f.collapse(ring).exactly_equals(act(f, behind).collapse(ring))
        require(same == stays, f"g behind {list(behind)} with the skips {list(f.skips)}")


def _check_absorption(absorb: Callable[..., SkipRecursion], generator: np.random.Generator) -> None:
    a, b, c = generator.integers(1, 4, 3)
    skip = Skip(dyadic(generator, 1)[0], dyadic(generator, b, a))
    layers = [Layer(dyadic(generator, b, a), b=dyadic(generator, b)), Layer(dyadic(generator, c, b))]
    f = SkipRecursion(layers, {(0, 2): skip})
    for ring in rings(generator):
        require(f.collapse(ring).exactly_equals(absorb(f).collapse(ring)), f"the skip is W + t R over {ring}")


def _check_polyphase(compose: Callable[..., Any], generator: np.random.Generator) -> None:
    S = int(generator.integers(2, 4))
    u, v = (Rationals().embed(whole(generator, int(generator.integers(*ends)))) for ends in ((1, 6), (2, 4)))
    w = compose([u, v], [S, 1])
    for r in range(S):
        part = np.convolve(u[r::S], v) if len(u[r::S]) else np.zeros(0, dtype=object)
        taps = w[r::S]
        require(len(part) <= len(taps) and (taps[: len(part)] == part).all(), f"polyphase part {r} of stride {S}")
        require(not taps[len(part) :].any(), f"nothing behind polyphase part {r}")


def _check_rank(generator: np.random.Generator) -> None:
    from sympy import Matrix

    left, right = whole(generator, 5, 3), whole(generator, 3, 6)
    matrix = left @ right
    over_q = Matrix(matrix.astype(int)).rank()
    for p in (3, 5, random_prime(64, generator)):
        field = PrimeField(p)
        require(rank(field.embed(matrix), field) <= over_q, f"the rank modulo {p}")
