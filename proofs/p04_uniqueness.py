"""Theorem 4.  W and B are unique, and a network's own values on n + 1 inputs determine them.

Notation.  f is affine on vectors of length n, e_j is the j-th column of the identity.

Statement.  If f(X) = W X + B for all X, then B = f(0) and column j of W is f(e_j) - f(0).  So if W X + B = W' X + B'
for all X, then W = W' and B = B'.

Proof.  Put X = 0, then X = e_j.

So "the" W and B of Theorem 3 are well defined, probing a network with basis vectors finds them, and two derivations of
them that disagree anywhere cannot both be right.

Derived here with a symbol for every entry of W and B.  The instances recover the collapse of random networks over Q and
F_p from nothing but their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array

from .instances import recursion, rings
from .record import Record, require

INSTANCES = 20

Recovery = Callable[..., tuple[Any, Any]]


def recovered(f: Callable[[Any], Any], n: int, ring: Any) -> tuple[Any, Any]:
    """W and B of an affine f on vectors of length n in the ring, from its values on 0, e_1, ..., e_n."""
    B = f(ring.embed(np.zeros(n)))
    columns = [ring.reduce(f(ring.embed(e)) - B) for e in np.eye(n)]
    return np.stack(columns, axis=1), B


def prove(recover: Recovery = recovered, seed: int = 4) -> Record:
    """Theorem 4 for ``recover``, which has the arguments and result of ``recovered``."""
    W, B = symbol_array("w", (3, 4)), symbol_array("b", (3,))
    ring = Polynomials.of(W, B)
    W, B = ring.embed(W), ring.embed(B)
    found_W, found_B = recover(lambda x: ring.matmul(W, x) + B, 4, ring)
    require((found_W == W).all() and (found_B == B).all(), "a generic W and B are found from the values of W X + B")
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        f = recursion(generator, depth=int(generator.integers(1, 5)))
        for ring in rings(generator):
            g = f.collapse(ring)
            W, B = recover(lambda x, f=f, ring=ring: f.forward(x, ring), f.sizes[0], ring)
            require((W == g.W).all() and (g.b == B).all(), f"the values of a network over {ring} determine W and B")
    return Record(
        theorem="W and B are unique; n + 1 values of f determine them",
        derived="every entry of a 3 x 4 matrix W and of B a symbol",
        instances=INSTANCES,
        rocq=("linear_cnn_unique",),
    )
