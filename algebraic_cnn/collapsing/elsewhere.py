"""The same network at other image sizes, piece by piece: what a form must be to take them all.

    Elsewhere   the network at several image sizes

A map of stride s meets the far border in one of s ways, by the length of the image modulo s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..algebra.stencils.pieces import Atom, Branches, Chain, Move, Other, Piece, Scaling, Size, Tangle, form
from ..ir.graph import Graph
from ..ops.registry import piece_of
from ..ops.source import Source
from .writing import leaves

#: At how many other sizes a form is written at least, where there are so many.
_SIZES = 4


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """A network at several image sizes.

    Attributes:
        sources: the network at each of them.
    """

    sources: tuple[Source, ...]
    _read: dict[tuple[int, str], Piece | None] = field(default_factory=dict)

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> Elsewhere:
        """From the network at each size."""
        return cls(tuple(Source.of(graph) for graph in graphs))

    def family(self, piece: Piece) -> Iterator[tuple[Source, Piece | None]]:
        """A settled piece at as many sizes as there are ways to meet a border, each image size once.

        Yields:
            The network at that size, and the piece; None where the piece does not say what it would be.
        """
        whole = form(piece)
        ways = max([_SIZES, *(2 * axis.down for axis in whole.axes)] if whole else [_SIZES])
        seen = {(piece.source, piece.shape)}
        for place, source in enumerate(self.sources):
            there = self._at(piece, place, None)
            if there is None or (there.source, there.shape) not in seen:
                yield source, there
            if there is None or len(seen) > ways:
                return
            seen.add((there.source, there.shape))

    def constant(self, piece: Piece) -> bool:
        """Whether a piece is the same at every size: it takes and gives values whose lengths never change."""
        if isinstance(piece, Tangle):
            ends = [(source.shapes[piece.start], source.shapes[piece.calls[-1].name]) for source in self.sources]
            return all(pair == (piece.source, piece.shape) for pair in ends)
        calls = list(leaves(piece))
        known = {call.name: call.shape for call in calls}
        same = all(source.shapes[name] == shape for source in self.sources for name, shape in known.items())
        return bool(calls) and same and all(self._source(piece, at) == piece.source for at in range(len(self.sources)))

    def _source(self, piece: Piece, place: int) -> Size | None:
        """The shape of the value that a piece takes at one size, as far as its own calls say."""
        source = self.sources[place]
        taken = (name for call in leaves(piece) for name in call.refs() if name in source.dependent)
        name = next(taken, None)
        return None if name is None else source.shapes[name]

    def _at(self, piece: Piece, place: int, source: Size | None) -> Piece | None:
        source = source or self._source(piece, place)
        match piece:
            case Chain(parts):
                parts_there = []
                for part in parts:
                    there = self._at(part, place, source)
                    if there is None:
                        return None
                    parts_there.append(there)
                    source = there.shape
                return Chain(tuple(parts_there))
            case Branches(kind, parts):
                beside = [there for part in parts if (there := self._at(part, place, source)) is not None]
                return Branches(kind, tuple(beside), beside[0].shape) if len(beside) == len(parts) else None
            case Atom(call=None) | Scaling(call=None):
                return None if source is None else _stretched(piece, source)
            case Atom() | Scaling() | Move() | Other():
                there = self._piece(piece.call.name, place)
                last = isinstance(piece, Atom) and piece.form.last
                return there.at(last) if isinstance(there, Scaling) and isinstance(piece, Atom) else there
        return None

    def _piece(self, name: str, place: int) -> Piece | None:
        key = (place, name)
        if key not in self._read:
            source = self.sources[place]
            call = next((call for call in source.graph.calls if call.name == name), None)
            self._read[key] = call and piece_of(source, call)
        return self._read[key]


def _stretched(piece: Atom | Scaling, shape: Size) -> Piece | None:
    """An identity or a multiple, on values of another shape."""
    if isinstance(piece, Scaling) or len(shape) != len(piece.source):
        return None
    place = len(shape) - 1 if piece.form.last else 1
    if shape[place] != piece.source[place]:
        return None
    sizes = tuple(n or 1 for axis, n in enumerate(shape) if axis not in (0, place))
    return replace(piece, form=replace(piece.form, sizes=sizes), source=shape, shape=shape)
