r"""Theorem 8.  Away from the border two convolutions are one; at the border they differ by the phantom pixels.

Notation.  Layer 1 has kernel K1 of size m1, stride s1 and zero padding p1, and takes n pixels to n1; layer 2 likewise
takes these to n2.  Each is one number for each axis.  T1 and T2 are their matrices, padding included; T is the matrix
of the single convolution with kernel K[u] = sum over s1 a + b = u of K2[a] K1[b], stride s1 s2, padding p1 + s1 p2. K
has size s1 (m2 - 1) + m1: two kernels of size 3, the first with stride 2, make one of size 7.

Around the n1 pixels between the layers lie p2 phantom pixels on each side.  P pads with zeros there, so 1 - P P^T
keeps the phantoms and drops the rest.  Let Z be layer 1 computed at the phantoms too (padding p1 + s1 p2), V layer 2
on all of these pixels (no padding).

Statement.  T = V Z, and T2 T1 - T = - V (1 - P P^T) Z.  So row o is the same in both whenever the window of output o
meets no phantom; and where no taps cancel, it differs exactly when the window meets a phantom that sees the image.

Proof.  (V Z)[o, v] sums K2[a] K1[b] over the taps with v = s1 (s2 o + a - p2) + b - p1 = s1 s2 o + (s1 a + b) -
(p1 + s1 p2): that is K at u = s1 a + b.  Layer 1 keeps the rows of Z inside, T1 = P^T Z; layer 2 pads, T2 = V P.  Hence
T2 T1 = V P P^T Z.  So the single convolution invents values at the phantoms, and the two layers see zeros there.

In the words of operators (a rule n -> rows; the row of output o has a class and an anchor): T2 T1 is the operator g @ f
in size n, its classes those of g and of the rows of f that they read.  A row whose window meets no phantom that sees
the image is the row of the middle, the reads outside left out.  So whether g @ f is one convolution, and where, is a
property of its rows.  That g @ f is such an operator, in every size, is ``closure`` of the machine-checked proof.

Dilations are left to the machine-checked proof.

Derived here with a symbol for every tap, for every geometry in a grid on one axis and some on two.  The instances have
several channels, over Q and F_p.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array
from algebraic_cnn.toeplitz import conv_matrix, pad_matrix

from .instances import dyadic, rings
from .record import Record, require

INSTANCES = 6

Axes = tuple[int, ...]
Compose = Callable[[np.ndarray, np.ndarray, Axes], np.ndarray]


@dataclass(frozen=True)
class Geometry:
    """Image size n; kernel sizes, strides and zero paddings of layers 1 and 2: each one number for each axis."""

    n: Axes
    m1: Axes
    m2: Axes
    s1: Axes
    s2: Axes
    p1: Axes
    p2: Axes

    @property
    def between(self) -> Axes:
        """n1, the number of pixels between the layers."""
        return tuple((n + 2 * p - m) // s + 1 for n, m, s, p in zip(self.n, self.m1, self.s1, self.p1, strict=True))

    @property
    def fits(self) -> bool:
        """Whether both layers have an output."""
        return all(n1 >= 1 and n1 + 2 * p >= m for n1, m, p in zip(self.between, self.m2, self.p2, strict=True))


def one_axis() -> Iterator[Geometry]:
    """Every geometry of a grid on one axis."""
    for n, m1, m2, s1, s2, p1, p2 in product((5,), (1, 2, 3), (1, 3), (1, 2), (1, 2), (0, 1), (0, 1, 2)):
        geometry = Geometry((n,), (m1,), (m2,), (s1,), (s2,), (p1,), (p2,))
        if geometry.fits:
            yield geometry


TWO_AXES = [
    Geometry((3, 4), (2, 1), (2, 2), (1, 1), (1, 1), (0, 1), (1, 0)),
    Geometry((4, 3), (3, 2), (2, 1), (2, 1), (1, 2), (1, 1), (1, 1)),
]


def composed(K2: np.ndarray, K1: np.ndarray, stride: Axes) -> np.ndarray:
    r"""K[u] = sum over stride a + b = u of K2[a] K1[b]; kernels (c_out, c_in, \*size), objects of any ring."""
    sizes = [s * (m2 - 1) + m1 for s, m1, m2 in zip(stride, K1.shape[2:], K2.shape[2:], strict=True)]
    K = np.zeros((len(K2), K1.shape[1], *sizes), dtype=object)
    for a, b in product(np.ndindex(*K2.shape[2:]), list(np.ndindex(*K1.shape[2:]))):
        u = tuple(s * i + j for s, i, j in zip(stride, a, b, strict=True))
        K[(..., *u)] += K2[(..., *a)] @ K1[(..., *b)]
    return K


def prove(compose: Compose = composed, seed: int = 8) -> Record:
    """Theorem 8 for ``compose``, a formula for K with the arguments of ``composed``."""
    geometries = [*one_axis(), *TWO_AXES]
    for geometry in geometries:
        K1, K2 = symbol_array("a", geometry.m1)[None, None], symbol_array("b", geometry.m2)[None, None]
        _derive(geometry, K1, K2, compose, Polynomials.of(K1, K2), generic=True)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        geometry = TWO_AXES[generator.integers(2)]
        c = generator.integers(1, 3, 3)
        K1, K2 = dyadic(generator, c[1], c[0], *geometry.m1), dyadic(generator, c[2], c[1], *geometry.m2)
        for ring in rings(generator):
            _derive(geometry, K1, K2, compose, ring, generic=False)
    return Record(
        theorem="two convolutions are one in the interior; the border differs by - V (1 - P P^T) Z",
        derived=f"every tap a symbol, {len(geometries)} geometries with strides and paddings",
        instances=INSTANCES,
        rocq=(
            "out_size_after",
            "xcorr_compose",
            "composition_error",
            "composition_exact",
            "composition_wrong",
            "composition_ones",
            "closure",
            "closure_period",
        ),
    )


def matrices(g: Geometry, K1: Any, K2: Any, ring: Any) -> dict[str, Any]:
    """T1, T2, Z, V and P of the theorem, in the ring."""
    c1, c0 = K1.shape[:2]
    wide = [p1 + s1 * p2 for p1, s1, p2 in zip(g.p1, g.s1, g.p2, strict=True)]
    padded = [n1 + 2 * p2 for n1, p2 in zip(g.between, g.p2, strict=True)]
    found = {
        "T1": conv_matrix(K1, (c0, *g.n), stride=g.s1, padding=g.p1, format="dense"),
        "T2": conv_matrix(K2, (c1, *g.between), stride=g.s2, padding=g.p2, format="dense"),
        "Z": conv_matrix(K1, (c0, *g.n), stride=g.s1, padding=wide, format="dense"),
        "V": conv_matrix(K2, (c1, *padded), stride=g.s2, format="dense"),
        "P": pad_matrix((c1, *g.between), g.p2, format="dense"),
    }
    return {name: ring.embed(matrix) for name, matrix in found.items()}


def single(g: Geometry, K: Any, ring: Any) -> Any:
    """T in the ring: one convolution with kernel K and the composed stride and padding."""
    stride = [s1 * s2 for s1, s2 in zip(g.s1, g.s2, strict=True)]
    padding = [p1 + s1 * p2 for p1, s1, p2 in zip(g.p1, g.s1, g.p2, strict=True)]
    return ring.embed(conv_matrix(K, (K.shape[1], *g.n), stride=stride, padding=padding, format="dense"))


def _derive(g: Geometry, K1: Any, K2: Any, compose: Compose, ring: Any, *, generic: bool) -> None:
    M = matrices(g, K1, K2, ring)
    T = single(g, compose(exact(K2), exact(K1), g.s1), ring)
    two = ring.matmul(M["T2"], M["T1"])
    phantom = 1 - ring.matmul(M["P"], M["P"].T).diagonal()
    require(T.shape == two.shape and (ring.matmul(M["V"], M["Z"]) == T).all(), f"T = V Z for {g}")
    missing = ring.matmul(M["V"], ring.reduce(M["Z"] * phantom[:, None]))
    require((two == ring.reduce(T - missing)).all(), f"T2 T1 - T = - V (1 - P P^T) Z for {g}")
    if generic:
        seen = phantom.astype(bool) & M["Z"].astype(bool).any(axis=1)
        meets = (M["V"].astype(bool) & seen).any(axis=1)
        require(((two != T).any(axis=1) == meets).all(), f"the rows that differ, for {g}")
        f = operator(g, K1, K2)
        require((f.matrix(g.n, format="dense", ring=ring) == two).all(), f"g @ f = T2 T1 for {g}")
        told = np.zeros([axis.m for axis in f.form(g.n).axes], dtype=bool)
        told[tuple(slice(*axis.told) for axis in f.form(g.n).axes)] = True
        require(not (told.ravel() & meets).any(), f"the rows that one convolution tells, for {g}")
        require(told.all() == (not meets.any()), f"whether g @ f is one convolution, for {g}")


def operator(g: Geometry, K1: Any, K2: Any, b1: Any = None, b2: Any = None) -> Operator:
    """Layer 2 after layer 1, as an operator of every size."""
    first = layers.conv(K1, b1, stride=g.s1, padding=g.p1)
    return layers.conv(K2, b2, stride=g.s2, padding=g.p2) @ first


def exact(K: Any) -> Any:
    """The kernel with entries that are added and multiplied exactly: rationals instead of floats."""
    from algebraic_cnn import Rationals

    return K if K.dtype == object else Rationals().embed(K)
