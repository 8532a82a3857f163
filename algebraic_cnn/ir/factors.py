"""Numbers by which the factors of a product are multiplied, taken behind it: (c x) y is c (x y).

factored    a product of two values without such numbers, and the calls that multiply by them afterwards
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from .graph import Call, Ref

#: Calls that are linear in each of two values.
_PRODUCTS = ("mul", "matmul", "bmm")


def factored(call: Call, made: Mapping[str, Call], values: dict[str, Any], constants: Mapping[str, Any]) -> list[Call]:
    """The product without numbers in front, and then these; the call alone where there are none.

    Args:
        call: a product.
        made: the calls before it by name.
        values: every value without its numbers; what is made anew is added.
        constants: by name.
    """
    names = [arg.name if isinstance(arg, Ref) else "" for arg in call.args[:2]]
    if call.op not in _PRODUCTS or len(names) < 2 or "" in names or set(names) & constants.keys() or call.kwargs:
        return [call]
    factors: list[tuple[Call, str]] = []
    for place, name in enumerate(names):
        while inner := _scaled(_copied(made.get(name), made), values, constants):
            factors.append((_copied(made[name], made) or made[name], inner))
            name = inner
        names[place] = name
    if not factors:
        return [call]
    steps = [replace(call, name=f"{call.name}_unscaled", args=tuple(map(Ref, names)))]
    for number, (factor, inner) in enumerate(factors, 1):
        name = call.name if number == len(factors) else f"{call.name}_scaled_{number}"
        steps.append(replace(factor.renamed({inner: Ref(steps[-1].name)}), name=name, shape=call.shape))
    values.update((step.name, values[call.name]) for step in steps)
    return steps


def _copied(call: Call | None, made: Mapping[str, Call]) -> Call | None:
    """The call whose value a call copies; the call itself if it does more."""
    while call is not None and call.op == "clone":
        call = made.get(next(call.refs()))
    return call


def _scaled(call: Call | None, values: Mapping[str, Any], constants: Mapping[str, Any]) -> str:
    """The value that a call multiplies by one number, or divides by it; "" if it does not."""
    if call is None or call.op not in ("mul", "div") or call.kwargs or len(call.args) != 2:
        return ""
    varying = [arg.name for arg in call.args if isinstance(arg, Ref) and arg.name not in constants]
    others = [arg for arg in call.args if not isinstance(arg, Ref) or arg.name in constants]
    if len(varying) != 1 or (call.op == "div" and others[0] is call.args[0]):
        return ""
    number = constants.get(others[0].name) if isinstance(others[0], Ref) else others[0]
    single = number.numel() == 1 if isinstance(number, Tensor) else isinstance(number, int | float)
    x, y = values[varying[0]], values[call.name]
    return varying[0] if single and x.shape == y.shape and x.dtype == y.dtype else ""
