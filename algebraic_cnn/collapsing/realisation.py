"""A piece as calls: the exact forms in which one stencil and its offset can run.

    scaled         one multiplication for each entry, and one addition
    matrix         ``linear``: no spatial axes, or channels last
    convolution    one convolution; padding that its argument cannot say becomes a pad or a crop before it
    circle         where what lies outside is the image again, as much of it as is read, before one of these
    transposed     one transposed convolution
    phased         one convolution for all phases, which a reshape then interleaves
    bias map       where f(0) is an image: added at the end

Each is the piece in every pixel, or is not made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..algebra.operators.forms import AxisForm
from ..algebra.stencils.folding import offset
from ..algebra.stencils.kernels import transposed_padding, weight_of_phases
from ..algebra.stencils.phases import Grouping, channels
from ..algebra.stencils.pieces import Array, Form, Offset, Piece, form
from ..ir.graph import Call, Ref, Size
from ..rings.ring import Ring
from .building import GraphBuilder

#: Measured on one core, 2x2 phases, 64 -> 64 and 32 -> 3 channels: one convolution takes 1.1 and 0.23 x as long.
_LANES = 8


@dataclass(frozen=True, eq=False)
class Work:
    """One piece on its way into a builder.

    Attributes:
        builder: where the calls go.
        piece: a settled piece.
        whole: its form.
        like: the call whose place and source line they take.
    """

    builder: GraphBuilder
    piece: Piece
    whole: Form
    like: Call

    @property
    def batch(self) -> int | None:
        """The length of the first axis, None if it is free."""
        return self.piece.source[0]

    def taps(self, ring: Ring) -> Array:
        """The taps of the piece."""
        return self.whole.taps(ring)

    def offset(self, ring: Ring) -> Array:
        """f(0), of the kind that the form says."""
        value = offset(self.piece, ring)
        return np.zeros(self.whole.c_out) if value is None else value

    def number(self, what: str, shape: tuple[int, ...], recipe: Callable[[Ring], Array]) -> Ref:
        """A constant of the builder."""
        return self.builder.constant(self.like, what, shape, lambda ring: recipe(ring).reshape(shape))

    def call(self, op: str, *args: object) -> Ref:
        """A call of the builder."""
        return self.builder.call(self.like, op, *args)

    def shaped(self, x: Ref, shape: Size) -> Ref:
        """The same numbers under another shape."""
        return self.builder.reshaped(self.like, x, shape)


def runs(piece: Piece) -> bool:
    """Whether a settled piece is a stencil that torch can run in one of the forms above."""
    whole = form(piece)
    if whole is None or not whole.exact or len(whole.axes) > 3:
        return False
    if any(max(axis.around) > axis.n for axis in whole.axes):  # torch goes round once
        return False
    if _scales(piece, whole) or not (whole.last or not whole.axes):
        return True
    return whole.groups == 1 and whole.pointwise


def _scales(piece: Piece, whole: Form) -> bool:
    return whole.diagonal and piece.source == piece.shape


def realise(builder: GraphBuilder, x: Ref, piece: Piece, like: Call, *, images: bool = False) -> Ref | None:
    """The calls of a piece as one stencil.

    Args:
        builder: where the calls go.
        x: the value that the piece takes.
        piece: a settled piece.
        like: the call whose place and source line they take.
        images: whether an image of one pixel stays an image: where a convolution starts as fast as a matrix product.

    Returns:
        The value, or None if the piece does not run (``runs``).
    """
    whole = form(piece)
    if whole is None or not runs(piece):
        return None
    work, axes = Work(builder, piece, whole, like), whole.axes
    if _scales(piece, whole):
        return _scaled(work, x)
    if whole.last or not axes:
        return _matrix(work, x)
    if all(axis.trivial and axis.n == 1 for axis in axes) and whole.groups == 1:
        return _pixel(work, x, images=images)
    x = work.shaped(x, (work.batch, whole.c_in, *(axis.n for axis in axes)))
    x, axes = _unrolled(work, x, axes)
    if all(axis.up == 1 for axis in axes):
        y = _convolution(work, x, axes)
    elif all(axis.down == 1 and _transposable(axis) for axis in axes) and not _narrow(whole):
        y = _transposed(work, x, axes)
    else:
        y = _phased(work, x, axes)
    return work.shaped(_with_map(work, y), piece.shape)


def _scaled(work: Work, x: Ref) -> Ref:
    """x s + c."""
    shape, channels = work.piece.shape, work.whole.c_out
    own = (channels,) if work.whole.last else (channels, *[1] * (len(shape) - 2))
    y = work.call("mul", x, work.number("scale", own, work.taps))
    if work.whole.offset == Offset.CHANNEL:
        return work.call("add", y, work.number("bias", own, work.offset))
    return _with_map(work, y)


def _matrix(work: Work, x: Ref) -> Ref:
    """x W^T + b along the last axis; axes of length 1 beside it may come or go."""
    c_out, c_in = work.whole.c_out, work.whole.c_in
    weight = work.number("weight", (c_out, c_in), work.taps)
    y = work.call("linear", x, weight, _bias(work))
    return work.shaped(_with_map(work, y), work.piece.shape)


def _pixel(work: Work, x: Ref, *, images: bool) -> Ref:
    """x W^T + b where an image is one pixel; a map is then one number for each channel as well."""
    fp = work.whole
    bias = None
    if work.whole.offset:
        bias = work.number("bias", (fp.c_out,), work.offset)
    ones = [1] * len(fp.axes)
    if images and all(list(size[2:]) == ones for size in (work.piece.source, work.piece.shape)):
        weight = work.number("weight", (fp.c_out, fp.c_in, *ones), work.taps)
        return work.call(f"conv{len(ones)}d", x, weight, bias)
    weight = work.number("weight", (fp.c_out, fp.c_in), work.taps)
    y = work.call("linear", work.shaped(x, (work.batch, fp.c_in)), weight, bias)
    return work.shaped(y, work.piece.shape)


def _bias(work: Work, copies: int = 1) -> Ref | None:
    """One number for each output channel, or None where there is none or an image instead."""
    if work.whole.offset != Offset.CHANNEL:
        return None
    return work.number("bias", (work.whole.c_out * copies,), lambda ring: work.offset(ring).repeat(copies))


def _map(work: Work, shape: Size) -> Ref:
    """f(0) as an image of a value's shape."""
    sizes = tuple(n or 1 for n in shape[1:])
    return work.number("bias_map", sizes, lambda r: np.moveaxis(work.offset(r), 0, -1 if work.whole.last else 0))


