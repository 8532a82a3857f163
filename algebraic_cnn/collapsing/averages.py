"""Averages before maps of channels: the mean of A x + b over a window is A times the mean of x, plus b.

exchanged    a map of channels and a pool after it, as the pool and then the map
earlier      a piece with every pool before the maps of channels that precede it
averaged     the network with every such piece where that is cheaper

A BatchNorm before a pool then stands before what follows the pool, which can take it in.  The map must give no fewer
channels than it takes: then neither it nor the pool costs more than where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..algebra.operators.blocks import Copies
from ..algebra.stencils.moves import after, is_pointwise, keeps_axes
from ..algebra.stencils.pieces import Atom, Branches, Chain, Move, Piece
from ..derivation.definitions import AffinePart, Definition
from ..ops.registry import traits
from .cut import Cutter


def averaged(network: AffinePart, cutter: Cutter) -> AffinePart:
    """The network with pools before maps of channels wherever the cheapest plan then costs less."""
    definitions = {name: averaged_definition(definition, cutter) for name, definition in network.definitions.items()}
    return replace(network, definitions=definitions)


def averaged_definition(definition: Definition, cutter: Cutter) -> Definition:
    """The same for one definition."""
    if cutter.elsewhere is not None:
        return definition  # forms for every image size are found by the calls as they are
    operands = []
    for name, piece in definition.operands:
        other = earlier(piece)
        better = other is not piece and cutter.best(other).cost < cutter.best(piece).cost
        operands.append((name, other if better else piece))
    return replace(definition, operands=operands)


def earlier(piece: Piece) -> Piece:
    """The piece with every pool before the maps of channels that precede it; itself if there is none such."""
    if not isinstance(piece, Chain | Branches):
        return piece
    inner = tuple(earlier(part) for part in piece.parts)
    parts = _sorted(inner) if isinstance(piece, Chain) else inner
    same = all(a is b for a, b in zip(parts, piece.parts, strict=True))
    return piece if same else replace(piece, parts=parts)


def _sorted(parts: Sequence[Piece]) -> tuple[Piece, ...]:
    done = list(parts)
    for stop in range(1, len(done)):
        for place in range(stop, 0, -1):
            start = next((at for at in range(place - 1, -1, -1) if not isinstance(done[at], Move)), 0)
            found = _carried(done[start], done[start + 1 : place], done[place])
            if found is None:
                break
            done[start : place + 1] = found
    return tuple(done)


def _carried(first: Piece, moves: Sequence[Piece], pool: Piece) -> list[Piece] | None:
    """Moves, a pool, and then the map of channels that came before them; None where that is not the same."""
    for move in moves:
        if not (isinstance(first, Atom) and isinstance(move, Move)):
            return None
        pair = after(first, move) if first.form.c_in == first.form.c_out else None
        if pair is None:
            return None
        first = replace(pair[0], call=None)  # as it was called, it may not take values of that rank
    pair = exchanged(first, pool)
    return None if pair is None else [*moves, *pair]


def exchanged(first: Piece, pool: Piece) -> tuple[Atom, Atom] | None:
    """A map of channels and a pool after it as the pool and then the map, or None where that is not the same."""
    if not (isinstance(first, Atom) and isinstance(pool, Atom) and _is_map(first) and _is_mean(pool)):
        return None
    c = first.form.c_in
    if c > first.form.c_out:
        return None
    shape = (pool.shape[0], c, *pool.shape[2:])
    form, call = replace(pool.form, blocks=Copies(pool.form.blocks, c)), replace(pool.call, shape=shape)
    before = replace(pool, form=form, source=first.source, shape=shape, call=call)
    form, call = first.form.everywhere([n or 1 for n in pool.shape[2:]]), first.call
    call = call and replace(call, shape=pool.shape)
    return before, replace(first, form=form, source=shape, shape=pool.shape, call=call)


def _is_map(atom: Atom) -> bool:
    """Whether an atom maps channels, the axis after the batch, at every position alike."""
    return is_pointwise(atom) and not atom.form.last and bool(atom.form.axes) and keeps_axes(atom)


def _is_mean(atom: Atom) -> bool:
    """Whether an atom is a call that averages windows inside the image, each channel by itself."""
    return (
        atom.call is not None
        and traits(atom.call.op).averages
        and atom.call.bound().get("divisor_override") is None
        and atom.form.keeps_constants
        and len(atom.source) == len(atom.shape)
    )
