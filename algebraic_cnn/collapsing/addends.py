"""A map of channels after a sum, such as a BatchNorm after two convolutions of two inputs: done in every term.

D (x + y) + d = (D x + d) + D y.  Where x and y are given by calls that can take D in, the map of channels is gone.

leading        the maps of one channel each with which a piece begins, and the rest
distributed    every such map after a sum moved into its terms, where that is cheaper
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..algebra.stencils.moves import is_pointwise
from ..algebra.stencils.pieces import Atom, Offset, Piece, chained, parts_of
from ..derivation.definitions import AffinePart, Definition
from .cut import Cutter


def distributed(network: AffinePart, cutter: Cutter) -> AffinePart:
    """The network with every map of single channels that follows a sum in the sum's terms, where they cost less."""
    place = {call.name: at for at, call in enumerate(network.graph.calls)}
    readers = network.readers()
    for name in list(network.definitions):
        candidate = _inside(network, name) if readers[name] == 1 and name not in network.pinned else None
        if candidate is None:
            continue
        definitions, touched = candidate
        before = [definition for each, definition in network.definitions.items() if each in (name, *touched)]
        if _cost([definitions[each] for each in touched], cutter) < _cost(before, cutter):
            network = replace(network, definitions=dict(sorted(definitions.items(), key=lambda item: place[item[0]])))
            readers = network.readers()
    return network


def leading(piece: Piece) -> tuple[list[Atom], Sequence[Piece]]:
    """The maps of one channel each with which a piece begins, and what comes after them."""
    parts, maps = parts_of(piece), []
    for part in parts:
        if not isinstance(part, Atom) or not is_pointwise(part) or not part.form.diagonal:
            break
        maps.append(part)
    return maps, parts[len(maps) :]


def _inside(network: AffinePart, name: str) -> tuple[dict[str, Definition], list[str]] | None:
    """The definitions with the maps after one sum in its terms, and the names of those that changed or are new."""
    total, definitions = network.definitions[name], dict(network.definitions)
    reader = next(each for each, other in definitions.items() if any(name == read for read, _ in other.operands))
    old = definitions[reader]
    if total.kind != "sum" or len(total.operands) < 2 or len(old.operands) != 1:
        return None
    maps, rest = leading(old.operands[0][1])
    if not maps or maps[-1].call is None or (rest and maps[-1].call.name in definitions):
        return None
    (first, piece), *others = total.operands
    terms = [(first, chained([piece, *maps]))]
    terms += [(base, chained([term, *map(_linear, maps)])) for base, term in others]
    del definitions[name]
    if not rest:
        definitions[reader] = replace(old, operands=terms, own=False)
        return definitions, [reader]
    inner = maps[-1].call
    definitions[inner.name] = Definition("sum", terms, inner, own=False)
    definitions[reader] = replace(old, operands=[(inner.name, chained(rest))], own=False)
    return definitions, [inner.name, reader]


def _linear(atom: Atom) -> Atom:
    """The map without what it adds; no call of the network is that."""
    return replace(atom, form=replace(atom.form, offset=Offset.NONE), offset=None, call=None)


def _cost(definitions: Sequence[Definition], cutter: Cutter) -> float:
    return sum(cutter.best(piece).cost for definition in definitions for _, piece in definition.operands)
