"""Phases as channels of one convolution, and the taps that are surely 0: against the map itself, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.blocks import Kernel
from algebraic_cnn.algebra.operators.compositions import then
from algebraic_cnn.algebra.operators.forms import axis_form
from algebraic_cnn.algebra.operators.operator import Operator
from algebraic_cnn.algebra.operators.rules import chosen, windows
from algebraic_cnn.algebra.stencils.phases import Grouping, channels
from algebraic_cnn.algebra.stencils.pieces import Form
from algebraic_cnn.rings.ring import Float
from tests.algebra.operators.chains import Chain, chains
from tests.algebra.stencils.test_stencil import convolved, form_of, integers

REALS = Float()


def grouped(form: Form, x: np.ndarray) -> np.ndarray:
    """What the taps make of x, by one convolution whose channels are the phases."""
    d, groupings = len(form.axes), [Grouping.of(axis.unrolled) for axis in form.axes]
    x = np.pad(x, [(0, 0), *(axis.around for axis in form.axes)], mode="wrap")
    axes, befores = zip(*(each.covering() for each in groupings), strict=True)
    weight = channels(form.taps(REALS), form, groupings)
    rules = [
        windows(axis.width, axis.down, (axis.padding[0], axis.padding[1] + axis.down), axis.step) for axis in axes
    ]
    y = Operator(Kernel(weight.shape, rules, lambda ring: weight, groups=form.groups))(x)
    y = y[(slice(None), *(slice(axis.m) for axis in axes))]
    y = y.reshape(form.c_out, *(axis.up for axis in form.axes), *y.shape[1:])
    y = y.transpose(0, *(place for i in range(d) for place in (1 + d + i, 1 + i)))
    y = y.reshape(form.c_out, *(axis.up * each.m for axis, each in zip(form.axes, axes, strict=True)))
    cuts = (slice(before, before + axis.m) for axis, before in zip(form.axes, befores, strict=True))
    return y[(slice(None), *cuts)]


def nothing_outside(form: Form) -> bool:
    """Whether the taps outside the hulls are 0."""
    taps = form.taps(REALS)
    for place, axis in enumerate(form.axes):
        for phase, (first, last) in enumerate(axis.used):
            rest = [t for t in range(axis.width) if not first <= t <= last]
            if np.moveaxis(taps, (place, taps.ndim - len(form.axes) + place), (0, 1))[phase][rest].any():
                return False
    return True


@given(chains(most=3))
def test_one_convolution_with_the_phases_for_channels_is_the_map(chain: Chain) -> None:
    form, x = form_of(chain.operator, chain.x.shape[1:]), chain.x
    if any(axis.told[0] == axis.told[1] or axis.up > 8 for axis in form.axes):
        return
    bias = chain.operator(np.zeros_like(x))
    told = (slice(None), *(slice(*axis.told) for axis in form.axes))
    assert np.array_equal((grouped(form, x) + bias)[told], chain.operator(x)[told])
    assert nothing_outside(form)


def test_a_map_whose_every_phase_reads_nothing_has_one_tap_of_zero() -> None:
    odd = layers.conv_transpose(np.ones((1, 1, 1)), stride=2, output_padding=1)  # every other output is 0
    both, x = odd.then(layers.cropped(1, [slice(1, None, 2)])), integers((1, 4), 1)
    assert not both(x).any()
    assert not grouped(form_of(both, (4,)), x).any()


@pytest.mark.parametrize(("factor", "kernel", "width"), [(2, 3, 2), (2, 5, 3), (3, 3, 2), (4, 5, 2), (4, 6, 3)])
def test_a_convolution_behind_nearest_upsampling_reads_few_pixels(factor: int, kernel: int, width: int) -> None:
    up = chosen(lambda n: [p // factor for p in range(n * factor)], (factor, 1))
    side = (kernel // 2, kernel - 1 - kernel // 2)
    both = axis_form(then(up, windows(kernel, padding=side)), 9)
    assert Grouping.of(both).width == width  # ceil((kernel + factor - 1) / factor)
    assert factor * both.width - sum(both.idle) == kernel + factor - 1


@pytest.mark.parametrize("change", [{"offset": 0}, {"start": 1}, {"width": 3}])
def test_near_right_groupings_are_noticed(change: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = layers.conv(np.array([[[1.0, 2.0, 4.0]]]), padding=1)
    form = form_of(layers.interpolate(1, [2], "nearest").then(smooth), (6,))
    x, right = integers((1, 6), 3), Grouping.of(form.axes[0])
    expected = convolved(form, x)
    assert np.array_equal(grouped(form, x), expected)
    wrong = replace(right, **change)
    monkeypatch.setattr(Grouping, "of", classmethod(lambda cls, axis: wrong))
    same = change == {"width": 3}  # a tap more is no mistake, only dearer
    assert np.array_equal(grouped(form, x), expected) == same
