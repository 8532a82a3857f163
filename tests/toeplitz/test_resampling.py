"""Interpolation beyond torch's own samples: every small ratio, in both precisions, aligned and not."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn.toeplitz import interpolate_matrix

from .test_opinfo import rounding_bound

FACTORS = (0.3, 1 / 3, 0.5, 0.7, 0.9, 1.0, 1.05, 1.1, 1.3, 1.5, 1.7, 2.0, 2.2, 2.3, 2.5, 3.0, 3.3, 7.1)
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 10, 13, 49, 224)


def ratios(n: int) -> list[dict[str, Any]]:
    """Sizes and scale factors that leave something of n positions."""
    return [{"size": m} for m in (*range(1, 50), 99, 224, 299)] + [{"scale_factor": f} for f in FACTORS if n * f >= 1]


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_nearest_neighbour_is_the_one_that_torch_takes(mode: str, dtype: torch.dtype) -> None:
    for n in LENGTHS:
        x = torch.arange(n, dtype=dtype)
        for how in ratios(n):
            expected = torch.nn.functional.interpolate(x[None, None], mode=mode, **how)[0, 0].numpy()
            W = interpolate_matrix((1, n), mode=mode, **how, dtype=x.numpy().dtype)
            assert np.array_equal(W @ x.numpy(), expected), (n, how)


@pytest.mark.parametrize("shape", [(6, 2), (3, 98), (3, 99), (2, 126), (60, 4), (3, 40)], ids=str)
@pytest.mark.parametrize("factor", [1.05, 1.3, 2.1, 2.45])
def test_a_small_image_of_two_axes_has_neighbours_of_its_own(shape: tuple[int, int], factor: float) -> None:
    """Along an axis that keeps its length, or doubles it, torch forgets the factor there."""
    x = torch.arange(float(np.prod(shape)), dtype=torch.float64).reshape(1, 1, *shape)
    expected = torch.nn.functional.interpolate(x, scale_factor=factor).numpy().ravel()
    assert np.array_equal(interpolate_matrix((1, *shape), scale_factor=factor) @ x.numpy().ravel(), expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("mode, axes", [("linear", 1), ("bilinear", 2), ("bicubic", 2), ("trilinear", 3)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_smooth_modes_differ_from_torch_by_rounding_only(mode: str, axes: int, align_corners: bool) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5) if axes == 3 else (1, 2, 3, 5, 8):  # a matrix of 8^3 columns says no more of an axis
        x = rng.integers(-99, 100, (1, *(n for _ in range(axes)))).astype(float)
        for how in [h for h in ratios(n) if h.get("size", 0) < 12]:
            how = {**how, "mode": mode, "align_corners": align_corners}
            expected = torch.nn.functional.interpolate(torch.from_numpy(x)[None], **how).numpy().ravel()
            W = interpolate_matrix(x.shape, **how)
            bound = rounding_bound(W, np.zeros(W.shape[0]), x.reshape(-1, 1), how, x.shape)
            assert (abs(W @ x.ravel() - expected) <= bound).all(), (n, how)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_weights_of_an_output_sum_to_one_exactly(mode: str) -> None:
    W = interpolate_matrix((2, 5, 3), size=(7, 4), mode=mode, dtype=object, format="dense")
    assert W.sum(axis=1).tolist() == [Fraction(1)] * W.shape[0]
