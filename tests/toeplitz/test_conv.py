"""The matrix of a convolution does what torch's convolution does, bit for bit on integers, in every configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn import GeometryError, ShapeError
from algebraic_cnn.toeplitz import (
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    bias_vector,
    conv_matrix,
    conv_operator,
    conv_transpose_matrix,
    pad_matrix,
)

CONV = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
CONV_TRANSPOSE = {1: torch.nn.ConvTranspose1d, 2: torch.nn.ConvTranspose2d, 3: torch.nn.ConvTranspose3d}
MODES = ("zeros", "reflect", "replicate", "circular")


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small integers as float64: sums of products of them are exact."""
    return rng.integers(-9, 10, shape).astype(np.float64)


def torch_output(layer: torch.nn.Module, weight: np.ndarray, x: np.ndarray) -> np.ndarray | None:
    """What torch computes with this weight, or None if it refuses."""
    layer.weight.data = torch.from_numpy(weight)
    try:
        with torch.no_grad():
            return layer(torch.from_numpy(x)[None])[0].numpy()
    except RuntimeError:
        return None


@st.composite
def conv_arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a convolution on one to three axes, sensible or not."""
    axes, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def per_axis(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(least, most), min_size=axes, max_size=axes)))

    padding: Any = draw(st.sampled_from(["same", "valid", "numbers"]))
    return {
        "channels": (groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))),
        "spatial": per_axis(1, 6),
        "kernel": per_axis(1, 4),
        "stride": per_axis(1, 3),
        "padding": per_axis(0, 3) if padding == "numbers" else padding,
        "dilation": per_axis(1, 3),
        "groups": groups,
        "padding_mode": draw(st.sampled_from(MODES)),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@given(conv_arguments())
def test_conv_matrix_is_torch_convolution(a: dict[str, Any]) -> None:
    rng, (c_out, c_in) = np.random.default_rng(a["seed"]), a["channels"]
    weight, x = integers(rng, c_out, c_in // a["groups"], *a["kernel"]), integers(rng, c_in, *a["spatial"])
    options = {name: a[name] for name in ("stride", "padding", "dilation", "groups", "padding_mode")}
    try:
        layer = CONV[x.ndim - 1](c_in, c_out, a["kernel"], bias=False, dtype=torch.float64, **options)
        expected = torch_output(layer, weight, x)
    except ValueError:
        expected = None
    if expected is None:
        with pytest.raises(ValueError):
            conv_matrix(weight, x.shape, **options)
        return
    W = conv_matrix(weight, x.shape, **options)
    W.check_format(full_check=True)
    assert np.array_equal(W @ x.ravel(), expected.ravel())
    assert (conv_matrix(weight, x.shape, **options, format="csc") != W).nnz == 0


@given(conv_arguments())
def test_conv_transpose_matrix_is_torch_transposed_convolution(a: dict[str, Any]) -> None:
    rng, (c_in, c_out) = np.random.default_rng(a["seed"]), a["channels"]
    weight, x = integers(rng, c_in, c_out // a["groups"], *a["kernel"]), integers(rng, c_in, *a["spatial"])
    options = {name: a[name] for name in ("stride", "dilation", "groups")}
    options["padding"] = 0 if isinstance(a["padding"], str) else a["padding"]
    options["output_padding"] = tuple(int(n) for n in rng.integers(0, 3, x.ndim - 1))
    layer = CONV_TRANSPOSE[x.ndim - 1](c_in, c_out, a["kernel"], bias=False, dtype=torch.float64, **options)
    expected = torch_output(layer, weight, x)
    if expected is None:
        with pytest.raises(ValueError):
            conv_transpose_matrix(weight, x.shape, **options)
        return
    W = conv_transpose_matrix(weight, x.shape, **options)
    W.check_format(full_check=True)
    assert np.array_equal(W @ x.ravel(), expected.ravel())
    assert (conv_transpose_matrix(weight, x.shape, **options, format="csc") != W).nnz == 0


@pytest.mark.parametrize("mode", MODES)
def test_padding_and_convolution_factor(mode: str) -> None:
    rng = np.random.default_rng(0)
    weight, shape, padding = integers(rng, 4, 3, 3, 2), (3, 5, 6), ((2, 1), (0, 3))
    P = pad_matrix(shape, padding, padding_mode=mode)
    product = conv_matrix(weight, (3, 8, 9)) @ P
    assert (conv_matrix(weight, shape, padding=padding, padding_mode=mode) != product).nnz == 0


def test_four_spatial_axes() -> None:
    rng = np.random.default_rng(0)
    weight, x = integers(rng, 2, 2, 2, 2, 2, 2), integers(rng, 2, 3, 3, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2, 2, 2), axis=(1, 2, 3, 4))
    expected = np.einsum("oiabcd,iwxyzabcd->owxyz", weight, windows)
    assert np.array_equal(conv_matrix(weight, x.shape) @ x.ravel(), expected.ravel())


def test_no_spatial_axis_is_a_dense_layer() -> None:
    weight = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(conv_matrix(weight, (3,), format="dense"), weight)


def test_explicit_zeros_stay() -> None:
    assert conv_matrix(np.zeros((1, 1, 3, 3)), (1, 28, 28), padding=1).nnz == 6724


@pytest.mark.parametrize("bias", [[1.0, 2.0], np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])])
def test_bias_vector(bias: Any) -> None:
    assert bias_vector(bias, (2, 1, 2)).tolist() == [1.0, 1.0, 2.0, 2.0]


def test_avg_pool_matrix_is_torch_average_pooling() -> None:
    rng, tried = np.random.default_rng(0), 0
    for n in range(1, 7):
        for k in (1, 2, 4):
            for s in (1, 2, 3):
                for p in (0, 1, 2):
                    for ceil_mode in (False, True):
                        x = integers(rng, 2, n, n + 1) * 3600
                        options = {"stride": s, "padding": p, "ceil_mode": ceil_mode}
                        for include in (False, True):
                            options["count_include_pad"] = include
                            try:
                                expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x), k, **options).numpy()
                            except RuntimeError:
                                with pytest.raises(ValueError):
                                    avg_pool_matrix(x.shape, k, **options)
                                continue
                            exact = avg_pool_matrix(x.shape, k, **options, dtype=object, format="dense")
                            assert np.array_equal(exact @ x.astype(int).astype(object).ravel(), expected.ravel())
                            rounded = avg_pool_matrix(x.shape, k, **options)
                            assert np.array_equal(rounded.toarray(), exact.astype(float))
                            tried += 1
    assert tried > 300


def test_a_bias_has_one_number_for_each_channel() -> None:
    with pytest.raises(ShapeError, match=r"one number per output channel.*\(2,\).*\(3,\)"):
        bias_vector([1, 2, 3], (2, 4, 4))


def test_an_output_size_has_one_number_for_each_axis() -> None:
    with pytest.raises(GeometryError, match="wrong number of entries"):
        adaptive_avg_pool_matrix((1, 4, 4), (2, 2, 2))


def test_there_must_be_something_to_average() -> None:
    with pytest.raises(GeometryError, match="nothing to average"):
        adaptive_avg_pool_matrix((1, 4, 4), -1)


def test_no_bias_is_zero_everywhere() -> None:
    assert np.array_equal(bias_vector(None, (2, 1, 3)), np.zeros(6))


def test_an_operator_and_its_views_on_vectors_and_columns() -> None:
    kernel = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    operator, matrix = conv_operator(kernel, (1, 4, 4)), conv_matrix(kernel, (1, 4, 4)).toarray()
    for view, dense in ((operator, matrix), (operator.T, matrix.T), (operator.H, matrix.T), (operator.T.T, matrix)):
        x = np.arange(dense.shape[1], dtype=float)
        assert np.array_equal(view.matvec(x), dense @ x)
        assert np.array_equal(view.matmat(np.stack([x, -x], 1)), dense @ np.stack([x, -x], 1))
        y = np.arange(dense.shape[0], dtype=float)
        assert np.array_equal(view.rmatvec(y), dense.T @ y)
        assert np.array_equal(view.rmatmat(y[:, None]), dense.T @ y[:, None])
