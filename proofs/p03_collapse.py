r"""Theorem 3 [JV24, Thm 3.1].  A linear CNN with any skip connections is one affine map.

Notation.  f^(0)(X) = vec X and f^(i)(X) = W^(i) P^(i) ( sum_{k<i} t^(k,i-1) R^(k,i-1) f^(k)(X) ) + B^(i), i = 1 .. L.
f_W is the same recursion with every B^(i) left out.  A resizing may add a constant, R x + r; then f_W leaves r out too.

Statement.  f^(L)(X) = W X + B for all X, with W = f_W^(L)(1), the recursion applied to the columns of the identity, and
B = f^(L)(0).

Proof.  By induction on i, f^(i)(X) = A_i X + C_i with A_0 = 1, C_0 = 0, A_i = W^(i) P^(i) sum_k t^(k,i-1) R^(k,i-1)
A_k and C_i = W^(i) P^(i) sum_k t^(k,i-1) R^(k,i-1) C_k + B^(i): put f^(k)(X) = A_k X + C_k into the recursion and use
that matrices distribute over sums.  A_i is the recursion f_W applied to the identity, C_i is f applied to 0.

Derived here: the step of the induction, in letters that do not commute, for i = 1 .. 6 terms of the sum; and the
theorem for the code that collapses, with a symbol for every entry of W, R, B, X and every t, three layers and all
skips. The instances are random networks over Q and F_p, and convolutional networks against torch's own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from algebraic_cnn import AffineMap, Layer, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import ring_of, symbol_array
from algebraic_cnn.toeplitz import bias_vector, conv_matrix

from .instances import dyadic, generic, recursion, rings, whole
from .record import Record, require

INSTANCES = 20

Collapse = Callable[..., AffineMap]


def prove(collapse: Collapse = SkipRecursion.collapse, seed: int = 3) -> Record:
    """Theorem 3.1 for ``collapse``, a function from (recursion, ring) to an affine map."""
    for terms in range(1, 7):
        _derive_step(terms)
    _derive_collapse(collapse)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _check_exactly(collapse, generator)
        _compare_with_torch(collapse, generator)
    return Record(
        theorem="f^(L)(X) = W X + B for any layers and skips [JV24, Thm 3.1]",
        derived="the induction step in noncommuting letters; L = 3, all skips, every entry a symbol",
        instances=2 * INSTANCES,
        rocq=("linear_cnn", "Wof_rec", "Bof_rec", "shortcut_bias", "cnn_affine"),
    )


def _derive_step(terms: int) -> None:
    from sympy import Symbol, expand

    def matrix(name: str) -> Symbol:
        return Symbol(name, commutative=False)

    W, P, B, X = map(matrix, "WPBX")
    A, C, R = ([matrix(f"{name}{k}") for k in range(terms)] for name in "ACR")
    t = [Symbol(f"t{k}") for k in range(terms)]
    layer = W * P * sum(t[k] * R[k] * (A[k] * X + C[k]) for k in range(terms)) + B
    linear = W * P * sum(t[k] * R[k] * A[k] for k in range(terms))
    constant = W * P * sum(t[k] * R[k] * C[k] for k in range(terms)) + B
    require(expand(layer - (linear * X + constant)) == 0, f"the step of the induction with {terms} terms")


def _derive_collapse(collapse: Collapse) -> None:
    f, X = generic(depth=3), symbol_array("x", (2,))
    ring = ring_of(f, X)
    X, g = ring.embed(X), collapse(f, ring)
    require((f.forward(X, ring) == ring.matmul(g.W, X) + g.b).all(), "f(X) = W X + B with symbols everywhere")


def _check_exactly(collapse: Collapse, generator: np.random.Generator) -> None:
    f = recursion(generator, depth=int(generator.integers(1, 6)))
    X = dyadic(generator, f.sizes[0])
    for ring in rings(generator):
        x, g = ring.embed(X), collapse(f, ring)
        require((f.forward(x, ring) == ring.reduce(ring.matmul(g.W, x) + g.b)).all(), f"f(X) = W X + B over {ring}")


def _compare_with_torch(collapse: Collapse, generator: np.random.Generator) -> None:
    """Three convolutions with padding and all skips, strengths that are integers, each resizing a 1x1 convolution."""
    import torch
    from torch.nn.functional import conv2d

    image, channels, depth = (4, 5), generator.integers(1, 3, 4), 3
    K = {i: whole(generator, channels[i], channels[i - 1], 3, 3) for i in range(1, depth + 1)}
    b = {i: whole(generator, channels[i]) for i in K}
    edges = {(k, i): float(generator.integers(-2, 3)) for i in K for k in range(i - 1)}
    R = {(k, i): whole(generator, channels[i - 1], channels[k], 1, 1) for k, i in edges}
    layers = [Layer(conv_matrix(K[i], (channels[i - 1], *image), padding=1), b=bias_vector(b[i], (channels[i], *image)))
              for i in K]  # fmt: skip
    skips = {(k, i): Skip(edges[k, i], conv_matrix(R[k, i], (channels[k], *image))) for k, i in edges}
    X = whole(generator, channels[0], *image)
    f = [torch.from_numpy(X)[None]]
    for i in K:
        fed = sum((edges[k, i] * conv2d(f[k], torch.from_numpy(R[k, i])) for k in range(i - 1)), f[i - 1])
        f.append(conv2d(fed, torch.from_numpy(K[i]), torch.from_numpy(b[i]), padding=1))
    g = collapse(SkipRecursion(layers, skips))
    require(np.array_equal(g(X.ravel()), f[depth].numpy().ravel()), "W X + B is torch's forward pass")
