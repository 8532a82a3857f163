"""Ranks and kernels against products of known rank and against SymPy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.varieties.elimination import BLOCK, PANEL, kernel, rank
from algebraic_cnn.rings.prime_field import PrimeField

F = PrimeField(8388593)


@pytest.mark.parametrize(
    ("m", "n", "r"), [(5, 4, 3), (1, 9, 1), (9, 1, 1), (200, 150, 80), (150, 200, 150), (300, 600, 290)]
)
def test_the_rank_of_a_product_is_its_inner_length(m: int, n: int, r: int) -> None:
    generator = np.random.default_rng(m)
    left, right = (F.embed(generator.integers(0, F.p, shape)) for shape in ((m, r), (r, n)))
    matrix = F.matmul(left, right)
    assert rank(matrix.copy(), F) == r
    if r < min(m, n):
        wider = F.matmul(left, right)
        wider[0, 0] = F.reduce(wider[0, 0] + 1)
        assert rank(wider, F) == r + 1


def test_columns_without_pivots_are_passed_over() -> None:
    matrix = np.zeros((3, 2 * PANEL + 2))
    matrix[0, 1], matrix[2, PANEL + 3], matrix[1, -1] = 1, -2, 5
    assert rank(matrix, F) == 3
    wide = np.zeros((9, 2 * BLOCK + 2))
    wide[range(4), [1, PANEL, BLOCK, 2 * BLOCK]] = 1, 2, -3, 4
    wide[4:8] = wide[:4] * 5
    wide[8] = wide[:4].sum(axis=0)
    assert rank(wide.copy(), F) == 4
    wide[8, -1] = 1
    assert rank(wide, F) == 5
    assert rank(np.zeros((4, 4)), F) == 0


@given(st.integers(0, 10**9))
def test_ranks_are_those_of_sympy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    small = generator.integers(-2, 3, generator.integers(1, 6, 2))
    field = PrimeField(7)
    domain = sympy.polys.matrices.DomainMatrix.from_list(small.tolist(), sympy.GF(7))
    assert rank(field.embed(small), field) == domain.rank()


@given(st.integers(0, 10**9))
def test_kernels_are_those_of_sympy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    equations = generator.integers(-2, 3, generator.integers(1, 6, 2))
    rows = [{i: Fraction(int(v)) for i, v in enumerate(row) if v} for row in equations]
    basis = kernel(rows, equations.shape[1])
    dense = sympy.Matrix([[vector.get(i, 0) for i in range(equations.shape[1])] for vector in basis])
    assert len(basis) == equations.shape[1] - sympy.Matrix(equations).rank()
    assert not basis or (dense.rank() == len(basis) and (sympy.Matrix(equations) * dense.T).is_zero_matrix)
