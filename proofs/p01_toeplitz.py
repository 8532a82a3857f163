"""Theorem 1.  Cross-correlation is a Toeplitz matrix; in two dimensions, a doubly block Toeplitz matrix.

Notation.  A kernel K with taps K[u], 0 <= u < m, acts on X[v], 0 <= v < n, by Y[o] = sum_u K[u] X[o + u], 0 <= o <= n
- m. With several axes, u, v and o are multi-indices, and vec flattens in row-major order.

Statement.  vec Y = T vec X with T[o, v] = K[v - o], and 0 where v - o is no tap.  So T[o, v] depends on v - o only:
on one axis T is a Toeplitz matrix.  On two axes, the block of the rows (o, .) and the columns (v, .) depends on v - o
only and is itself a Toeplitz matrix.  A stride s keeps the rows o = s o', a dilation d puts tap u at v - o = d u, and
channels make a matrix of such matrices.

Proof.  Substitute v = o + u in the sum: the coefficient of X[v] in Y[o] is K[v - o].  The coefficients of a linear map
are unique (Theorem 4), so this is the matrix.

Derived here with a symbol for every tap and every pixel, at the listed sizes.  The instances compare channels, groups,
stride, dilation and padding with torch's own convolution, in integers that float64 carries exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array
from algebraic_cnn.toeplitz import conv_matrix

from .instances import whole
from .record import Record, require

SIZES = [((2,), (5,)), ((3,), (6,)), ((2, 2), (3, 4)), ((3, 2), (4, 3)), ((2, 1, 2), (3, 2, 3))]
INSTANCES = 20


def prove(matrix: Callable[..., Any] = conv_matrix, seed: int = 1) -> Record:
    """Theorem 1 for ``matrix``, a builder with the arguments of ``conv_matrix``."""
    for kernel, image in SIZES:
        _derive(matrix, kernel, image)
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _compare_with_torch(matrix, generator)
    return Record(
        theorem="cross-correlation is Toeplitz; doubly block Toeplitz in 2-D",
        derived=f"every tap and pixel a symbol, {len(SIZES)} sizes in 1 to 3 dimensions",
        instances=INSTANCES,
        rocq=("conv2dP", "toep1_diagonals", "conv2_doubly_block_toeplitz", "convnP", "convn_toeplitz"),
    )


def _derive(matrix: Callable[..., Any], kernel: tuple[int, ...], image: tuple[int, ...]) -> None:
    K, X = symbol_array("k", kernel), symbol_array("x", image)
    ring = Polynomials.of(K, X)
    T = matrix(K[None, None], (1, *image), format="dense")
    outputs = [n - m + 1 for n, m in zip(image, kernel, strict=True)]
    Y = np.empty(outputs, dtype=object)
    for o in np.ndindex(*outputs):
        Y[o] = sum(K[u] * X[tuple(np.add(o, u))] for u in np.ndindex(*kernel))
    require((ring.matmul(ring.embed(T), ring.embed(X.ravel())) == ring.embed(Y.ravel())).all(), "T vec X = vec Y")
    blocks = T.reshape(*outputs, *image)
    for o in np.ndindex(*outputs):
        for v in np.ndindex(*image):
            u = tuple(np.subtract(v, o))
            tap = K[u] if all(0 <= j < m for j, m in zip(u, kernel, strict=True)) else 0
            require(blocks[o + v] == tap, f"T[o, v] = K[v - o] at o = {o}, v = {v}")


def _compare_with_torch(matrix: Callable[..., Any], generator: np.random.Generator) -> None:
    import torch

    axes, groups = int(generator.integers(1, 3)), int(generator.integers(1, 3))
    stride, padding, dilation = (
        generator.integers(1, 3, axes),
        generator.integers(0, 3, axes),
        generator.integers(1, 3, axes),
    )
    kernel, image = generator.integers(1, 4, axes), generator.integers(5, 8, axes)
    K, X = whole(generator, 2 * groups, 2, *kernel), whole(generator, 2 * groups, *image)
    options = {"stride": stride.tolist(), "padding": padding.tolist(), "dilation": dilation.tolist(), "groups": groups}
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[axes - 1]
    Y = convolve(torch.from_numpy(X), torch.from_numpy(K), **options).numpy()
    T = matrix(K, X.shape, **options)
    require(np.array_equal(T @ X.ravel(), Y.ravel()), f"T vec X is torch's convolution with {options}")
