"""A newcomer's mistakes: each is answered by an error of the family that says what was expected and what was got."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import algebraic_cnn
from algebraic_cnn import (
    AffineMap,
    Layer,
    LinearCNN,
    PrimeField,
    SkipRecursion,
    affine_map,
    avg_pool_matrix,
    border_classes,
    certify,
    collapse,
    collapse_onnx,
    conv_matrix,
    conv_operator,
    derive,
    dot_test,
    exact_map,
    pad_matrix,
    pixel_shuffle_matrix,
)
from algebraic_cnn.algebra.forms import Dense
from algebraic_cnn.algebra.symbolic import Skeleton
from algebraic_cnn.errors import (
    AlgebraicError,
    DataError,
    GeometryError,
    NonFiniteError,
    NotAffineError,
    ShapeError,
    TraceError,
    TrainingModeError,
    UnknownNameError,
)

X = torch.zeros(1, 1, 6, 6)
KERNEL = np.ones((1, 1, 3, 3))
EYE = AffineMap(np.eye(2), np.zeros(2), (2,), (2,))
LETTERS = np.array([["w"]], dtype=object)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 3)).eval()


def sick() -> nn.Module:
    model = network()
    model[2].bias.data[1] = float("nan")
    return model


MISTAKES: dict[str, tuple[Callable[[], Any], type[AlgebraicError], str]] = {
    "training mode": (lambda: collapse(network().train(), X), TrainingModeError, "expected model.eval()"),
    "NaN in a collapse": (lambda: collapse(sick(), X), NonFiniteError, "2.bias"),
    "NaN in a derivation": (lambda: derive(sick(), X), NonFiniteError, "2.bias"),
    "an activation": (lambda: derive(nn.Sequential(network(), nn.ReLU()).eval(), X), NotAffineError, "relu"),
    "another size": (lambda: collapse(network(), torch.zeros(1, 1, 9, 9)), TraceError, r"shape \(1, 1, 9, 9\)"),
    "no sample": (lambda: derive(network(), X[:0]), ShapeError, r"no sample.*\(0, 1, 6, 6\)"),
    "no sample to collapse": (lambda: collapse(network(), X[:0]), ShapeError, "no sample"),
    "no example": (lambda: collapse(network()), ShapeError, "a tensor or a tuple"),
    "a shape for an example": (lambda: collapse(network(), (1, 1, 6, 6)), ShapeError, "a tensor or a tuple"),
    "no model": (lambda: collapse(len, X), TraceError, "got builtin_function"),
    "no such method": (lambda: derive(network(), X, method="fast"), UnknownNameError, "'adjoint'.*got fast"),
    "no such level": (lambda: collapse(network(), X, certify="sure"), UnknownNameError, "'modular'.*got sure"),
    "no such level of a file": (lambda: collapse_onnx("a.onnx", certify=False), UnknownNameError, "got False"),
    "no such method of a file": (lambda: collapse_onnx("a.onnx", method="fast"), UnknownNameError, "got fast"),
    "no such dtype": (lambda: collapse(network(), X, dtype="float13"), UnknownNameError, "'float32'.*got float13"),
    "no floating dtype": (lambda: collapse(network(), X, dtype=torch.int8), UnknownNameError, "got int8"),
    "points in words": (lambda: certify(network(), network(), X, points="8"), ShapeError, "got '8'"),
    "no points": (lambda: certify(network(), network(), X, points=0), ShapeError, "got 0"),
    "a seed in words": (lambda: certify(network(), network(), X, seed="a"), ShapeError, "got 'a'"),
    "inputs in words": (lambda: certify(network(), network(), X, inputs="x"), ShapeError, "got str"),
    "a box that is none": (lambda: certify(network(), network(), X, level="bounded", box=3), ShapeError, "box"),
    "a region in words": (lambda: collapse(network(), X).region("0"), ShapeError, "0 to 0, got '0'"),
    "a region too many": (lambda: collapse(network(), X).region(9), ShapeError, "0 to 0, got 9"),
    "half an image size": (
        lambda: border_classes(nn.Conv2d(1, 1, 3).eval(), X).at(9), ShapeError, r"2 lengths, 1 at least, got \(9,\)",
    ),
    "another network": (
        lambda: certify(AffineMap.identity((2,)), AffineMap.identity((3,))), ShapeError, "differ in their shapes",
    ),
    "budget to derive": (lambda: derive(network(), X, memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget to collapse": (lambda: collapse(network(), X, memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget to certify": (
        lambda: certify(network(), network(), X, memory_budget=None), ShapeError, "budget.*got None",
    ),
    "budget over Q": (lambda: exact_map(network(), X, memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget of a matrix": (lambda: conv_matrix(KERNEL, (1, 6, 6), memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget of a pool": (lambda: avg_pool_matrix((1, 6), 2, memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget of a padding": (lambda: pad_matrix((1, 6), 2, memory_budget="4"), ShapeError, "budget.*got '4'"),
    "budget of a shuffle": (lambda: pixel_shuffle_matrix((4, 2, 2), 2, memory_budget={}), ShapeError, "budget.*got {}"),
    "budget of a module": (lambda: affine_map(nn.Flatten(), (1, 6), memory_budget="4"), ShapeError, "budget.*got '4'"),
    "operator on too little": (lambda: conv_operator(KERNEL, (1, 6, 6)) @ np.ones(3), ShapeError, r"\(36,\).*\(3,\)"),
    "operator on columns": (lambda: conv_operator(KERNEL, (1, 6, 6)) @ np.ones((3, 2)), ShapeError, r"got \(3, 2\)"),
    "its transpose": (lambda: conv_operator(KERNEL, (1, 6, 6)).T @ np.ones(36), ShapeError, r"\(16,\).*got \(36,\)"),
    "its adjoint": (lambda: conv_operator(KERNEL, (1, 6, 6)).H @ np.ones(36), ShapeError, r"\(16,\).*got \(36,\)"),
    "its rmatvec": (lambda: conv_operator(KERNEL, (1, 6, 6)).rmatvec(np.ones(36)), ShapeError, r"got \(36,\)"),
    "its rmatmat": (lambda: conv_operator(KERNEL, (1, 6, 6)).rmatmat(np.ones((36, 1))), ShapeError, r"got \(36, 1\)"),
    "nothing to test": (lambda: dot_test("W"), ShapeError, "got str"),
    "half a row": (lambda: EYE.row_image(1.0), ShapeError, "got 1.0"),
    "a row in words": (lambda: EYE.row_image("1"), ShapeError, "got '1'"),
    "a row too many": (lambda: EYE.row_image(2), ShapeError, "got 2"),
    "a length for a shape": (lambda: AffineMap(np.eye(2), np.zeros(2), 2, 2), ShapeError, "in_shape.*got 2"),
    "identity of a length": (lambda: AffineMap.identity(4), ShapeError, "got 4"),
    "lists for arrays": (lambda: AffineMap([[1.0]], [0.0], (1,), (1,)), ShapeError, "got list"),
    "a module of letters": (
        lambda: Dense.of(AffineMap(LETTERS, np.zeros(1), (1,), (1,))), ShapeError, "rational",
    ),
    "images of another size": (
        lambda: collapse(network(), X).model(torch.zeros(4, 1, 3, 3)), ShapeError, r"got \(4, 1, 3, 3\)",
    ),
    "one image without its batch": (lambda: collapse(network(), X).model(X[0]), ShapeError, r"got \(1, 6, 6\)"),
    "a module of no dtype": (lambda: EYE.to_module(dtype="number"), UnknownNameError, "got number"),
    "layers in words": (lambda: Skeleton.full("3"), ShapeError, "got '3'"),
    "half a layer": (lambda: Skeleton.full(2.5), ShapeError, "got 2.5"),
    "skips in words": (lambda: Skeleton(3, frozenset({("a", "b")})), ShapeError, "got .'a', 'b'."),
    "one module for layers": (lambda: LinearCNN((8,), nn.Linear(8, 2)), GeometryError, "got Linear"),
    "a length for an image": (lambda: LinearCNN(8, [nn.Linear(8, 2)]), ShapeError, "got 8"),
    "matrices as lists": (lambda: SkipRecursion([Layer([[1.0]])], {}), ShapeError, "got list"),
    "a modulus in words": (lambda: PrimeField("7"), ShapeError, "got '7'"),
    "an even modulus": (lambda: PrimeField(4), ShapeError, "got 4"),
    "no such file": (lambda: AffineMap.load("nothing.npz"), DataError, "nothing.npz"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake: str) -> None:
    do, error, words = MISTAKES[mistake]
    with pytest.raises(error, match=words):
        do()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = EYE.save(tmp_path / "map.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"map\.npz"):
        AffineMap.load(path)


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(AttributeError) as caught:
        algebraic_cnn.colapse  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("colapse", algebraic_cnn)


@pytest.mark.parametrize(("dtype", "expected"), [(None, 1 / 3), ("float64", 1 / 3), ("float32", np.float32(1 / 3))])
def test_a_module_of_fractions_has_the_nearest_floats(dtype: str | None, expected: float) -> None:
    thirds = AffineMap(np.array([[Fraction(1, 3)]], dtype=object), np.array([Fraction(0)], dtype=object), (1,), (1,))
    module = thirds.to_module(dtype=dtype)
    assert module.weight.item() == expected
    assert module.weight.dtype == getattr(torch, dtype or "float64")


def test_a_dtype_goes_by_its_name_too() -> None:
    by_name, itself = (collapse(network(), X, dtype=dtype).model for dtype in ("float64", torch.float64))
    assert by_name.weight.dtype == torch.float64
    assert torch.equal(by_name.weight, itself.weight)


def test_a_budget_may_be_any_number() -> None:
    assert derive(network(), X, memory_budget=1e9).W.shape == (3, 36)


def test_an_operator_that_says_no_still_says_yes() -> None:
    W, dense = conv_operator(KERNEL, (1, 6, 6)), conv_matrix(KERNEL, (1, 6, 6)).toarray()
    x, y = np.arange(36.0), np.arange(16.0)
    assert np.array_equal(W @ x, dense @ x)
    assert np.array_equal(W.T @ y, dense.T @ y)
    assert np.array_equal(W.H @ y[:, None], dense.T @ y[:, None])
    assert np.array_equal(W.matmat(np.stack([x, x], 1)), dense @ np.stack([x, x], 1))
    assert np.array_equal((2 * W) @ x, 2 * (dense @ x))
