"""Phases as channels of one convolution, and the taps that are surely 0: against the stencil itself, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.stencils.lattice import Axis
from algebraic_cnn.algebra.stencils.phases import Grouping, channels
from algebraic_cnn.algebra.stencils.stencil import Footprint, Stencil, add, compose
from algebraic_cnn.rings.ring import Float
from tests.algebra.stencils.test_stencil import chains, integers

F = Float()


def grouped(stencil: Stencil, x: np.ndarray) -> np.ndarray:
    """What the stencil makes of x, by one convolution whose channels are its phases."""
    fp, d = stencil.footprint, len(stencil.footprint.axes)
    groupings = [Grouping.of(axis) for axis in fp.axes]
    axes, befores = zip(*(each.covering() for each in groupings), strict=True)
    weight = channels(stencil.taps, fp, groupings)
    wide = Footprint(fp.c_in, len(weight), fp.groups, axes)
    y = Stencil(wide, weight.reshape(wide.taps_shape))(x, F)
    y = y.reshape(fp.c_out, *(axis.up for axis in fp.axes), *y.shape[1:])
    y = y.transpose(0, *(place for i in range(d) for place in (1 + d + i, 1 + i)))
    y = y.reshape(fp.c_out, *(axis.up * each.m for axis, each in zip(fp.axes, axes, strict=True)))
    cuts = (slice(before, before + axis.m) for axis, before in zip(fp.axes, befores, strict=True))
    return y[(slice(None), *cuts)]


def nothing_outside(stencil: Stencil) -> bool:
    """Whether the taps outside the hulls are 0."""
    taps = stencil.taps
    for place, axis in enumerate(stencil.footprint.axes):
        for phase, (first, last) in enumerate(axis.used):
            rest = [t for t in range(axis.width) if not first <= t <= last]
            if np.moveaxis(taps, (place, taps.ndim - len(stencil.footprint.axes) + place), (0, 1))[phase][rest].any():
                return False
    return True


@given(chains(3), st.integers(0, 99))
def test_one_convolution_with_the_phases_for_channels_is_the_stencil(chain, seed: int) -> None:
    stencils, _, shape = chain
    composed = compose(stencils[2], compose(stencils[1], stencils[0], F), F)
    x = integers(shape, seed)
    assert np.array_equal(grouped(composed, x), composed(x, F))
    assert nothing_outside(composed)


@given(chains(2), st.integers(0, 99))
def test_sums_keep_what_is_surely_zero(chain, seed: int) -> None:
    stencils, _, shape = chain
    composed = compose(stencils[1], stencils[0], F)
    scaled = replace(composed, taps=2 * composed.taps)
    x = integers(shape, seed)
    assert np.array_equal(grouped(add([composed, scaled], F), x), 3 * composed(x, F))
    assert add([composed, scaled], F).footprint.axes == composed.footprint.axes


def test_a_map_whose_every_phase_reads_nothing_has_one_tap_of_zero() -> None:
    gaps = Axis(4, 8, up=2, used=((0, 0), (1, 0)))  # every other output is 0
    odd = Stencil(Footprint(1, 1, 1, (gaps,)), np.array([1.0, 0.0]).reshape(2, 1, 1, 1))
    pick = Stencil(Footprint(1, 1, 1, (Axis(8, 4, down=2, start=1),)), np.ones((1, 1, 1, 1)))
    composed, x = compose(pick, odd, F), integers((1, 4), 1)
    assert not composed(x, F).any()
    assert np.array_equal(grouped(composed, x), composed(x, F))


@pytest.mark.parametrize(("factor", "kernel", "width"), [(2, 3, 2), (2, 5, 3), (3, 3, 2), (4, 5, 2), (4, 6, 3)])
def test_a_convolution_behind_nearest_upsampling_reads_few_pixels(factor: int, kernel: int, width: int) -> None:
    up = Axis(9, 9 * factor, up=factor)
    both = up.then(Axis(9 * factor, 9 * factor, start=-(kernel // 2), width=kernel))
    assert Grouping.of(both).width == width  # ceil((kernel + factor - 1) / factor)
    assert factor * both.width - sum(both.idle) == kernel + factor - 1


@pytest.mark.parametrize("change", [{"offset": 0}, {"start": 1}, {"width": 3}])
def test_near_right_groupings_are_noticed(change: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    up = Stencil(Footprint(1, 1, 1, (Axis(6, 12, up=2),)), np.ones((2, 1, 1, 1)))
    smooth = Stencil(Footprint(1, 1, 1, (Axis(12, 12, start=-1, width=3),)), np.array([[[[1.0, 2.0, 4.0]]]]))
    both, x = compose(smooth, up, F), integers((1, 6), 3)
    right = Grouping.of(both.footprint.axes[0])
    assert np.array_equal(grouped(both, x), both(x, F))
    wrong = replace(right, **change)
    monkeypatch.setattr(Grouping, "of", classmethod(lambda cls, axis: wrong))
    same = change == {"width": 3}  # a tap more is no mistake, only dearer
    assert np.array_equal(grouped(both, x), both(x, F)) == same
