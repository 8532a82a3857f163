"""Maps of images as single convolutions: what the taps of compositions, sums and concatenations tell, entry by entry.

All numbers are small integers in float64, so equality is meant literally; the same code is then run modulo a prime.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.forms import AxisForm
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.stencils.kernels import transposed_padding, weight_of_phases
from algebraic_cnn.algebra.stencils.pieces import Form, Offset
from algebraic_cnn.rings.ring import Float, PrimeField
from tests.algebra.operators.chains import Chain, chains

REALS = Float()


def integers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 4, size=shape).astype(np.float64)


def form_of(f: Operator, sizes: tuple[int, ...]) -> Form:
    return Form(f.blocks, sizes, False, Offset.NONE)


def convolved(form: Form, x: np.ndarray, axes: Sequence[AxisForm] | None = None) -> np.ndarray:
    """The convolution that the taps are, everywhere, by torch: zeros around, one for each phase, interleaved."""
    axes = axes or form.axes
    d, taps = len(axes), form.taps(REALS)
    flat = [n for axis in axes[::-1] for n in axis.padding]
    y, out = F.pad(torch.from_numpy(x)[None], flat), np.zeros((form.c_out, *(axis.m for axis in axes)))
    how = [axis.down for axis in axes], 0, [axis.step for axis in axes], form.groups
    for q in np.ndindex(*taps.shape[:d]):
        z = (F.conv1d, F.conv2d)[d - 1](y, torch.from_numpy(taps[q]), None, *how)[0].numpy()
        part = out[(slice(None), *(slice(i, None, axis.up) for i, axis in zip(q, axes, strict=True)))]
        part += z[(slice(None), *map(slice, part.shape[1:]))]
    return out


def conv(kernel: list[float], **options) -> Operator:
    return layers.conv(np.array(kernel)[None, None], **options)


@given(chains(most=3))
def test_taps_commute_with_reduction_modulo_a_prime(chain: Chain) -> None:
    sizes, field = chain.x.shape[1:], PrimeField(10007)
    form = form_of(chain.operator, sizes)
    whole = [Fraction(value).denominator for value in form.taps(REALS).ravel().tolist()]
    if max(whole, default=1) == 1:
        assert np.array_equal(field.embed(form.taps(REALS)), form.taps(field))


@pytest.mark.parametrize(
    ("p1", "p2", "k1", "k2", "border"),
    [
        (0, 0, 3, 3, 0),  # nothing padded
        (1, 0, 3, 3, 0),  # the image alone is padded
        (0, 1, 1, 3, 0),  # what lies outside between the two does not see the image
        (1, 0, 3, 1, 0),
        (1, 1, 3, 3, 1),  # there it does
        (2, 1, 3, 3, 0),  # it lies two pixels from the image, out of sight
        (2, 2, 5, 5, 2),
        (1, 1, 2, 2, 0),
    ],
)
def test_the_border_is_as_wide_as_what_is_cut_off_reaches(p1: int, p2: int, k1: int, k2: int, border: int) -> None:
    one, two = (conv(list(range(1, k + 1)), padding=p) for k, p in ((k1, p1), (k2, p2)))
    form = form_of(one.then(two), (9,))
    truth = one.then(two).matrix([9], format="dense")
    single = np.array([convolved(form, row[None])[0] for row in np.eye(9)]).T
    differs = np.flatnonzero((truth != single).any(1))
    assert form.axes[0].told == (border, len(truth) - border)
    assert differs.tolist() == [*range(border), *range(len(truth) - border, len(truth))]


@given(st.integers(0, 2**16), st.sampled_from([(6,), (5, 4)]))
def test_sums_and_concatenations_are_those_of_the_branches(seed: int, sizes: tuple[int, ...]) -> None:
    d, x = len(sizes), integers((4, *sizes), seed)
    branches = [
        layers.conv(integers((4, 4, *[3] * d), seed), padding=1),
        layers.conv(integers((4, 1, *[2] * d), seed + 1), padding=1, dilation=2, groups=4),
        layers.scaling(4, d, integers((4,), seed + 2)),
    ]
    forms = [form_of(branch, sizes) for branch in branches]
    total, stacked = forms[0].beside(forms[1:], "sum"), forms[0].beside(forms[1:], "cat")
    assert np.array_equal(convolved(total, x), sum(branch(x) for branch in branches))
    assert np.array_equal(convolved(stacked, x), np.concatenate([branch(x) for branch in branches]))
    assert forms[1].beside(forms[2:], "sum").groups == 4


def test_phases_of_different_number_are_added_in_the_smaller_one() -> None:
    up = layers.conv_transpose(integers((1, 1, 2, 2), 1), stride=2)
    nearest = layers.interpolate(1, [2, 2], "nearest").then(layers.scaling(1, 2, [2.0]))
    both, x = form_of(up, (3, 3)).beside([form_of(nearest, (3, 3))], "sum"), integers((1, 3, 3), 2)
    assert np.array_equal(convolved(both, x), up(x) + nearest(x))
    assert [axis.up for axis in both.axes] == [2, 2]


def test_maps_of_different_strides_do_not_add_unless_they_have_one_output() -> None:
    strided, wide = conv([1.0, 2.0], stride=2), conv([1.0] * 5)
    assert form_of(strided, (8,)).beside([form_of(wide, (8,))], "sum") is None
    both = form_of(conv([1.0] * 8), (8,)).beside([form_of(layers.adaptive_avg_pool(1, [1]), (8,))], "sum")
    x = integers((1, 8), 3)
    assert np.array_equal(convolved(both, x), x.sum(1, keepdims=True) * 1.125)


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
    form = form_of(layers.conv_transpose(weight, **options), (n, n))
    x = integers((4, n, n), seed)
    y = F.conv_transpose2d(torch.from_numpy(x)[None], torch.from_numpy(weight), **options)[0].numpy()
    if any(axis.step > 1 for axis in form.axes):  # then it is a dilated convolution
        assert np.array_equal(convolved(form, x), y)
        return
    back = torch.from_numpy(weight_of_phases(form.taps(REALS), form).copy())
    padding, extra = transposed_padding(form.axes[0])
    used = [t for t in range(dilation * (k - 1) + 1) if t % dilation == 0]
    assert back.shape[2] == max(used) + 1
    assert torch.equal(
        F.conv_transpose2d(torch.from_numpy(x)[None], back, None, stride, padding, extra, groups)[0],
        torch.from_numpy(y),
    )


@pytest.mark.parametrize("tap", list(product(range(2), range(3))))
def test_no_tap_can_be_moved_unnoticed(tap: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    both = conv([1.0, 2.0, 4.0], padding=1).then(conv([3.0, 5.0], stride=2))
    form, x = form_of(both, (9,)), integers((1, 9), 5)
    wrong = form.taps(REALS).copy()
    assert np.array_equal(convolved(form, x), both(x))
    wrong.ravel()[sum(tap)] += 1
    monkeypatch.setattr(Form, "taps", lambda form, ring: wrong)
    assert not np.array_equal(convolved(form, x), both(x))
