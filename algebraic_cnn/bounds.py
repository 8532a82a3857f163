"""What can be said of a network's numbers before and after rounding, computed from its weights.

    majorant(graph, x)      the network with every number replaced by its absolute value, at |x|
    roundings(graph)        N: no product of weights meets more than N rounded operations
    gamma(N, u)             N u / (1 - N u): |computed - exact| <= gamma |majorant| (Higham 2002, Lemma 3.1)
    forward_error           that bound for torch's own forward pass at x
    height(graph)           bits of the integers N in the entries N / D of the exact W and B

The rounding bounds hold for any order of summation, with or without fused multiply-add, in the absence of underflow.
They do not hold for TF32, Winograd or FFT convolution kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .evaluate import Evaluator, call_terms
from .graph import Call, Graph, Ref, Size
from .ring import Majorant
from .rules import batch_norm_scale

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
_PRECISION = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}
_BATCH_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")
_SUMS = ("add", "sub", "rsub")


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
    shapes = graph.shapes()
    sums = call_terms(graph)
    return sum(sums[call.name] + _own_roundings(call, shapes) for call in graph.calls if call.name in sums)


def _own_roundings(call: Call, shapes: dict[str, Size]) -> int:
    """Rounded operations beside the sum of a contraction; a BatchNorm rounds its scale and shift as well."""
    return 10 if call.op in _BATCH_NORMS else 2 + math.prod(_window(call, shapes))


def _window(call: Call, shapes: dict[str, Size]) -> list[int]:
    """How many numbers a sum or an average takes together along each axis, at most; empty for other calls."""
    arguments = call.bound()
    if call.op.startswith("avg_pool"):
        kernel = list(arguments["kernel_size"])
        return kernel * (int(call.op[-2]) if len(kernel) == 1 else 1)
    if call.op.startswith("adaptive_avg_pool"):
        spatial = int(call.op[-2])
        sizes = shapes[arguments["self"].name][-spatial:], call.shape[-spatial:]
        return [-(-(n or 1) // (m or 1)) + ((n or 1) % (m or 1) > 0) for n, m in zip(*sizes, strict=True)]
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
        values = Evaluator(graph, Majorant(), x.device)(abs(x.double()), linear=linear)
    return values / (1 - gamma(roundings(graph), UNIT_ROUNDOFF[torch.float64]))


def forward_error(graph: Graph, x: Tensor, dtype: torch.dtype) -> Tensor:
    """gamma_N |f|(|x|): how far torch's forward pass in ``dtype`` can be from the exact f(x), entry by entry.

    Args:
        graph: an affine graph.
        x: inputs (N, *in_shape), taken as exact.
        dtype: the dtype that torch computes in.

    Returns:
        float64 tensor (N, *out_shape); infinite where the bound says nothing.
    """
    return gamma(roundings(graph), UNIT_ROUNDOFF[dtype]) * majorant(graph, x)


def height(graph: Graph) -> float:
    """log2 of a bound of |N| for every entry N / D of the exact W and B of an affine graph.

    D is the product of the denominators of all factors (the weights of a call have a common one), times the largest
    denominator among added constants; |N| <= |f|(1) D.

    >>> from algebraic_cnn.trace import trace
    >>> layer = torch.nn.Linear(1, 1, bias=False).eval()
    >>> _ = layer.weight.data.fill_(0.5)                        # 1/2 as a float32 is taken as m / 2^24
    >>> height(trace(layer, torch.zeros(1, 1)))
    23.0
    """
    shapes = graph.shapes()
    dependent = graph.dependent()
    factors, offsets = 0.0, 0.0
    for call in graph.calls:
        if call.name in dependent:
            of_call, added = _denominators(call, graph, dependent)
            factors += of_call + _count_bits(call, shapes)
            offsets = max(offsets, added)
    in_shape, _ = graph.single()
    largest = float(majorant(graph, torch.ones(1, *in_shape, dtype=torch.float64)).max())
    return factors + offsets + (math.log2(largest) if largest > 0 else 0.0)


def _denominators(call: Call, graph: Graph, dependent: frozenset[str]) -> tuple[float, float]:
    """log2 of the denominators of the constants that a call multiplies by, and of those that it adds."""
    arguments = call.bound()
    if call.op in _BATCH_NORMS:
        raw = {name: graph.constants[v.name] if isinstance(v, Ref) and v.name in graph.constants else v
               for name, v in arguments.items()}  # fmt: skip
        scale = _bits(batch_norm_scale(raw))
        return scale, max(_bits(raw["bias"]), _bits(raw["running_mean"]) + scale)
    added = {"bias"} | ({"self", "other"} if call.op in _SUMS else {"self"} if call.op == "addmm" else set())
    factors, offsets = 0.0, 0.0
    for name, value in arguments.items():
        bits = sum(_bits(constant) for constant in _numbers(name, value, graph, dependent))
        bits = bits if call.op != "div" or name != "other" else 2 * bits + 64
        factors, offsets = (factors, offsets + bits) if name in added else (factors + bits, offsets)
    return factors, offsets


def _numbers(name: str, value: Any, graph: Graph, dependent: frozenset[str]) -> Iterator[Any]:
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, Ref):
            if leaf.name in graph.constants and leaf.name not in dependent:
                yield graph.constants[leaf.name]
        elif isinstance(leaf, float) and name in ("self", "other", "alpha", "beta", "value"):
            yield torch.tensor(leaf, dtype=torch.float64)


def _bits(constant: Any) -> float:
    """log2 of a common denominator of the floats of a tensor: precision minus the smallest exponent."""
    if not isinstance(constant, Tensor) or not constant.is_floating_point() or not bool(constant.any()):
        return 0.0
    _, exponents = torch.frexp(constant[constant != 0])
    return max(0.0, float(_PRECISION[constant.dtype] - int(exponents.min())))


def _count_bits(call: Call, shapes: dict[str, Size]) -> float:
    """log2 of a common multiple of the counts that an average divides by, borders included."""
    window = _window(call, shapes)
    if not window or call.op == "sum":
        return 0.0
    if call.op == "mean":
        return math.log2(window[0])
    if call.op.startswith("adaptive"):
        return sum(math.log2(n * max(1, n - 1)) for n in window)
    override = call.bound().get("divisor_override") or 1
    return math.log2(override) + sum(math.log2(math.lcm(*range(1, n + 1))) for n in window)