def _with_map(work: Work, y: Ref) -> Ref:
    return work.call("add", y, _map(work, work.builder.shapes[y.name])) if work.whole.offset == Offset.MAP else y


def _convolution(
    work: Work, x: Ref, axes: Sequence[AxisForm], copies: int = 1, taps: Callable[[Ring], Array] | None = None
) -> Ref:
    """One convolution; with phases, channel c at phase q is its output c copies + q."""
    fp = work.whole
    size = (fp.c_out * copies, fp.c_in // fp.groups, *(axis.width for axis in axes))
    weight = work.number("weight", size, taps or work.taps)
    pads = [_pads(axis) for axis in axes]
    padding = [before for before, _ in pads]
    if any(before != after or before < 0 for before, after in pads):
        flat = [n for pad in reversed(pads) for n in pad]
        x, padding = work.call("constant_pad_nd", x, flat), [0] * len(pads)
    options = [axis.down for axis in axes], padding, [axis.step for axis in axes], fp.groups
    return work.call(f"conv{len(axes)}d", x, weight, _bias(work, copies), *options)


def _unrolled(work: Work, x: Ref, axes: Sequence[AxisForm]) -> tuple[Ref, Sequence[AxisForm]]:
    """As much of every circle as is read, and the axes that it then has."""
    pairs = [axis.around for axis in axes]
    if not any(map(any, pairs)):
        return x, axes
    x = work.call("pad", x, [n for pair in reversed(pairs) for n in pair], "circular")
    return x, [axis.unrolled for axis in axes]


def _pads(axis: AxisForm) -> tuple[int, int]:
    """Zeros before and after the input so that the convolution has m outputs; equal ones where that is possible."""
    before = -axis.start
    extent = axis.step * (axis.width - 1) + 1
    after = axis.down * (axis.m - 1) + extent - before - axis.n
    same = (axis.n + 2 * before - extent) // axis.down + 1 == axis.m and axis.n + 2 * before >= extent
    return before, before if same else after


def _transposable(axis: AxisForm) -> bool:
    padding, extra = transposed_padding(axis)
    return axis.step == 1 and padding >= 0 and 0 <= extra < max(axis.up, 1)


def _narrow(fp: Form) -> bool:
    """Whether a transposed convolution has too few output channels to fill vector units: its phases then fill them."""
    return fp.groups == 1 and fp.c_out < _LANES


def _transposed(work: Work, x: Ref, axes: Sequence[AxisForm]) -> Ref:
    """One transposed convolution."""
    fp = work.whole
    kernel = [axis.up * axis.width - sum(axis.idle) for axis in fp.axes]
    size = (fp.c_in, fp.c_out // fp.groups, *kernel)
    weight = work.number("weight", size, lambda ring: weight_of_phases(work.taps(ring), fp))
    padding, extra = zip(*map(transposed_padding, axes), strict=True)
    options = [axis.up for axis in fp.axes], list(padding), list(extra), fp.groups
    op = f"conv_transpose{len(kernel)}d"
    return work.call(op, x, weight, _bias(work), *options)


def _phased(work: Work, x: Ref, axes: Sequence[AxisForm]) -> Ref:
    """One convolution whose outputs are the phases, interleaved and cut to length."""
    fp = work.whole
    groupings = [Grouping.of(axis) for axis in axes]
    wide, befores = zip(*(each.covering() for each in groupings), strict=True)
    ups = [axis.up for axis in fp.axes]
    y = _convolution(work, x, wide, math.prod(ups), lambda ring: channels(work.taps(ring), fp, groupings))
    y = interleaved(work.builder, y, ups, work.like)
    for place, (axis, before) in enumerate(zip(fp.axes, befores, strict=True), 2):
        if work.builder.shapes[y.name][place] != axis.m:
            y = work.call("slice", y, place, before, before + axis.m)
    return y


def interleaved(builder: GraphBuilder, y: Ref, ups: Sequence[int], like: Call) -> Ref:
    """Channels c up + q become positions up j + q of channel c, along every axis."""
    _, c, *lengths = (int(n or 1) for n in builder.shapes[y.name])
    d, c = len(ups), c // math.prod(ups)
    if set(ups) <= {1}:
        return y
    batch = builder.shapes[y.name][0]
    y = builder.reshaped(like, y, (batch, c, *ups, *lengths))
    order = [0, 1, *(axis for i in range(d) for axis in (2 + d + i, 2 + i))]
    y = builder.call(like, "permute", y, order)
    sizes = [u * n for u, n in zip(ups, lengths, strict=True)]
    return builder.reshaped(like, y, (batch, c, *sizes))
