"""Parts of a network that are one affine map of images: their shape without numbers, their numbers over any ring.

    Form        what a piece is as one convolution: a map of images at one size, where its channels stand, its offset
    Atom        one call of the network as such a map and an offset
    Scaling     an atom whose channels may stand first or last: a scalar multiple, the addition of a map, the identity
    Move        a reshape or a permutation of axes: no such map, but maps of channels pass through it (moves.py)
    Other       any other affine call
    Chain       pieces one after the other
    Branches    pieces side by side on one input, added or concatenated
    Offset      f(0): nothing, one number for each channel, or one for each pixel (where a bias meets padding)

Numbers are computed when a form has been chosen, not before; ``form`` is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rings.ring import Ring
from ..operators.blocks import Beside, Blocks, Everywhere, composed, pointwise
from ..operators.forms import AxisForm, axis_form, kernel_of

Array = NDArray[Any]
Size = tuple[int | None, ...]


class Offset(IntEnum):
    """What f(0) is: zero, constant along each channel, or any image."""

    NONE = 0
    CHANNEL = 1
    MAP = 2


@dataclass(frozen=True, eq=False)
class Form:
    """A piece as one convolution and one offset.

    Attributes:
        blocks: its linear part, at every image size.
        sizes: of the images that it takes; one for each spatial axis.
        last: whether channels are the last axis of its values; else they follow the batch axis.
        offset: what f(0) is.
    """

    blocks: Blocks
    sizes: tuple[int, ...]
    last: bool
    offset: Offset

    @cached_property
    def axes(self) -> tuple[AxisForm, ...]:
        """What the linear part is along each axis."""
        return tuple(axis_form(axis, n) for axis, n in zip(self.blocks.axes, self.sizes, strict=True))

    @property
    def c_in(self) -> int:
        """Input channels."""
        return self.blocks.c_in

    @property
    def c_out(self) -> int:
        """Output channels."""
        return self.blocks.c_out

    @property
    def groups(self) -> int:
        """Blocks of channels that do not see each other."""
        return self.blocks.groups

    @property
    def exact(self) -> bool:
        """Whether the convolution tells every output."""
        return all(axis.exact for axis in self.axes)

    @property
    def pointwise(self) -> bool:
        """Whether the linear part is a map of channels alone."""
        return all(axis.trivial for axis in self.axes)

    @property
    def diagonal(self) -> bool:
        """Whether every output entry reads the input entry at its own place alone."""
        return self.c_in == self.c_out == self.groups and self.pointwise

    @property
    def keeps_constants(self) -> bool:
        """Whether images that are constant along each channel stay so."""
        return self.exact and all((axis.inside or axis.circle) and axis.up == 1 for axis in self.axes)

    def taps(self, ring: Ring) -> Array:
        """The numbers of the convolution, of shape (*phases, c_out, c_in / groups, *widths)."""
        found = kernel_of(self.blocks, self.axes, ring)
        self.blocks.forget()
        return found

    def everywhere(self, sizes: Sequence[int]) -> Form:
        """A map of channels alone on images of other axes."""
        classes = tuple(axis.phases[0][0] for axis in self.axes)
        return replace(self, blocks=Everywhere(self.blocks, classes, len(sizes)), sizes=tuple(sizes))

    def then(self, after: Form) -> Form | None:
        """The form of the composition, first this one; None if the axes do not fit."""
        pair = _common_axes(self, after)
        if pair is None:
            return None
        before, after = pair
        passed = self.offset if not self.offset or after.keeps_constants else Offset.MAP
        return replace(before, blocks=composed(before.blocks, after.blocks), offset=max(passed, after.offset))

    def beside(self, others: Sequence[Form], kind: str) -> Form | None:
        """The form of the sum, or of the concatenation after the batch axis; None if the axes do not fit."""
        forms = [self, *others]
        alike = all((form.last, form.sizes) == (self.last, self.sizes) for form in forms)
        if not alike or len({form._pace for form in forms}) > 1 or (kind == "cat" and self.last):
            return None
        blocks = reduce(lambda f, g: Beside(f, g, stacked=kind == "cat"), (form.blocks for form in forms))
        return replace(self, blocks=blocks, offset=max(form.offset for form in forms))

    @property
    def _pace(self) -> tuple[tuple[int, Fraction], ...]:
        """Along each axis, how many outputs there are and how far one reads behind the other."""
        return tuple((axis.m, Fraction(axis.down, axis.up) if axis.m > 1 else Fraction(0)) for axis in self.axes)


def _common_axes(before: Form, after: Form) -> tuple[Form, Form] | None:
    """Both forms with the same axes: (N, C) is (N, C, 1, 1) where the other has spatial axes of length 1."""
    a, b = before.axes, after.axes
    if a and not b and all(axis.m == 1 for axis in a):
        return before, replace(after.everywhere([1] * len(a)), last=before.last)
    if b and not a and all(axis.n == 1 for axis in b):
        return replace(before.everywhere([1] * len(b)), last=after.last), after
    return (before, after) if len(a) == len(b) and (before.last == after.last or not a) else None


@dataclass(frozen=True, eq=False)
class Atom:
    """One call as a map of images and an offset.

    Attributes:
        form: its form.
        source: shape of the value it takes, None for the batch axis.
        shape: shape of the value it gives.
        offset: ring -> f(0), shape (c_out,) or (c_out, *spatial) as ``form.offset`` says; None if it is zero.
        call: the call of the network; None for the identity.
        alike: the largest offset that passes through, of maps of channels, where the call is one map of the image in
            every channel (a resizing, a pad): CHANNEL if it keeps constant images, NONE if it does not.
        thin: whether its taps are fewer than the call's, whose others are 0 (zeros.py).
    """

    form: Form
    source: Size
    shape: Size
    offset: Callable[[Ring], Array] | None = None
    call: Any = None
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
    """An affine call of one argument that is no map of images; ``missed`` says why, where it could not be read."""
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

    @cached_property
    def form(self) -> Form | None:
        """What it is as one convolution."""
        return reduce(lambda a, b: a and b and a.then(b), map(form, self.parts))


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

    @cached_property
    def form(self) -> Form | None:
        """What it is as one convolution."""
        forms = [each for part in self.parts if (each := form(part)) is not None]
        return forms[0].beside(forms[1:], self.kind) if len(forms) == len(self.parts) else None


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
    blocks = pointwise(channels, channels, channels, len(sizes), lambda ring: scale(ring, channels))
    form = Form(blocks, tuple(sizes), last and bool(sizes), more.pop("offset_is", Offset.NONE))
    return Atom(form, shape, shape, **more)


def is_identity(piece: Piece) -> bool:
    """Whether a piece is ``identity`` of some shape."""
    return isinstance(piece, Scaling) and piece.number == 1


def form(piece: Piece) -> Form | None:
    """What a piece is as one convolution; None if it is none, or not before ``settled`` says where channels stand."""
    return piece.form if isinstance(piece, Atom | Chain | Branches) else None


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
        return piece.form.last if piece.form.sizes else None
    inside = piece.parts if isinstance(piece, Chain | Branches) else ()
    return next((place for part in inside if (place := layout(part)) is not None), None)
