"""The skip recursion against torch's own forward pass, in whole numbers that float64 carries exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from sympy import Symbol
from torch.nn.functional import conv2d

from algebraic_cnn import AffineMap, Layer, NonFiniteError, PrimeField, Rationals, ShapeError, Skip, SkipRecursion
from algebraic_cnn.rings.matrices import in_ring, multiple, total
from algebraic_cnn.toeplitz import bias_vector, conv_matrix, pad_matrix

RINGS = [None, Rationals(), PrimeField(65537)]


def whole(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.integers(-3, 4, shape).astype(np.float64)


@st.composite
def convolutional(draw: st.DrawFn) -> tuple[SkipRecursion, np.ndarray, np.ndarray]:
    """A recursion of convolutions, an input, and what torch says of it; zero padding is P, or part of W."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth, image = draw(st.integers(1, 4)), (3, 4)
    c = draw(st.lists(st.integers(1, 2), min_size=depth + 1, max_size=depth + 1))
    edges = [(k, i) for i in range(1, depth + 1) for k in range(i - 1) if draw(st.booleans())]
    x = whole(generator, c[0], *image)
    f, layers, skips = [torch.from_numpy(x)[None]], [], {}
    for i in range(1, depth + 1):
        K, b, fed = whole(generator, c[i], c[i - 1], 3, 3), whole(generator, c[i]), f[i - 1]
        for k in (k for k, j in edges if j == i):
            R, r, t = (
                whole(generator, c[i - 1], c[k], 1, 1),
                whole(generator, c[i - 1]),
                float(generator.integers(-2, 3)),
            )
            fed = fed + t * conv2d(f[k], torch.from_numpy(R), torch.from_numpy(r))
            skips[k, i] = Skip(t, conv_matrix(R, (c[k], *image)), bias_vector(r, (c[i - 1], *image)))
        f.append(conv2d(fed, torch.from_numpy(K), torch.from_numpy(b), padding=1))
        B = bias_vector(b, (c[i], *image))
        if draw(st.booleans()):
            layers.append(Layer(conv_matrix(K, (c[i - 1], *image), padding=1), b=B))
        else:
            P = pad_matrix((c[i - 1], *image), 1)
            layers.append(Layer(conv_matrix(K, (c[i - 1], 5, 6)), P, B))
    shapes = (c[0], *image), (c[depth], *image)
    return SkipRecursion(layers, skips, *shapes), x, f[depth][0].numpy()


@given(convolutional())
def test_forward_collapse_and_adjoint_are_torchs_forward_pass(example: tuple) -> None:
    f, x, y = example
    for image in (f.forward(x), f.collapse()(x), f.adjoint()(x), f.polynomial()(1.0)(x)):
        np.testing.assert_array_equal(image, y)
    np.testing.assert_array_equal(f.forward(np.stack([x, 0 * x, 2 * x]))[0], y)


@given(convolutional(), st.sampled_from(RINGS))
def test_collapse_and_adjoint_agree_exactly_over_every_ring(example: tuple, ring: Any) -> None:
    f, x, y = example
    over = ring or Rationals()
    g = f.collapse(over)
    assert g.exactly_equals(f.adjoint(over))
    assert (over.reduce(over.matmul(g.W, over.embed(x.ravel())) + g.b) == over.embed(y.ravel())).all()


def test_a_collapse_of_sparse_matrices_is_sparse_and_over_the_rationals_dense() -> None:
    f = SkipRecursion([Layer(sp.csr_array(np.eye(2)))] * 2, {(0, 2): Skip(0.5)})
    assert sp.issparse(f.collapse().W)
    assert f.collapse(Rationals()).W.dtype == object
    assert f.collapse(Rationals()).exactly_equals(f.collapse())


def test_the_edges_into_a_layer_come_in_order() -> None:
    f = SkipRecursion([Layer(np.eye(1))] * 3, {(1, 3): Skip(), (0, 3): Skip()})
    assert [k for k, _ in f.into(3)] == [0, 1, 2]
    assert [k for k, _ in f.into(1)] == [0]


