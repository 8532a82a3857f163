"""A map as a module: the same numbers, exactly; saved, exported, trained further."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn import AffineMap, Dense, conv_matrix, derive
from algebraic_cnn.errors import ShapeError


def whole(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Small integers, most of them 0."""
    drawn = np.random.default_rng(seed)
    return drawn.integers(-3, 4, shape) * (drawn.integers(0, 3, shape) == 0).astype(np.float64)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_it_is_the_map(m: int, n: int, batch: int, seed: int) -> None:
    W, b, x = whole((m, n), seed), whole((m,), seed + 1), torch.from_numpy(whole((batch, n), seed + 2))
    module = Dense.of(AffineMap(W, b, (n,), (m,)))
    expected = x @ torch.from_numpy(W).T + torch.from_numpy(b)
    assert torch.equal(module(x), expected)
    assert np.array_equal(module.affine().W, W)
    assert torch.equal(module.requires_grad_(True)(x), expected)


def test_a_convolution_saved_and_exported(tmp_path) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double().eval()
    for parameter in conv.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randint(-9, 9, (2, 2, 5, 6)).double()
    module = Dense.of(derive(conv, x))
    assert torch.equal(module(x), conv(x))
    assert np.array_equal(module.affine().W, conv_matrix(conv.weight.detach(), (2, 5, 6), padding=1).toarray())
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "dense.pt2")
    assert torch.equal(torch.export.load(tmp_path / "dense.pt2").module()(x), conv(x))
    again = Dense.of(derive(conv, x))
    again.load_state_dict({name: value.clone() for name, value in module.state_dict().items()})
    assert torch.equal(again(x), conv(x))


def test_rationals_are_rounded_once() -> None:
    W = np.array([[Fraction(1, 3), Fraction(0)]], dtype=object)
    module = Dense.of(AffineMap(W, W[:, 0], (2,), (1,)), dtype="float32")
    assert module.weight.flatten()[0] == torch.tensor(1 / 3, dtype=torch.float32)
    assert module.bias[0] == torch.tensor(1 / 3, dtype=torch.float32)


def test_gradients_reach_the_entries() -> None:
    module = Dense.of(AffineMap(np.array([[1.0, 0.0], [2.0, 3.0]]), np.zeros(2), (2,), (2,))).requires_grad_(True)
    module(torch.tensor([[5.0, 7.0]]).double()).sum().backward()
    assert module.weight.grad.tolist() == [[5.0, 7.0], [5.0, 7.0]]
    assert module.bias.grad.tolist() == [1.0, 1.0]


def test_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match="another shape"):
        Dense.of(AffineMap(np.eye(2), np.zeros(2), (2,), (2,)))(torch.zeros(1, 3))


def test_no_entry_can_be_moved_unnoticed() -> None:
    W = np.array([[1.0, 2.0, 0.0], [0.0, 4.0, 8.0]])
    module = Dense.of(AffineMap(W, np.zeros(2), (3,), (2,)))
    module.weight.data.copy_(module.weight.data.flip(0).clone())
    assert not np.array_equal(module.affine().W, W)
    assert not torch.equal(module(torch.eye(3).double()), torch.from_numpy(W).T)
