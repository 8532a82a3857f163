"""Integers of every width, unsigned ones and truth values: entries and products are Python's, nothing wraps."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator

from algebraic_cnn import (
    AffineMap,
    AlgebraicError,
    ShapeError,
    bias_vector,
    conv_matrix,
    conv_operator,
    conv_transpose_matrix,
    dot_test,
)

DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.bool_]
MODES = ["zeros", "reflect", "replicate", "circular"]


def drawn(dtype: Any, seed: int, *shape: int) -> np.ndarray:
    """Entries at both ends of the dtype's range and between."""
    random = np.random.default_rng(seed)
    if dtype == np.bool_:
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    ends = np.array([limits.min, limits.max, limits.max - 1, 0, 1], dtype=dtype)
    return random.choice(ends, shape)


def by_hand(weight: np.ndarray, n: int, padding: int, mode: str) -> list[list[int]]:
    """The matrix of a convolution on one axis, in Python's integers."""
    w = [[int(v) for v in row] for row in weight[:, 0].tolist()]
    names: Any = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    source = np.pad(np.arange(n) + 1, padding, mode=names[mode])
    rows = []
    for kernel in w:
        for o in range(n + 2 * padding - len(kernel) + 1):
            row = [0] * n
            for tap, value in enumerate(kernel):
                if source[o + tap]:
                    row[source[o + tap] - 1] += value
            rows.append(row)
    return rows


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@given(st.integers(0, 2**32 - 1))
def test_sums_of_taps_are_those_of_integers(dtype: Any, mode: str, seed: int) -> None:
    weight = drawn(dtype, seed, 2, 1, 3)
    expected = by_hand(weight, 4, 2, mode)
    assert conv_matrix(weight, (1, 4), padding=2, padding_mode=mode, format="dense").tolist() == expected
    W = conv_operator(weight, (1, 4), padding=2, padding_mode=mode)
    x, y = drawn(dtype, seed + 1, 4), drawn(dtype, seed + 2, W.shape[0])
    assert (W @ x).tolist() == [sum(a * int(b) for a, b in zip(row, x, strict=True)) for row in expected]
    columns = zip(*expected, strict=True)
    assert (W.T @ y).tolist() == [sum(a * int(b) for a, b in zip(column, y, strict=True)) for column in columns]
    assert dot_test(W, seed=seed).ok


def test_the_entry_that_wrapped() -> None:
    weight = np.full((1, 1, 3), 100, np.int8)
    assert conv_matrix(weight, (1, 2), padding=1, padding_mode="replicate")[0, 0] == 200
    assert conv_matrix(torch.from_numpy(weight), (1, 2), padding=1, padding_mode="replicate")[0, 0] == 200


def test_sums_beyond_int64_are_pythons_or_refused() -> None:
    weight = np.full((1, 1, 3), 2**62, np.int64)
    options = {"padding": 1, "padding_mode": "replicate"}
    assert conv_matrix(weight, (1, 1), format="dense", **options).tolist() == [[3 * 2**62]]
    assert conv_matrix(weight, (1, 1), format="sympy", **options)[0, 0] == 3 * 2**62
    with pytest.raises(ShapeError, match="Python objects"):
        conv_matrix(weight, (1, 1), **options)
    assert conv_matrix(weight, (1, 3)).dtype == np.int64
    assert conv_matrix(np.full((1, 1, 1), 2**64 - 1, np.uint64), (1, 2), format="dense")[1, 1] == 2**64 - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_entries_do_not_wrap_either(dtype: Any) -> None:
    weight = drawn(dtype, 3, 1, 1, 3)
    transposed = conv_transpose_matrix(weight, (1, 3), format="dense")
    assert transposed[:3, 0].tolist() == weight[0, 0].tolist()
    assert bias_vector(weight[0, 0], (3, 2)).tolist() == [int(v) for v in weight[0, 0] for _ in range(2)]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.bool_])
@pytest.mark.parametrize("sparse", [False, True])
def test_maps_of_short_integers_compose_without_wrapping(dtype: Any, sparse: bool) -> None:
    W = drawn(dtype, 5, 3, 3)
    f = AffineMap(sp.csr_array(W) if sparse else W, W[0].copy(), (3,), (3,))
    exact = [[int(v) for v in row] for row in W.tolist()]
    squared = [[sum(exact[i][k] * exact[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    assert (f @ f).to("dense").W.tolist() == squared
    assert (f + f).to("dense").W.tolist() == [[2 * v for v in row] for row in exact]
    assert f(W[1]).tolist() == [sum(a * b for a, b in zip(row, exact[1], strict=True)) + c
                                for row, c in zip(exact, exact[0], strict=True)]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("mode", MODES)
def test_operators_with_float_entries_pass_the_dot_test(mode: str, seed: int) -> None:
    weight = np.random.default_rng(seed).standard_normal((2, 1, 3, 3))
    W = conv_operator(weight, (1, 8, 8), padding=1, padding_mode=mode)
    matrix = conv_matrix(weight, (1, 8, 8), padding=1, padding_mode=mode)
    for operator in (W, W.T, matrix, matrix.toarray(), aslinearoperator(matrix), aslinearoperator(W)):
        found = dot_test(operator, seed=seed)
        assert found.ok
        assert 0 < found.bound < 1e-8


class Wrong:
    """An operator whose transpose is off by a little in one entry."""

    def __init__(self, matrix: np.ndarray, by: float) -> None:
        self.matrix, self.by, self.shape, self.dtype = matrix, by, matrix.shape, matrix.dtype

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        return self.matrix @ x

    @property
    def T(self) -> np.ndarray:
        other = self.matrix.T.copy()
        other[0, 0] += self.by
        return other


def test_a_wrong_adjoint_is_found() -> None:
    matrix = np.random.default_rng(0).standard_normal((5, 7))
    assert all(dot_test(Wrong(matrix, 0.0), seed=seed).ok for seed in range(9))
    assert not all(dot_test(Wrong(matrix, 1e-9), seed=seed).ok for seed in range(9))
    whole = np.rint(matrix * 9)
    assert dot_test(whole).bound == 0.0
    assert not all(dot_test(Wrong(whole, 1e-9), seed=seed).ok for seed in range(9))


EMPTY = [*product([(1, 0), (1, 3)], [(0, 1, 1), (2, 1, 0)]), ((1, 0), (2, 1, 1)), ((0, 3), (2, 0, 1))]


@pytest.mark.parametrize("shape, weights", EMPTY)
def test_empty_convolutions_are_refused_in_our_words(shape: tuple[int, int], weights: tuple[int, ...]) -> None:
    for make in (conv_operator, conv_matrix, conv_transpose_matrix):
        with pytest.raises(AlgebraicError):
            make(np.ones(weights, np.int8), shape)


def test_an_empty_matrix_has_an_adjoint() -> None:
    for shape in ((0, 3), (3, 0)):
        assert dot_test(np.zeros(shape)).ok
        assert dot_test(aslinearoperator(np.zeros(shape))).ok
