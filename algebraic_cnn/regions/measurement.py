"""The last word on a region: its calls before and after, run in turn on values that the network itself produced.

natively    the values at the seams of a network, from one run of it
timed       seconds of every changed region, before and after
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..graph import Graph, Ref
from .emission import emit
from .warrant import Pair

#: A region counts as slower only if it loses by more than the clock's noise.
_NOISE = 1.05
_ROUNDS = 7


def natively(graph: Graph, seams: frozenset[str], *, seed: int = 0) -> dict[str, Tensor]:
    """The values of some names in one run of a graph, on normal random inputs (zeros where they are integers)."""
    generator = torch.Generator().manual_seed(seed)
    device = next((value.device for value in graph.constants.values() if isinstance(value, Tensor)), "cpu")
    dtypes = graph.input_dtypes or (graph.dtype,) * len(graph.inputs)
    values: dict[str, Any] = dict(graph.constants)
    for name, shape, dtype in zip(graph.inputs, graph.input_shapes, dtypes, strict=True):
        sizes = [n or 1 for n in shape]
        x = torch.randn(sizes, generator=generator) if dtype.is_floating_point else torch.zeros(sizes)
        values[name] = x.to(device, dtype)
    last = {name: place for place, call in enumerate(graph.calls) for name in call.refs()}
    with torch.no_grad():
        for place, call in enumerate(graph.calls):
            args, kwargs = pytree.tree_map(
                lambda leaf: values[leaf.name] if isinstance(leaf, Ref) else leaf, (call.args, dict(call.kwargs))
            )
            values[call.name] = call.target(*args, **kwargs)
            for name in set(call.refs()) - seams:
                if last[name] == place and name not in graph.constants:
                    del values[name]
    return {name: value for name, value in values.items() if name in seams and isinstance(value, Tensor)}


def timed(pairs: Sequence[Pair], rewritten: Graph, seams: Mapping[str, Tensor]) -> list[tuple[float, float]]:
    """Seconds of each region before and after; regions of the same calls and shapes are measured once."""
    known: dict[Any, tuple[float, float]] = {}
    found = []
    for pair in pairs:
        sides = (pair.original, pair.new(rewritten))
        key = tuple((call.op, call.shape) for graph in sides for call in graph.calls)
        if key not in known:
            known[key] = _seconds([_run(graph, seams) for graph in sides])
        found.append(known[key])
    return found


def lost(times: tuple[float, float]) -> bool:
    """Whether a region is slower than before, beyond noise."""
    before, after = times
    return after > _NOISE * before


def _run(graph: Graph, seams: Mapping[str, Tensor]) -> Callable[[], object]:
    module, values = emit(graph), [seams[name] for name in graph.inputs]

    def run() -> object:
        with torch.no_grad():
            value = module(*values)
        if any(x.is_cuda for x in values):
            torch.cuda.synchronize()
        return value

    return run


def _seconds(sides: Sequence[Callable[[], object]]) -> tuple[float, float]:
    """The least of a few runs, in turn; the least is what a machine that does nothing else would show."""
    least = [float("inf")] * len(sides)
    for _ in range(_ROUNDS):
        for place, run in enumerate(sides):
            start = time.perf_counter()
            run()
            least[place] = min(least[place], time.perf_counter() - start)
    return least[0], least[1]