TWO = Layer(np.ones((2, 3)))
MISFITS = {
    "no layer": lambda: SkipRecursion([]),
    "a skip backward": lambda: SkipRecursion([TWO], {(1, 1): Skip()}),
    "a skip from nowhere": lambda: SkipRecursion([TWO], {(-1, 1): Skip()}),
    "a skip beyond the end": lambda: SkipRecursion([TWO], {(0, 2): Skip()}),
    "layers that do not meet": lambda: SkipRecursion([TWO, TWO]),
    "a skip of the wrong size": lambda: SkipRecursion([TWO, Layer(np.ones((1, 2)))], {(0, 2): Skip()}),
    "R of the wrong width": lambda: SkipRecursion([TWO, Layer(np.ones((1, 2)))], {(0, 2): Skip(1.0, np.ones((2, 2)))}),
    "P of the wrong height": lambda: SkipRecursion([Layer(np.ones((2, 3)), np.ones((4, 3)))]),
    "b of the wrong length": lambda: SkipRecursion([Layer(np.ones((2, 3)), b=np.ones(3))]),
    "r of the wrong length": lambda: SkipRecursion([TWO], {(0, 1): Skip(r=np.ones(1))}),
    "W that is a list": lambda: SkipRecursion([Layer([[1.0]])]),
    "W that is a vector": lambda: SkipRecursion([Layer(np.ones(3))]),
    "W that is a tensor": lambda: SkipRecursion([Layer(torch.ones(2, 3))]),
    "no W": lambda: SkipRecursion([Layer(None)]),
    "b that is a matrix": lambda: SkipRecursion([Layer(np.ones((1, 3)), b=np.ones((1, 1)))]),
    "R that is a number": lambda: SkipRecursion([TWO], {(0, 1): Skip(R=2.0)}),
    "symbols among the floats": lambda: SkipRecursion([Layer(np.array([[Symbol("w")]]))]).collapse(),
    "symbols among the rationals": lambda: SkipRecursion([Layer(np.array([[Symbol("w")]]))]).collapse(Rationals()),
    "an input shape that does not fit": lambda: SkipRecursion([TWO], in_shape=(2, 2)),
    "an output shape that does not fit": lambda: SkipRecursion([TWO], out_shape=(3,)),
    "an input of the wrong shape": lambda: SkipRecursion([TWO]).forward(np.ones(4)),
}


@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_is_refused(misfit) -> None:
    with pytest.raises(ShapeError):
        misfit()


@pytest.mark.parametrize("ring", [None, Rationals()])
@pytest.mark.parametrize("entry", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [float, object])
def test_what_is_not_finite_is_refused(ring: Any, entry: float, kind: type) -> None:
    with pytest.raises(NonFiniteError):
        SkipRecursion([Layer(np.array([[entry]], dtype=kind))]).collapse(ring)


def test_matrices_over_a_ring() -> None:
    F, A = PrimeField(7), sp.csr_array(np.array([[0.0, 5.0], [10.0, 0.0]]))
    np.testing.assert_array_equal(in_ring(A, F).toarray(), [[0, -2], [3, 0]])
    np.testing.assert_array_equal(multiple(3.0, in_ring(A, F), F).toarray(), [[0, 1], [2, 0]])
    np.testing.assert_array_equal(total(None, A, F).toarray(), A.toarray())
    np.testing.assert_array_equal(total(in_ring(A, F), in_ring(A, F), F).toarray(), [[0, 3], [-1, 0]])


def test_three_layers_with_one_skip_have_two_paths_and_a_word_for_each() -> None:
    layers = [Layer(sp.eye_array(1, format="csr"), None, None)] * 3
    recursion = SkipRecursion(layers, {(0, 2): Skip(1.0, None)})
    assert set(recursion.paths()) == {(0, 1, 2, 3), (0, 2, 3)}
    assert recursion.count_paths() == 2
    formula = recursion.latex("W")
    assert formula.count("W^{(3)} W^{(2)}") == 2
    assert formula.count("W^{(1)}") == 1


def test_matrices_maps_and_numbers_are_layers_and_skips() -> None:
    A, R, b = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, -1.0])
    short = SkipRecursion([A, AffineMap(A, b)], {(0, 2): R, (1, 2): 2.0})
    long = SkipRecursion([Layer(A), Layer(A, b=b)], {(0, 2): Skip(R=R), (1, 2): Skip(2.0)})
    assert short.collapse().exactly_equals(long.collapse())
    assert short.forward(np.array([1.0, 0.0])).tolist() == [11.0, -1.0]  # A (2 (2, 0) + (1, 0)) + b, by hand
    f = SkipRecursion([A, A], {(0, 2): AffineMap(R, b)})
    assert f.collapse().b.tolist() == (A @ b).tolist()
    with pytest.raises(ShapeError, match="skip"):
        SkipRecursion([A, A], {(0, 2): "identity"})
