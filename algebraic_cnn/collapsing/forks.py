"""A map of channels before a fork, such as a BatchNorm that two layers read: done in both readers where they absorb it.

tail        the maps of one channel each, and the moves between them, with which a piece ends
past_forks  every tail before a fork moved behind it, where that is cheaper
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..algebra.stencils.moves import is_pointwise
from ..algebra.stencils.pieces import Atom, Move, Piece, Scaling, chained, parts_of
from ..derivation.definitions import AffinePart, Definition
from .averages import averaged_definition
from .cut import Cutter


def past_forks(network: AffinePart, cutter: Cutter) -> AffinePart:
    """The network with every map of channels behind the fork that reads it, where the readers then cost less."""
    place = {call.name: at for at, call in enumerate(network.graph.calls)}
    readers = network.readers()
    for name in [name for name in network.definitions if readers[name] > 1 and name not in network.pinned]:
        candidate = _behind(network, name)
        if candidate is None:
            continue
        definitions, touched = candidate
        definitions |= {each: averaged_definition(definitions[each], cutter) for each in touched}
        before = [network.definitions[each] for each in (name, *touched) if each in network.definitions]
        after = [definitions[each] for each in touched]
        if _cost(after, cutter) < _cost(before, cutter):
            network = replace(network, definitions=dict(sorted(definitions.items(), key=lambda item: place[item[0]])))
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
    return isinstance(piece, Atom) and is_pointwise(piece) and piece.form.diagonal


def _behind(network: AffinePart, name: str) -> tuple[dict[str, Definition], list[str]] | None:
    """The definitions with the tail of one in its readers, and the names of those that changed or are new."""
    definition = network.definitions[name]
    if len(definition.operands) != 1:
        return None
    (base, piece), definitions = definition.operands[0], dict(network.definitions)
    first, last = tail(piece)
    touched = [each for each, other in definitions.items() if any(name == read for read, _ in other.operands)]
    if not last:
        return None
    del definitions[name]
    if first:
        call = getattr(first[-1], "call", None)
        if call is None or call.name in definitions:
            return None
        own = len(first) == 1
        definitions[call.name] = Definition("sum", [(base, chained(first))], call, own=own)
        base = call.name
        touched.append(base)
    for each in touched:
        old = definitions[each]
        operands = [(base, chained([*last, piece])) if read == name else (read, piece) for read, piece in old.operands]
        if operands != old.operands:
            definitions[each] = replace(old, operands=operands, own=False)
    return definitions, touched


def _cost(definitions: Sequence[Definition], cutter: Cutter) -> float:
    return sum(cutter.best(piece).cost for definition in definitions for _, piece in definition.operands)
