r"""Theorem 11.  What rounding does: g - f is exactly the sum of the local errors, each through the rest of the network.

Notation.  g^(i) are the values that a computer found; delta_i = g^(i) - (layer i applied exactly to g^(0), ...,
g^(i-1)) is the error it made in layer i alone.  J_i is the linear map from layer i to the output: the collapse of
layers i+1 .. L with the skips that start at i or later; J_L = 1.

Statement.  g^(L) - f^(L) = sum_{i=1..L} J_i delta_i, exactly.  Hence |g^(L) - f^(L)| <= sum_i |J_i| |delta_i|, entry
by entry.

Proof.  g is the recursion f with B^(i) + delta_i in place of B^(i).  B is linear in the biases: B = sum_i J_i B^(i)
(Theorem 5, J_i being the sum of the words of the paths from i).  The difference of the two B is the sum.

|J_i| is the size of a collapsed map, so the bound does not grow with depth as a product of |W^(i)| does.

Derived here with a symbol for every entry of every matrix and every delta_i, L = 4.  The instances run random
networks in float32, find every delta_i as an exact rational, and compare both sides over Q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from algebraic_cnn import Rationals, SkipRecursion
from algebraic_cnn.algebra.symbolic import ring_of, symbol_array

from .instances import dyadic, generic, recursion
from .record import Record, require

INSTANCES = 20

Response = Callable[[SkipRecursion, int, Any], Any]


def response(f: SkipRecursion, i: int, ring: Any) -> Any:
    """J_i: how the output answers to an error at layer i."""
    if i == len(f.layers):
        return ring.embed(np.eye(f.sizes[i]))
    skips = {(k - i, j - i): skip for (k, j), skip in f.skips.items() if k >= i}
    return SkipRecursion(f.layers[i:], skips).collapse(ring).W


def prove(answer: Response = response, seed: int = 11) -> Record:
    """Theorem 11 for ``answer``, the J_i of a recursion."""
    _derive_identity(answer)
    generator = np.random.default_rng(seed)
    rounded = 0
    for _ in range(INSTANCES):
        f = recursion(generator, depth=int(generator.integers(1, 6)))
        rounded += _check_rounding(answer, f, (dyadic(generator, f.sizes[0]) / 3).astype(np.float32))
    require(2 * rounded > INSTANCES, "most runs were rounded")
    return Record(
        theorem="g - f = sum_i J_i delta_i, and |g - f| <= sum_i |J_i| |delta_i|",
        derived="L = 4, all skips, every entry a symbol",
        instances=INSTANCES,
        rocq=("error_identity", "error_bound"),
    )


def _derive_identity(answer: Response) -> None:
    f = generic(depth=4, size=1)
    X, delta = symbol_array("x", (1,)), symbol_array("d", (4, 1))
    ring = ring_of(f, X, delta)
    perturbed = [replace(layer, b=layer.b + delta[i]) for i, layer in enumerate(f.layers)]
    g = replace(f, layers=perturbed)
    difference = g.forward(ring.embed(X), ring) - f.forward(ring.embed(X), ring)
    total = sum(ring.matmul(answer(f, i, ring), ring.embed(delta[i - 1])) for i in range(1, 5))
    require((difference == total).all(), "g - f = sum_i J_i delta_i with symbols everywhere")


def _check_rounding(answer: Response, f: SkipRecursion, X: np.ndarray) -> bool:
    """Whether anything was rounded, after checking what it did to the output."""
    ring = Rationals()
    rounded = [X]
    delta = {}
    for i in range(1, len(f.layers) + 1):
        exact = _layer(f, i, [ring.embed(value) for value in rounded], ring)
        rounded.append(_layer(f, i, rounded, None).astype(np.float32))
        delta[i] = ring.embed(rounded[i]) - exact
    J = {i: answer(f, i, ring) for i in delta}
    difference = ring.embed(rounded[-1]) - f.forward(ring.embed(X), ring)
    require((difference == sum(J[i] @ delta[i] for i in J)).all(), "g - f = sum_i J_i delta_i in float32")
    require((abs(difference) <= sum(abs(J[i]) @ abs(delta[i]) for i in J)).all(), "|g - f| <= sum_i |J_i| |delta_i|")
    return any(d.any() for d in delta.values())


def _layer(f: SkipRecursion, i: int, values: list[Any], ring: Any) -> Any:
    """Layer i applied to the values f^(0) .. f^(i-1): over the ring, or rounded to float32 after every operation."""
    number = ring.embed if ring else lambda x: np.asarray(x, dtype=np.float32)
    layer = f.layers[i - 1]
    fed = sum(number([skip.t])[0] * (number(skip.R) @ values[k] + number(skip.r)) for k, skip in f.into(i))
    return number(layer.W) @ (number(layer.P) @ fed) + number(layer.b)
