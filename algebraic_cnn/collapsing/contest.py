"""The result as a whole beside the model as it was given: a network that does not pay is not handed over.

    slower      whether the new network loses against the model itself, at one sample or at eight
    as_given    a copy of the model, for the place of a network in which nothing was changed

Regions are priced one by one, and a module written out as calls has costs of its own; so the clock has the last word.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from ..ir.graph import Graph
from .measurement import drawn, race, runner

#: How many samples the two are given, beside the least number.
_BATCHES = (8,)

#: Rounds of such a race, and how many may say "not slower" before it is won: a whole network takes its time.
_ROUNDS, _MERCY = 9, 2


def slower(model: Any, new: nn.Module, graph: Graph, *, doubtful: bool = True) -> str:
    """Why a new network must not stand for a model: it is clearly slower; "" if it is not, or if that cannot be said.

    Args:
        model: as it was given; a program, or a model that writes its buffers, is not run.
        new: what would replace it.
        graph: of the model.
        doubtful: whether a region of it spends more of something.  Otherwise only calls can have become dearer, by what
            each costs whatever it is given, which shows most at one sample: no other number of samples is tried.
    """
    if not comparable(model, graph):
        return ""
    batches = [n for n in dict.fromkeys((graph.least, *_BATCHES)) if graph.takes(n)]
    for batch in batches if doubtful else batches[:1]:
        inputs = list(drawn(graph, batch).values())
        try:
            found = race(runner(model, inputs), runner(new, inputs), rounds=_ROUNDS, mercy=_MERCY)
        except Exception:  # a model may raise anything at sizes that the model takes together with others only
            return ""
        if found.lost:
            samples = "1 sample" if batch == 1 else f"{batch} samples"
            return f"the whole network would take {found.after / found.before:.2f} x as long for {samples}"
    return ""


def comparable(model: Any, graph: Graph) -> bool:
    """Whether a model can be run without leaving anything behind, on inputs that its graph names."""
    written = graph.state or graph.writes or graph.sizes is not None
    return isinstance(model, nn.Module) and not written and all(t.is_floating_point for t in graph.input_dtypes)


def as_given(model: Any) -> nn.Module | None:
    """A copy of the model; None if it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError):  # what holds tensors that are no leaves, or handles of the system
        return None
