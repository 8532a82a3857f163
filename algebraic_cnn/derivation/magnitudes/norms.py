"""Upper bounds of operator norms ||F||_2, proved and close.

    matrix_norm    of a matrix, by repeated squaring of its Gram matrix: ||A||^2 = ||G||, ||G||^k = ||G^k|| <= ||G^k||_F
    conv_norm      of a convolution on any image of a given size, by its Fourier symbol

The symbol of a convolution with taps K_t is K(w) = sum_t K_t exp(-i <t, w>).  Zero padding, cropping and strides only
drop rows and columns, so that ||F|| <= max ||K(w)||: over the frequencies of a torus that the image does not wrap
around, or over all w, where N samples per axis miss the maximum by at most the factor cos(pi (k - 1) / (2 N)) each.

Norms are inflated by 2^-20, more than the rounding of these products takes away.

References:
    B. Delattre, Q. Barthelemy, A. Araujo, A. Allauzen, Efficient bound of Lipschitz constant for convolutional layers
    by Gram iteration, ICML 2023.
    H. Ehlich, K. Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Math. Z. 86 (1964).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Squarings of a Gram matrix: a k x k matrix is overestimated by k^(1/64) at most.
_SQUARINGS = 4

_INFLATION = 1 + 2.0**-20


def matrix_norm(A: Tensor) -> float:
    """An upper bound of the largest ||A||_2 of a batch of real or complex matrices (..., m, n).

    >>> round(matrix_norm(torch.diag(torch.tensor([3.0, -4.0]))), 3)
    4.0
    """
    A = A.to(torch.complex128 if A.is_complex() else torch.float64)
    A = A.reshape(-1, *A.shape[-2:])
    if not bool(A.any()):
        return 0.0
    G = A @ A.mH if A.shape[-2] <= A.shape[-1] else A.mH @ A
    logarithm = torch.zeros(len(G), dtype=torch.float64, device=G.device)
    for squared in range(_SQUARINGS + 1):
        size = torch.linalg.matrix_norm(G).clamp(min=2.0**-1000)  # a batch may hold zeros
        logarithm += size.log() / 2**squared
        G = G / size[:, None, None]
        G = G @ G if squared < _SQUARINGS else G
    return math.exp(float(logarithm.max()) / 2) * _INFLATION


def conv_norm(weight: Tensor, groups: int, image: Sequence[int], dilation: Sequence[int]) -> float:
    """An upper bound of ||F||_2 of a convolution, or of its adjoint, for any stride and zero padding.

    Args:
        weight: shape (c_out, c_in / groups, *kernel).
        groups: number of groups.
        image: spatial sizes of the side without stride: the input of a convolution, the output of a transposed one.
        dilation: distance between taps along each axis.

    >>> blur = torch.tensor([[[0.25, 0.5, 0.25]]])
    >>> round(conv_norm(blur, 1, [100], [1]), 2)
    1.02
    """
    symbol = weight.to(torch.complex128)
    slack = 1.0
    for axis, (k, n, d) in enumerate(zip(weight.shape[2:], image, dilation, strict=True), 2):
        torus, coarse = n + d * (k - 1), 8 * (k - 1)
        if torus <= coarse or k == 1:
            samples, step = (torus, d) if k > 1 else (1, 1)
        else:
            samples, step = coarse, 1
            slack /= math.cos(math.pi * (k - 1) / (2 * coarse))
        frequencies = torch.arange(samples // 2 + 1 if axis == weight.ndim - 1 else samples, dtype=torch.float64)
        angles = -2 * math.pi * step / samples * torch.outer(torch.arange(k, dtype=torch.float64), frequencies)
        waves = torch.polar(torch.ones_like(angles), angles).to(symbol.device)
        symbol = symbol.movedim(2, -1) @ waves
    blocks = symbol.unflatten(0, (groups, -1)).flatten(3).permute(3, 0, 1, 2)
    return matrix_norm(blocks) * slack
