r"""Theorem 13.  BatchNorm, average pooling and the resizings of skips are matrices and bias vectors.

Statement.
(a) BatchNorm in evaluation mode, gamma (z - mean) / sqrt(var + eps) + beta for each channel, is s z + c with
    s = gamma / sqrt(var + eps) and c = beta - s mean: a diagonal matrix and a bias.  After a convolution it is the
    convolution with the kernel s K and the bias s b + c.
(b) Average pooling over windows of m pixels is the convolution of each channel with the kernel 1 / m and the stride and
    padding of the pooling; padded zeros count.
(c) Subsampling by s is the convolution of each channel with a 1x1 kernel 1 and stride s; filling with zero channels is
    P, padding on the channel axis; a 1x1 convolution with stride is W; nearest-neighbour enlarging is a 0/1 selection.
So Theorem 3 covers networks that use them.

Proof.  Each is written as a sum of input entries with constant coefficients, plus constants; (a) by multiplying out.

Derived here: (a) with a symbol for every number; (b) and (c) with a symbol for every pixel.  The instances are networks
that use all of them at once, in numbers for which float64 is exact, against torch.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from algebraic_cnn import Layer, Skip, SkipRecursion
from algebraic_cnn.algebra.symbolic import Polynomials, symbol_array
from algebraic_cnn.toeplitz import avg_pool_matrix, bias_vector, conv_matrix, interpolate_matrix, pad_matrix

from .instances import Generator, whole
from .record import Record, require

INSTANCES = 10

Pool = Callable[..., Any]
Fold = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


def folded(gamma: Any, beta: Any, mean: Any, var: Any, eps: Any) -> tuple[Any, Any]:
    """s and c of BatchNorm, for one channel or an array of channels; exact where the square root is."""
    s = gamma / (var + eps) ** _half(var)
    return s, beta - s * mean


def _half(var: Any) -> Any:
    from sympy import Rational

    return 0.5 if isinstance(var, np.ndarray) else Rational(1, 2)


def prove(pool: Pool = avg_pool_matrix, fold: Fold = folded, seed: int = 13) -> Record:
    """Theorem 13 for ``pool``, a builder like ``avg_pool_matrix``, and ``fold``, a formula for s and c of BatchNorm."""
    _derive_batch_norm(fold)
    _derive_pooling(pool)
    _derive_resizing()
    generator = np.random.default_rng(seed)
    for _ in range(INSTANCES):
        _compare_with_torch(pool, fold, generator)
    return Record(
        theorem="BatchNorm, average pooling and resizings are matrices and bias vectors",
        derived="BatchNorm with a symbol for every number; pooling and resizing with one for every pixel",
        instances=INSTANCES,
        rocq=(
            "batchnormP",
            "batchnorm_conv",
            "poolP",
            "avg_pool2_conv",
            "subsampleP",
            "fill_channelsP",
            "conv1x1P",
            "enlargeP",
        ),
    )


def _derive_batch_norm(fold: Fold) -> None:
    from sympy import expand, simplify, sqrt, symbols

    gamma, beta, mean, K, b, x = symbols("gamma beta mean K b x")
    var, eps = symbols("var eps", positive=True)
    s, c = fold(gamma, beta, mean, var, eps)
    z = K * x + b
    normalised = gamma * (z - mean) / sqrt(var + eps) + beta
    require(simplify(expand(normalised - (s * K * x + s * b + c))) == 0, "BatchNorm of K x + b is s K x + (s b + c)")


def _derive_pooling(pool: Pool) -> None:
    X = symbol_array("x", (2, 4, 5))
    ring = Polynomials.of(X)
    for window, stride, padding in (((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1)), ((2, 3), (2, 1), (0, 1))):
        W = pool(X.shape, window, stride=stride, padding=padding, dtype=object, format="dense")
        K = np.full((2, 1, *window), Fraction(1, int(np.prod(window))), dtype=object)
        kernel = conv_matrix(K, X.shape, stride=stride, padding=padding, groups=2, format="dense")
        require((ring.embed(W) == ring.embed(kernel)).all(), f"pooling over {window} is a convolution")
        padded = np.pad(X, [(0, 0), *((p, p) for p in padding)])
        means = [padded[c, o * stride[0] :, u * stride[1] :][: window[0], : window[1]].sum() / int(np.prod(window))
                 for c, o, u in np.ndindex(2, *_outputs(padded.shape[1:], window, stride))]  # fmt: skip
        require((ring.matmul(ring.embed(W), ring.embed(X.ravel())) == ring.embed(np.array(means))).all(), "W averages")


def _outputs(size: Any, window: Any, stride: Any) -> list[int]:
    return [(n - m) // s + 1 for n, m, s in zip(size, window, stride, strict=True)]


def _derive_resizing() -> None:
    X = symbol_array("x", (2, 4, 6))
    one = np.ones((2, 1, 1, 1), dtype=int)
    resizings = {
        "subsampling": (conv_matrix(one, X.shape, stride=2, groups=2, format="dense"), X[:, ::2, ::2]),
        "zero channels": (
            pad_matrix(X.shape, [(1, 2), (0, 0), (0, 0)], format="dense"),
            np.pad(X, [(1, 2), (0, 0), (0, 0)]),
        ),
        "enlarging": (
            interpolate_matrix(X.shape, scale_factor=2, format="dense"),
            X.repeat(2, axis=1).repeat(2, axis=2),
        ),
    }
    ring = Polynomials.of(X)
    for name, (R, image) in resizings.items():
        require(
            (ring.matmul(ring.embed(R), ring.embed(X.ravel())) == ring.embed(image.ravel())).all(), f"{name} is R vec X"
        )


def _compare_with_torch(pool: Pool, fold: Fold, generator: Generator) -> None:
    """BatchNorm(conv(x)), pooled, plus a subsampled shortcut with zero channels, convolved; var + eps a power of 4."""
    import torch
    from torch import nn

    X, K1, K2 = whole(generator, 2, 4, 6), whole(generator, 4, 2, 3, 3), whole(generator, 3, 4, 3, 3)
    gamma, beta, mean, b = whole(generator, 4, 4)
    var, eps = 4.0 ** generator.integers(-1, 3, 4) - 2.0**-10, 2.0**-10
    norm = nn.BatchNorm2d(4, eps=eps).double().eval()
    for name, value in {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": var}.items():
        getattr(norm, name).data = torch.from_numpy(value)
    x = torch.from_numpy(X)[None]
    with torch.no_grad():
        hidden = norm(nn.functional.conv2d(x, torch.from_numpy(K1), torch.from_numpy(b), padding=1))
        shortcut = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
        y = nn.functional.conv2d(nn.functional.avg_pool2d(hidden, 2) + 3 * shortcut, torch.from_numpy(K2), padding=1)
    s, c = fold(gamma, beta, mean, var, eps)
    first = Layer(conv_matrix(s[:, None, None, None] * K1, X.shape, padding=1), b=bias_vector(s * b + c, (4, 4, 6)))
    second = Layer(conv_matrix(K2, (4, 2, 3), padding=1))
    subsample = conv_matrix(np.ones((2, 1, 1, 1)), X.shape, stride=2, groups=2)
    R = pad_matrix((2, 2, 3), [(0, 2), (0, 0), (0, 0)]) @ subsample
    f = SkipRecursion([first, second], {(1, 2): Skip(1.0, pool((4, 4, 6), 2)), (0, 2): Skip(3.0, R)})
    g = f.collapse()
    require(np.array_equal(g(X.ravel()), y.numpy().ravel()), "W X + B is torch's forward pass")
