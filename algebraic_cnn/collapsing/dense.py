"""A piece as one matrix: W and b of everything between two values, whatever the calls are.

dense    the calls of a piece -> reshape, ``linear``, reshape, with W and b derived from them over any ring
"""

from __future__ import annotations

import math
from collections import ChainMap
from functools import lru_cache

import numpy as np
import torch

from ..algebra.affine import AffineMap
from ..algebra.stencils.pieces import Array, Piece
from ..derivation.exact import exact_map
from ..derivation.methods import derive_graph
from ..derivation.samples import of_any_number
from ..errors import NotAffineError
from ..ir.graph import Call, Graph, Ref, needed
from ..rings.ring import Float, Rationals, Ring
from .building import Emit, GraphBuilder


def dense(piece: Piece, given: Emit, memory_budget: int, method: str = "auto") -> Emit:
    """Writes x -> W x + b.

    Args:
        piece: takes and gives values with a batch axis and fixed other axes.
        given: writes the piece as the network has it.
        memory_budget: bytes that W and the probes may take.
        method: how W is derived.
    """
    n, m = (math.prod(int(length or 1) for length in shape[1:]) for shape in (piece.source, piece.shape))

    def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
        @lru_cache(maxsize=1)
        def affine(ring: Ring) -> AffineMap:
            graph = of_any_number(alone(builder.graph, piece, given, like, ring))
            if isinstance(ring, Rationals):
                return exact_map(graph, method=method, memory_budget=memory_budget)
            return derive_graph(graph, ring, method, memory_budget=memory_budget)

        def W(ring: Ring) -> Array:
            return np.asarray(affine(ring).to("dense").W)

        weight = builder.constant(like, "W", (m, n), W)
        bias = builder.constant(like, "b", (m,), lambda ring: affine(ring).b)
        x = builder.reshaped(like, x, (piece.source[0], n))
        return builder.reshaped(like, builder.call(like, "linear", x, weight, bias), piece.shape)

    return emit


def alone(graph: Graph, piece: Piece, given: Emit, like: Call, ring: Ring | None = None) -> Graph:
    """A piece as a graph of its own, with one input; sizes of the batch axis are asked of that input.

    Args:
        graph: the network.
        piece: a part of it.
        given: writes it as the network has it.
        like: the call whose place and source line new calls take.
        ring: of numbers that the network does not have; default float64.

    Raises:
        NotAffineError: if there are such numbers and the ring is that of the rationals, which no tensor holds.
    """
    builder = GraphBuilder(graph, ChainMap({"x": piece.source}, graph.shapes()))
    out = given(builder, Ref("x"), like)
    own = {name: Ref("x") for name in graph.dependent()}
    sizes, used = needed(graph.calls, [name for call in builder.calls for name in call.refs()], own)
    constants = {name: value for name, value in graph.constants.items() if name in used}
    if builder.recipes and isinstance(ring, Rationals):
        raise NotAffineError("a matrix of numbers that are new themselves has no exact form here", where=like.where)
    for name, recipe in builder.recipes.items():
        constants[name] = torch.from_numpy(np.ascontiguousarray(recipe(ring or Float()))).to(graph.device)
    calls = (*(call.renamed(own) for call in sizes), *builder.calls)
    return Graph(("x",), (piece.source,), calls, constants, (out,), None, graph.batch, graph.dtype)
