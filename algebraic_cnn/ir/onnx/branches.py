"""Branches whose condition is known, in the place of their node.

with_branches   OnnxGraph -> OnnxGraph of the file that is left
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .bodies import decided
from .network import OnnxGraph, network
from .values import Value


def with_branches(
    read: OnnxGraph, shapes: Mapping[str, Sequence[int | None]] | None = None, where: object = "the file"
) -> OnnxGraph:
    """The network of a file in which the branches that are taken stand in the place of their node.

    Args:
        read: the file.
        shapes: of some of its inputs, as ``network`` takes them.
        where: the file, for errors.

    Raises:
        ShapeError, DataError, TraceError: as ``network`` raises them.
    """
    while True:
        conditions = {
            node.input[0]: bool(value.constant)
            for node in read.model.graph.node
            if node.op_type == "If"
            and isinstance(value := read.values.get(node.input[0]), Value)
            and value.constant is not None
            and value.constant.numel() == 1
        }
        model = decided(read.model, conditions) if conditions else None
        if model is None:
            return read
        read = network(model, shapes, where)
