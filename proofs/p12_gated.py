"""Theorem 12.  On the region of x, a ReLU network is a linear CNN, with its gates inserted after the layers.

Notation.  z^(i) is layer i before its activation, f^(i) = act(z^(i)), where act(z) = z for z > 0 and act(z) = s z for
z <= 0: ReLU for s = 0, a leaky or parametric one for other s.  The gates of x are d^(i) = 1 where z^(i)(x) > 0, s
elsewhere; D^(i) = diag(d^(i)).  The region of x: all x' with the same gates.  The gated network has D^(i) W^(i) for
W^(i) and D^(i) B^(i) for B^(i).

Statement.  For all x' in the region of x, f^(L)(x') = W(x) x' + B(x), with W(x), B(x) the collapse of the gated
network.  The region is cut out by half-spaces: the z^(i) are affine on it, by the same theorem for the first i layers.

Proof.  act(z) = d z entry by entry, where d is the gate of z.  So with these gates the network is the gated recursion,
and Theorem 3 collapses it.

Derived here: act(z) = d z for a symbol z on each side of 0 and a symbol s.  The instances are random networks over Q
with s = 0 or 1/4: at x, at points towards other random points for as long as the gates stay, and at points beyond,
where the half-spaces must say that the region was left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from algebraic_cnn import AffineMap, Layer, Rationals, SkipRecursion

from .instances import dyadic, recursion
from .record import Record, require

INSTANCES = 20
Q = Rationals()

Gates = list[np.ndarray]


def run(f: SkipRecursion, s: Fraction, x: np.ndarray) -> tuple[np.ndarray, Gates]:
    """f^(L)(x) over Q with the activation after every layer, and the gates d^(1) .. d^(L) of x."""
    values, gates = [x], []
    for i, layer in enumerate(f.layers, 1):
        fed = sum(Q.embed([skip.t])[0] * (Q.embed(skip.R) @ values[k] + Q.embed(skip.r)) for k, skip in f.into(i))
        z = Q.embed(layer.W) @ (Q.embed(layer.P) @ fed) + Q.embed(layer.b)
        gates.append(np.array([Fraction(1) if value > 0 else s for value in z]))
        values.append(np.array([value if value > 0 else s * value for value in z]))
    return values[-1], gates


def gated(f: SkipRecursion, gates: Gates) -> SkipRecursion:
    """The recursion with D^(i) W^(i) and D^(i) B^(i)."""
    layers = [
        Layer(d[:, None] * Q.embed(layer.W), layer.P, d * Q.embed(layer.b))
        for layer, d in zip(f.layers, gates, strict=True)
    ]
    return replace(f, layers=layers)


def prove(gate: Callable[[SkipRecursion, Gates], SkipRecursion] = gated, seed: int = 12) -> Record:
    """Theorem 12 for ``gate``, which inserts gates into a recursion."""
    _derive_activation()
    generator = np.random.default_rng(seed)
    inside = 0
    for n in range(INSTANCES):
        f = recursion(generator, depth=int(generator.integers(1, 5)))
        x, y = Q.embed(dyadic(generator, f.sizes[0])), Q.embed(dyadic(generator, f.sizes[0]))
        inside += _check_region(gate, f, Fraction(n % 2, 4), x, y)
    require(inside > INSTANCES, "some of the points tried are in the region and are not x")
    return Record(
        theorem="on the region of x a ReLU network is the collapse of its gated recursion",
        derived="act(z) = d z for symbols z and s",
        instances=INSTANCES,
        rocq=("gated_affine", "relu_affine", "region", "mask_half_spaces"),
    )


def _derive_activation() -> None:
    from sympy import Piecewise, Symbol

    s, positive, other = Symbol("s"), Symbol("z", positive=True), Symbol("z", nonpositive=True)
    for z, d in ((positive, 1), (other, s)):
        require(Piecewise((z, z > 0), (s * z, True)) == d * z, "act(z) = d z")


def pre_activation(gate: Callable[..., SkipRecursion], f: SkipRecursion, gates: Gates, i: int) -> AffineMap:
    """z^(i) for these gates: the collapse of the first i layers, layer i itself without its gate."""
    first = SkipRecursion(f.layers[:i], {edge: skip for edge, skip in f.skips.items() if edge[1] <= i})
    return gate(first, [*gates[: i - 1], np.full(f.sizes[i], Fraction(1))]).collapse(Q)


def _check_region(gate: Any, f: SkipRecursion, s: Fraction, x: np.ndarray, y: np.ndarray) -> int:
    """Theorem and half-spaces at x and at x + (y - x) / 4^m, m = 0 .. 4; the number of those in the region of x."""
    _, gates = run(f, s, x)
    z = [pre_activation(gate, f, gates, i) for i in range(1, len(gates) + 1)]
    g = gate(f, gates).collapse(Q)
    inside = 0
    for step in [Fraction(0), *(Fraction(1, 4**m) for m in range(5))]:
        point = x + (y - x) * step
        value, its_gates = run(f, s, point)
        same = all((ours == its).all() for ours, its in zip(gates, its_gates, strict=True))
        half_spaces = all(((z_i(point) > 0) == (d == 1)).all() for z_i, d in zip(z, gates, strict=True))
        require(half_spaces == same, "the half-spaces are the region")
        require(not same or (value == g(point)).all(), "f(x') = W(x) x' + B(x) in the region of x")
        inside += same
    return inside
