"""Patterns on one axis: runs cover every output once and describe its row, transposing twice changes nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.toeplitz.pattern import FOLDS, AxisPattern, Pattern, conv_axis, conv_transpose_axis


@st.composite
def axes(draw: st.DrawFn) -> AxisPattern:
    """The axis of a convolution, of a transposed one, or a random one that merges taps."""
    n, k, s, d = (draw(st.integers(1, most)) for most in (9, 4, 4, 4))
    kind = draw(st.sampled_from([*FOLDS, "transposed", "random"]))
    if kind == "random":
        hit = st.tuples(st.integers(0, 4), st.integers(0, n - 1), st.integers(0, k - 1))
        return AxisPattern.from_hits(n, 5, k, draw(st.lists(hit, max_size=12, unique=True)))
    if kind == "transposed":
        return conv_transpose_axis(n, k, s, draw(st.integers(0, 2)), (n - 1) * s + 1, d)
    most = {"zeros": 4, "reflect": n - 1, "replicate": 4, "circular": n}[kind]
    return conv_axis(n, k, s, draw(st.integers(0, most)), draw(st.integers(0, most)), d, kind)


@given(axes())
def test_runs_describe_every_row_once(axis: AxisPattern) -> None:
    rows = {}
    for run in axis.runs:
        for i in range(run.count):
            output = run.first + i * run.step
            assert output not in rows
            assert run.before + i * run.jump == sum(axis.counts[:output])
            rows[output] = tuple(zip((n + i * run.shift for n in run.inputs), run.slots, strict=True))
    assert rows == {output: row for output, row in enumerate(axis.rows) if row}


@given(axes())
def test_transposing_twice_changes_nothing(axis: AxisPattern) -> None:
    assert axis.transpose().transpose() == axis
    assert sum(axis.counts) == sum(axis.transpose().counts)


@given(axes())
def test_inputs_increase_and_slots_are_distinct(axis: AxisPattern) -> None:
    assert all(a < b for row in axis.rows for (a, _), (b, _) in pairwise(row))
    assert len(set(axis.slots)) == len(axis.slots)


@given(st.lists(axes(), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3))
def test_entries_are_counted_without_building(product: list[AxisPattern], groups: int, channels: int) -> None:
    pattern = Pattern(tuple(product), groups, (channels, 2))
    total = 1
    for axis in product:
        total *= sum(len(row) for row in axis.rows)
    assert pattern.nnz == pattern.transpose().nnz == 2 * groups * channels * total
    assert pattern.transpose().shape == pattern.shape[::-1]
