"""The expansion against brute force: subsets of layers, powers of a matrix, matrices put in, SymPy's own printer."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from functools import reduce
from itertools import chain, combinations
from math import prod
from operator import matmul

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Add, Mul, Pow, Symbol, diff, expand, latex

from algebraic_cnn import MissingExtraError, Rationals, ShapeError, TooLargeError, UnknownNameError
from algebraic_cnn.algebra.symbolic import Skeleton, Term, expansion_table, to_latex, to_sympy
from algebraic_cnn.algebra.symbolic import expand as expand_words
from algebraic_cnn.algebra.symbolic.display import summands
from algebraic_cnn.algebra.symbolic.expansion import alphabet, backward, forward, read
from algebraic_cnn.algebra.symbolic.skeleton import steps
from proofs.instances import all_skips, recursion


@st.composite
def skeletons(draw: st.DrawFn, largest: int = 6) -> Skeleton:
    depth = draw(st.integers(1, largest))
    some = st.frozensets(st.sampled_from(all_skips(depth))) if depth > 1 else st.just(frozenset())
    layers = st.frozensets(st.integers(1, depth))
    skips = draw(some)
    edges = sorted(skips | {(i - 1, i) for i in range(1, depth + 1)})
    lettered = st.frozensets(st.sampled_from(edges))
    return Skeleton(depth, skips, draw(layers), draw(layers), draw(lettered), draw(lettered), draw(lettered))


def brute_force_paths(skeleton: Skeleton, source: int) -> list[tuple[int, ...]]:
    if source == skeleton.depth:
        return [(source,)]
    between = range(source + 1, skeleton.depth)
    subsets = chain.from_iterable(combinations(between, n) for n in range(len(between) + 1))
    candidates = [(source, *subset, skeleton.depth) for subset in subsets]
    return sorted(p for p in candidates if all(i == k + 1 or (k, i) in skeleton.skips for k, i in steps(p)))


@given(skeletons(), st.data())
def test_paths_are_those_subsets_of_layers_whose_steps_are_edges(skeleton: Skeleton, data: st.DataObject) -> None:
    source = data.draw(st.integers(0, skeleton.depth))
    assert list(skeleton.paths(source)) == brute_force_paths(skeleton, source)


@given(skeletons(largest=12), st.data())
def test_paths_are_counted_by_the_powers_of_the_adjacency_matrix(skeleton: Skeleton, data: st.DataObject) -> None:
    source = data.draw(st.integers(0, skeleton.depth))
    N = np.zeros((skeleton.depth + 1,) * 2, dtype=int)
    for k, i in skeleton.edges:
        N[k, i] = 1
    powers = sum(np.linalg.matrix_power(N, m) for m in range(skeleton.depth + 1))
    assert skeleton.count_paths(source) == powers[source, skeleton.depth]


def test_a_thousand_layers_are_counted_and_not_listed() -> None:
    assert Skeleton.full(1000).count_paths() == 2**999
    assert Skeleton.full(1000, skips=[]).count_paths() == 1
    with pytest.raises(TooLargeError, match=str(2**999)):
        expand_words(Skeleton.full(1000), "W")


def test_fourteen_layers_with_all_skips_have_8192_words() -> None:
    skeleton = Skeleton.full(14)
    assert [term.path for term in expand_words(skeleton, "W", backend="sympy")] == list(skeleton.paths())
    assert len(to_sympy(skeleton, "W").args) == 8192


@given(skeletons(), st.sampled_from(["f", "W", "B"]))
def test_words_are_paths_from_every_start_whatever_the_backend_or_the_direction(skeleton: Skeleton, part) -> None:
    places = [] if part == "B" else [(0, 0)]
    places += [] if part == "W" else [*((s, s) for s in skeleton.biased), *skeleton.shifted]
    expected = sorted(Term(place, path) for place in places for path in brute_force_paths(skeleton, place[1]))
    for backend in ("flint", "sympy"):
        assert expand_words(skeleton, part, backend=backend) == expected
        letters = alphabet(skeleton, part, backend)
        assert forward(skeleton, letters) == backward(skeleton, letters)
        assert read(backward(skeleton, letters), letters) == expected


def test_wrong_names_and_missing_extras_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError):
        expand_words(Skeleton.full(2), "C")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError):
        expand_words(Skeleton.full(2), backend="maple")  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(MissingExtraError):
        expand_words(Skeleton.full(2), backend="flint")
    assert expand_words(Skeleton.full(2)) == expand_words(Skeleton.full(2), backend="sympy")


@pytest.mark.parametrize("build", [lambda: Skeleton(0), lambda: Skeleton(2, frozenset([(2, 2)])),
                                   lambda: Skeleton.full(2, [(0, 3)]), lambda: Skeleton.full(2).count_paths(3),
                                   lambda: list(Skeleton.full(2).paths(-1))])  # fmt: skip
def test_what_is_no_recursion_is_refused(build) -> None:
    with pytest.raises(ShapeError):
        build()


def evaluated(expression: object, numbers: dict[str, np.ndarray]) -> np.ndarray:
    """A SymPy expression with matrices for its symbols: sums, products in their order, powers of scalars."""
    if isinstance(expression, Symbol):
        return numbers[expression.name]
    if isinstance(expression, Add):
        return sum(evaluated(term, numbers) for term in expression.args)
    if isinstance(expression, Pow):
        return evaluated(expression.base, numbers) ** int(expression.exp)
    assert isinstance(expression, Mul), expression
    scalars = [evaluated(factor, numbers) for factor in expression.args if factor.is_commutative]
    matrices = [evaluated(factor, numbers) for factor in expression.args if not factor.is_commutative]
    return reduce(matmul, matrices) * prod(scalars)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_expression_is_the_collapse_when_matrices_are_put_in(seed: int, depth: int) -> None:
    f, Q = recursion(np.random.default_rng(seed), depth), Rationals()
    x = Q.embed(np.random.default_rng(seed).integers(-3, 4, f.sizes[0]))
    numbers = {"X": x}
    for i, layer in enumerate(f.layers, 1):
        numbers |= {f"W^({i})": Q.embed(layer.W), f"P^({i})": Q.embed(layer.P), f"B^({i})": Q.embed(layer.b)}
    for (k, i), skip in f.skips.items():
        numbers |= {f"{kind}^({k},{i - 1})": Q.embed(getattr(skip, kind)) for kind in "Rr"}
        numbers[f"t^({k},{i - 1})"] = Fraction(skip.t)
    g = f.collapse(Q)
    np.testing.assert_array_equal(evaluated(f.expand("W"), numbers), g.W)
    np.testing.assert_array_equal(evaluated(f.expand("B"), numbers), g.b)
    np.testing.assert_array_equal(evaluated(f.expand(), numbers), f.forward(x, Q))
    assert len(Add.make_args(f.expand("W"))) == f.count_paths()


@given(skeletons(), st.sampled_from(["f", "W", "B"]), st.booleans())
def test_the_expression_is_already_expanded_and_in_sympys_order(skeleton: Skeleton, part, one_strength: bool) -> None:
    expression = to_sympy(skeleton, part, one_strength=one_strength)
    assert expression == expand(expression)


@given(skeletons(largest=5))
def test_latex_is_what_sympy_prints_for_each_word(skeleton: Skeleton) -> None:
    words = [latex(word) for word in Add.make_args(to_sympy(skeleton, "W"))]
    assert sorted(summands(skeleton, "W")) == sorted(words)


def test_the_formulas_of_three_layers_are_those_of_the_paper() -> None:
    skeleton = Skeleton.full(3)
    assert to_latex(skeleton, "B") == (
        "B = (W^{(3)} P^{(3)} W^{(2)} P^{(2)} + t^{(1,2)} W^{(3)} P^{(3)} R^{(1,2)}) B^{(1)}"
        " + W^{(3)} P^{(3)} B^{(2)} + B^{(3)}"
    )
    assert to_latex(skeleton, "W", one_strength=True) == (
        "W(t) = W^{(3)} P^{(3)} W^{(2)} P^{(2)} W^{(1)} P^{(1)} + t (W^{(3)} P^{(3)} R^{(1,2)} W^{(1)} P^{(1)}"
        " + W^{(3)} P^{(3)} W^{(2)} P^{(2)} R^{(0,1)} + W^{(3)} P^{(3)} R^{(0,2)})"
    )
    assert (
        to_latex(Skeleton(2, frozenset([(0, 2)])), "f")
        == r"f^{(2)}(X) = (W^{(2)} W^{(1)} + W^{(2)}) \operatorname{vec}\,X"
    )
    assert to_latex(Skeleton(2), "B") == "B = 0"
    shifted = Skeleton(
        2, frozenset([(0, 2)]), biased=frozenset([2]), scaled=frozenset([(0, 2)]), shifted=frozenset([(0, 2)])
    )
    assert to_latex(shifted, "B") == "B = t^{(0,1)} W^{(2)} r^{(0,1)} + B^{(2)}"
    assert to_latex(shifted, "B", one_strength=True) == "B(t) = t W^{(2)} r^{(0,1)} + B^{(2)}"


@given(st.integers(1, 8))
def test_one_strength_gives_a_polynomial_of_degree_half_the_depth(depth: int) -> None:
    W, t = to_sympy(Skeleton.full(depth), "W", one_strength=True), Symbol("t")
    degree = depth // 2
    assert diff(W, t, degree) != 0
    assert diff(W, t, degree + 1) == 0


def test_the_table_has_a_row_for_each_word_and_is_json() -> None:
    rows = expansion_table(4, skips=[(0, 2), (1, 4)])
    assert json.loads(json.dumps(rows)) == rows
    paths = Skeleton.full(4, [(0, 2), (1, 4)])
    assert len(rows) == sum(paths.count_paths(s) for s in range(5))
    assert rows[0] == {"start": "X", "path": [0, 1, 2, 3, 4], "skips": 0, "strength": "1",
                       "word": "W^(4) P^(4) W^(3) P^(3) W^(2) P^(2) W^(1) P^(1)"}  # fmt: skip
    assert rows[-1] == {"start": "B^(4)", "path": [4], "skips": 0, "strength": "1", "word": "1"}
    assert {row["strength"] for row in rows} == {"1", "t^(0,1)", "t^(1,3)"}
