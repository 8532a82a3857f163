"""Writing out W for 14 layers with all skips, 8192 words: the polynomial ring, with and without python-flint, SymPy's
noncommutative ``expand`` on the nested formula, and counting alone.

    pytest tests/benchmarks/test_expansion.py
"""

from __future__ import annotations

from typing import Any

import pytest

from algebraic_cnn.algebra.symbolic import Skeleton, expand, to_latex, to_sympy

DEPTH = 14
WORDS = 2 ** (DEPTH - 1)


@pytest.mark.parametrize("backend", ["flint", "sympy"])
def test_words_by_a_polynomial_ring(benchmark: Any, backend: Any) -> None:
    assert len(benchmark(expand, Skeleton.full(DEPTH), "W", backend=backend)) == WORDS


def test_words_as_a_sympy_expression(benchmark: Any) -> None:
    assert len(benchmark(to_sympy, Skeleton.full(DEPTH), "W").args) == WORDS


def test_words_as_latex(benchmark: Any) -> None:
    assert benchmark(to_latex, Skeleton.full(DEPTH), "W").count(" + ") == WORDS - 1


def test_words_by_expanding_noncommuting_symbols(benchmark: Any) -> None:
    from sympy import Symbol
    from sympy import expand as expand_symbols

    def expanded() -> Any:
        f: list[Any] = [1]
        for i in range(1, DEPTH + 1):
            W, P = Symbol(f"W{i}", commutative=False), Symbol(f"P{i}", commutative=False)
            skips = [Symbol(f"t{k}_{i}") * Symbol(f"R{k}_{i}", commutative=False) * f[k] for k in range(i - 1)]
            f.append(W * P * sum(skips, f[i - 1]))
        return expand_symbols(f[-1])

    assert len(benchmark.pedantic(expanded, rounds=1).args) == WORDS


def test_counting_the_paths_of_a_thousand_layers(benchmark: Any) -> None:
    skeleton = Skeleton.full(1000)
    assert benchmark(skeleton.count_paths) == 2**999
