"""Calls written into a builder: those of the network again, branches and their sum, moves around a stencil.

leaves      the calls that a piece stands for
repeated    calls of the network, on other values
beside      branches one by one, then together: a sum of multiples, or a concatenation
around      one stencil with moves before or after it
name_of     what to call a form in a report
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..algebra.stencils.pieces import Atom, Branches, Move, Piece, Scaling, Tangle, atoms
from ..ir.graph import Call, Ref
from ..ops.registry import title
from .building import Emit, GraphBuilder
from .realisation import realise


def leaves(piece: Piece) -> Iterator[Call]:
    """The calls of the network that a piece stands for, in order."""
    for part in atoms(piece):
        if isinstance(part, Tangle):
            yield from part.calls
        elif part.call is not None:
            yield part.call


def repeated(builder: GraphBuilder, calls: Sequence[Call], values: dict[str, Ref]) -> Ref:
    """Writes calls of the network again, on other values; the value of the last one."""
    for call in calls:
        values[call.name] = builder.repeat(call, values)
    return values[calls[-1].name]


def beside(piece: Branches, emits: Sequence[Emit]) -> Emit:
    """Writes branches one by one and adds or concatenates them."""

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        terms = [(emit_one(builder, x, like), 1.0) for emit_one in emits]
        for place, part in enumerate(piece.parts):
            if isinstance(part, Scaling) and part.number is not None:
                terms[place] = (x, part.number)
        return together(builder, piece.kind, terms, like)

    return emit


def together(
    builder: GraphBuilder, kind: str, terms: Sequence[tuple[Ref, float]], like: Call, axis: int = 1
) -> Ref:
    """Writes the sum of multiples of values, or their concatenation."""
    if kind == "cat" and len(terms) > 1:
        return builder.call(like, "cat", [multiplied(builder, value, s, like) for value, s in terms], axis)
    first = next((place for place, (_, s) in enumerate(terms) if s == 1), 0)
    total = multiplied(builder, *terms[first], like)
    for value, s in (*terms[:first], *terms[first + 1 :]):
        more: dict[str, Any] = {} if s == 1 else {"alpha": s}
        total = builder.call(like, "add", total, value, **more)
    return total


def multiplied(builder: GraphBuilder, x: Ref, number: float, like: Call) -> Ref:
    """Writes x times a number."""
    if number == 1:
        return x
    return builder.call(like, "mul", x, number)


def around(stencil: Piece, moves: Sequence[Move | Atom], moves_last: bool) -> Emit:
    """Writes one stencil, and moves after or before it."""

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        x = realise(builder, x, stencil, like) or x if moves_last else x
        for move in moves:
            if isinstance(move, Atom) and move.call is None:  # the identity
                continue
            if isinstance(move, Atom):
                x = builder.repeat(replace(move.call, shape=move.shape), dict.fromkeys(move.call.refs(), x))
            elif move.order is not None:
                x = builder.call(like, "permute", x, list(move.order))
            else:
                x = builder.call(like, "reshape", x, [-1, *move.shape[1:]], shape=move.shape)
        return x if moves_last else realise(builder, x, stencil, like) or x

    return emit


def name_of(builder: GraphBuilder) -> str:
    """What to call a form: its main call, with the size of its kernel."""
    names = (title(call, builder.shapes) for call in builder.calls)
    return " + ".join(filter(None, names)) or "reshape"


def opened(piece: Piece) -> tuple[Piece, ...]:
    """The branches of a sum; any other piece is a sum of itself."""
    return piece.parts if isinstance(piece, Branches) and piece.kind == "sum" else (piece,)
