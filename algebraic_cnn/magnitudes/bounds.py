"""How far rounding can take a network's numbers, computed from its weights.

    majorant(graph, x)      the network with every number replaced by its absolute value, at |x|
    roundings(graph)        N: no product of weights meets more than N rounded operations
    gamma(N, u)             N u / (1 - N u): |computed - exact| <= gamma |majorant| (Higham 2002, Lemma 3.1)

They grow with the depth as products of absolute values do; rounding.py has bounds that do not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import ring
from ..evaluate import Evaluator, call_terms
from ..graph import Call, Graph, Size
from ..interpolation import WEIGHTED
from ..rules import DROPOUTS, MOVES

UNIT_ROUNDOFF: dict[torch.dtype, float] = {getattr(torch, name): u for name, u in ring.UNIT_ROUNDOFF.items()}
BATCH_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")


def gamma(roundings: int, unit_roundoff: float) -> float:
    """N u / (1 - N u), or infinity where N u >= 1: the relative error that N rounded operations can make.

    >>> gamma(1, 0.25), gamma(8, 0.25)
    (0.3333333333333333, inf)
    """
    product = roundings * unit_roundoff
    return product / (1 - product) if product < 1 else math.inf


def roundings(graph: Graph) -> int:
    """N, the most rounded operations that any product of weights meets between an input and an output.

    The sum over all calls of their longest sums and their own scalings, hence a bound for every path through the
    graph, forwards and backwards.
    """
    return sum(call_roundings(graph).values())


def call_roundings(graph: Graph) -> dict[str, int]:
    """For every call that depends on the input: the most rounded operations that a product meets in it.

    0 for a call that only moves entries.  A BatchNorm rounds its scale and shift as well, as does its reference.
    """
    shapes, sums = graph.shapes(), call_terms(graph)
    exact = (*MOVES, *DROPOUTS, "operator.getitem")
    return {
        call.name: 0 if call.op in exact else sums[call.name] + _own_roundings(call, shapes)
        for call in graph.calls
        if call.name in sums
    }


def _own_roundings(call: Call, shapes: dict[str, Size]) -> int:
    """Rounded operations beside the sum of a contraction."""
    return 15 if call.op in BATCH_NORMS else 2 + math.prod(window(call, shapes))


def window(call: Call, shapes: dict[str, Size]) -> list[int]:
    """How many numbers a sum or an average takes together along each axis, at most; empty for other calls."""
    arguments = call.bound()
    if call.op.startswith("avg_pool"):
        kernel = list(arguments["kernel_size"])
        return kernel * (int(call.op[-2]) if len(kernel) == 1 else 1)
    if call.op.startswith("adaptive_avg_pool"):
        spatial = int(call.op[-2])
        sizes = shapes[arguments["self"].name][-spatial:], call.shape[-spatial:]
        return [-(-(n or 1) // (m or 1)) + ((n or 1) % (m or 1) > 0) for n, m in zip(*sizes, strict=True)]
    if call.op in WEIGHTED:
        return [4] * (len(call.shape) - 2)
    if call.op == "cumsum":
        return [shapes[arguments["self"].name][arguments["dim"]] or 1]
    if call.op in ("sum", "mean"):
        inputs = math.prod(n or 1 for n in shapes[arguments["self"].name])
        return [inputs // max(1, math.prod(n or 1 for n in call.shape))]
    return []


def majorant(graph: Graph, x: Tensor, *, linear: bool = False) -> Tensor:
    """|f|(|x|), an upper bound of |f(x)| in every entry, in float64.

    Args:
        graph: an affine graph.
        x: inputs (N, *in_shape).
        linear: without the biases.
    """
    with torch.no_grad():
        values = Evaluator(graph, ring.Majorant(), x.device)(abs(x.double()), linear=linear)
    return values / (1 - gamma(roundings(graph), UNIT_ROUNDOFF[torch.float64]))
