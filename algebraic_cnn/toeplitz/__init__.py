"""Linear layers as matrices: exact, sparse, numeric or symbolic.

Every matrix W acts on row-major vectors, ``vec(layer(X)) = W vec(X)``: entry [r, c] is how much input c counts in
output r.

From the ground up:

    arguments, geometry              torch's spellings of arguments, and what a convolution does to shapes
    pattern                          which input meets which tap at which output
    blocks, irregular, storage          rows that repeat a template; where each entry lies in memory
    exact, formats                   SciPy, torch, SymPy and plain arrays
    filling                          a pattern and a kernel make a matrix
    selection, separable             maps that only move entries; one matrix for each axis
    conv, padding, pooling, resampling, rearrange      the builders
    operator, adjoint                the same without the matrix, and the dot-product test
"""

from __future__ import annotations

from .adjoint import DotTest, dot_test
from .conv import bias_vector, conv_matrix, conv_transpose_matrix
from .formats import FORMATS, MEMORY_BUDGET, convert
from .operator import conv_operator
from .padding import pad_matrix
from .pooling import adaptive_avg_pool_matrix, avg_pool_matrix
from .rearrange import (
    channel_shuffle_matrix,
    fold_matrix,
    pixel_shuffle_matrix,
    pixel_unshuffle_matrix,
    unfold_matrix,
)
from .resampling import interpolate_matrix

__all__ = [
    "FORMATS",
    "MEMORY_BUDGET",
    "DotTest",
    "adaptive_avg_pool_matrix",
    "avg_pool_matrix",
    "bias_vector",
    "channel_shuffle_matrix",
    "conv_matrix",
    "conv_operator",
    "conv_transpose_matrix",
    "convert",
    "dot_test",
    "fold_matrix",
    "interpolate_matrix",
    "pad_matrix",
    "pixel_shuffle_matrix",
    "pixel_unshuffle_matrix",
    "unfold_matrix",
]
