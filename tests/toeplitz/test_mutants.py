"""The checks of these matrices notice mistakes: every mutant here must make the comparison with torch fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn.toeplitz import (
    avg_pool_matrix,
    conv_matrix,
    conv_transpose_matrix,
    filling,
    interpolate_matrix,
    pad_matrix,
    padding,
    pattern,
    pooling,
    resampling,
    storage,
    unfold_matrix,
)
from algebraic_cnn.toeplitz import selection as selection_module
from algebraic_cnn.toeplitz.pattern import AxisPattern

F = torch.nn.functional
RNG = np.random.default_rng(0)
WEIGHT, IMAGE = RNG.integers(1, 9, (4, 2, 3, 3)).astype(float), RNG.integers(1, 9, (4, 6, 7)).astype(float)


def convolutions_agree() -> bool:
    """Convolutions and transposed ones with groups, strides, dilations and every padding mode equal torch's."""
    x, weight = torch.from_numpy(IMAGE)[None], torch.from_numpy(WEIGHT)
    for mode, torch_mode in [("zeros", "constant"), *((m, m) for m in ("reflect", "replicate", "circular"))]:
        for stride, dilation in [(1, 1), (2, 1), (1, 2), (2, 3)]:
            how: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": 2}
            W = conv_matrix(WEIGHT, IMAGE.shape, **how, padding=((2, 1), (1, 2)), padding_mode=mode)
            expected = F.conv2d(F.pad(x, (1, 2, 2, 1), torch_mode), weight, **how).numpy()
            if not np.array_equal(W @ IMAGE.ravel(), expected.ravel()):
                return False
            T = conv_transpose_matrix(WEIGHT, IMAGE.shape, **how, padding=1)
            if not np.array_equal(T @ IMAGE.ravel(), F.conv_transpose2d(x, weight, **how, padding=1).numpy().ravel()):
                return False
    return True


def pooling_agrees() -> bool:
    x = torch.from_numpy(IMAGE)[None] * 144
    how: dict[str, Any] = {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}
    exact = avg_pool_matrix(IMAGE.shape, 3, **how, dtype=object, format="dense")
    return np.array_equal(exact @ (IMAGE * 144).astype(int).astype(object).ravel(), F.avg_pool2d(x, 3, **how).ravel())


def interpolation_agrees() -> bool:
    x = torch.from_numpy(IMAGE)[None]
    for mode in ("nearest", "bilinear", "bicubic"):
        W = interpolate_matrix(IMAGE.shape, scale_factor=2, mode=mode)
        if not np.array_equal(W @ IMAGE.ravel(), F.interpolate(x, scale_factor=2, mode=mode).numpy().ravel()):
            return False
    return True


def moves_agree() -> bool:
    x = torch.from_numpy(IMAGE)[None]
    P = pad_matrix(IMAGE.shape, ((1, 2), (2, 1)), padding_mode="reflect")
    U = unfold_matrix(IMAGE.shape, 2, padding=1, stride=2)
    return np.array_equal(P @ IMAGE.ravel(), F.pad(x, (2, 1, 1, 2), "reflect").numpy().ravel()) and np.array_equal(
        U @ IMAGE.ravel(), F.unfold(x, 2, padding=1, stride=2).numpy().ravel()
    )


def shifted_axis(n: int, kernel: int, stride: int, before: int, after: int, *rest: Any) -> AxisPattern:
    return conv_axis(n, kernel, stride, before - 1, after + 1, *rest)


def first_tap_only(kernel: Any, axes: Any, stack: Any = np.stack) -> Any:
    """Taps that meet the same input are not added: the first one wins."""
    for i, axis in enumerate(axes, start=3):
        kernel = stack([kernel[(*(slice(None),) * i, taps[0])] for taps in axis.slots], i)
    return kernel


def greedy(places: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """All outputs with one template make one run, whether or not memory is affine there."""
    yield 0, len(places)


def nudged(kernel: Any, axes: Any, stack: Any = np.stack) -> Any:
    kernel = merged(kernel, axes, stack).copy()
    kernel[..., 1, 1, 1] = np.nextafter(kernel[..., 1, 1, 1], np.inf)
    return kernel


merged, conv_axis = storage.merged, pattern.conv_axis
MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], bool]]] = {
    "flipped kernel": (filling, "merged", lambda k, *a: merged(k[..., ::-1], *a), convolutions_agree),
    "transposed kernel": (filling, "merged", lambda k, *a: merged(k.swapaxes(3, 4), *a), convolutions_agree),
    "one ulp": (filling, "merged", nudged, convolutions_agree),
    "merged taps dropped": (filling, "merged", first_tap_only, convolutions_agree),
    "padding shifted": (pattern, "conv_axis", shifted_axis, convolutions_agree),
    "runs not affine": (pattern, "_progressions", greedy, convolutions_agree),
    "reflect repeats the border": (
        pattern,
        "FOLDS",
        {**pattern.FOLDS, "reflect": lambda i, n: -i - 1 if i < 0 else min(i, 2 * n - 1 - i)},
        convolutions_agree,
    ),
    "windows count padding": (
        pooling,
        "pool_rows",
        lambda *a, original=pooling.pool_rows: original(*a[:-1], True),
        pooling_agrees,
    ),
    "windows floor": (
        pooling,
        "pool_rows",
        lambda *a, original=pooling.pool_rows: original(*a[:-2], False, a[-1]),
        pooling_agrees,
    ),
    "other cubic": (resampling, "_cubic", lambda t: (Fraction(0), 1 - t, t, Fraction(0)), interpolation_agrees),
    "tilted linear": (
        resampling,
        "_linear",
        lambda t: (1 - t - Fraction(1, 2**40), t + Fraction(1, 2**40)),
        interpolation_agrees,
    ),
    "nearest of the next": (
        resampling,
        "_nearest",
        lambda n, m, *_, **__: [min(o, n - 1) for o in range(m)],
        interpolation_agrees,
    ),
    "symmetric padding": (padding, "NUMPY_MODES", {**padding.NUMPY_MODES, "reflect": "symmetric"}, moves_agree),
    "zeros from the end": (selection_module, "NOTHING", -2, moves_agree),
}


@pytest.fixture(autouse=True)
def fresh_plans() -> Iterator[None]:
    """Plans made by a mutant must not survive it, nor hide it."""
    filling.conv_storage.cache_clear()
    yield
    filling.conv_storage.cache_clear()


@pytest.mark.parametrize("check", [convolutions_agree, pooling_agrees, interpolation_agrees, moves_agree])
def test_the_checks_hold_without_a_mutant(check: Callable[[], bool]) -> None:
    assert check()


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, attribute, wrong, check = MUTANTS[name]
    monkeypatch.setattr(module, attribute, wrong)
    try:
        noticed = not check()
    except (ValueError, IndexError):
        noticed = True
    assert noticed
