"""Where the zeros of a call get their signs: from zeros that it was given, from others, or never a minus.

    never_minus       the values that an affine graph computes whose zeros are never -0
    has_no_minus      whether a number or a constant has none
    gives_no_minus    whether a call that is not affine gives none
    keeps_no_minus    whether it gives none where it is given none
    is_blind          whether it gives the same bits for either zero
    carries           whether every zero that a call gives was a zero before

A sum is -0 only if every summand is; a sum with a summand that is never -0, such as a bias, is therefore never -0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..ir.graph import Call, Graph, Ref
from .registry import OPS

#: Calls that are not affine and never give -0; a logarithm is 0 of 1 alone.
_NEVER = frozenset("abs exp log log2 log10 sigmoid softmax _softmax".split())

#: Calls that are not affine and give an entry of what they are given, 0, or a root: no -0 where they are given none.
_KEEP = frozenset("amax amin maximum minimum max_pool1d max_pool2d max_pool3d relu sqrt".split())

#: Calls that are not affine and give the same bits for 0 and -0.
_BLIND = frozenset("abs exp log log2 log10 cos cosh sigmoid softmax _softmax".split())

#: Affine calls that add to what they compute of one argument, and the name of what they add.
_ADDS = {
    **dict.fromkeys("linear convolution conv1d conv2d conv3d conv_transpose1d conv_transpose2d".split(), "bias"),
    **dict.fromkeys("addmm baddbmm".split(), "self"),
}

#: Sums of the entries of one value.
_SUMS = frozenset("sum mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d".split())


def never_minus(graph: Graph, given: Iterable[str]) -> frozenset[str]:
    """The inputs of an affine graph, and the values of its calls, whose zeros are never -0.

    Args:
        graph: affine.
        given: names of its inputs of which that is known.

    >>> from ..ir.trace import trace
    >>> layers = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False)
    >>> graph = trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 2))
    >>> [call.name in never_minus(graph, ()) for call in graph.calls]
    [True, False]
    """
    found = set(given)
    for call in graph.calls:
        if _gives_none(call, found, graph.constants):
            found.add(call.name)
    return frozenset(found)


def gives_no_minus(call: Call) -> bool:
    """Whether a call that is not affine gives no -0, whatever it is given; a square is no product of other signs."""
    return call.op in _NEVER or (call.op == "mul" and len(set(call.refs())) == 1 and call.args[0] == call.args[1])


def keeps_no_minus(call: Call) -> bool:
    """Whether a call that is not affine gives no -0 where it is given none."""
    return call.op in _KEEP


def is_blind(call: Call) -> bool:
    """Whether a call that is not affine gives the same bits for 0 and for -0."""
    return call.op in _BLIND


def carries(call: Call, constants: Mapping[str, Tensor]) -> bool:
    """Whether every zero that a call gives was a zero before: a move, or a multiple by numbers that are none."""
    if call.op == "neg" or (call.op in OPS and OPS[call.op].exact):
        return True
    return _multiplies(call, constants, lambda x: x != 0)


def has_no_minus(value: Any, constants: Mapping[str, Tensor]) -> bool:
    """Whether a number or a constant, by its name, is known to have no -0 in it."""
    return _every(constants, value, lambda x: ~((x == 0) & torch.signbit(x)))


def _multiplies(call: Call, constants: Mapping[str, Tensor], test: Callable[[Tensor], Tensor]) -> bool:
    single = call.op in ("mul", "div") and sum(name not in constants for name in call.refs()) == 1
    return single and _every(constants, call.bound().get("other"), test)


def _gives_none(call: Call, known: set[str], constants: Mapping[str, Tensor]) -> bool:
    """Whether a call is known to give no -0, where these values are none; of one that has no entry nothing is."""
    if call.op not in OPS:
        return False
    a = call.bound()

    def never(value: Any) -> bool:
        varies = isinstance(value, Ref) and value.name not in constants
        return value.name in known if varies else has_no_minus(value, constants)

    if call.op in ("add", "sub"):
        other = never(a["other"]) if call.op == "add" else _every(constants, a["other"], lambda x: x != 0)
        return a.get("alpha", 1) == 1 and (never(a["self"]) or other)
    if call.op in _ADDS:
        return a.get("beta", 1) == 1 and never(a.get(_ADDS[call.op]))
    if OPS[call.op].normalises:
        return _every(constants, a.get("bias"), lambda x: x != 0)
    if call.op in ("mul", "div"):
        return never(a["self"]) and _multiplies(call, constants, lambda x: x > 0)
    if call.op in ("pad", "constant_pad_nd"):
        return never(a["self"]) and never(0 if a.get("value") is None else a["value"])
    return (OPS[call.op].exact or call.op in _SUMS) and all(never(Ref(name)) for name in call.refs())


def _every(constants: Mapping[str, Tensor], value: Any, test: Callable[[Tensor], Tensor]) -> bool:
    """Whether every entry of a constant, or a number, passes a test; of anything else that is not known."""
    if isinstance(value, Ref):
        value = constants.get(value.name)
    numbers = torch.tensor(value) if isinstance(value, int | float) else value
    if not isinstance(numbers, Tensor) or numbers.is_meta or numbers.dtype.is_complex:
        return False
    return bool(test(numbers.double()).all())
