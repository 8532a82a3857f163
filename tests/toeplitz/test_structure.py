"""The shape of the matrix itself: Kronecker products, (block) Toeplitz and circulant structure, the adjoint."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.toeplitz import conv_matrix, conv_operator, conv_transpose_matrix, dot_test, storage
from algebraic_cnn.toeplitz.geometry import conv_geometry
from algebraic_cnn.toeplitz.pattern import conv_pattern
from algebraic_cnn.toeplitz.storage import Storage

from .oracle import kronecker_matrix

MODES = ("zeros", "reflect", "replicate", "circular")


def integers(seed: int, *shape: int) -> np.ndarray:
    """Small integers as float64: sums of products of them are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


@st.composite
def convolutions(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> tuple[np.ndarray, tuple[int, ...], dict[str, Any]]:
    """A weight, an input shape and arguments that fit together, on one to three axes, padded unevenly."""
    mode, groups = draw(st.sampled_from(modes)), draw(st.integers(1, 2))
    axes = []
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 5))
        most = {"zeros": 3, "reflect": n - 1, "replicate": 3, "circular": n}[mode]
        before, after = draw(st.integers(0, most)), draw(st.integers(0, most))
        k = draw(st.integers(1, min(3, n + before + after)))
        d = draw(st.integers(1, max((n + before + after - 1) // (k - 1), 1) if k > 1 else 3))
        axes.append((n, k, (before, after), d, draw(st.integers(1, 3))))
    spatial, kernel, padding, dilation, stride = zip(*axes, strict=True)
    channels = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    weight = integers(draw(st.integers(0, 2**32 - 1)), groups * channels[0], channels[1], *kernel)
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
    return weight, (groups * channels[1], *spatial), how


@given(convolutions())
def test_conv_matrix_is_a_sum_of_kronecker_products(c: tuple[np.ndarray, tuple[int, ...], dict[str, Any]]) -> None:
    weight, shape, how = c
    stride, padding, dilation, groups, mode = how.values()
    expected = kronecker_matrix(weight, shape[1:], stride, padding, dilation, groups, mode)
    assert np.array_equal(conv_matrix(weight, shape, **how, format="dense"), expected)


@given(convolutions())
def test_every_way_of_writing_the_entries_agrees(c: tuple[np.ndarray, tuple[int, ...], dict[str, Any]]) -> None:
    weight, shape, how = c
    pattern = conv_pattern(conv_geometry(weight.shape, shape, **how))
    slots = [len(axis.slots) for axis in pattern.axes]
    kernel = np.arange(pattern.groups * np.prod(pattern.channels) * np.prod(slots))
    kernel = kernel.reshape(pattern.groups, *pattern.channels, *slots)
    kept, copied, irregular = Storage(pattern), Storage(pattern), Storage(pattern)
    irregular.__dict__["is_regular"] = False
    with patch.object(storage, "SMALL", -1):
        expected = copied.values(kernel), copied.indices(np.int32), copied.indptr(np.int32)
        assert not copied._keeps
    for other in (kept, irregular):
        assert other._keeps
        found = other.values(kernel), other.indices(np.int32), other.indptr(np.int32)
        assert all(map(np.array_equal, found, expected))


@given(convolutions())
def test_conv_operator_is_conv_matrix(c: tuple[np.ndarray, tuple[int, ...], dict[str, Any]]) -> None:
    weight, shape, how = c
    W, A = conv_matrix(weight, shape, **how), conv_operator(weight, shape, **how)
    x, y = integers(0, W.shape[1], 3), integers(1, W.shape[0], 2)
    assert np.array_equal(A @ x, W @ x)
    assert np.array_equal(A.T @ y, W.T @ y)
    assert np.array_equal(A @ x[:, 0], W @ x[:, 0])
    assert np.array_equal(A.T @ y[:, 0], W.T @ y[:, 0])
    assert dot_test(A).ok


@given(convolutions(modes=("zeros",)))
def test_zero_padded_convolutions_are_block_toeplitz_on_every_axis(c: Any) -> None:
    weight, shape, how = c
    outputs = conv_geometry(weight.shape, shape, **how).output_shape
    W = conv_matrix(weight, shape, **how, format="dense").reshape(*outputs, *shape)
    for axis, step in enumerate(how["stride"], start=1):
        first, rest = slice(None), [slice(None)] * W.ndim
        later, earlier = rest.copy(), rest.copy()
        later[axis], later[axis + len(outputs)] = slice(1, None), slice(step, None)
        earlier[axis], earlier[axis + len(outputs)] = slice(None, -1), slice(None, max(shape[axis] - step, 0))
        assert np.array_equal(W[tuple(later)], W[tuple(earlier)])
        assert W[first].shape == W.shape


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_circular_convolutions_are_doubly_block_circulant(height: int, width: int, seed: int) -> None:
    weight = integers(seed, 1, 1, min(3, height), min(3, width))
    padding = [(0, k - 1) for k in weight.shape[2:]]
    W = conv_matrix(weight, (1, height, width), padding=padding, padding_mode="circular", format="dense")
    W = W.reshape(height, width, height, width)
    assert np.array_equal(np.roll(W, (1, 1), (0, 2)), W)
    assert np.array_equal(np.roll(W, (1, 1), (1, 3)), W)


@given(convolutions(modes=("zeros",)))
def test_transposed_convolution_is_the_transpose(c: Any) -> None:
    weight, shape, how = c
    del how["padding_mode"]
    W = conv_matrix(weight, shape, **how)
    outputs = conv_geometry(weight.shape, shape, **how).output_shape
    reached = [(m - 1) * s - sum(p) + d * (k - 1) + 1 for m, s, p, d, k in _axes(outputs, how, weight)]
    missed = tuple(n - r for n, r in zip(shape[1:], reached, strict=True))
    if all(more < max(s, d) for more, s, d in zip(missed, how["stride"], how["dilation"], strict=True)):
        T = conv_transpose_matrix(weight, outputs, **how, output_padding=missed)
        assert (T != W.T).nnz == 0


def _axes(outputs: tuple[int, ...], how: dict[str, Any], weight: np.ndarray) -> Any:
    return zip(outputs[1:], how["stride"], how["padding"], how["dilation"], weight.shape[2:], strict=True)


def test_dot_test_notices_a_wrong_adjoint() -> None:
    W = conv_matrix(np.array([[[1.0, 2.0, 3.0]]]), (1, 6))

    class Wrong:
        """Claims that the correlation with the flipped kernel is its adjoint."""

        shape, dtype = W.shape, W.dtype
        T = conv_matrix(np.array([[[3.0, 2.0, 1.0]]]), (1, 6)).T

        def __matmul__(self, x: np.ndarray) -> np.ndarray:
            return W @ x

    assert not dot_test(Wrong()).ok


def test_dot_test_bounds_the_rounding_of_floats() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3))
    A, magnitudes = conv_operator(weight, (3, 8, 8)), conv_operator(abs(weight), (3, 8, 8))
    verdict = dot_test(A, magnitudes=magnitudes)
    assert verdict.ok
    assert 0 < verdict.bound < 1e-6 * abs(verdict.forward)
