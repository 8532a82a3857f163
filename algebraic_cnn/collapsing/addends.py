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
from ..derivation.junctions import AffinePart, Junction
from .cut import Cutter


def distributed(network: AffinePart, cutter: Cutter) -> AffinePart:
    """The network with every map of single channels that follows a sum in the sum's terms, where they cost less."""
    place = {call.name: at for at, call in enumerate(network.graph.calls)}
    readers = network.readers()
    for name in list(network.junctions):
        candidate = _inside(network, name) if readers[name] == 1 and name not in network.pinned else None
        if candidate is None:
            continue
        junctions, touched = candidate
        before = [junction for each, junction in network.junctions.items() if each in (name, *touched)]
        if _cost([junctions[each] for each in touched], cutter) < _cost(before, cutter):
            network = replace(network, junctions=dict(sorted(junctions.items(), key=lambda item: place[item[0]])))
            readers = network.readers()
    return network


def leading(piece: Piece) -> tuple[list[Atom], Sequence[Piece]]:
    """The maps of one channel each with which a piece begins, and what comes after them."""
    parts, maps = parts_of(piece), []
    for part in parts:
        if not isinstance(part, Atom) or not is_pointwise(part) or not part.form.footprint.diagonal:
            break
        maps.append(part)
    return maps, parts[len(maps) :]


def _inside(network: AffinePart, name: str) -> tuple[dict[str, Junction], list[str]] | None:
    """The junctions with the maps after one sum in its terms, and the names of those that changed or are new."""
    total, junctions = network.junctions[name], dict(network.junctions)
    reader = next(each for each, other in junctions.items() if any(name == read for read, _ in other.operands))
    old = junctions[reader]
    if total.kind != "sum" or len(total.operands) < 2 or len(old.operands) != 1:
        return None
    maps, rest = leading(old.operands[0][1])
    if not maps or maps[-1].call is None or (rest and maps[-1].call.name in junctions):
        return None
    (first, piece), *others = total.operands
    terms = [(first, chained([piece, *maps]))]
    terms += [(base, chained([term, *map(_linear, maps)])) for base, term in others]
    del junctions[name]
    if not rest:
        junctions[reader] = replace(old, operands=terms, own=False)
        return junctions, [reader]
    inner = maps[-1].call
    junctions[inner.name] = Junction("sum", terms, inner, own=False)
    junctions[reader] = replace(old, operands=[(inner.name, chained(rest))], own=False)
    return junctions, [inner.name, reader]


def _linear(atom: Atom) -> Atom:
    """The map without what it adds; no call of the network is that."""
    return replace(atom, form=replace(atom.form, offset=Offset.NONE), offset=None, call=None)


def _cost(junctions: Sequence[Junction], cutter: Cutter) -> float:
    return sum(cutter.best(piece).cost for junction in junctions for _, piece in junction.operands)
