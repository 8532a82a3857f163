"""Regions whose skips overlap: one matrix for all of such a region, where that is cheaper.

    tangle    a region from one value to one other that joining leaves in several definitions, as one piece

Skips such as (0, 2) and (1, 3) make a graph that is neither chains nor branches (derivation/definitions.py), so no
piece spans it.  As a map it is W x + B all the same [JV24, Thm 3.1]; so the one form that remains, a matrix, is
tried on the whole.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from ..algebra.stencils.pieces import Tangle
from ..derivation.definitions import AffinePart, Definition
from ..ir.graph import Ref, needed
from .cost import expense
from .cut import GAIN, Cutter
from .region import Region, part, regions
from .rewriting import Rewrite


def untangled(written: Rewrite, cutter: Cutter, careful: Set[str] = frozenset()) -> AffinePart | None:
    """The network with every tangle that one matrix computes at less cost as one definition; None if there is none.

    Args:
        written: the network as its definitions make it.
        cutter: what prices the matrix.
        careful: values for which a form that spends more of any kind than the network's own calls does not count.
    """
    network, definitions = written.network, dict(written.network.definitions)
    for region in regions(network):
        inside = [name for name in definitions if name in region.names]
        piece = _tangle(network, region)
        if len(inside) < 2 or piece is None:
            continue
        sure = replace(cutter, sure=bool(region.names & careful))
        if sure.best(piece).cost < GAIN * _cost(written, region, cutter):
            last = piece.calls[-1]
            for name in inside:
                del definitions[name]
            definitions[last.name] = Definition("sum", [(piece.start, piece)], last, own=False)
    if definitions.keys() == network.definitions.keys():
        return None
    order = {call.name: place for place, call in enumerate(network.graph.calls)}
    return replace(network, definitions=dict(sorted(definitions.items(), key=lambda item: order[item[0]])))


def _tangle(network: AffinePart, region: Region) -> Tangle | None:
    """The region as one piece, if it leads from one value to one other."""
    shapes, dependent = network.graph.shapes(), network.source.dependent
    starts = {name for call in region.calls for name in call.refs() if name in dependent - region.names}
    if len(starts) != 1 or len(region.outputs) != 1:
        return None
    (start,), (out,) = starts, region.outputs
    calls, _ = needed(region.calls, [out])
    return Tangle(shapes[start], shapes[out], start, calls)


def _cost(written: Rewrite, region: Region, cutter: Cutter) -> float:
    """What the region costs as it is written now."""
    shell = written.rewritten.shell()
    outputs = [written.values.get(name, Ref(name)) for name in region.outputs]
    calls, item = part(shell, outputs, written.network.starts).calls, cutter.graph.dtype.itemsize
    return expense(calls, shell.shapes(), batch=cutter.batch, item=item, prices=cutter.prices).total
