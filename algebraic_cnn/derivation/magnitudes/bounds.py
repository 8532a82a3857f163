"""The majorant of a network: every number replaced by its absolute value, at |x|.

It bounds the network, and gamma times it bounds what rounding does to it (ops/sums.py).  It grows with the depth as
products of absolute values do; certification/rounding.py has bounds that do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...ir.graph import Graph
from ...ops.evaluate import Evaluator
from ...ops.precision import UNIT_ROUNDOFF
from ...ops.sums import gamma, roundings
from ...rings.ring import Majorant


def majorant(graph: Graph, x: Tensor, *, linear: bool = False) -> Tensor:
    """|f|(|x|), an upper bound of |f(x)| in every entry, in float64.

    Args:
        graph: an affine graph.
        x: inputs (N, *in_shape).
        linear: without the biases.
    """
    with torch.no_grad():
        values = Evaluator(graph, Majorant(), x.device)(abs(x.double()), linear=linear)
    return values / (1 - gamma(roundings(graph), UNIT_ROUNDOFF[torch.float64]))
