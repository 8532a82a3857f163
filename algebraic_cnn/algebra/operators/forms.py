"""Is a map of images ONE convolution?  Where, in which phases, with which bias: a property of its rows.

    AxisForm   y[up j + q] = sum_t k[q, t] x[down j + start + step t], x zero outside, for the outputs ``told``
    Form       one for each axis, the bias, and the kernel over a ring

Every row is compared with the middle one, the reads that lie outside left out, along each axis by itself: a sum of
products of rows is the middle one for all taps iff each of its factors is.  So the decision is as tight as the
definition, and costs no choice of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np

from ...rings.ring import Ring
from .axes import Axis, Rows
from .blocks import Array, Blocks, zeros

#: How often the distance to the size is doubled at which a middle is looked for.
_DOUBLINGS = 12


@dataclass(frozen=True)
class AxisForm:
    """One axis of a convolution.

    Attributes:
        n: length of the input.
        m: length of the output.
        up: how many phases.
        down: inputs from one output of a phase to the next: the stride.
        start: the first input that output 0 reads; minus the padding.
        width: how many taps.
        step: distance of two taps: the dilation.
        told: the outputs, first and stop, that the convolution tells.
        phases: of each phase, its class and what output 0 of it reads.
    """

    n: int
    m: int
    up: int
    down: int
    start: int
    width: int
    step: int
    told: tuple[int, int]
    phases: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def exact(self) -> bool:
        """Whether the convolution tells every output."""
        return self.told == (0, self.m)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after the axis that make it a convolution without padding; a negative number crops."""
        last = self.start + self.step * (self.width - 1) + self.down * (-(-self.m // self.up) - 1)
        return -self.start, last - (self.n - 1)


@dataclass(frozen=True, eq=False)
class Form:
    """What a map of images is at one size.

    Attributes:
        axes: along each axis, the convolution that its middle is, and the outputs that this tells.
        kind: "convolution", if it tells all of them; "interior", if there are others; "none", if it tells none.
        bias: of the outputs that are told: "none", "one" for every channel, or a "map".
        blocks: the map.
    """

    axes: tuple[AxisForm, ...]
    kind: str
    bias: str
    blocks: Blocks

    def kernel(self, ring: Ring) -> Array:
        """The taps over a ring, of shape (*ups, c_out, c_in / groups, *widths); only blocks of the middle are asked.

        Args:
            ring: where to compute.
        """
        f, ups = self.blocks, [axis.up for axis in self.axes]
        k = zeros(ring, (*ups, f.c_out, f.c_in // f.groups, *(axis.width for axis in self.axes)))
        for q in product(*map(range, ups)):
            phases = [axis.phases[i] for axis, i in zip(self.axes, q, strict=True)]
            B = f.block(ring, tuple(c for c, _ in phases))
            taps = [
                [divmod(o - axis.start, axis.step) for o in reads]
                for axis, (_, reads) in zip(self.axes, phases, strict=True)
            ]
            for r in np.ndindex(*map(len, taps)):
                at = [each[i] for each, i in zip(taps, r, strict=True)]
                if all(rest == 0 and 0 <= t < axis.width for (t, rest), axis in zip(at, self.axes, strict=True)):
                    here = (*q, slice(None), slice(None), *(t for t, _ in at))
                    k[here] = ring.reduce(k[here] + B[(..., *r)])
        return k


def form_of(f: Blocks, sizes: Sequence[int], ring: Ring) -> Form:
    """What a map is on images of these sizes; a bias is looked at over the ring.

    Raises:
        GeometryError: if there is no output of this size.
    """
    axes = tuple(axis_form(axis, n) for axis, n in zip(f.axes, sizes, strict=True))
    kind = "convolution" if all(axis.exact for axis in axes) else "interior"
    if any(axis.told[0] == axis.told[1] for axis in axes):
        kind = "none"
    biases: set[tuple[object, ...]] = {(0,) * f.c_out}
    if f.biased and kind != "none":
        rows = (axis.rows(n).classes[slice(*form.told)] for axis, n, form in zip(f.axes, sizes, axes, strict=True))
        biases = {tuple(f.bias(ring, c).tolist()) for c in product(*map(dict.fromkeys, rows))}
    bias = "map" if len(biases) > 1 else "one" if any(map(any, biases)) else "none"
    return Form(axes, kind, bias, f)


def axis_form(axis: Axis, n: int) -> AxisForm:
    """The convolution that the middle of an axis is, and the outputs of length n that it tells.

    The middle is read at a length of the same residue where there surely is one; numbers that cancel are no taps.

    Raises:
        GeometryError: if there is no output of this length.
    """
    rows = axis.rows(n)
    up, down, far, j = _middle(axis, rows)
    middle = [
        {o - down * j: v for o, v in axis.row(far, j * up + q).items()} for q in range(min(up, far.m))
    ]  # fmt: skip
    u = next((u for u in range(1, up) if up % u == down * u % up == 0 and _repeats(middle, u, down * u // up)), up)
    up, down, j, middle = u, down * u // up, j * up // u, middle[:u]

    def placed(r: Rows, p: int, at: int) -> tuple[int, tuple[int, ...]]:
        return r.classes[p], tuple(i - down * at for i in axis.positions(r, p))

    phases = tuple(placed(far, j * up + q, j) for q in range(len(middle)))

    def told(p: int) -> bool:
        at, q = divmod(p, up)
        if placed(rows, p, at) == phases[q]:
            return True
        return axis.row(rows, p) == {o + down * at: v for o, v in middle[q].items() if 0 <= o + down * at < n}

    offsets = sorted({o for each in middle for o in each}) or [0]
    step = gcd(*np.diff(offsets).tolist()) or 1
    width = (offsets[-1] - offsets[0]) // step + 1
    return AxisForm(n, rows.m, up, down, offsets[0], width, step, _longest([told(p) for p in range(rows.m)]), phases)


def _middle(axis: Axis, rows: Rows) -> tuple[int, int, Rows, int]:
    """up, down, rows with a middle of that period, and the number j of a stretch of it.

    Rows that read nothing have no anchor, so a stretch in which none reads anything is no middle.
    """
    if axis.period is None:
        shared = gcd(rows.n, rows.m)
        return rows.m // shared, rows.n // shared, rows, shared // 2
    up, down = axis.period
    far, j = rows, 0
    for doubling in range(_DOUBLINGS):
        far = axis.rows(rows.n + down * (2**doubling - 1))
        j = far.m // up // 2
        stretch = range(max(0, (j - 1) * up), min((j + 1) * up, far.m - up))
        lively = [p for p in stretch if axis.moves(far.classes[p])]
        alike = all(far.classes[p] == far.classes[p + up] for p in stretch)
        steady = all(far.anchors[p + up] == far.anchors[p] + down for p in lively)
        if lively and len(stretch) == 2 * up and alike and steady:
            break
    return up, down, far, j


def _repeats(middle: list[dict[int, int]], u: int, shift: int) -> bool:
    """Whether the phases after the first u are these again, moved."""
    return all(each == {o + q // u * shift: v for o, v in middle[q % u].items()} for q, each in enumerate(middle))


def _longest(told: list[bool]) -> tuple[int, int]:
    """The longest stretch of outputs that are told, first and stop; (0, 0) if none is."""
    ends = np.flatnonzero(np.diff([False, *told, False])).reshape(-1, 2)
    runs = [(int(first), int(stop)) for first, stop in ends]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
