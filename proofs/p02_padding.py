"""Theorem 2.  Padding is linear: in every mode that repeats pixels or puts zeros, P is a 0/1 matrix.

Notation.  Position j of the padded axis, before <= j < before + n, holds pixel j - before.  Outside, "zeros" holds 0,
"reflect" mirrors at the first and last pixel, "replicate" repeats them, "circular" continues with period n.

Statement.  vec(pad X) = P vec X, where each row of P has at most one entry, a 1: P selects.  Convolving with padding is
W P: the matrix of the convolution on the padded image, times P.  Padding with a constant v is affine and not linear:
P vec X + v (1 - P 1).

Proof.  Every position of the padded image holds one pixel or a zero, whatever the pixels are: that is what P says.  The
positions that hold no pixel are those where P 1 is 0.

Derived here with a symbol for every pixel, against NumPy's padding, with unequal padding on the sides, in one and two
dimensions.  The instances are for W P, with a symbol for every tap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array
from algebraic_cnn.toeplitz import conv_matrix, pad_matrix

from .record import Record, require

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
IMAGES = [((4,), [(2, 1)]), ((3,), [(0, 2)]), ((3, 4), [(1, 2), (2, 0)]), ((4, 4), [(2, 2), (1, 1)])]
INSTANCES = 20


def prove(matrix: Callable[..., Any] = pad_matrix, seed: int = 2) -> Record:
    """Theorem 2 for ``matrix``, a builder with the arguments of ``pad_matrix``."""
    for mode in MODES:
        for image, pairs in IMAGES:
            _derive(matrix, mode, image, pairs)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _check_product(matrix, generator)
    return Record(
        theorem="padding in every mode is a 0/1 matrix P; a padded convolution is W P",
        derived=f"every pixel a symbol, {len(MODES)} modes and a constant, {len(IMAGES)} sizes",
        instances=INSTANCES,
        rocq=("selectP", "pad2P", "pattern_select", "pad2_value", "padnP"),
    )


def _derive(matrix: Callable[..., Any], mode: str, image: tuple[int, ...], pairs: list[tuple[int, int]]) -> None:
    from sympy import Symbol

    X, v = symbol_array("x", image), Symbol("v")
    ring = Polynomials.of(X, np.array(v))
    P = matrix((1, *image), pairs, padding_mode=mode, format="dense")
    pad: Any = np.pad
    padded = pad(X, pairs, mode=MODES[mode])
    image_of = ring.matmul(ring.embed(P), ring.embed(X.ravel()))
    require((image_of == ring.embed(padded.ravel())).all(), f"P vec X = vec(pad X), mode {mode}, padding {pairs}")
    require(set(P.ravel()) <= {0, 1} and (P.sum(axis=1) <= 1).all(), f"P selects, mode {mode}")
    if mode == "zeros":
        with_v = pad(X, pairs, constant_values=v)
        affine = image_of + ring.embed((1 - P.sum(axis=1)) * v)
        require((affine == ring.embed(with_v.ravel())).all(), "padding with v is P vec X + v (1 - P 1)")


def _check_product(matrix: Callable[..., Any], generator: np.random.Generator) -> None:
    mode = str(generator.choice(list(MODES)))
    image, kernel = generator.integers(3, 6, 2), generator.integers(1, 4, 2)
    pairs = [tuple(pair) for pair in generator.integers(0, 3, (2, 2)).tolist()]
    K = symbol_array("k", kernel.tolist())
    ring = Polynomials.of(K)
    whole = conv_matrix(K[None, None], (1, *image), padding=pairs, padding_mode=mode, format="dense")
    padded = [int(n) + before + after for n, (before, after) in zip(image, pairs, strict=True)]
    W = conv_matrix(K[None, None], (1, *padded), format="dense")
    P = matrix((1, *image), pairs, padding_mode=mode, format="dense")
    product = ring.matmul(ring.embed(W), ring.embed(P))
    require((product == ring.embed(whole)).all(), f"the padded convolution is W P, mode {mode}, padding {pairs}")
