"""A whole network as one piece: what the derivations that look at its stencil alone start from.

whole       graph -> the piece from its input to its output, reshapes at both ends left away
spans       along each axis, how far apart two inputs of one output can lie, plus one
size_free   whether the calls of a network compute the same map of another image size
"""

from __future__ import annotations

from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Atom, Form, Move, Offset, Piece, atoms, chained, form, parts_of, settled
from ..errors import ShapeError
from ..ir.graph import Graph, Ref
from ..ir.spelling import plain
from ..ops.registry import traits
from .junctions import joined, network_of

_WINDOWS = tuple(f"{name}{n}d" for name in ("conv", "conv_transpose", "avg_pool") for n in (1, 2, 3))
_PADS = ("constant_pad_nd", "pad")
#: Calls of which a piece keeps nothing, and that take any size.
_PASSING = "add sub cat concat clone contiguous alias detach lift_fresh_copy dropout".split()
_POINTS = ("batch_norm", "add", "sub", "rsub", "neg", "mul", "div", "pixel_shuffle", "pixel_unshuffle")


def whole(graph: Graph) -> tuple[Piece, Form]:
    """The piece from the input of a network to its output, and its form, channels after the batch.

    Raises:
        ShapeError: if the network is no stencil: its taps are not the same at every position, or its zeros are not
            those of padding.
    """
    junctions = joined(network_of(plain(graph))).junctions
    operands = [junction.operands for name, junction in junctions.items() if graph.outputs == (Ref(name),)]
    if len(junctions) == len(operands) == 1 and len(operands[0]) == 1:
        name, piece = operands[0][0]
        parts = list(parts_of(piece))
        for end in (0, -1):
            while parts and _is_reshape(parts[end]):
                parts.pop(end)
        piece = settled(chained(parts)) if parts else piece
        found = form(piece)
        if name == graph.inputs[0] and found and not found.last and all(map(_window_tells, atoms(piece))):
            return piece, found
    expected = "convolutions, pools, maps of channels, zero padding, pixel shuffles, their chains, sums, concatenations"
    raise ShapeError("the network is no stencil", expected=expected, where="derive")


def spans(found: Form) -> list[int]:
    """Along each axis, one more than the largest distance of two inputs of one output."""
    return [axis.step * (axis.width - 1) + 1 for axis in found.footprint.axes]


def size_free(graph: Graph, piece: Piece) -> bool:
    """Whether the calls of a network that is one piece run on any image size, as the same map.

    Reshapes that undo each other are no part of the piece, but they name its size.
    """
    kept = {part.call.name for part in atoms(piece) if isinstance(part, Atom) and part.call is not None}
    others = graph.dependent() - kept
    rest = (call for call in graph.calls if call.name in others)
    return all(map(_free, atoms(piece))) and all(call.op in _PASSING for call in rest)


def _is_reshape(piece: Piece) -> bool:
    return isinstance(piece, Move) and piece.order is None


def _window_tells(piece: Piece) -> bool:
    """Whether an output reads nothing outside the window of its taps: not so where a border is reflected."""
    return isinstance(piece, Atom) and (piece.linear is None or traits(piece.call.op).averages)


def _free(piece: Piece) -> bool:
    if not isinstance(piece, Atom):
        return False
    op = "" if piece.call is None else piece.call.op
    if piece.call is not None and op.startswith("upsample_nearest"):
        return bool(piece.call.bound().get("scale_factors"))
    if op in _PADS:
        return True
    return piece.form.offset != Offset.MAP and (not op or op in _WINDOWS or op in _POINTS)


def reaches(axis: Axis, first: int, stop: int) -> tuple[int, int]:
    """The lowest and the highest input that outputs ``first`` .. ``stop - 1`` read, inside or not."""
    return int(axis.reads[first:stop].min()), int(axis.reads[first:stop].max())
