"""BatchNorms folded into convolutions where lengths of images are not known: a convolution is right for each.

folded    the convolution before a BatchNorm that alone reads it
bent      the calls of regions of which something else was made
"""

from __future__ import annotations

from typing import Any

from ..ir.graph import Call, Graph, Ref
from ..ops.registry import traits
from .rewriting import Rewrite
from .validation import changed


def folded(call: Call, graph: Graph) -> str:
    """The convolution of which a call is the BatchNorm, where nothing else reads it; "" for any other call."""
    about, source = traits(call.op), next(call.refs(), "")
    made = next((each for each in graph.calls if each.name == source), None) if about.normalises else None
    if made is None or not traits(made.op).convolves or Ref(source) in graph.outputs:
        return ""
    return source if sum(source in each.refs() for each in graph.calls) == 1 else ""


def bent(written: Rewrite) -> dict[str, str]:
    """The calls of regions that are no longer one convolution at the same places, and why they stay.

    One that is, is right for every length.
    """
    shell, found = written.rewritten.shell(), {}
    for pair in changed(written):
        same = [[(call.op, _places(call)) for call in graph.calls if traits(call.op).convolves]
                for graph in (pair.original, pair.new(shell))]  # fmt: skip
        if same[0] != same[1] or len(pair.new(shell).calls) != 1:
            found |= dict.fromkeys((call.name for call in pair.region.calls), "a length of the inputs must be said")
    return found


def _places(call: Call) -> list[Any]:
    """What a call is but for its numbers."""
    return [value for value in call.bound().values() if value is not None and not isinstance(value, Ref)]
