"""Theorem 9.  When two convolutions with biases are exactly one, at every pixel.

Notation.  As in Theorem 8, with biases: f(X) = T2 (T1 X + b1 1) + b2 1, and g(X) = T X + ((sum_a K2[a]) b1 + b2) 1, the
single convolution with the composed kernel and the composed bias.

Statement.  f = g for all kernels and biases if and only if no window of layer 2 meets a phantom pixel.  Apart:

  * the linear parts agree for all kernels if and only if no phantom that a window meets sees a pixel of the image;
  * the constant parts agree for all kernels and b1 if and only if no window meets a phantom.

So p2 = 0, all padding in the first layer, is always enough.  A 1x1 layer without padding followed by a padded one has
the right linear part, for its phantoms see nothing, and the wrong constant at the border, unless b1 = 0.  To pad with
b1 between the layers instead of 0 mends the constant, and never the linear part.

Proof.  The linear parts differ by V (1 - P P^T) Z (Theorem 8): entry [o, v] is a sum of products of different taps,
which is 0 for all kernels only if there is none.  On a constant image b1 layer 2 gives b1 times the sum of those taps
that meet no phantom, which is b1 sum_a K2[a] for all kernels only if none does.  A phantom that holds b1 counts like
a pixel.

In the words of operators: g @ f has the form of one convolution if and only if the linear parts agree; and where the
constant parts do, its bias is no map.

Derived here with a symbol for every tap and bias, for every geometry of the grid of Theorem 8.  The instances have
several channels, over Q and F_p.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array

from .instances import dyadic, rings
from .p08_stencils import TWO_AXES, Axes, Geometry, composed, exact, matrices, one_axis, operator, single
from .record import Record, require

INSTANCES = 10

Conditions = Callable[[Geometry], tuple[bool, bool]]


def conditions(g: Geometry) -> tuple[bool, bool]:
    """Whether the linear parts agree, and whether the constant parts do, from the geometry alone."""
    window = product(np.ndindex(*_outputs(g)), list(np.ndindex(*g.m2)))
    met = [q for o, a in window if not _inside(q := _at(o, a, g.s2, g.p2), g.between)]
    linear = not any(_inside(_at(q, b, g.s1, g.p1), g.n) for q, b in product(met, list(np.ndindex(*g.m1))))
    return linear, not met


def _at(o: Axes, a: Axes, stride: Axes, padding: Axes) -> Axes:
    """The input position s o + a - p that output o meets with tap a."""
    return tuple(s * i + j - p for s, i, j, p in zip(stride, o, a, padding, strict=True))


def _inside(q: Axes, size: Axes) -> bool:
    return all(0 <= i < n for i, n in zip(q, size, strict=True))


def _outputs(g: Geometry) -> Axes:
    return tuple((n + 2 * p - m) // s + 1 for n, p, m, s in zip(g.between, g.p2, g.m2, g.s2, strict=True))


def prove(condition: Conditions = conditions, seed: int = 9) -> Record:
    """Theorem 9 for ``condition``, a rule with the argument and result of ``conditions``."""
    geometries = [*one_axis(), *TWO_AXES]
    for g in geometries:
        K1, K2 = symbol_array("a", g.m1)[None, None], symbol_array("b", g.m2)[None, None]
        b1, b2 = symbol_array("c", (1,)), symbol_array("d", (1,))
        ring = Polynomials.of(K1, K2, b1, b2)
        require(_agreement(g, K1, K2, b1, b2, ring) == condition(g), f"the conditions for {g}")
        form = operator(g, K1, K2, b1, b2).form(g.n, ring=ring)
        linear, constant = condition(g)
        require((form.kind == "convolution") == linear, f"the form of the operator for {g}")
        require(not (linear and constant and form.bias == "map"), f"the bias of the operator for {g}")
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        g, c = geometries[generator.integers(len(geometries))], generator.integers(1, 3, 3)
        K1, K2 = dyadic(generator, c[1], c[0], *g.m1), dyadic(generator, c[2], c[1], *g.m2)
        b1, b2 = dyadic(generator, c[1]), dyadic(generator, c[2])
        for ring in rings(generator):
            found = zip(_agreement(g, K1, K2, b1, b2, ring), condition(g), strict=True)
            require(all(agree or not must for agree, must in found), f"where the conditions hold, over {ring}, for {g}")
    return Record(
        theorem="two convolutions are one at every pixel iff no window meets a phantom pixel",
        derived=f"every tap and bias a symbol, {len(geometries)} geometries",
        instances=INSTANCES,
        rocq=("composition_exact", "composition_bias_exact", "composition_wrong", "composition_bias_wrong"),
    )


def _agreement(g: Geometry, K1: Any, K2: Any, b1: Any, b2: Any, ring: Any) -> tuple[bool, bool]:
    """Whether the linear parts of f and g are equal, and whether the constant parts are."""
    M, T = matrices(g, K1, K2, ring), single(g, composed(exact(K2), exact(K1), g.s1), ring)
    taps = ring.embed(exact(K2).sum(axis=tuple(range(2, K2.ndim))))
    outputs = int(np.prod(_outputs(g)))
    bias = ring.reduce(ring.matmul(taps, ring.embed(b1)) + ring.embed(b2)).repeat(outputs)

    def constant(layer: Any) -> Any:
        """Layer 2, by its matrix, on the image that is b1 everywhere."""
        image = ring.embed(b1).repeat(layer.shape[1] // len(b1))
        return ring.reduce(ring.matmul(layer, image) + ring.embed(b2).repeat(outputs))

    require((constant(M["V"]) == bias).all(), f"padding with b1 mends the constant, over {ring}, for {g}")
    linear = (ring.matmul(M["T2"], M["T1"]) == T).all()
    return bool(linear), bool((constant(M["T2"]) == bias).all())
