"""Theorem 7.  The adjoint recursion gives the same W and B.

Notation.  G_L = 1 and, for k = L-1 .. 0, G_k = sum_{i>k} t^(k,i-1) (R^(k,i-1))^T (P^(i))^T (W^(i))^T G_i.

Statement.  W = G_0^T and B = sum_{s=1..L} G_s^T B^(s).  It takes one backward pass for each output, where Theorem 3
takes one forward pass for each input.

Proof.  Unfold G_k: it is the sum over all paths from k to L of the transposed words of Theorem 5, for the first edge of
such a path goes from k to some i, and a path from i to L follows.  Transposing reverses the order of a product.

Derived here: as an identity of expansions, for every set of skips up to L = 4, forward and backward recursion have the
same monomials (a word is known from its letters, for its indices increase); and for the code, with a symbol for every
entry, L = 3.  The instances are random networks over Q and F_p.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from algebraic_cnn import AffineMap, SkipRecursion
from algebraic_cnn.algebra.symbolic import ring_of
from algebraic_cnn.algebra.symbolic.expansion import alphabet, backward, forward

from .instances import generic, recursion, rings
from .p05_paths import skeletons
from .record import Record, require

INSTANCES = 20


def prove(adjoint: Callable[..., AffineMap] = SkipRecursion.adjoint, seed: int = 7) -> Record:
    """Theorem 7 for ``adjoint``, a function from (recursion, ring) to an affine map."""
    for skeleton in skeletons(largest=4):
        letters = alphabet(skeleton)
        require(forward(skeleton, letters) == backward(skeleton, letters), f"the words of {sorted(skeleton.skips)}")
    f = generic(depth=3)
    require(adjoint(f, ring_of(f)).exactly_equals(f.collapse(ring_of(f))), "G_0^T = W with symbols everywhere")
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        f = recursion(generator, depth=int(generator.integers(1, 6)))
        for ring in rings(generator):
            require(adjoint(f, ring).exactly_equals(f.collapse(ring)), f"G_0^T = W over {ring}")
    return Record(
        theorem="the adjoint recursion G gives W = G_0^T and B = sum_s G_s^T B^(s)",
        derived="every set of skips up to L = 4; L = 3 with every entry a symbol",
        instances=INSTANCES,
        rocq=("adjoint_rec", "adjoint_Wof", "adjoint_Bof"),
    )
