"""Which input meets which tap at which output: integers only, one small pattern per axis.

A convolution in any number of dimensions is the product of one-dimensional patterns, so only those are ever
enumerated.

    tap      a position of the kernel along one axis
    hit      (output, input, tap): this tap carries this input into this output
    slot     what an entry of the matrix holds: one tap, or several whose values add up because padding sends them to
             the same input.  Slot t is tap t for every tap; merged slots follow
    run      outputs in arithmetic progression that see the same slots at the same relative inputs, and whose rows of
             the matrix therefore repeat one template
    pattern  the product of axes, times channels in groups
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

from .geometry import Geometry


@dataclass(frozen=True)
class PatternRun:
    """Outputs ``first, first + step, ...`` (``count`` of them) whose rows repeat one template.

    Attributes:
        first: the first output.
        step: distance between outputs.
        count: how many outputs.
        slots: the slots of each row, in the order of its inputs.
        inputs: the inputs of the first row, increasing.
        shift: how far the inputs move from one output of the run to the next.
        before: how many entries the outputs before the first one have, all together.
        jump: how much ``before`` grows from one output of the run to the next.
    """

    first: int
    step: int
    count: int
    slots: tuple[int, ...]
    inputs: tuple[int, ...]
    shift: int
    before: int
    jump: int


@dataclass(frozen=True)
class AxisPattern:
    """The pattern of one axis: for every output, the inputs it sees and the slot that weighs each.

    Attributes:
        length: number of inputs.
        rows: for every output, its (input, slot) pairs, inputs increasing.
        slots: for every slot, the taps whose values it adds up; slot t is (t,) for every tap t.
    """

    length: int
    rows: tuple[tuple[tuple[int, int], ...], ...]
    slots: tuple[tuple[int, ...], ...]

    @classmethod
    def from_hits(cls, length: int, outputs: int, taps: int, hits: Iterable[tuple[int, int, int]]) -> AxisPattern:
        """The axis with these hits; hits of one output and one input merge into one slot.

        Args:
            length: number of inputs.
            outputs: number of outputs.
            taps: number of taps.
            hits: (output, input, tap) triples in any order.

        Returns:
            The axis.

        >>> AxisPattern.from_hits(2, 1, 3, [(0, 0, 0), (0, 0, 1), (0, 1, 2)])
        AxisPattern(length=2, rows=(((0, 3), (1, 2)),), slots=((0,), (1,), (2,), (0, 1)))
        """
        rows: list[dict[int, tuple[int, ...]]] = [{} for _ in range(outputs)]
        for output, source, tap in hits:
            rows[output][source] = (*rows[output].get(source, ()), tap)
        number: dict[tuple[int, ...], int] = {(tap,): tap for tap in range(taps)}
        numbered = tuple(
            tuple((source, number.setdefault(merged, len(number))) for source, merged in sorted(row.items()))
            for row in rows
        )
        return cls(length, numbered, tuple(number))

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.rows)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many inputs each output sees."""
        return tuple(map(len, self.rows))

    def transpose(self) -> AxisPattern:
        """The same hits with inputs and outputs exchanged.

        Returns:
            The axis of the transposed matrix, with the same slots.

        >>> conv_axis(2, 2, 1, 1, 0, 1, "zeros").transpose().rows
        (((0, 1), (1, 0)), ((1, 1),))
        """
        columns: list[list[tuple[int, int]]] = [[] for _ in range(self.length)]
        for output, row in enumerate(self.rows):
            for source, slot in row:
                columns[source].append((output, slot))
        return AxisPattern(self.outputs, tuple(map(tuple, columns)), self.slots)

    @cached_property
    def runs(self) -> tuple[PatternRun, ...]:
        """The outputs that see any input, split into runs.

        Two outputs share a template if their slots and their relative inputs agree; a run must moreover be affine in
        its inputs and in the number of entries before it, so that one strided view reaches all of its rows.

        Together the runs cover every output with at least one input exactly once.

        >>> [(run.first, run.count, run.slots) for run in conv_axis(5, 3, 1, 1, 1, 1, "zeros").runs]
        [(0, 1, (1, 2)), (1, 3, (0, 1, 2)), (4, 1, (0, 1))]
        """
        templates: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for output, row in enumerate(self.rows):
            if row:
                templates.setdefault(tuple((source - row[0][0], slot) for source, slot in row), []).append(output)
        before = [0, *accumulate(self.counts)]
        runs = []
        for outputs in templates.values():
            places = [(output, self.rows[output][0][0], before[output]) for output in outputs]
            for start, count in _progressions(places):
                first = outputs[start]
                step, shift, jump = _difference(places, start + 1) if count > 1 else (0, 0, 0)
                inputs, slots = zip(*self.rows[first], strict=True)
                runs.append(PatternRun(first, step, count, slots, inputs, shift, before[first], jump))
        return tuple(runs)


