"""Stencils against torch and against explicit matrices: composition, sum and concatenation, entry by entry.

All numbers are small integers in float64, so equality is meant literally; the same code is then run modulo a prime.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.operators import layers as operators
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.stencils.kernels import (
    conv_footprint,
    conv_transpose_footprint,
    pointwise,
    transposed_padding,
    transposed_taps,
    weight_of_phases,
)
from algebraic_cnn.algebra.stencils.reading import stencil_of
from algebraic_cnn.algebra.stencils.stencil import Stencil, add, compose, stack
from algebraic_cnn.errors import ShapeError
from algebraic_cnn.rings.ring import Float, PrimeField

F = Float()


def integers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 4, size=shape).astype(np.float64)


def of(f: Operator, sizes: tuple[int, ...]) -> Stencil:
    """An operator that is one stencil in every pixel."""
    footprint, form = stencil_of(f, sizes)
    assert footprint.exact
    return Stencil(footprint, form.kernel(F))


@st.composite
def layers(draw: st.DrawFn, channels: int, sizes: tuple[int, ...], kinds: str = "ctsup") -> tuple[Stencil, object]:
    """A random layer on (channels, *sizes): its stencil, and torch's function."""
    kind = draw(st.sampled_from(kinds))
    seed = draw(st.integers(0, 2**16))
    if kind == "s" and channels % 4 == 0 and len(sizes) == 2:
        shuffle = operators.pixel_shuffle(channels // 4, 2)
        return of(shuffle, sizes), lambda x: torch.nn.functional.pixel_shuffle(x, 2)
    if kind == "u" and len(sizes) == 2 and all(n % 2 == 0 and n for n in sizes):
        return of(operators.pixel_unshuffle(channels, 2), sizes), lambda x: torch.nn.functional.pixel_unshuffle(x, 2)
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if channels % g == 0]))
    outputs = groups * draw(st.integers(1, 2))
    kernel, stride, dilation = (tuple(draw(st.integers(1, 3)) for _ in sizes) for _ in range(3))
    if kind == "t":
        padding = tuple(draw(st.integers(0, min(2, d * (k - 1)))) for k, d in zip(kernel, dilation, strict=True))
        padding = tuple(
            p if (n - 1) * s - 2 * p + d * (k - 1) + 1 > 0 else 0
            for n, s, p, d, k in zip(sizes, stride, padding, dilation, kernel, strict=True)
        )
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        weight = integers((channels, outputs // groups, *kernel), seed)
        options = {
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
        }
        transposed = [torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d][len(sizes) - 1]
        footprint = conv_transpose_footprint(weight.shape, sizes, **options)
        taps = transposed_taps(weight, footprint, padding, dilation)
        return Stencil(footprint, taps), lambda x: transposed(x, torch.from_numpy(weight), **options)
    need = [max(0, d * (k - 1) + 1 - n) for n, k, d in zip(sizes, kernel, dilation, strict=True)]
    padding = tuple(draw(st.integers(-(-more // 2), -(-more // 2) + 2)) for more in need)
    weight = integers((outputs, channels // groups, *kernel), seed)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    footprint = conv_footprint(weight.shape, sizes, **options | {"padding": [(p, p) for p in padding]})
    conv = [torch.nn.functional.conv1d, torch.nn.functional.conv2d][len(sizes) - 1]
    taps = weight.reshape(footprint.taps_shape)
    return Stencil(footprint, taps), lambda x: conv(x, torch.from_numpy(weight), **options)


@st.composite
def chains(draw: st.DrawFn, length: int) -> tuple[list[Stencil], list, tuple[int, ...]]:
    sizes = draw(st.sampled_from([(1,), (5,), (8,), (4, 6), (5, 5), (8, 4)]))
    channels = draw(st.sampled_from([1, 2, 4]))
    shape, stencils, functions = (channels, *sizes), [], []
    for _ in range(length):
        stencil, function = draw(layers(channels, sizes))
        stencils.append(stencil)
        functions.append(function)
        channels, sizes = stencil.footprint.c_out, tuple(axis.m for axis in stencil.footprint.axes)
    return stencils, functions, shape


def run(functions: list, x: np.ndarray) -> np.ndarray:
    y = torch.from_numpy(x)[None]
    for function in functions:
        y = function(y)
    return y[0].numpy()


def told(stencil: Stencil) -> tuple[slice, ...]:
    return (slice(None), *(slice(*axis.told) for axis in stencil.footprint.axes))


@given(chains(1), st.integers(0, 99))
def test_a_layer_is_its_stencil_in_every_pixel(chain, seed: int) -> None:
    (stencil,), functions, shape = chain
    x = integers(shape, seed)
    assert stencil.footprint.exact
    assert np.array_equal(stencil(x, F), run(functions, x))


@given(chains(3), st.integers(0, 99))
def test_a_composition_is_the_chain_wherever_it_says_so(chain, seed: int) -> None:
    stencils, functions, shape = chain
    x = integers(shape, seed)
    composed = compose(stencils[2], compose(stencils[1], stencils[0], F), F)
    assert composed.taps.shape == composed.footprint.taps_shape
    y = composed(x, F)
    assert y.shape == run(functions, x).shape
    assert np.array_equal(y[told(composed)], run(functions, x)[told(composed)])


@given(chains(2), st.integers(0, 99))
def test_composition_commutes_with_reduction_modulo_a_prime(chain, seed: int) -> None:
    (before, after), _, shape = chain
    field = PrimeField(10007)
    whole = compose(after, before, F)
    modular = compose(after, before, field)
    assert np.array_equal(field.embed(whole.taps), modular.taps)
    x = integers(shape, seed)
    assert np.array_equal(field.embed(whole(x, F)), modular(x, field))


def conv(n: int, kernel: list[float], **options) -> Stencil:
    settings = {"stride": (1,), "padding": [(0, 0)], "dilation": (1,)} | options
    footprint = conv_footprint((1, 1, len(kernel)), (n,), **settings)
    return Stencil(footprint, np.array(kernel).reshape(footprint.taps_shape))


def matrix(stencil: Stencil) -> np.ndarray:
    n = stencil.footprint.axes[0].n
    return np.array([stencil(row[None], F)[0] for row in np.eye(n)]).T


@pytest.mark.parametrize(
    ("p1", "p2", "k1", "k2", "ring"),
    [
        (0, 0, 3, 3, (0, 0)),  # nothing padded
        (1, 0, 3, 3, (0, 0)),  # the image alone is padded
        (0, 1, 1, 3, (0, 0)),  # phantoms do not see the image
        (1, 0, 3, 1, (0, 0)),
        (1, 1, 3, 3, (1, 1)),  # phantoms do
        (2, 1, 3, 3, (0, 0)),  # phantoms lie two pixels from the image, out of sight
        (2, 2, 5, 5, (2, 2)),
        (1, 1, 2, 2, (0, 0)),
    ],
)
def test_the_ring_is_as_wide_as_phantoms_reach(p1: int, p2: int, k1: int, k2: int, ring: tuple[int, int]) -> None:
    one = conv(9, list(range(1, k1 + 1)), padding=[(p1, p1)])
    two = conv(one.footprint.axes[0].m, list(range(1, k2 + 1)), padding=[(p2, p2)])
    both = compose(two, one, F)
    truth, single = matrix(two) @ matrix(one), matrix(both)
    differs = np.flatnonzero((truth != single).any(1))
    assert both.footprint.axes[0].ring == ring
    expected = [*range(ring[0]), *range(len(truth) - ring[1], len(truth))]
    assert differs.tolist() == expected


@given(st.integers(0, 2**16), st.sampled_from([(6,), (5, 4)]))
def test_sums_and_stacks_are_those_of_the_branches(seed: int, sizes: tuple[int, ...]) -> None:
    spatial = len(sizes)
    wide = conv_footprint(
        (4, 4, *[3] * spatial), sizes, stride=[1] * spatial, padding=[(1, 1)] * spatial, dilation=[1] * spatial
    )
    spread = conv_footprint(
        (4, 1, *[2] * spatial),
        sizes,
        stride=[1] * spatial,
        padding=[(1, 1)] * spatial,
        dilation=[2] * spatial,
        groups=4,
    )
    branches = [
        Stencil(f, integers(f.taps_shape, seed + i)) for i, f in enumerate([wide, spread, pointwise(4, 4, 4, sizes)])
    ]
    x = integers((4, *sizes), seed)
    assert np.array_equal(add(branches, F)(x, F), sum(branch(x, F) for branch in branches))
    assert np.array_equal(stack(branches)(x, F), np.concatenate([branch(x, F) for branch in branches]))
    assert add(branches[1:], F).footprint.groups == 4


def test_phases_of_different_number_are_added_on_their_common_lattice() -> None:
    shuffle = of(operators.pixel_shuffle(1, 2), (3, 3)).footprint
    up = Stencil(shuffle, integers(shuffle.taps_shape, 1))
    inner = pointwise(1, 1, 1, (6, 6))
    smooth = compose(Stencil(inner, np.full(inner.taps_shape, 2.0)), up, F)
    x = integers((4, 3, 3), 2)
    assert np.array_equal(add([up, smooth], F)(x, F), 3 * up(x, F))


def test_stencils_of_different_strides_do_not_add() -> None:
    with pytest.raises(ShapeError, match="common lattice"):
        add([conv(8, [1.0, 2.0], stride=(2,)), conv(8, [1.0] * 5)], F)


@given(
    k=st.integers(1, 4),
    stride=st.integers(1, 3),
    n=st.integers(1, 4),
    groups=st.sampled_from([1, 2]),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_the_weight_of_phases_is_a_transposed_convolution(k, stride, n, groups, dilation, seed) -> None:
    weight = integers((4, 3, k, k), seed)
    options = {"stride": (stride,) * 2, "dilation": (dilation,) * 2, "groups": groups}
    none = {"padding": (0, 0), "output_padding": (0, 0)}
    footprint = conv_transpose_footprint(weight.shape, (n, n), **options, **none)
    taps = transposed_taps(weight, footprint, (0, 0), (dilation, dilation))
    back = torch.from_numpy(weight_of_phases(taps, footprint).copy())
    x = torch.from_numpy(integers((1, 4, n, n), seed))
    padding, extra = transposed_padding(footprint.axes[0])
    assert (padding, extra) == (0, 0)
    assert back.shape[2] == dilation * (k - 1) + 1
    y = torch.nn.functional.conv_transpose2d(x, back, stride=stride, groups=groups)
    assert torch.equal(y, torch.nn.functional.conv_transpose2d(x, torch.from_numpy(weight), **options))


@pytest.mark.parametrize("tap", list(product(range(2), range(3))))
def test_no_tap_can_be_moved_unnoticed(tap: tuple[int, int]) -> None:
    before, after = conv(9, [1.0, 2.0, 4.0], padding=[(1, 1)]), conv(9, [3.0, 5.0], stride=(2,))
    x = integers((1, 9), 5)
    wrong = compose(after, before, F).taps.copy()
    wrong.ravel()[sum(tap)] += 1
    footprint = before.footprint.then(after.footprint)
    assert not np.array_equal(Stencil(footprint, wrong)(x, F), after(before(x, F), F))
