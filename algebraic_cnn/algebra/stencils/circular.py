"""Circular padding passes through maps of circles: convolve and wrap around is wrap around further and convolve.

    wraps       an atom's own circular padding, (before, after) along each axis; None for any other piece
    unrolled    a chain with circular paddings inside as one circular padding and a chain without

A map without stride that keeps the length n of a circle commutes with its rotations, so its result, continued with
period n, is what it makes of the argument continued with period n.  No border is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .moves import keeps_axes
from .pieces import Atom, Offset, Piece

Pairs = tuple[tuple[int, int], ...]


def wraps(piece: Piece) -> Pairs | None:
    """Circular padding (before, after) along each spatial axis, if that is what a piece is."""
    return piece.wraps if isinstance(piece, Atom) else None


def unrolled(parts: Sequence[Piece]) -> tuple[Pairs, list[Piece]] | None:
    """One circular padding and the maps after it that together are a chain; None if they are not.

    Args:
        parts: atoms with equally many spatial axes, some of them circular paddings.

    Returns:
        (before, after) along each axis, at most the length of the axis, and the other atoms, on longer images.
    """
    maps: list[Atom] = []
    sizes = period = None
    total: Pairs = ()
    for part in parts:
        if not isinstance(part, Atom) or part.form.last or not keeps_axes(part):
            return None
        axes = part.form.footprint.axes
        if period is None:
            sizes = period = [axis.n for axis in axes]
            total = ((0, 0),) * len(axes)
        if [axis.n for axis in axes] != sizes:
            return None
        if part.wraps is None:
            if not part.form.footprint.exact or part.form.offset > Offset.CHANNEL or not _inside(part):
                return None
            maps.append(part)
        elif sizes != period or any(axis.down != 1 or axis.up != 1 for m in maps for axis in m.form.footprint.axes):
            return None
        else:
            total = tuple((a + c, b + d) for (a, b), (c, d) in zip(total, part.wraps, strict=True))
            maps = [_longer(each, [sum(pair) for pair in part.wraps]) for each in maps]
        sizes = [axis.m for axis in axes]
    if any(max(pair) > n for pair, n in zip(total, period or (), strict=True)) or not maps:
        return None
    return total, list(maps)


def _inside(atom: Atom) -> bool:
    return all(axis.inside for axis in atom.form.footprint.axes)


def _longer(atom: Atom, more: Sequence[int]) -> Atom:
    """The same map of images that are longer along each axis."""
    fp = atom.form.footprint
    axes = tuple(replace(axis, n=axis.n + k, m=axis.m + k) for axis, k in zip(fp.axes, more, strict=True))
    source, shape = (
        (*size[:2], *(k + (n or 0) for n, k in zip(size[2:], more, strict=True))) for size in (atom.source, atom.shape)
    )
    form = replace(atom.form, footprint=replace(fp, axes=axes))
    return replace(atom, form=form, source=source, shape=shape)
