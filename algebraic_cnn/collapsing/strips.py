"""One composed kernel inside, the network's own calls on strips along the border: exact where no one stencil is.

    Band      a range of outputs along one axis, and the inputs that they read
    ringed    writes interior and strips, and puts them together; None where a piece has no such form

Between padded layers the border of the intermediate image is cut off, so near it the composed kernel is not the map
(``Axis.ring``).  There the calls are made as they were, on strips just wide enough that what the cuts add at their
new edges reaches no output that is kept.  A chain that widens its channels and narrows them again, such as those of
overparameterised training, costs less that way; a chain that does not is refused by its price.  With phases, where
calls upsample, shuffle pixels or are transposed, the inside is one convolution with the phases for channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..algebra.operators.forms import AxisForm
from ..algebra.stencils.folding import offset, sure_form
from ..algebra.stencils.moves import keeps_axes
from ..algebra.stencils.phases import Grouping, channels
from ..algebra.stencils.pieces import Array, Atom, Offset, Piece, atoms, form
from ..ir.graph import Call, Ref
from ..ops.registry import traits
from ..rings.ring import Ring
from .building import Emit, GraphBuilder
from .realisation import interleaved


@dataclass(frozen=True)
class Band:
    """Outputs ``first`` .. ``stop - 1`` along an axis from inputs ``start`` .. ``end - 1``; ``skip`` come before."""

    first: int
    stop: int
    start: int
    end: int
    skip: int

    @classmethod
    def of(cls, axis: AxisForm, first: int, stop: int) -> Band:
        """The band of some outputs: cuts are whole periods from the ends, and beyond all that is read."""
        low, high = int(axis.reads[first].min()), int(axis.reads[stop - 1].max())
        before = min(max(0, low) // axis.down, first // axis.up) if first else 0
        after = min(max(0, axis.n - 1 - high) // axis.down, (axis.m - stop) // axis.up) if stop < axis.m else 0
        return cls(first, stop, before * axis.down, axis.n - after * axis.down, first - before * axis.up)


def _whole_groups(axis: AxisForm) -> tuple[int, int]:
    """The part of the interior in which the phases of every group lie."""
    grouping = Grouping.of(axis)
    first, stop = grouping.groups(*axis.interior)
    return grouping.offset + axis.up * first, grouping.offset + axis.up * stop


def ringed(piece: Piece, given: Emit) -> Emit | None:
    """Writes a piece as one convolution inside and as it was along the border.

    Args:
        piece: a settled piece.
        given: writes it as the network has it.
    """
    whole = form(piece)
    if whole is None or whole.last or not 1 <= len(whole.axes) <= 3 or not all(map(_free, atoms(piece))):
        return None
    axes, inner = whole.axes, [_whole_groups(axis) for axis in whole.axes]
    if any(stop <= first for first, stop in inner):
        return None
    if not all(band.start < band.end for axis, pair in zip(axes, inner, strict=True) for band in _ends(axis, *pair)):
        return None  # nothing but border, and what that reads the kernel does not say

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        def part(bands: Sequence[Band]) -> Ref:
            depth = len(bands)
            if depth == len(axes):
                return _inside(builder, x, piece, bands, like)
            axis, (first, stop) = axes[depth], inner[depth]
            rest = [Band.of(other, 0, other.m) for other in axes[depth + 1 :]]
            ends = [Band.of(axis, a, b) if b > a else None for a, b in ((0, first), (stop, axis.m))]
            strips = [end and _strip(builder, x, given, [*bands, end, *rest], like) for end in ends]
            values = [strips[0], part([*bands, Band.of(axis, first, stop)]), strips[1]]
            values = [value for value in values if value is not None]
            if len(values) == 1:
                return values[0]
            return builder.call(like, "cat", values, depth + 2)

        return part([])

    return emit


def _ends(axis: AxisForm, first: int, stop: int) -> list[Band]:
    """The outputs before and after an interior, where there are some."""
    return [Band.of(axis, a, b) for a, b in ((0, first), (stop, axis.m)) if b > a]


def _free(piece: Piece) -> bool:
    """Whether a piece runs on a part of an image as on the whole: also an identity, which makes no call."""
    if not isinstance(piece, Atom) or piece.form.offset == Offset.MAP or not keeps_axes(piece):
        return False
    if not all(map(_uncropped, piece.form.axes)):
        return False
    return piece.call is None or traits(piece.call.op).local(piece.call.bound())


def _uncropped(axis: AxisForm) -> bool:
    """Whether every output that there would be further out reads something outside: then a cut shows in no other."""
    before, behind = np.arange(-axis.up, 0), np.arange(axis.m, axis.m + axis.up)
    return bool((axis.hull(before)[0] < 0).all() and (axis.hull(behind)[1] >= axis.n).all())


def _inside(builder: GraphBuilder, x: Ref, piece: Piece, bands: Sequence[Band], like: Call) -> Ref:
    """One convolution without padding, from exactly what its outputs read; phases are channels, then interleaved."""
    fp = sure_form(piece)
    groupings = [Grouping.of(axis) for axis in fp.axes]
    ranges = [each.groups(band.first, band.stop) for each, band in zip(groupings, bands, strict=True)]
    starts, ends = zip(*(each.reads(*pair) for each, pair in zip(groupings, ranges, strict=True)), strict=True)
    x = _cut(builder, x, starts, ends, like)
    ups = [axis.up for axis in fp.axes]
    size = (fp.c_out * math.prod(ups), fp.c_in // fp.groups, *(each.width for each in groupings))
    weight = builder.constant(like, "weight", size, lambda ring: channels(fp.taps(ring), fp, groupings))
    bias = None
    if fp.offset:
        bias = builder.constant(like, "bias", size[:1], _value_at(piece, [band.first for band in bands]))
    options = [axis.down for axis in fp.axes], [0] * len(bands), [each.step for each in groupings], fp.groups
    y = builder.call(like, f"conv{len(bands)}d", x, weight, bias, *options)
    return interleaved(builder, y, ups, like)


def _value_at(piece: Piece, place: Sequence[int]) -> Callable[[Ring], Array]:
    """f(0) at the phases that begin at one output, which is f(0) in the whole interior."""
    fp = sure_form(piece)
    ups = [axis.up for axis in fp.axes]
    phases = tuple(slice(first, first + up) for first, up in zip(place, ups, strict=True))

    def recipe(ring: Ring) -> Array:
        value = offset(piece, ring)
        if value is None:
            return np.zeros(fp.c_out * math.prod(ups))
        return value.repeat(math.prod(ups)) if value.ndim == 1 else value[(slice(None), *phases)].reshape(-1)

    return recipe


def _strip(builder: GraphBuilder, x: Ref, given: Emit, bands: Sequence[Band], like: Call) -> Ref:
    """The calls as they were, on what some outputs read."""
    x = _cut(builder, x, [band.start for band in bands], [band.end for band in bands], like)
    made = len(builder.calls)
    y = given(builder, x, like)
    for place in range(made, len(builder.calls)):
        call = builder.calls[place]
        builder.calls[place] = replace(call, shape=builder.inferred(call.target, call.args, call.kwargs))
        builder.shapes[call.name] = builder.calls[place].shape
    return _cut(builder, y, [b.skip for b in bands], [b.skip + b.stop - b.first for b in bands], like)


def _cut(builder: GraphBuilder, x: Ref, starts: Sequence[int], ends: Sequence[int], like: Call) -> Ref:
    for axis, (start, end) in enumerate(zip(starts, ends, strict=True), 2):
        shape = builder.shapes[x.name]
        if (start, end) != (0, shape[axis]):
            x = builder.call(like, "slice", x, axis, start, end)
    return x
