"""The one loop over the calls of a network.

    interpret    every value of a network, each call done by ``on_call``
    natively     by torch's own kernel
    asked        the same, a refusal of torch as an error of ours
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..errors import AlgebraicError
from .graph import Call, Graph

#: Gives the value of a call, from the call and the values so far by name.
OnCall = Callable[[Call, dict[str, Any]], Any]


def natively(call: Call, values: Mapping[str, Any]) -> Any:
    """What torch makes of a call."""
    args, kwargs = call.resolved(values)
    return call.target(*args, **kwargs)


def asked(
    call: Call, values: dict[str, Any], refusal: Callable[[str], AlgebraicError], on_call: OnCall = natively
) -> Any:
    """What torch makes of a call.

    Args:
        call: the call.
        values: so far by name.
        refusal: from torch's reason, its first line, to the error that says it.
        on_call: does the call.
    """
    try:
        return on_call(call, values)
    except Exception as error:  # torch's refusals are of many classes
        raise refusal(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def interpret(
    graph: Graph, given: Mapping[str, Any], on_call: OnCall = natively, *, keep: Collection[str] | None = None
) -> dict[str, Any]:
    """Every value of a network by name, its inputs and constants included.

    Args:
        graph: the network.
        given: its inputs by name; constants too, where others are to stand in their places.
        on_call: does a call.
        keep: names of the values that are wanted; every other one is dropped after its last use.

    >>> import torch
    >>> from algebraic_cnn.ir.trace import trace
    >>> graph = trace(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU()).eval(), torch.zeros(1, 1, 2))
    >>> interpret(graph, {graph.inputs[0]: torch.tensor([[[-1.0, 2.0]]])})[graph.outputs[0].name]
    tensor([[0., 2.]])
    """
    values = {**graph.constants, **given}
    last = {} if keep is None else {name: place for place, call in enumerate(graph.calls) for name in call.refs()}
    for place, call in enumerate(graph.calls):
        values[call.name] = on_call(call, values)
        for name in set(call.refs()) if last else ():
            if last[name] == place and name not in graph.constants and name not in (keep or ()):
                del values[name]
    return values
