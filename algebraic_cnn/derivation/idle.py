"""Calls that change nothing where they stand: bounds within bounds, and what a quantisation does by itself.

    merged       a clamp of what was clamped, as one
    saturated    a quantisation of what was clamped where it saturates anyway
    requantised  what was quantised, of what is quantised in the same way again

Each is exact: of the bounds by arithmetic of orders, of quantisations by trying all numbers that there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..ir.graph import Call
from ..ops.registry import traits


def bounds(call: Call | None) -> tuple[float, float] | None:
    """Between which numbers a call clamps; None if it does something else.

    >>> from ..ir.trace import trace
    >>> [bounds(trace(layer.eval(), torch.zeros(1, 2)).calls[0]) for layer in (torch.nn.ReLU(), torch.nn.ReLU6())]
    [(0.0, inf), (0.0, 6.0)]
    """
    ends = traits(call.op).bounds(call.bound()) if call is not None else None
    if ends is None or call is None or call.dtype is None or not call.dtype.is_floating_point:
        return None
    low, high = ends
    if low != low or high != high:  # NaN, which is a bound of nothing
        return None
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def merged(call: Call, given: Mapping[str, Call]) -> Call:
    """A clamp of a clamp as one; any other call as it is.

    Args:
        call: of a network that reads no signs of zeros: which of two zeros a clamp gives is not said.
        given: the calls before it by name.
    """
    outer = bounds(call)
    before = given.get(next(call.refs(), "")) if outer else None
    inner = bounds(before)
    if outer is None or inner is None or before is None or before.dtype != call.dtype:
        return call
    low, high = (min(max(end, outer[0]), outer[1]) for end in inner)
    ends = [None if low == -math.inf else low, None if high == math.inf else high]
    return replace(call, op="clamp", target=torch.ops.aten.clamp.default, args=(before.args[0], *ends), kwargs={})


def saturated(call: Call, given: Mapping[str, Call], constants: Mapping[str, Any]) -> Call:
    """A quantisation of what is clamped to no less than it can say: of what was clamped; any other call as it is."""
    before = given.get(next(call.refs(), "")) if traits(call.op).quantises else None
    ends = bounds(before)
    kind, numbers = call.dtype, [constants.get(name) for name in list(call.refs())[1:]]
    if before is None or ends is None or ends[0] > ends[1]:  # crossed bounds give one number for all
        return call
    if not _alone(numbers) or kind is None or kind.is_floating_point:
        return call
    most = torch.iinfo(kind)
    found = _run(call, torch.tensor(ends, dtype=before.dtype), numbers)
    if found is None or found.tolist() != [most.min, most.max]:
        return call
    return call.renamed({before.name: before.args[0]})


def requantised(call: Call, given: Mapping[str, Call], constants: Mapping[str, Any]) -> str:
    """What was quantised, where a call quantises it again in the same way; "" for any other call."""
    back = given.get(next(call.refs(), "")) if traits(call.op).quantises else None
    if back is None or not traits(back.op).dequantises or call.dtype not in (torch.uint8, torch.int8):
        return ""
    source, *names = back.refs()
    numbers, others = ([constants.get(name) for name in each] for each in (names, list(call.refs())[1:]))
    made = given.get(source)
    if not _alone(numbers) or not _alone(others) or made is None or made.dtype != call.dtype:
        return ""
    most = torch.iinfo(call.dtype)
    every = torch.arange(most.min, most.max + 1).to(call.dtype)
    real = _run(back, every, numbers)
    again = None if real is None else _run(call, real, others)
    return source if again is not None and again.dtype == every.dtype and torch.equal(again, every) else ""


def _alone(numbers: list[Any]) -> bool:
    """Whether scale and zero are constants, of all entries alike."""
    return bool(numbers) and all(isinstance(x, Tensor) and x.numel() == 1 for x in numbers)


def _run(call: Call, x: Tensor, numbers: list[Any]) -> Tensor | None:
    """What a call gives of these numbers; None where torch cannot say."""
    text = [arg for arg in call.args if isinstance(arg, str)]
    if len(call.args) != len(text) + 1 + len(numbers):
        return None
    try:
        found: Any = call.target(*text, x, *numbers)
    except Exception:  # a node of a file may be anything
        return None
    return found if isinstance(found, Tensor) and not found.is_meta else None
