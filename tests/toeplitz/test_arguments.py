"""Arguments in any spelling make one matrix; what is no argument is refused in our words, whatever the function."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import nn

import algebraic_cnn.toeplitz
from algebraic_cnn import AlgebraicError, NonFiniteError, NotAffineError, ShapeError

# Wrong types are the point here, so the type checker is not asked.
T: Any = algebraic_cnn

K = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
IMAGE = (1, 5, 4)

SPELLINGS: dict[str, list[Callable[[], Any]]] = {
    "stride": [
        lambda s=s: T.conv_matrix(K, IMAGE, stride=s, padding=1)
        for s in (2, (2, 2), [2], np.int64(2), np.array(2), np.array([2, 2]), torch.tensor(2), torch.tensor([2, 2]))
    ],
    "padding": [
        lambda p=p: T.conv_matrix(K, IMAGE, padding=p)
        for p in ("same", 1, (1,), True, [1, 1], [(1, 1), (1, 1)], [[1, 1], [1, 1]], np.ones((2, 2), int),
                  [np.array([1, 1]), (1, 1)], torch.ones(2, 2, dtype=torch.int64))
    ],
    "unequal padding": [
        lambda p=p: T.pad_matrix(IMAGE, p)
        for p in ([(1, 0), (2, 1)], np.array([[1, 0], [2, 1]]), [(0, 0), (1, 0), (2, 1)],
                  np.array([[0, 0], [1, 0], [2, 1]]))
    ],
    "groups": [lambda g=g: T.conv_matrix(K, IMAGE, groups=g) for g in (1, np.int32(1), torch.tensor(1), True)],
    "shape": [
        lambda s=s: T.conv_matrix(K, s)
        for s in (IMAGE, list(IMAGE), np.array(IMAGE), torch.tensor(IMAGE), torch.zeros(IMAGE).shape)
    ],
    "kernel of a pool": [
        lambda k=k, s=s: T.avg_pool_matrix((1, 4, 4), k, stride=s)
        for k, s in ((2, None), ([2, 2], ()), (np.array([2, 2]), []), (torch.tensor(2), np.array([2, 2])))
    ],
    "divisor": [
        lambda d=d: T.avg_pool_matrix((1, 4, 4), 2, divisor_override=d) for d in (3, np.int64(3), torch.tensor(3))
    ],
    "output size": [
        lambda m=m: T.adaptive_avg_pool_matrix((1, 4, 4), m)
        for m in (2, (2, 2), np.array([2, 2]), torch.tensor([2, 2]))
    ],
    "scale factor": [
        lambda f=f: T.interpolate_matrix((1, 3, 3), scale_factor=f)
        for f in (2, 2.0, Fraction(2), np.float32(2), (2.0, 2), np.array([2.0, 2.0]))
    ],
    "shuffle": [lambda r=r: T.pixel_shuffle_matrix((4, 2, 2), r) for r in (2, np.int64(2), torch.tensor(2))],
    "fold": [
        lambda size=size, k=k: T.fold_matrix((4, 9), size, k)
        for size, k in ((4, 2), ((4, 4), [2]), (np.array([4, 4]), np.array([2, 2])), (torch.tensor(4), 2))
    ],
}  # fmt: skip


@pytest.mark.parametrize("spellings", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_makes_the_same_matrix(spellings: list[Callable[[], Any]]) -> None:
    first, *others = [spelling().toarray() for spelling in spellings]
    assert first.any()
    for other in others:
        assert np.array_equal(first, other)


BAD_SHAPES = [5, "144", (1, 4.5, 4), (1, -4, 4), (), None, [[1, 4, 4]]]
ON_SHAPES: dict[str, Callable[[Any], Any]] = {
    "conv": lambda s: T.conv_matrix(K, s),
    "operator": lambda s: T.conv_operator(K, s),
    "transposed": lambda s: T.conv_transpose_matrix(K, s),
    "avg_pool": lambda s: T.avg_pool_matrix(s, 2),
    "adaptive": lambda s: T.adaptive_avg_pool_matrix(s, 2),
    "pad": lambda s: T.pad_matrix(s, 1),
    "interpolate": lambda s: T.interpolate_matrix(s, size=2),
    "pixel_shuffle": lambda s: T.pixel_shuffle_matrix(s, 1),
    "pixel_unshuffle": lambda s: T.pixel_unshuffle_matrix(s, 1),
    "channel_shuffle": lambda s: T.channel_shuffle_matrix(s, 1),
    "unfold": lambda s: T.unfold_matrix(s, 1),
    "fold": lambda s: T.fold_matrix(s, 2, 1),
    "bias": lambda s: T.bias_vector([1.0], s),
    "module": lambda s: T.affine_map(nn.Conv2d(1, 1, 1), s),
}


@pytest.mark.parametrize("function", ON_SHAPES.values(), ids=ON_SHAPES)
@pytest.mark.parametrize("shape", BAD_SHAPES, ids=str)
def test_what_is_no_shape_is_refused(function: Callable[[Any], Any], shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"no shape.*got"):
        function(shape)


BAD_NUMBERS = ["2", 2.5, None, -2, [2, 2, 2], {}, "same as ever"]
ON_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "stride": lambda n: T.conv_matrix(K, IMAGE, stride=n),
    "padding": lambda n: T.conv_matrix(K, IMAGE, padding=n),
    "dilation": lambda n: T.conv_operator(K, IMAGE, dilation=n),
    "groups": lambda n: T.conv_matrix(K, IMAGE, groups=n),
    "groups of an operator": lambda n: T.conv_operator(K, IMAGE, groups=n),
    "output_padding": lambda n: T.conv_transpose_matrix(K, IMAGE, output_padding=n),
    "kernel_size": lambda n: T.avg_pool_matrix(IMAGE, n),
    "pad": lambda n: T.pad_matrix(IMAGE, n),
    "scale_factor": lambda n: T.interpolate_matrix(IMAGE, scale_factor=-2 if n == 2.5 else n),
    "upscale_factor": lambda n: T.pixel_shuffle_matrix((4, 2, 2), n),
    "downscale_factor": lambda n: T.pixel_unshuffle_matrix((1, 4, 4), n),
    "channel groups": lambda n: T.channel_shuffle_matrix((4, 2), n),
    "kernel to fold": lambda n: T.fold_matrix((4, 9), 4, n),
    "size": lambda n: T.interpolate_matrix(IMAGE, size=n),
    "format": lambda n: T.conv_matrix(K, IMAGE, format=n),
    "padding_mode": lambda n: T.conv_matrix(K, IMAGE, padding_mode=n),
}


@pytest.mark.parametrize("function", ON_NUMBERS.values(), ids=ON_NUMBERS)
@pytest.mark.parametrize("number", BAD_NUMBERS, ids=str)
def test_what_is_no_such_number_is_refused(function: Callable[[Any], Any], number: Any) -> None:
    with pytest.raises(AlgebraicError, match=r"\[at "):
        function(number)


@pytest.mark.parametrize("divisor", ["2", 2.5, [2]])
def test_what_is_no_divisor_is_refused(divisor: Any) -> None:
    with pytest.raises(AlgebraicError, match="divisor_override"):
        T.avg_pool_matrix(IMAGE, 2, divisor_override=divisor)


@pytest.mark.parametrize("weight, format, error", [
    (np.array([[["a", "b"]]]), "csr", ShapeError),
    ([[[1.0, 2.0], [1.0]]], "csr", ShapeError),
    (np.array([[["x + 1", 2]]], dtype=object), "sympy", ShapeError),
    (np.array([[[np.nan, 2.0]]]), "sympy", NonFiniteError),
    (np.array([[[np.inf, 2.0]]]), "domain", NonFiniteError),
    (np.array([[[complex(0, np.inf), 2.0]]]), "sympy", NonFiniteError),
    (np.array([[[sympy.Symbol("w"), 2]]]), "torch_coo", ShapeError),
])  # fmt: skip
def test_what_is_no_weight_is_refused(weight: Any, format: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        T.conv_matrix(weight, (1, 4), format=format)


@pytest.mark.parametrize("mistake, error", [
    (lambda: T.toeplitz.convert([[1.0]], "csr"), ShapeError),
    (lambda: T.toeplitz.convert(np.ones(3), "csr"), ShapeError),
    (lambda: T.toeplitz.convert(torch.eye(2), "dense"), ShapeError),
    (lambda: T.pad_matrix(IMAGE, 1, dtype=torch.float32), AlgebraicError),
    (lambda: T.affine_map(abs, (2,)), NotAffineError),
    (lambda: T.affine_map(nn.BatchNorm2d(2).eval(), (2,)), ShapeError),
    (lambda: T.affine_map(nn.AvgPool2d(2), (5,)), ShapeError),
    (lambda: T.affine_map(nn.Unflatten(1, (2, 3)), (5,)), ShapeError),
])  # fmt: skip
def test_mistakes_are_refused(mistake: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        mistake()


@pytest.mark.parametrize("matrix", [T.conv_matrix, T.conv_transpose_matrix, T.conv_operator])
def test_a_module_is_pointed_to_affine_map(matrix: Any) -> None:
    with pytest.raises(ShapeError, match=r"affine_map\(module, input_shape\)"):
        matrix(torch.nn.Conv2d(1, 1, 2), (1, 3, 3))
