"""One composed kernel inside, the network's own calls on strips along the border: exact where no one stencil is.

    Band      a range of outputs along one axis, and the inputs that they read
    ringed    writes interior and strips, and puts them together; None where a piece has no such form

Between padded layers the border of the intermediate image is cut off, so near it the composed kernel is not the map
(``Axis.ring``).  There the calls are made as they were, on strips just wide enough that what the cuts add at their
new edges reaches no output that is kept.  A chain that widens its channels and narrows them again, such as those of
overparameterised training, costs less that way; a chain that does not is refused by its price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ..graph import Call, Ref, Size
from ..ring import Ring
from ..stencils.folding import offset, stencil
from ..stencils.lattice import Axis
from ..stencils.pieces import Array, Atom, Branches, Chain, Offset, Piece, form
from .drafting import Draft
from .writing import Emit

#: Calls that run on a part of the image as they do on the whole.
_SIZE_FREE = frozenset(
    [
        "batch_norm",
        *(f"{name}{n}d" for name in ("conv", "avg_pool", "reflection_pad", "replication_pad") for n in (1, 2, 3)),
    ]
)


@dataclass(frozen=True)
class Band:
    """Outputs ``first`` .. ``stop - 1`` along an axis from inputs ``start`` .. ``end - 1``; ``skip`` come before."""

    first: int
    stop: int
    start: int
    end: int
    skip: int

    @classmethod
    def of(cls, axis: Axis, first: int, stop: int) -> Band:
        """The band of some outputs: the cut lies on the grid of the strides, and beyond all that is read."""
        start = max(0, int(axis.reads[first].min())) // axis.down if first else 0
        end = min(axis.n, int(axis.reads[stop - 1].max()) + 1) if stop < axis.m else axis.n
        return cls(first, stop, start * axis.down, end, first - start)


def interior(axis: Axis) -> tuple[int, int]:
    """The outputs that the taps tell and that read nothing outside: (first, stop), empty if there are none."""
    inside = np.flatnonzero(((axis.reads >= 0) & (axis.reads < axis.n)).all(1))
    first, stop = axis.told
    return (max(first, int(inside[0])), min(stop, int(inside[-1]) + 1)) if len(inside) else (0, 0)


def ringed(piece: Piece, given: Emit) -> Emit | None:
    """Writes a piece as one convolution inside and as it was along the border.

    Args:
        piece: a settled piece.
        given: writes it as the network has it.
    """
    whole = form(piece)
    if whole is None or whole.last or not 1 <= len(whole.footprint.axes) <= 3 or not all(map(_free, _atoms(piece))):
        return None
    axes, inner = whole.footprint.axes, [interior(axis) for axis in whole.footprint.axes]
    if any(axis.up > 1 or stop <= first for axis, (first, stop) in zip(axes, inner, strict=True)):
        return None

    def emit(draft: Draft, x: Ref, like: Call) -> Ref:
        def part(bands: Sequence[Band]) -> Ref:
            depth = len(bands)
            if depth == len(axes):
                return _inside(draft, x, piece, bands, like)
            axis, (first, stop) = axes[depth], inner[depth]
            rest = [Band.of(other, 0, other.m) for other in axes[depth + 1 :]]
            ends = [Band.of(axis, a, b) if b > a else None for a, b in ((0, first), (stop, axis.m))]
            strips = [end and _strip(draft, x, given, [*bands, end, *rest], like) for end in ends]
            values = [strips[0], part([*bands, Band.of(axis, first, stop)]), strips[1]]
            values = [value for value in values if value is not None]
            if len(values) == 1:
                return values[0]
            shape = list(draft.shapes[values[0].name])
            shape[depth + 2] = axis.m
            return draft.call(like, "cat", values, depth + 2, shape=tuple(shape))

        return part([])

    return emit


def _atoms(piece: Piece) -> Iterator[Piece]:
    if isinstance(piece, Chain | Branches):
        for part in piece.parts:
            yield from _atoms(part)
    else:
        yield piece


def _free(piece: Piece) -> bool:
    """Whether a piece runs on a part of an image as on the whole: also an identity, which makes no call."""
    if not isinstance(piece, Atom) or piece.form.offset == Offset.MAP:
        return False
    if piece.call is None or piece.call.op in _SIZE_FREE:
        return True
    padded = piece.call.op in ("pad", "constant_pad_nd") and piece.wraps is None
    return padded and min(piece.call.bound()["pad"]) >= 0


def _inside(draft: Draft, x: Ref, piece: Piece, bands: Sequence[Band], like: Call) -> Ref:
    """One convolution without padding, from exactly what its outputs read."""
    whole = form(piece)
    fp = whole.footprint  # pyright: ignore[reportOptionalMemberAccess]
    size = (fp.c_out, fp.c_in // fp.groups, *(axis.width for axis in fp.axes))
    starts = [int(axis.reads[band.first].min()) for axis, band in zip(fp.axes, bands, strict=True)]
    ends = [int(axis.reads[band.stop - 1].max()) + 1 for axis, band in zip(fp.axes, bands, strict=True)]
    x = _cut(draft, x, starts, ends, like)
    weight = draft.constant(like, "weight", size, lambda ring: stencil(piece, ring).taps.reshape(size))
    bias = None
    if whole and whole.offset:
        bias = draft.constant(like, "bias", (fp.c_out,), _value_at(piece, [band.first for band in bands]))
    options = [axis.down for axis in fp.axes], [0] * len(bands), [axis.step for axis in fp.axes], fp.groups
    shape = (None, fp.c_out, *(band.stop - band.first for band in bands))
    return draft.call(like, f"conv{len(bands)}d", x, weight, bias, *options, shape=shape)


def _value_at(piece: Piece, place: Sequence[int]) -> Callable[[Ring], Array]:
    """f(0) at one output, which is f(0) in the whole interior."""

    def recipe(ring: Ring) -> Array:
        value = offset(piece, ring)
        if value is None:
            return np.zeros(1)
        return value if value.ndim == 1 else np.ascontiguousarray(value[(slice(None), *place)])

    return recipe


def _strip(draft: Draft, x: Ref, given: Emit, bands: Sequence[Band], like: Call) -> Ref:
    """The calls as they were, on what some outputs read."""
    x = _cut(draft, x, [band.start for band in bands], [band.end for band in bands], like)
    made = len(draft.calls)
    y = given(draft, x, like)
    for place in range(made, len(draft.calls)):
        call = draft.calls[place]
        draft.calls[place] = replace(call, shape=_shape(draft, call))
        draft.shapes[call.name] = draft.calls[place].shape
    return _cut(draft, y, [b.skip for b in bands], [b.skip + b.stop - b.first for b in bands], like)


def _cut(draft: Draft, x: Ref, starts: Sequence[int], ends: Sequence[int], like: Call) -> Ref:
    for axis, (start, end) in enumerate(zip(starts, ends, strict=True), 2):
        shape = draft.shapes[x.name]
        if (start, end) != (0, shape[axis]):
            shorter = (*shape[:axis], end - start, *shape[axis + 1 :])
            x = draft.call(like, "slice", x, axis, start, end, shape=shorter)
    return x


def _shape(draft: Draft, call: Call) -> Size:
    """The shape that a call gives now, as torch says without computing."""

    def value(leaf: object) -> object:
        if not isinstance(leaf, Ref):
            return leaf
        return torch.empty([1 if n is None else n for n in draft.shapes[leaf.name]], device="meta")

    args, kwargs = pytree.tree_map(value, (call.args, dict(call.kwargs)))
    with torch.no_grad():
        return (call.shape[0], *call.target(*args, **kwargs).shape[1:])
