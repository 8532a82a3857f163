"""A map of channels before a fork, such as a BatchNorm that two layers read: done in both readers where they absorb it.

tail      the maps of one channel each, and the moves between them, with which a piece ends
spread    every tail before a fork moved behind it, where that is cheaper
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..algebra.stencils.moves import is_pointwise
from ..algebra.stencils.pieces import Atom, Move, Piece, Scaling, chained, parts_of
from ..derivation.junctions import AffinePart, Junction
from .averages import averaged_junction
from .cut import Cutter


def spread(network: AffinePart, cutter: Cutter) -> AffinePart:
    """The network with every map of channels behind the fork that reads it, where the readers then cost less."""
    place = {call.name: at for at, call in enumerate(network.graph.calls)}
    readers = network.readers()
    for name in [name for name in network.junctions if readers[name] > 1 and name not in network.pinned]:
        candidate = _behind(network, name)
        if candidate is None:
            continue
        junctions, touched = candidate
        junctions |= {each: averaged_junction(junctions[each], cutter) for each in touched}
        before = [network.junctions[each] for each in (name, *touched) if each in network.junctions]
        after = [junctions[each] for each in touched]
        if _cost(after, cutter) < _cost(before, cutter):
            network = replace(network, junctions=dict(sorted(junctions.items(), key=lambda item: place[item[0]])))
    return network


def tail(piece: Piece) -> tuple[Sequence[Piece], Sequence[Piece]]:
    """A piece as what comes first, and the maps of single channels with moves between them that end it."""
    parts = parts_of(piece)
    start = len(parts)
    while (start and isinstance(parts[start - 1], Move | Scaling)) or (start and _is_diagonal(parts[start - 1])):
        start -= 1
    while start < len(parts) and isinstance(parts[start], Move):
        start += 1
    return parts[:start], parts[start:]


def _is_diagonal(piece: Piece) -> bool:
    return isinstance(piece, Atom) and is_pointwise(piece) and piece.form.footprint.diagonal


def _behind(network: AffinePart, name: str) -> tuple[dict[str, Junction], list[str]] | None:
    """The junctions with the tail of one in its readers, and the names of those that changed or are new."""
    junction = network.junctions[name]
    if len(junction.operands) != 1:
        return None
    (base, piece), junctions = junction.operands[0], dict(network.junctions)
    first, last = tail(piece)
    touched = [each for each, other in junctions.items() if any(name == read for read, _ in other.operands)]
    if not last:
        return None
    del junctions[name]
    if first:
        call = getattr(first[-1], "call", None)
        if call is None or call.name in junctions:
            return None
        own = len(first) == 1
        junctions[call.name] = Junction("sum", [(base, chained(first))], call, own=own)
        base = call.name
        touched.append(base)
    for each in touched:
        old = junctions[each]
        operands = [(base, chained([*last, piece])) if read == name else (read, piece) for read, piece in old.operands]
        if operands != old.operands:
            junctions[each] = replace(old, operands=operands, own=False)
    return junctions, touched


def _cost(junctions: Sequence[Junction], cutter: Cutter) -> float:
    return sum(cutter.best(piece).cost for junction in junctions for _, piece in junction.operands)
