"""Every small convolution there is, as a whole matrix, against torch.

Torch gets the identity as its batch, so what it returns is the transposed matrix.  Each tap of each channel pair weighs
a different power of two: no two sets of taps have the same sum.

The deep profile tries all of them, ci all of one axis; the others every so-many-th.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from algebraic_cnn.errors import GeometryError
from algebraic_cnn.toeplitz import conv_matrix, conv_transpose_matrix

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
FUNCTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}
DEEP = settings.get_current_profile_name() == "deep"
THOROUGH = settings.default.max_examples >= 40


def powers_of_two(*shape: int) -> torch.Tensor:
    return (2.0 ** torch.arange(np.prod(shape), dtype=torch.float64)).reshape(shape)


def torch_matrix(weight: torch.Tensor, shape: tuple[int, ...], how: dict[str, Any]) -> np.ndarray | None:
    """The matrix of torch's padding and convolution, or None where torch refuses."""
    basis = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    ends = [end for pair in reversed(how["padding"]) for end in pair]
    try:
        padded = torch.nn.functional.pad(basis, ends, MODES[how["padding_mode"]])
        convolve = FUNCTIONS[len(shape) - 1]
        return convolve(padded, weight, None, how["stride"], 0, how["dilation"], how["groups"]).flatten(1).T.numpy()
    except (RuntimeError, AssertionError):
        return None


def one_axis() -> Iterator[tuple[Any, ...]]:
    """n 1..6, kernel 1..4, stride 1..3, dilation 1..3, padding 0..3 on each side, every mode."""
    lengths, kernels, steps, spread, pads = range(1, 7), range(1, 5), range(1, 4), range(1, 4), range(4)
    for n, k, s, d, before, after, mode in product(lengths, kernels, steps, spread, pads, pads, MODES):
        how = {"stride": (s,), "padding": ((before, after),), "dilation": (d,), "groups": 1, "padding_mode": mode}
        yield (1, 1, k), (1, n), how


def two_axes() -> Iterator[tuple[Any, ...]]:
    """Heights and widths 1..6, kernels 1..4, strides, dilations and groups 1..2, padding 0..2, every mode."""
    pairs = {most: list(product(range(1, most + 1), repeat=2)) for most in (2, 4, 6)}
    pads = list(product(range(3), repeat=2))
    cases = product(pairs[6], pairs[4], pairs[2], pairs[2], pads, MODES)
    for i, (size, kernel, stride, dilation, pad, mode) in enumerate(cases):
        groups = 1 + i % 2
        padding = tuple((p, (p + i) % 3) for p in pad)
        how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
        yield (2, 2 // groups, *kernel), (2, *size), how


@pytest.mark.parametrize("cases, every", [(one_axis, 1 if THOROUGH else 5), (two_axes, 97)])
def test_every_small_convolution(cases: Any, every: int, capsys: pytest.CaptureFixture[str]) -> None:
    agreed = refused = 0
    for i, (weight_shape, shape, how) in enumerate(cases()):
        if not DEEP and i % every:
            continue
        weight = powers_of_two(*weight_shape)
        expected = torch_matrix(weight, shape, how)
        if expected is None:
            with pytest.raises(GeometryError):
                conv_matrix(weight, shape, **how)
            refused += 1
        else:
            W = conv_matrix(weight, shape, **how, format="dense")
            assert np.array_equal(W, expected), (weight_shape, shape, how)
            agreed += 1
    with capsys.disabled():
        print(f"\n{agreed:,} matrices equal torch's and {refused:,} cases are refused by both ({cases.__name__})")
    assert agreed > 1000
    assert refused > 100


def test_every_small_transposed_convolution(capsys: pytest.CaptureFixture[str]) -> None:
    agreed = refused = 0
    lengths, kernels, steps, spread, pads, extras = (
        range(1, 7),
        range(1, 5),
        range(1, 4),
        range(1, 4),
        range(4),
        range(3),
    )
    for n, k, s, d, p, extra in product(lengths, kernels, steps, spread, pads, extras):
        weight, basis = powers_of_two(1, 1, k), torch.eye(n, dtype=torch.float64)[:, None]
        how = {"stride": s, "padding": p, "output_padding": extra, "dilation": d}
        try:
            expected = torch.nn.functional.conv_transpose1d(basis, weight, **how).flatten(1).T.numpy()
        except RuntimeError:
            with pytest.raises(GeometryError):
                conv_transpose_matrix(weight, (1, n), **how)
            refused += 1
            continue
        assert np.array_equal(conv_transpose_matrix(weight, (1, n), **how, format="dense"), expected), (n, k, how)
        agreed += 1
    with capsys.disabled():
        print(f"\n{agreed:,} transposed matrices equal torch's and {refused:,} cases are refused by both")
    assert agreed > 1000
    assert refused > 100
