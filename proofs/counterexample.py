"""Theorem 3 put to an SMT solver: is there any network of a given shape that the collapse gets wrong?

The library's own code runs on Z3 terms: ``Reals`` is one more ring, its elements real arithmetic expressions.  For
unknown weights, biases, strengths and inputs the solver is asked for values with f(X) != W X + B.  "unsat" says that
there are none, over the real numbers; "sat" comes with a network and an input.

Reals      the ring of Z3's real terms
Search     the outcome: its shape, unsat or sat, the counterexample, and the time
search     asks about one shape, a key of SHAPES
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from algebraic_cnn import AffineMap, Layer, Skip, SkipRecursion
from algebraic_cnn.toeplitz import conv_matrix

from .instances import all_skips


@dataclass(frozen=True)
class Search:
    """What the solver answered.

    Attributes:
        shape: the networks that were searched, in words.
        answer: "unsat": there is no counterexample; "sat": there is one; "unknown": the solver gave up.
        counterexample: a value for every unknown that matters, if sat.
        seconds: how long it took.
    """

    shape: str
    answer: str
    counterexample: dict[str, str]
    seconds: float


class Reals:
    """Real numbers and Z3 terms in object arrays: the part of a ring's face that the recursion uses."""

    exact = True

    def embed(self, x: Any) -> np.ndarray:
        """Numbers as Z3 rationals; terms as they are."""
        import z3

        array = np.asarray(x.toarray() if hasattr(x, "toarray") else x)
        terms = np.empty(array.shape, dtype=object)
        terms.ravel()[:] = [v if isinstance(v, z3.ExprRef) else z3.RealVal(Fraction(v)) for v in array.ravel().tolist()]
        return terms

    def reduce(self, x: Any) -> Any:
        """The terms in normal form: sums of monomials."""
        import z3

        simplified = np.empty(x.shape, dtype=object)
        simplified.ravel()[:] = [z3.simplify(term, som=True) for term in x.ravel()]
        return simplified

    def matmul(self, a: Any, b: Any) -> Any:
        """The matrix product."""
        return self.reduce(a @ b)


def unknowns(name: str, *shape: int) -> np.ndarray:
    """An array of real unknowns, each the name and its indices."""
    import z3

    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = z3.Real("_".join([name, *map(str, index)]))
    return array


def dense(depth: int, size: int) -> SkipRecursion:
    """All skips, every f^(i) of ``size`` entries, every W, R, B and t unknown."""
    layers = [Layer(unknowns(f"W{i}", size, size), b=unknowns(f"B{i}", size)) for i in range(1, depth + 1)]
    skips = {(k, i): Skip(unknowns(f"t{k}{i}", 1)[0], unknowns(f"R{k}{i}", size, size)) for k, i in all_skips(depth)}
    return SkipRecursion(layers, skips)


def convolutional(depth: int, pixels: int) -> SkipRecursion:
    """One-dimensional 3-tap convolutions with padding 1, a bias for each layer, and all skips, everything unknown."""

    def layer(i: int) -> Layer:
        W = conv_matrix(unknowns(f"K{i}", 1, 1, 3), (1, pixels), padding=1, format="dense")
        return Layer(W, b=np.repeat(unknowns(f"B{i}", 1), pixels))

    return SkipRecursion([layer(i) for i in range(1, depth + 1)],
                         {(k, i): Skip(unknowns(f"t{k}{i}", 1)[0]) for k, i in all_skips(depth)})  # fmt: skip


SHAPES = {
    "L = 2, all skips, f^(i) of 2 entries, every entry of W, R, B unknown": lambda: dense(2, 2),
    "L = 3, all skips, f^(i) of 2 entries, every entry of W, R, B unknown": lambda: dense(3, 2),
    "L = 3, all skips, padded 3-tap convolutions of 4 pixels": lambda: convolutional(3, 4),
}


def without_a_bias(f: SkipRecursion, ring: Any) -> AffineMap:
    """A wrong collapse, which forgets the bias of layer 1: the solver must find it out."""
    return replace(f, layers=[replace(f.layers[0], b=None), *f.layers[1:]]).collapse(ring)


def search(shape: str, collapse: Callable[..., AffineMap] = SkipRecursion.collapse, *, seconds: int = 60) -> Search:
    """Asks for a network of the shape, a key of ``SHAPES``, and an X with f(X) != W X + B."""
    import z3

    started = time.perf_counter()
    f, ring = SHAPES[shape](), Reals()
    X = unknowns("x", f.sizes[0])
    g = collapse(f, ring)
    difference = f.forward(X, ring) - (ring.matmul(g.W, X) + g.b)
    solver = z3.Solver()
    solver.set("timeout", 1000 * seconds)
    solver.add(z3.Or([term != 0 for term in difference]))
    answer = str(solver.check())
    model: Any = solver.model() if answer == "sat" else {}
    values = {str(unknown): str(model[unknown]) for unknown in model}
    return Search(shape, answer, dict(sorted(values.items())), time.perf_counter() - started)
