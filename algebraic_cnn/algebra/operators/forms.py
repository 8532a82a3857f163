"""Is a map of images ONE convolution?  Where, in which phases, with which bias: a property of its rows.

    AxisForm       y[up j + q] = sum_t k[q, t] x[down j + start + step t], x zero outside, for the outputs ``told``
    Ends           the first rows, the period and the last rows, which belong to no length
    OperatorForm   one for each axis, the bias, and the kernel over a ring

Every row is compared with the middle one, the reads that lie outside left out, along each axis by itself: a sum of
products of rows is the middle one for all taps iff each of its factors is.  So the decision is as tight as the
definition, and costs no choice of classes.  Around a circle, reads that lie outside come in again at the other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from math import gcd

import numpy as np

from ...rings.ring import Ring
from .axes import FAR, KEPT, NEAR, Axis, AxisRows, P
from .blocks import Array, Blocks, zeros


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
        circle: whether what lies outside is the image again, as around a circle, instead of zero.

    >>> from .rules import windows
    >>> axis_form(windows(3, padding=(1, 1)), 5).reads[0]                   # a padded convolution with 3 taps
    array([-1,  0,  1])
    """

    n: int
    m: int
    up: int
    down: int
    start: int
    width: int
    step: int
    told: tuple[int, int]
    phases: tuple[tuple[int, tuple[int, ...]], ...] = ()
    circle: bool = False

    @property
    def exact(self) -> bool:
        """Whether the convolution tells every output."""
        return self.told == (0, self.m)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after the axis that make it a convolution without padding; a negative number crops."""
        last = self.start + self.step * (self.width - 1) + self.down * (-(-self.m // self.up) - 1)
        return -self.start, last - (self.n - 1)

    @cached_property
    def reads(self) -> Array:
        """Integers (m, width): entry [p, t] is the position that output p reads with tap t."""
        origins = np.arange(self.m) // self.up * self.down + self.start
        return origins[:, None] + self.step * np.arange(self.width)

    @cached_property
    def used(self) -> tuple[tuple[int, int], ...]:
        """Of each phase, the first and the last tap that it reads through; the last before the first if it has none."""
        taps = [[(i - self.start) // self.step for i in reads] for _, reads in self.phases]
        last = self.width - 1
        return tuple((max(0, min(at)), min(last, max(at))) if at else (self.width, -1) for at in taps)

    def hull(self, p: Array) -> tuple[Array, Array]:
        """Integers (*p.shape,) twice: the lowest and the highest position that outputs p read; p may lie anywhere.

        >>> from .compositions import then
        >>> from .rules import spread, windows
        >>> doubled = then(spread(2, 2), windows(3, padding=(1, 1)))
        >>> axis_form(doubled, 4).hull(np.arange(2))                        # x[-1], x[0]; x[0], x[1]
        (array([-1,  0]), array([0, 1]))
        """
        origin = p // self.up * self.down + self.start
        first, last = np.array(self.used).T
        return origin + self.step * first[p % self.up], origin + self.step * last[p % self.up]

    @property
    def idle(self) -> tuple[int, int]:
        """How many taps are surely 0 at each end of the transposed convolution's kernel.

        There output up j + q reads x[j + start + t] through tap q + up (width - 1 - t).
        """
        q, (first, last) = np.arange(self.up), np.array(self.used).T
        low, high = (q + self.up * (self.width - 1 - taps) for taps in (last, first))
        return int(low.min()), int(self.up * self.width - 1 - high.max())

    @cached_property
    def inside(self) -> bool:
        """Whether no output reads outside."""
        return bool(self.reads.min() >= 0 and self.reads.max() < self.n)

    @property
    def around(self) -> tuple[int, int]:
        """How many positions of the circle are read before and after the axis."""
        reads = self.reads if self.circle else np.zeros(1)
        return max(0, -int(reads.min())), max(0, int(reads.max()) - self.n + 1)

    @property
    def unrolled(self) -> AxisForm:
        """The axis with these positions before and after it: what lies outside is zero again."""
        (before, after), n = self.around, self.n
        phases = tuple((c, tuple(i + before for i in reads)) for c, reads in self.phases)
        return replace(self, n=n + before + after, start=self.start + before, phases=phases, circle=False)

    @property
    def trivial(self) -> bool:
        """Whether every output reads its own position alone."""
        return self.exact and self.n == self.m and (self.down, self.up, self.start, self.width) == (1, 1, 0, 1)

    @cached_property
    def interior(self) -> tuple[int, int]:
        """The outputs, first and stop, that are told and read nothing outside; none if they are no range."""
        inside = np.flatnonzero(((self.reads >= 0) & (self.reads < self.n)).all(1))
        first, stop = self.told
        return (max(first, int(inside[0])), min(stop, int(inside[-1]) + 1)) if len(inside) else (0, 0)


@dataclass(frozen=True)
class Ends:
    """The rows of an axis as first ones, a period again and again, and last ones: data that has no length.

    Attributes:
        first: classes of the rows before the period; as many as some periods have.
        period: classes of its rows.
        last: classes of the rows behind the last period.
    """

    first: tuple[int, ...]
    period: tuple[int, ...]
    last: tuple[int, ...]

    @classmethod
    def of(cls, axis: Axis, n: int) -> Ends | None:
        """Those of the rows at a length; None where no whole period lies between the borders.

        >>> from .rules import windows
        >>> Ends.of(windows(3, padding=(1, 1)), 9)
        Ends(first=(0,), period=(1,), last=(2,))
        """
        rows = axis.rows(n)
        up, _, far, j = _middle(axis, rows)
        period = far.classes[up * j : up * (j + 1)]
        low, stop = _longest([c == period[p % up] for p, c in enumerate(rows.classes)])
        first = -(-low // up) * up
        behind = first + max(0, stop - first) // up * up
        return cls(rows.classes[:first], period, rows.classes[behind:]) if behind > first else None

    def fit(self, axis: Axis, n: int, m: int) -> bool:
        """Whether these are the rows at another length, which has ``m`` outputs."""
        times, rest = divmod(m - len(self.first) - len(self.last), len(self.period))
        return times >= 0 == rest and axis.rows(n).classes == (*self.first, *self.period * times, *self.last)

    def kept(self, m: int) -> list[int]:
        """Of ``m`` rows, the first ones, one period and the last ones."""
        return [*range(len(self.first) + len(self.period)), *range(m - len(self.last), m)]


@dataclass(frozen=True, eq=False)
class OperatorForm:
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
        return kernel_of(self.blocks, self.axes, ring)


def kernel_of(f: Blocks, axes: Sequence[AxisForm], ring: Ring) -> Array:
    """The taps of a map over a ring, of shape (*ups, c_out, c_in / groups, *widths).

    Args:
        f: the map.
        axes: what it is along each axis.
        ring: where to compute.
    """
    ups = [axis.up for axis in axes]
    k = zeros(ring, (*ups, f.c_out, f.c_in // f.groups, *(axis.width for axis in axes)))
    for q in product(*map(range, ups)):
        phases = [axis.phases[i] for axis, i in zip(axes, q, strict=True)]
        B = f.block(ring, tuple(c for c, _ in phases))
        kept, taps = [], []
        for axis, (_, reads) in zip(axes, phases, strict=True):
            at = [divmod(i - axis.start, axis.step) for i in reads]
            own = [r for r, (t, rest) in enumerate(at) if rest == 0 and 0 <= t < axis.width]  # the others cancel
            kept.append(own)
            taps.append([at[r][0] for r in own])
        if (
            all(a == b == list(range(n)) for a, b, n in zip(kept, taps, B.shape[2:], strict=True))
            and B.shape == k[q].shape
        ):
            k[q] = B
            continue
        lead = [range(n) for n in B.shape[:2]]
        here = (*q, *np.ix_(*lead, *taps))
        if all(len(set(along)) == len(along) for along in taps):
            k[here] = B[np.ix_(*lead, *kept)]
        else:  # places that are counted from different ends meet
            np.add.at(k, here, B[np.ix_(*lead, *kept)])
            k[q] = ring.reduce(k[q])
    return k


def form_of(f: Blocks, sizes: Sequence[int], ring: Ring) -> OperatorForm:
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
    return OperatorForm(axes, kind, bias, f)


@lru_cache(maxsize=4 * KEPT)
def axis_form(axis: Axis, n: int) -> AxisForm:
    """The convolution that the middle of an axis is, and the outputs of length n that it tells.

    The middle is read at a length of the same residue where there is one; numbers that cancel are no taps.

    Raises:
        GeometryError: if there is no output of this length.
    """
    rows = axis.rows(n)
    up, down, far, j = _middle(axis, rows)
    period = up
    middle = [{o - down * j: v for o, v in axis.row(far, j * up + q).items()} for q in range(up)]
    u = next((u for u in range(1, up) if up % u == down * u % up == 0 and _repeats(middle, u, down * u // up)), up)
    up, down, j, middle = u, down * u // up, j * up // u, middle[:u]

    def placed(r: AxisRows, p: int, at: int) -> tuple[int, tuple[int, ...]]:
        return r.classes[p], tuple(i - down * at for i in axis.positions(r, p))

    phases = tuple(placed(far, j * up + q, j) for q in range(up))

    plainly: list[bool] = []  # the reads and what is done with them are those of the middle

    def told(p: int) -> bool:
        at, q = divmod(p, up)
        again = p in rows.repeats and plainly[p - period]
        plainly.append(again or placed(rows, p, at) == phases[q])
        if plainly[p]:
            return True
        return axis.row(rows, p) == {o + down * at: v for o, v in middle[q].items() if 0 <= o + down * at < n}

    def round_about(p: int) -> bool:
        at, q = divmod(p, up)
        total: dict[int, int] = {}
        for o, v in middle[q].items():
            total[(o + down * at) % n] = (total.get((o + down * at) % n, 0) + v) % P
        return axis.row(rows, p) == {o: v for o, v in total.items() if v}

    run, ends = _longest([told(p) for p in range(rows.m)]), {kind for c in rows.places for kind, _ in axis.reads[c]}
    circle = run != (0, rows.m) and {NEAR, FAR} & ends != set() and all(map(round_about, range(rows.m)))
    offsets = sorted({o for each in middle for o in each}) or [0]
    step = gcd(*np.diff(offsets).tolist()) or 1
    width = (offsets[-1] - offsets[0]) // step + 1
    return AxisForm(
        n, rows.m, up, down, offsets[0], width, step, (0, rows.m) if circle else run, phases, circle
    )  # fmt: skip


def _middle(axis: Axis, rows: AxisRows) -> tuple[int, int, AxisRows, int]:
    """up, down, rows with a middle of that period, and the number j of a stretch of it.

    Stretch j is one where the reach of the axis lies between the ends.  Rows that never grow so long, and those of
    an axis without a period, have the middle that they show.
    """
    (up, down), (before, after) = axis.period_at(rows.n), axis.reach
    j = -(-before // down)
    short = max(0, down * j + after + 1 - rows.n)
    far = rows if axis.period is None else axis.rows(rows.n - down * (-short // down))
    if axis.period is None or far.m < up * (j + 1):
        up = min(up, rows.m)  # fewer outputs than phases: each is one
        return up, down, rows, rows.m // up // 2
    return up, down, far, j


def _repeats(middle: list[dict[int, int]], u: int, shift: int) -> bool:
    """Whether the phases after the first u are these again, moved."""
    return all(each == {o + q // u * shift: v for o, v in middle[q % u].items()} for q, each in enumerate(middle))


def _longest(told: list[bool]) -> tuple[int, int]:
    """The longest stretch of outputs that are told, first and stop; (0, 0) if none is."""
    ends = np.flatnonzero(np.diff([False, *told, False])).reshape(-1, 2)
    runs = [(int(first), int(stop)) for first, stop in ends]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
