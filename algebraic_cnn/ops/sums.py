"""What one call sums and how often it rounds: the one place that says so of every kind of call.

    call_terms       products that one element of a call's output, or of its gradient, sums
    terms            the most of them in a network: what a modulus must leave room for
    window           how many numbers a sum or an average takes together along each axis
    call_roundings   rounded operations that a product meets in a call
    roundings        N, their sum over a network
    gamma            what N of them make of a number: |computed - exact| <= gamma |majorant| (Higham 2002, Lemma 3.1)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..ir.graph import Call, Graph, Ref, Size
from .interpolation import WEIGHTED
from .rules import DROPOUTS, MOVES, RULES

BATCH_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")


def terms(graph: Graph) -> int:
    """How many products of two ring elements a forward or backward pass sums before it reduces, at most.

    A forward pass sums over the inputs of a contraction, a backward pass over its outputs, over the places to which a
    product spreads a value, and over all calls that use it; one more term is added for a bias.
    """
    sums = call_terms(graph)
    shapes = {name: tuple(n or 1 for n in shape) for name, shape in graph.shapes().items()}
    backward = dict.fromkeys(graph.dependent(), 0)
    for call in graph.calls:
        for name in backward.keys() & set(call.refs()) if call.name in sums else ():
            backward[name] += max(sums[call.name], _spread(call, name, shapes))
    return max(1, *sums.values(), *backward.values()) + 1 if sums else 2


def _spread(call: Call, name: str, shapes: dict[str, tuple[int, ...]]) -> int:
    """In how many products an element of the value ``name`` occurs, where the call may broadcast it."""
    if call.op not in ("mul", "div", "matmul"):
        return 1
    inner = shapes[call.bound()["self"].name][-1] if call.op == "matmul" else 1
    return math.prod(shapes[call.name]) * inner // max(1, math.prod(shapes[name]))


def call_terms(graph: Graph) -> dict[str, int]:
    """For every call that depends on the input: the products that one element of its output, or of its gradient, sums.

    1 for a call that is no contraction.
    """
    shapes = {name: tuple(n or 1 for n in shape) for name, shape in graph.shapes().items()}
    dependent = graph.dependent()
    return {
        call.name: max((_terms(size, call.op) for size in _factor_sizes(call, shapes, dependent)), default=1)
        for call in graph.calls
        if call.name in dependent
    }


def _factor_sizes(
    call: Call, shapes: dict[str, tuple[int, ...]], dependent: frozenset[str]
) -> Iterator[tuple[int, ...]]:
    """Shapes of the constants whose products with the input the call sums."""
    rule = RULES.get(call.op)
    if rule is not None and rule.contraction:
        arguments = call.bound()
        for name in {rule.contraction, *(rule.affine_in if rule.bilinear else ())}:
            value = arguments[name]
            if isinstance(value, Ref) and value.name not in dependent:
                yield shapes[value.name]


def _terms(size: tuple[int, ...], op: str) -> int:
    """Of a weight (c_out, c_in / groups, *kernel) or a matrix: the longer of the sums over its rows or columns."""
    if len(size) < 2:
        return math.prod(size)
    return max(size[-2:]) if RULES[op].bilinear else math.prod(size) // min(size[:2])


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
