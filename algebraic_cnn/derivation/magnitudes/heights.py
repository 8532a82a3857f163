"""How large the integers behind a network's exact W and B are.

Every entry is a rational number N / D: floats are dyadic, averages divide by small counts.

    denominator   a D that serves every entry of W and B of an affine network
    height        log2 of a bound of |N| for the entries of W and B, or of a difference of such maps
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from ...algebra.affine import AffineMap
from ...errors import NonFiniteError
from ...ir.graph import Call, Graph, Ref, Size
from ...ops.denominators import Denominator, of_array
from ...ops.evaluate import Evaluator
from ...ops.precision import UNIT_ROUNDOFF
from ...ops.registry import OPS
from ...ops.sums import gamma, roundings
from ...rings.ring import Majorant


def height(*networks: Graph | AffineMap) -> float:
    """log2 of a bound of |N| for every entry N / D of an exact W and B, or of a sum or difference of several such maps.

    |N| <= sum |f|(1) D, with |f| the majorant network and D a common denominator.

    Raises:
        NonFiniteError: if the majorant network leaves the range of float64.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(1, 1, bias=False).eval()
    >>> _ = layer.weight.data.fill_(2.0)                        # 2 as a float32 is taken as m / 2^22
    >>> graph = trace(layer, torch.zeros(1, 1))
    >>> height(graph), height(graph, graph)
    (23.0, 24.0)
    """
    common = reduce(Denominator.common, (denominator(network) for network in networks))
    size = sum(_size(network) for network in networks)
    if not math.isfinite(size):
        raise NonFiniteError("the bound of the network's entries overflows", expected="below 2^1024", where="height")
    return common.bits + math.log2(max(size, 1.0))


def denominator(network: Graph | AffineMap) -> Denominator:
    """A common denominator of the entries of W and B.

    Along a path the denominators of the calls multiply (all numbers of a call have a common one); where paths meet, or
    a constant is added, a common multiple serves both.
    """
    if isinstance(network, AffineMap):
        dense = network.to("dense")
        return reduce(Denominator.common, map(of_array, (dense.W, dense.b)))
    shapes, dependent = network.shapes(), network.dependent()
    of_value = dict.fromkeys(network.inputs, Denominator())
    for call in network.calls:
        if call.name in dependent:
            factors, added, counts = _of_call(call, network, dependent, shapes)
            terms = [of_value[name] for name in call.refs() if name in of_value]
            of_value[call.name] = reduce(Denominator.common, terms, added) * factors * counts
    outputs = (of_value[out.name] for out in network.outputs if isinstance(out, Ref) and out.name in of_value)
    return reduce(Denominator.common, outputs, Denominator())


def _size(network: Graph | AffineMap) -> float:
    """An upper bound of the entries of |W| and |B|."""
    if isinstance(network, AffineMap):
        dense = network.to("dense")
        return max(float(np.max(Majorant().embed(array), initial=0.0)) for array in (dense.W, dense.b))
    sizes = [[network.least if n is None else n for n in shape] for shape in network.input_shapes]
    ones = [torch.ones(size, dtype=torch.float64, device=network.device) for size in sizes]
    with torch.no_grad():
        values = Evaluator(network, Majorant(), network.device).run(ones)
    numbers = [value for value in values if isinstance(value, Tensor) and value.is_floating_point() and value.numel()]
    largest = max((float(value.abs().max()) for value in numbers), default=0.0)
    return largest / (1 - gamma(roundings(network), UNIT_ROUNDOFF[torch.float64]))


def _of_call(
    call: Call, graph: Graph, dependent: frozenset[str], shapes: Mapping[str, Size]
) -> tuple[Denominator, Denominator, Denominator]:
    """Of the constants that a call multiplies by, of those that it adds, and of the counts that it divides by."""
    op = OPS.get(call.op)
    if op is None:
        return Denominator(), Denominator(), Denominator()
    return *op.denominators(call, graph, dependent), Denominator.of(op.counts(call, shapes))
