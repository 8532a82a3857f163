"""Maps of channels pass through reshapes, permutations of axes and resizings: Q after M is M after Q.

pointwise     a map of channels alone: the same at every position, one number for each channel added
move          a reshape or a permutation; or an atom that is one map of the image in every channel (``Atom.alike``)
before        the same map on the other side of a move: first it, then the move
after         the converse
gathered      a chain of stencils and moves as stencils alone with the moves at one end, where that is possible
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from ..operators.blocks import Copies
from .pieces import Atom, Move, Offset, Piece, Size


def moves_through(piece: Piece) -> TypeGuard[Move | Atom]:
    """Whether maps of channels pass through a piece."""
    return isinstance(piece, Move) or (isinstance(piece, Atom) and piece.alike is not None)


def is_pointwise(piece: Piece) -> bool:
    """Whether a piece is a map of channels alone."""
    return (
        isinstance(piece, Atom) and piece.form.pointwise and piece.form.offset <= Offset.CHANNEL
    )


def keeps_axes(atom: Atom) -> bool:
    """Whether an atom gives as many axes as it takes, every spatial one with its place in the form."""
    return len(atom.source) == len(atom.shape) == len(atom.form.sizes) + 2


def channels_after(move: Move, place: int) -> int | None:
    """Which axis of the result holds what axis ``place`` of the argument held; None if that axis is torn apart.

    >>> channels_after(Move((None, 3, 4, 5), (None, 3, 20), None), 1)
    1
    >>> channels_after(Move((None, 3, 20), (None, 20, 3), (0, 2, 1)), 1)
    2
    """
    if move.order is not None:
        return move.order.index(place)
    return _same_axis(move.source, move.shape, place)


def channels_before(move: Move, place: int) -> int | None:
    """Which axis of the argument becomes axis ``place`` of the result; None if none does."""
    return move.order[place] if move.order is not None else _same_axis(move.shape, move.source, place)


def _same_axis(source: Size, shape: Size, place: int) -> int | None:
    """A reshape keeps an axis where its length, and the number of entries behind it, stay."""

    def behind(size: Size, axis: int) -> int | None:
        return None if None in size[axis + 1 :] else math.prod(n or 0 for n in size[axis + 1 :])

    found = behind(source, place)
    if place == 0 or found is None:
        return None
    axes = range(1, len(shape))
    return next((a for a in axes if shape[a] == source[place] and behind(shape, a) == found), None)


def before(atom: Atom, move: Move | Atom) -> tuple[Atom, Move | Atom] | None:
    """A map of channels, and a move after it, that together are the move and then ``atom``; else None."""
    if isinstance(move, Atom):
        return _past(atom, move, move.source, first=True)
    place = channels_before(move, _place(atom)) if _of_channels_alone(atom) else None
    found = None if place is None else _moved(atom, move.source, place)
    return found and (found, replace(move, source=found.shape, shape=atom.shape, call=None))


def after(atom: Atom, move: Move | Atom) -> tuple[Atom, Move | Atom] | None:
    """A map of channels, and a move before it, that together are ``atom`` and then the move; else None."""
    if isinstance(move, Atom):
        return _past(atom, move, move.shape, first=False)
    place = channels_after(move, _place(atom)) if _of_channels_alone(atom) else None
    found = None if place is None else _moved(atom, move.shape, place, gives=True)
    return found and (found, replace(move, source=atom.source, shape=found.source, call=None))


def _past(atom: Atom, move: Atom, sizes: Size, *, first: bool) -> tuple[Atom, Atom] | None:
    """A map of channels on the other side of one map of all channels' images, where images have these sizes."""
    fp = atom.form
    if atom.form.last or move.alike is None or atom.form.offset > move.alike:
        return None
    found = _moved(atom, with_length(sizes, 1, atom.source[1]), 1)
    channels = fp.c_out if first else fp.c_in
    return found and (found, _of_channels(move, channels))


def _of_channels(move: Atom, channels: int) -> Atom:
    """The same map of images in another number of channels."""
    source, shape = (with_length(size, 1, channels) for size in (move.source, move.shape))
    form = replace(move.form, blocks=Copies(move.form.blocks, channels))
    return replace(move, form=form, source=source, shape=shape)


def _place(atom: Atom) -> int:
    return len(atom.source) - 1 if atom.form.last else 1


def _of_channels_alone(atom: Atom) -> bool:
    """Whether an atom is a map of channels that drops no axis, so that its channels have one place before and after."""
    return is_pointwise(atom) and len(atom.source) == len(atom.shape)


def _moved(atom: Atom, shape: Size, place: int, *, gives: bool = False) -> Atom | None:
    """The map of channels with channels at an axis of a shape: of its argument, or of what it gives."""
    if not _of_channels_alone(atom) or place not in (1, len(shape) - 1):
        return None
    sizes = [n or 1 for axis, n in enumerate(shape) if axis not in (0, place)]
    form = replace(atom.form.everywhere(sizes), last=place > 1)
    source, result = (with_length(shape, place, c) for c in (form.c_in, form.c_out))
    if (result if gives else source) != shape:
        return None
    return replace(atom, form=form, source=source, shape=result)


def with_length(shape: Size, axis: int, n: int | None) -> Size:
    """The shape with another length along one axis."""
    return (*shape[:axis], n, *shape[axis + 1 :])


def gathered(parts: Sequence[Piece], *, moves_last: bool) -> tuple[list[Piece], list[Move | Atom]] | None:
    """The parts of a chain as (stencils, moves), the moves after all stencils or before them; else None.

    Args:
        parts: atoms and moves, first the first.
        moves_last: whether the moves come after the stencils.
    """
    stencils: list[Piece] = []
    moves: list[Move | Atom] = []
    for part in parts if moves_last else reversed(parts):
        if moves_through(part):
            moves.append(part)
            continue
        for place in reversed(range(len(moves))):
            pair = isinstance(part, Atom) and (before if moves_last else after)(part, moves[place])
            if not pair:
                return None
            part, moves[place] = pair
        stencils.append(part)
    return (stencils, moves) if moves_last else (stencils[::-1], moves[::-1])
