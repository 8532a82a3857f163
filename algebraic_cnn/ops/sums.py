"""What one call sums and how often it rounds: the one place that says so of every kind of call.

call_terms       products that one element of a call's output, or of its gradient, sums
terms            the most of them in a network: what a modulus must leave room for
call_roundings   rounded operations that a product meets in a call; roundings_of: of calls outside a graph
roundings        N, their sum over a network
gamma            what N of them make of a number: |computed - exact| <= gamma |majorant| (Higham 2002, Lemma 3.1)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Set

from ..ir.graph import Call, Graph, Ref, Size
from .op import Op
from .registry import OPS


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
    op = OPS.get(call.op)
    if op is None or not op.broadcasts:
        return 1
    inner = shapes[call.bound()["self"].name][-1] if op.contraction else 1
    return math.prod(shapes[call.name]) * inner // max(1, math.prod(shapes[name]))


def call_terms(graph: Graph) -> dict[str, int]:
    """For every call that depends on the input: the products that one element of its output, or of its gradient, sums.

    1 for a call that is no contraction.
    """
    dependent = graph.dependent()
    return _longest([call for call in graph.calls if call.name in dependent], graph.shapes(), dependent)


def _longest(calls: Iterable[Call], shapes: Mapping[str, Size], dependent: Set[str]) -> dict[str, int]:
    return {
        call.name: max((_terms(size, call.op) for size in _factor_sizes(call, shapes, dependent)), default=1)
        for call in calls
    }


def _factor_sizes(call: Call, shapes: Mapping[str, Size], dependent: Set[str]) -> Iterator[tuple[int, ...]]:
    """Shapes of the constants whose products with the input the call sums."""
    op = OPS.get(call.op)
    if op is not None and op.contraction:
        arguments = call.bound()
        for name in {op.contraction, *(op.affine_in if op.bilinear else ())}:
            value = arguments[name]
            if isinstance(value, Ref) and value.name not in dependent:
                yield tuple(n or 1 for n in shapes[value.name])


def _terms(size: tuple[int, ...], op: str) -> int:
    """Of a weight (c_out, c_in / groups, *kernel) or a matrix: the longer of the sums over its rows or columns."""
    if len(size) < 2:
        return math.prod(size)
    return max(size[-2:]) if OPS[op].bilinear else math.prod(size) // min(size[:2])


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
    return roundings_of(graph.calls, graph.shapes(), graph.dependent())


def roundings_of(calls: Iterable[Call], shapes: Mapping[str, Size], dependent: Set[str]) -> dict[str, int]:
    """The same for calls that need not be a graph yet.

    Args:
        calls: in order.
        shapes: of the values that they name.
        dependent: names of the values that depend on the input.
    """
    calls = [call for call in calls if call.name in dependent]
    sums = _longest(calls, shapes, dependent)
    return {call.name: _roundings(call, sums[call.name], shapes) for call in calls}


def _roundings(call: Call, longest: int, shapes: Mapping[str, Size]) -> int:
    """0 for a call that only moves entries; else its longest sum, its window, and what it rounds beside them."""
    op = OPS.get(call.op)
    if call.op == "operator.getitem" or (op is not None and op.exact):
        return 0
    return longest + (Op.roundings + 1 if op is None else op.roundings + math.prod(op.window(call, shapes)))
