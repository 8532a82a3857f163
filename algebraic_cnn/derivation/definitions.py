"""A network as definitions: every affine value is a sum or a concatenation of pieces of earlier values.

    Definition    how one value is made: kind, and operands (earlier value, piece that leads from it)
    pinned        values that something else reads: an output, a call that is not affine
    joined        those of values with one reader merged: chains grow, and branches on one value become a piece
    boundary      a call that is not affine in its arguments, and why

This is the series-parallel reading of the network's graph: what it leaves are the values where pieces begin and end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from ..algebra.stencils.pieces import Atom, Branches, Other, Piece, chained, is_identity
from ..ir.graph import Call, Graph, Ref
from ..ops.evaluate import obstacles
from ..ops.registry import OPS, piece_of
from ..ops.source import Source


@dataclass(eq=False)
class Definition:
    """How a value is made.

    Attributes:
        kind: "sum" or "cat"; with one operand it does not matter.
        operands: pairs of an earlier value and the piece that leads from it to a term of this one.
        call: the call of the network that gives the value.
        last: whether a concatenation is along the last axis; else it is along the axis after the batch.
        own: whether it is still the call itself, and nothing else can be made of it.
    """

    kind: str
    operands: list[tuple[str, Piece]]
    call: Call
    last: bool = False
    own: bool = True


@dataclass(eq=False)
class AffinePart:
    """The affine part of a graph as definitions.

    Attributes:
        source: the graph.
        definitions: by the name of their value, in order of execution.
        pinned: values that must be computed as they are.
        boundaries: calls that are not affine in their arguments, and why.
        missed: affine calls that stay as they were, and why.
        kept: those of them that were told to, by name, and why.
        affine: every value that had a definition before any were joined.
    """

    source: Source
    definitions: dict[str, Definition] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    boundaries: list[tuple[Call, str]] = field(default_factory=list)
    missed: list[tuple[Call, str]] = field(default_factory=list)
    kept: Mapping[str, str] = field(default_factory=dict)
    affine: set[str] = field(default_factory=set)

    def readers(self) -> Counter[str]:
        """How many operands read each value."""
        return Counter(name for definition in self.definitions.values() for name, _ in definition.operands)

    @property
    def starts(self) -> frozenset[str]:
        """Values at which regions begin: inputs of the network, and what calls without one return."""
        return self.source.dependent - self.affine

    @property
    def graph(self) -> Graph:
        """The graph whose affine part this is."""
        return self.source.graph


def network_of(graph: Graph, kept: Mapping[str, str] = MappingProxyType({})) -> AffinePart:
    """The definitions of a graph, one for each of its affine calls.

    Args:
        graph: the network.
        kept: affine calls that must stay as they are, by name, and why.
    """
    network = AffinePart(Source.of(graph), kept=kept)
    dependent = network.source.dependent
    foreign: set[str] = set()
    lists = {name for call in graph.calls if call.op == "operator.getitem" for name in call.refs()}
    dtypes, reasons = _dtypes(graph), {call.name: reason for call, reason in obstacles(graph)}
    for call in graph.calls:
        if call.name not in dependent:
            network.pinned |= dependent & set(call.refs())
            continue
        taken = call.op == "operator.getitem"
        reason = "" if taken else reasons.get(call.name) or _stranger(call, dtypes, graph, lists)
        if reason or (taken and foreign & set(call.refs())):
            foreign.add(call.name)
            network.boundaries += [(call, reason)] if reason else []
        why = "" if reason else kept.get(call.name, "")
        definition = None if call.name in foreign or why else _definition(network.source, call)
        missed = why or (_missed(definition) if definition else "")
        network.missed += [(call, missed)] if missed else []
        if definition is None:
            network.pinned |= dependent & set(call.refs())
        else:
            network.definitions[call.name] = definition
            network.affine.add(call.name)
    network.pinned |= {out.name for out in graph.outputs if isinstance(out, Ref)}
    return network


def _missed(definition: Definition) -> str:
    """Why the call of a definition could not be read, if it could not."""
    return next((piece.missed for _, piece in definition.operands if isinstance(piece, Other)), "")


def _dtypes(graph: Graph) -> dict[str, torch.dtype | None]:
    """The dtype of every value; of constants only where torch does not adapt it to the other argument's."""
    dtypes: dict[str, torch.dtype | None] = dict(zip(graph.inputs, graph.input_dtypes, strict=False))
    dtypes |= {name: x.dtype for name, x in graph.constants.items() if x.is_floating_point() and x.ndim}
    return dtypes | {call.name: call.dtype for call in graph.calls}


def _stranger(call: Call, dtypes: Mapping[str, torch.dtype | None], graph: Graph, lists: Set[str]) -> str:
    """Why a call has no form: it gives several tensors, or meets numbers that are not the network's own."""
    if call.name in lists:
        return "it gives a list of tensors"
    met = [dtypes.get(name) or graph.dtype for name in (*call.refs(), call.name)]
    other = next((dtype for dtype in met if dtype != graph.dtype), None)
    reason = f"it meets {other} where the network's numbers are {graph.dtype}".replace("torch.", "")
    return "" if other is None else reason


def _definition(source: Source, call: Call) -> Definition | None:
    a = call.bound()
    if call.op not in OPS:
        return None
    join = OPS[call.op].joins(source, call, a)
    if join is not None:
        return Definition(join.kind, join.operands, call, last=join.axis != 1)
    piece = piece_of(source, call)
    inputs = [name for name in call.refs() if name in source.dependent]
    return piece and Definition("sum", [(inputs[0], piece)], call, own=not (isinstance(piece, Atom) and piece.thin))


def joined(network: AffinePart) -> AffinePart:
    """The same network with as few definitions as one reader for each value allows; changes it in place."""
    readers = network.readers()
    for definition in network.definitions.values():
        while _merge(definition, readers) or _grow(network, definition, readers):
            definition.own = False
    gone = [name for name in network.definitions if not readers[name] and name not in network.pinned]
    for name in gone:
        del network.definitions[name]
    return network


def _merge(definition: Definition, readers: Counter[str]) -> bool:
    """Operands that begin at one value become branches."""
    shape = definition.call.shape
    names = [name for name, _ in definition.operands]
    if definition.kind == "cat":
        if len(names) < 2 or len(set(names)) > 1 or definition.last:
            return False
        definition.operands = [(names[0], Branches("cat", tuple(piece for _, piece in definition.operands), shape))]
        definition.kind = "sum"
        readers[names[0]] = 1 + readers[names[0]] - len(names)
        return True
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None:
        return False
    parts = tuple(piece for name, piece in definition.operands if name == twice)
    at = names.index(twice)
    rest = [operand for operand in definition.operands if operand[0] != twice]
    definition.operands = [*rest[:at], (twice, Branches("sum", parts, shape)), *rest[at:]]
    readers[twice] -= len(parts) - 1
    return True


def _grow(network: AffinePart, definition: Definition, readers: Counter[str]) -> bool:
    """An operand begins earlier where nothing else reads the value at which it began."""
    for at, (name, piece) in enumerate(definition.operands):
        inner = network.definitions.get(name)
        if inner is None or name in network.pinned or readers[name] > 1:
            continue
        if len(inner.operands) == 1:
            earlier, first = inner.operands[0]
            grown = [(earlier, chained([first, piece]))]
        elif (inner.kind == definition.kind == "sum" and is_identity(piece)) or (
            inner.kind == definition.kind and inner.last == definition.last and is_identity(piece)
        ):
            grown = inner.operands
        else:
            continue
        definition.operands[at : at + 1] = grown
        readers[name] -= 1
        return True
    return False
