"""The rows of a long axis are those of a short one with its middle repeated: row by row, and against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.algebra.operators.axes import HERE, Leaf
from algebraic_cnn.algebra.operators.forms import axis_form
from algebraic_cnn.algebra.operators.rules import chosen, spread, windows

from .chains import Chain, chains


@given(chains(most=3), st.integers(60, 90))
def test_a_stretched_axis_has_the_rows_that_its_rule_says(chain: Chain, periods: int) -> None:
    for axis, size in zip(chain.operator.blocks.axes, chain.x.shape[1:], strict=True):
        n = size + periods * axis.period[1]
        stretched = axis._stretched(n)
        assert stretched is not None or not axis.declared
        if stretched is not None:
            assert stretched == axis._found(n)
            assert len(stretched.repeats) > 0


@given(chains(most=3), st.integers(60, 90))
def test_a_long_axis_is_told_as_it_is_row_by_row(chain: Chain, periods: int) -> None:
    for axis, size in zip(chain.operator.blocks.axes, chain.x.shape[1:], strict=True):
        n = size + periods * axis.period[1]
        form = axis_form(axis, n)
        axis._rows[n] = axis._found(n)
        axis_form.cache_clear()
        assert form == axis_form(axis, n)


@given(chains(), st.data())
def test_long_images_are_those_of_torch(chain: Chain, data: st.DataObject) -> None:
    sizes = [data.draw(st.integers(1, 6)) for _ in chain.operator.period]
    sizes[-1] = data.draw(st.integers(60, 130))
    for x, y in chain.at(sizes):
        assert np.array_equal(chain.operator.at(*sizes)(x), y)


@pytest.mark.parametrize("padding", [(0, 40), (40, 0), (40, 40), (-30, -30)])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_wide_borders(mode: str, padding: tuple[int, int]) -> None:
    axis = windows(5, stride=2, padding=padding, dilation=3, mode=mode)
    assert axis.rows(1000) == axis._found(1000)
    assert len(axis.rows(1000).repeats) > 0 or mode in ("reflect", "circular")


def test_what_says_no_reach_or_changes_on_the_way_is_not_stretched() -> None:
    """A shift by 100 looks like one by 22 on an axis of 39; a rule whose middle changes is seen to change."""
    shift = chosen(lambda n: [p - 100 % n for p in range(n)], (1, 1))
    assert shift._stretched(1000) is None
    assert shift.rows(1000) == shift._found(1000)
    changes = Leaf(2, (1, 1), lambda n: ([(HERE, p, p // 5 % 2, 1)] for p in range(n)), (0, 0))
    assert changes._stretched(1000) is None
    ends = Leaf(1, (1, 1), lambda n: ([(1, 0, 0, 1)] for _ in range(n)), (0, 0))
    assert ends._stretched(1000) is None  # it reads the first input everywhere: there is nothing to move


def test_a_very_long_axis_is_read_at_once() -> None:
    asked: list[int] = []
    rule = spread(4, 2, crop=1).rule
    axis = Leaf(4, (2, 1), lambda n: asked.append(n) or rule(n), (1, 1))
    assert axis.rows(10**6).m == 2 * 10**6
    assert asked == [10] or max(asked) < 100