def _progressions(places: list[tuple[int, int, int]]) -> Iterable[tuple[int, int]]:
    """Split points into maximal arithmetic progressions, as (start, count)."""
    start = 0
    while start < len(places):
        stop = start + 1
        while stop < len(places) and _difference(places, stop) == _difference(places, start + 1):
            stop += 1
        yield start, stop - start
        start = stop


def _difference(places: list[tuple[int, int, int]], at: int) -> tuple[int, int, int]:
    (a, b, c), (x, y, z) = places[at - 1 : at + 1]
    return x - a, y - b, z - c


def conv_axis(n: int, kernel: int, stride: int, before: int, after: int, dilation: int, mode: str) -> AxisPattern:
    """Output o sees input ``o stride + t dilation - before`` through tap t, folded back where it falls off the axis.

    Args:
        n: number of inputs.
        kernel: number of taps.
        stride: step between outputs.
        before: padded positions before the axis.
        after: padded positions after it.
        dilation: step between taps.
        mode: what falls off the axis: "zeros" (nothing), "reflect", "replicate" or "circular".

    Returns:
        The axis pattern.

    >>> conv_axis(3, 2, 1, 1, 0, 1, "circular").rows
    (((0, 1), (2, 0)), ((0, 0), (1, 1)), ((1, 0), (2, 1)))
    """
    outputs = (n + before + after - dilation * (kernel - 1) - 1) // stride + 1
    fold = FOLDS[mode]
    hits = ((o, fold(o * stride + t * dilation - before, n), t) for o in range(outputs) for t in range(kernel))
    return AxisPattern.from_hits(n, outputs, kernel, (hit for hit in hits if 0 <= hit[1] < n))


FOLDS = {
    "zeros": lambda i, n: i,
    "reflect": lambda i, n: -i if i < 0 else min(i, 2 * (n - 1) - i),
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "circular": lambda i, n: i % n,
}
"""Where a position outside ``range(n)`` is read from; "zeros" leaves it outside, where nothing is read."""


def conv_transpose_axis(n: int, kernel: int, stride: int, crop: int, outputs: int, dilation: int) -> AxisPattern:
    """Input i reaches output ``i stride + t dilation - crop`` through tap t, where that is an output.

    Args:
        n: number of inputs.
        kernel: number of taps.
        stride: step between inputs.
        crop: outputs cut off at the start (torch's ``padding``).
        outputs: number of outputs that remain.
        dilation: step between taps.

    Returns:
        The axis pattern.

    >>> conv_transpose_axis(2, 3, 2, 1, 3, 1).rows
    (((0, 1),), ((0, 2), (1, 0)), ((1, 1),))
    """
    hits = ((i * stride + t * dilation - crop, i, t) for i in range(n) for t in range(kernel))
    return AxisPattern.from_hits(n, outputs, kernel, (hit for hit in hits if 0 <= hit[0] < outputs))


@dataclass(frozen=True)
class Pattern:
    """The product of axes, for ``groups`` blocks of ``outputs x inputs`` channels each.

    Attributes:
        axes: the pattern of each spatial axis.
        groups: blocks of channels that do not see each other.
        channels: (output channels, input channels) of one group.
    """

    axes: tuple[AxisPattern, ...]
    groups: int
    channels: tuple[int, int]

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        out_channels, in_channels = self.channels
        rows = self.groups * out_channels * prod(axis.outputs for axis in self.axes)
        return rows, self.groups * in_channels * prod(axis.length for axis in self.axes)

    @cached_property
    def nnz(self) -> int:
        """Entries of the matrix that the geometry allows to differ from zero, known without building it."""
        return self.groups * prod(self.channels) * prod(sum(axis.counts) for axis in self.axes)

    def transpose(self) -> Pattern:
        """The pattern of the transposed matrix."""
        return Pattern(tuple(axis.transpose() for axis in self.axes), self.groups, (self.channels[1], self.channels[0]))


def conv_pattern(geometry: Geometry) -> Pattern:
    """The pattern of a convolution or a transposed convolution.

    Args:
        geometry: shapes and steps, as made by ``conv_geometry`` or ``conv_transpose_geometry``.

    Returns:
        Its pattern.

    >>> from algebraic_cnn.toeplitz.geometry import conv_geometry
    >>> conv_pattern(conv_geometry((1, 1, 3, 3), (1, 28, 28), padding=1)).nnz
    6724
    """
    g = geometry
    if g.transposed:
        outputs = g.output_shape[1:]
        axes = tuple(
            conv_transpose_axis(n, k, s, crop, m, d)
            for n, k, s, (crop, _), m, d in zip(
                g.spatial, g.kernel, g.stride, g.padding, outputs, g.dilation, strict=True
            )
        )
    else:
        axes = tuple(
            conv_axis(n, k, s, *pair, d, g.padding_mode)
            for n, k, s, pair, d in zip(g.spatial, g.kernel, g.stride, g.padding, g.dilation, strict=True)
        )
    return Pattern(axes, g.groups, (g.out_channels // g.groups, g.input_shape[0] // g.groups))
