"""The phases of a map as channels of one convolution: which consecutive outputs are computed from one window.

Grouping   outputs up j + offset .. up j + offset + up - 1, from the narrowest window that any such grouping needs
channels   the taps of all phases as the weight of that convolution

Nearest upsampling by 2 and a 3x3 convolution: outputs 2 j and 2 j + 1 read x[j - 1 .. j + 1], but 2 j - 1 and 2 j both
read x[j - 1 .. j], so 4 taps for each phase do what 9 do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod

import numpy as np

from ..operators.forms import AxisForm
from .pieces import Array, Form


@dataclass(frozen=True)
class Grouping:
    """Outputs up j + offset + i, i < up, from x[down j + start + step t], t < width, along one axis.

    Attributes:
        axis: the axis.
        offset: phase of the first output.
        start: first position that group 0 reads.
        width: how many taps.
        step: distance of two taps.
    """

    axis: AxisForm
    offset: int
    start: int
    width: int
    step: int

    @classmethod
    def of(cls, axis: AxisForm) -> Grouping:
        """The grouping with the fewest taps.

        >>> from ..operators.compositions import then
        >>> from ..operators.forms import axis_form
        >>> from ..operators.rules import chosen, windows
        >>> twice = chosen(lambda n: [p // 2 for p in range(2 * n)], (2, 1))
        >>> up = axis_form(then(twice, windows(3, padding=(1, 1))), 4)
        >>> up.width, Grouping.of(up).width, Grouping.of(up).offset
        (3, 2, 1)
        """
        found = []
        for offset in range(axis.up):
            low, high = axis.hull(offset + np.arange(axis.up))
            step = gcd(axis.step if axis.width > 1 else 0, axis.down if offset else 0) or 1
            width = max(1, int(high.max() - low.min()) // step + 1)  # where no phase reads anything, one tap of 0
            found.append(cls(axis, offset, int(low.min()), width, step))
        return min(found, key=lambda each: each.width)

    def groups(self, first: int, stop: int) -> tuple[int, int]:
        """The range of groups that lie in outputs ``first`` .. ``stop - 1``."""
        return -((self.offset - first) // self.axis.up), (stop - self.offset) // self.axis.up

    def reads(self, first: int, stop: int) -> tuple[int, int]:
        """The range of inputs that groups ``first`` .. ``stop - 1`` read."""
        origin, down = self.start, self.axis.down
        return down * first + origin, down * (stop - 1) + origin + self.step * (self.width - 1) + 1

    def covering(self) -> tuple[AxisForm, int]:
        """The axis of the convolution whose groups hold every output, and how many of them come before output 0."""
        first, up = -(self.offset > 0), self.axis.up
        count = (self.axis.m - 1 - self.offset) // up - first + 1
        origin, down = self.reads(first, first + 1)[0], self.axis.down
        axis = AxisForm(self.axis.n, count, 1, down, origin, self.width, self.step, (0, count))
        return axis, -(up * first + self.offset)

    def place(self, phase: int) -> tuple[int, Array, Array]:
        """For a phase: which one of a group it is, which of its taps count, and where they lie in the window."""
        later = phase < self.offset
        taps = self.axis.start + self.axis.step * np.arange(self.axis.width) + (self.axis.down if later else 0)
        places = (taps - self.start) // self.step
        kept = np.flatnonzero((places >= 0) & (places < self.width))
        return phase - self.offset + (self.axis.up if later else 0), kept, places[kept]


def channels(taps: Array, form: Form, groupings: Sequence[Grouping]) -> Array:
    """The weight: output channel c at place i of a group is channel c up + i.

    Returns:
        (c_out * ups, c_in / groups, *widths).
    """
    ups, widths = [axis.up for axis in form.axes], [each.width for each in groupings]
    rows, columns = form.c_out, form.c_in // form.groups
    weight = np.zeros((rows, *ups, columns, *widths), dtype=taps.dtype)
    for phases in product(*map(range, ups)):
        found = [each.place(phase) for each, phase in zip(groupings, phases, strict=True)]
        places, kept, new = zip(*found, strict=True) if found else ((), (), ())
        block = taps[phases][np.ix_(range(rows), range(columns), *kept)]
        weight[(slice(None), *places)][np.ix_(range(rows), range(columns), *new)] = block
    return weight.reshape(rows * prod(ups), columns, *widths)
