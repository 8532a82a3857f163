"""Parts of a network that are one affine map of images: their shape without numbers, their numbers over any ring.

    Form        what a piece is as one stencil: footprint, where its channels stand, what its offset is
    Atom        one call of the network as a stencil and an offset
    Scaling     an atom whose channels may stand first or last: a scalar multiple, the addition of a map, the identity
    Move        a reshape or a permutation of axes: no stencil, but maps of channels pass through it (moves.py)
    Other       any other affine call that is no stencil
    Chain       pieces one after the other
    Branches    pieces side by side on one input, added or concatenated
    Offset      f(0): nothing, one number for each channel, or one for each pixel (where a bias meets padding)

Numbers are computed when a form has been chosen, not before (folding.py); ``form`` is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rings.ring import Ring
from .lattice import Axis
from .stencil import Footprint

Array = NDArray[Any]
Size = tuple[int | None, ...]


class Offset(IntEnum):
    """What f(0) is: zero, constant along each channel, or any image."""

    NONE = 0
    CHANNEL = 1
    MAP = 2


@dataclass(frozen=True)
class Form:
    """A piece as one stencil and one offset.

    Attributes:
        footprint: of its linear part; one axis for each spatial axis of its values.
        last: whether channels are the last axis of its values; else they follow the batch axis.
        offset: what f(0) is.
    """

    footprint: Footprint
    last: bool
    offset: Offset

    @property
    def keeps_constants(self) -> bool:
        """Whether images that are constant along each channel stay so."""
        return self.footprint.exact and all(axis.inside and axis.up == 1 for axis in self.footprint.axes)

    def then(self, after: Form) -> Form | None:
        """The form of the composition, first this one; None if the axes do not fit."""
        pair = _common_axes(self, after)
        if pair is None:
            return None
        before, after = pair
        passed = self.offset if after.keeps_constants or not self.offset else Offset.MAP
        footprint = before.footprint.then(after.footprint)
        return Form(footprint, before.last, max(passed, after.offset))

    def beside(self, others: Sequence[Form], kind: str) -> Form | None:
        """The form of the sum, or of the concatenation after the batch axis; None if the axes do not fit."""
        forms = [self, *others]
        alike = all((form.last, len(form.footprint.axes)) == (self.last, len(self.footprint.axes)) for form in forms)
        if not alike or (kind == "cat" and self.last):
            return None
        prints = [form.footprint for form in others]
        footprint = self.footprint.joined(*prints) if kind == "sum" else self.footprint.stacked(*prints)
        return footprint and Form(footprint, self.last, max(form.offset for form in forms))


def _common_axes(before: Form, after: Form) -> tuple[Form, Form] | None:
    """Both forms with the same axes: (N, C) is (N, C, 1, 1) where the other has spatial axes of length 1."""
    a, b = before.footprint.axes, after.footprint.axes
    if not b and all(axis.m == 1 for axis in a):
        after = replace(after, last=before.last, footprint=replace(after.footprint, axes=(Axis(1, 1),) * len(a)))
    elif not a and all(axis.n == 1 for axis in b):
        before = replace(before, last=after.last, footprint=replace(before.footprint, axes=(Axis(1, 1),) * len(b)))
    elif len(a) != len(b) or before.last != after.last:
        return None
    return before, after


@dataclass(frozen=True, eq=False)
class Atom:
    """One call as a stencil and an offset.

    Attributes:
        form: its form.
        taps: ring -> the taps, of shape ``form.footprint.taps_shape`` or one that reshapes to it.
        source: shape of the value it takes, None for the batch axis.
        shape: shape of the value it gives.
        offset: ring -> f(0), shape (c_out,) or (c_out, *spatial) as ``form.offset`` says; None if it is zero.
        linear: (x, ring) -> its linear part on one image (c_in, *spatial), where the taps do not tell it everywhere.
        call: the call of the network; None for the identity.
        wraps: of a circular padding: (before, after) along each spatial axis.
        alike: the largest offset that passes through, of maps of channels, where the call is one map of the image in
            every channel (a resizing, a pad): CHANNEL if it keeps constant images, NONE if it does not.
        thin: whether its taps are fewer than the call's, whose others are 0 (zeros.py).
    """

    form: Form
    taps: Callable[[Ring], Array]
    source: Size
    shape: Size
    offset: Callable[[Ring], Array] | None = None
    linear: Callable[[Array, Ring], Array] | None = None
    call: Any = None
    wraps: tuple[tuple[int, int], ...] | None = None
    alike: Offset | None = None
    thin: bool = False


@dataclass(frozen=True, eq=False)
class Scaling:
    """x -> s x + c with one number s: ``at(last)`` is the atom with channels last or after the batch axis.

    Attributes:
        at: the atom, by where its channels stand.
        source: shape of the value it takes.
        shape: shape of the value it gives.
        call: the call of the network; None if another call brings this scaling with it.
        number: s, where c is 0 and no call of its own says it; 1 for the identity.
    """

    at: Callable[[bool], Atom]
    source: Size
    shape: Size
    call: Any = None
    number: float | None = None


@dataclass(frozen=True, eq=False)
class Move:
    """The same entries under another shape, or with axes in another order.

    Attributes:
        source: shape of the value it takes.
        shape: shape of the value it gives.
        order: of the axes; None for a reshape.
        call: the call of the network.
    """

    source: Size
    shape: Size
    order: tuple[int, ...] | None
    call: Any = None


@dataclass(frozen=True, eq=False)
class Other:
    """An affine call of one argument that is no stencil; ``missed`` says why, where it could not be read."""
    source: Size
    shape: Size
    call: Any
    missed: str = ""


@dataclass(frozen=True, eq=False)
class Chain:
    """Pieces one after the other, at least two."""
    parts: tuple[Piece, ...]

    @property
    def source(self) -> Size:
        """Shape of the value it takes."""
        return self.parts[0].source

    @property
    def shape(self) -> Size:
        """Shape of the value it gives."""
        return self.parts[-1].shape


@dataclass(frozen=True, eq=False)
class Branches:
    """Pieces on one input, their results added ("sum") or concatenated along channels ("cat")."""

    kind: str
    parts: tuple[Piece, ...]
    shape: Size

    @property
    def source(self) -> Size:
        """Shape of the value it takes."""
        return self.parts[0].source


@dataclass(frozen=True, eq=False)
class Tangle:
    """Affine calls from one value to another that are neither chains nor branches: skips that overlap.

    Attributes:
        source: shape of the value it takes.
        shape: shape of the value it gives.
        start: the name of the value that it takes.
        calls: of the network, in order; the last one gives the value.
    """

    source: Size
    shape: Size
    start: str
    calls: tuple[Any, ...]


Leaf = Atom | Scaling | Move | Other | Tangle
Piece = Leaf | Chain | Branches


def parts_of(piece: Piece) -> tuple[Piece, ...]:
    """The pieces that make a chain; any other piece is a chain of itself."""
    return piece.parts if isinstance(piece, Chain) else (piece,)


def atoms(piece: Piece) -> Iterator[Leaf]:
    """The pieces that chains and branches are made of, in order."""
    if isinstance(piece, Chain | Branches):
        for part in piece.parts:
            yield from atoms(part)
    else:
        yield piece


def chained(pieces: Sequence[Piece]) -> Piece:
    """The composition, first the first; chains inside are opened, and identities dropped where something remains."""
    parts = [part for piece in pieces for part in parts_of(piece)]
    moving = [part for part in parts if not is_identity(part)] or parts[:1]
    return moving[0] if len(moving) == 1 else Chain(tuple(moving))


def identity(shape: Size) -> Scaling:
    """x -> x on values of a shape."""
    return Scaling(lambda last: scaling_atom(shape, last, lambda ring, c: np.ones(c)), shape, shape, number=1.0)


def scaling_atom(shape: Size, last: bool, scale: Callable[[Ring, int], Array], **more: Any) -> Atom:
    """Channel c times ``scale(ring, channels)[c]``, on values whose channels stand last or after the batch axis."""
    place = len(shape) - 1 if last else 1
    channels, sizes = (*shape, 1, 1)[place] or 1, [n or 1 for i, n in enumerate(shape) if i not in (0, place)]
    axes = tuple(Axis(n, n) for n in sizes)
    offset = more.pop("offset_is", Offset.NONE)
    form = Form(Footprint(channels, channels, channels, axes), last and bool(sizes), offset)
    return Atom(form, lambda ring: scale(ring, channels), shape, shape, **more)


def is_identity(piece: Piece) -> bool:
    """Whether a piece is ``identity`` of some shape."""
    return isinstance(piece, Scaling) and piece.number == 1


def form(piece: Piece) -> Form | None:
    """What a piece is as one stencil; None if it is none, or not before ``settled`` says where channels stand."""
    match piece:
        case Atom():
            return piece.form
        case Chain(parts):
            return reduce(lambda a, b: a and b and a.then(b), map(form, parts))
        case Branches(kind, parts):
            forms = [each for part in parts if (each := form(part)) is not None]
            return forms[0].beside(forms[1:], kind) if len(forms) == len(parts) else None
    return None


def settled(piece: Piece, last: bool = False) -> Piece:
    """The piece with every ``Scaling`` as an atom whose channels stand where its neighbours have them.

    Args:
        piece: any piece.
        last: where channels stand if nothing inside the piece says it.
    """
    match piece:
        case Scaling():
            return piece.at(last)
        case Chain(parts):
            places = [layout(part) for part in parts]
            near = [next((p for p in [*places[i::-1], *places[i:]] if p is not None), last) for i in range(len(parts))]
            return Chain(tuple(settled(part, place) for part, place in zip(parts, near, strict=True)))
        case Branches(kind, parts, shape):
            inside = layout(piece)
            place = last if inside is None else inside
            return Branches(kind, tuple(settled(part, place) for part in parts), shape)
    return piece


def layout(piece: Piece) -> bool | None:
    """Whether channels stand last, where an atom inside says it."""
    if isinstance(piece, Atom):
        return piece.form.last if piece.form.footprint.axes else None
    inside = piece.parts if isinstance(piece, Chain | Branches) else ()
    return next((place for part in inside if (place := layout(part)) is not None), None)
