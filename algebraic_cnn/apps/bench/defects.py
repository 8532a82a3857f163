"""Networks whose truth is known: a linear CNN, its collapse, and copies of either with one planted defect.

network      a linear CNN with skips, by depth and seed
collapsed    its map as one matrix, rounded once to float32
IN_NETWORK   defects of a network, from a relative 1e-1 to one unit in the last place; to be compared with the network
IN_COLLAPSE  defects of a collapse; to be compared with the network as well
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ...derivation.methods import derive
from ...ir.graph import Call, Graph, Ref
from ...ir.trace import trace
from ...models import LinearCNN

CHANNELS, SIDE, CLASSES = 8, 8, 10

Mutation = Callable[[Graph, np.random.Generator], Graph]


def network(depth: int, seed: int, channels: int = CHANNELS) -> Graph:
    """A linear CNN of that many layers with a skip of strength 1/2 over every second one; values keep their size."""
    torch.manual_seed(seed)
    convs = [nn.Conv2d(1 if i == 0 else channels, channels, 3, padding=1) for i in range(depth - 1)]
    skips = {(i - 2, i): 0.5 for i in range(3, depth, 2)}
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    model = LinearCNN((1, SIDE, SIDE), [*convs, nn.Linear(channels * SIDE**2, CLASSES)], skips).eval()
    return trace(model, torch.zeros(1, 1, SIDE, SIDE))


def collapsed(graph: Graph) -> Graph:
    """Its map as one matrix, in float32, traced as a user's module would be."""
    return trace(derive(graph).to_module(torch.float32), torch.zeros(1, 1, SIDE, SIDE))


def _weights(graph: Graph, ndim: int) -> list[str]:
    return [name for name, value in graph.constants.items() if value.ndim == ndim]


def _changed(graph: Graph, name: str, value: Tensor) -> Graph:
    return replace(graph, constants={**graph.constants, name: value})


def _entry(name: str, factor: float | None) -> Mutation:
    """One entry of a weight or bias times 1 + factor, or by one unit in the last place."""

    def mutate(graph: Graph, rng: np.random.Generator) -> Graph:
        names = [n for n, v in graph.constants.items() if v.is_floating_point() and (v.ndim == 1) == (name == "bias")]
        chosen = str(rng.choice(names))
        value = graph.constants[chosen].clone()
        flat, place = value.view(-1), int(rng.integers(value.numel()))
        new = flat[place] * (1 + factor) if factor else torch.nextafter(flat[place], torch.tensor(torch.inf))
        flat[place] = new
        return _changed(graph, chosen, value)

    return mutate


def _kernel(change: Callable[[Tensor], Tensor]) -> Mutation:
    def mutate(graph: Graph, rng: np.random.Generator) -> Graph:
        chosen = str(rng.choice(_weights(graph, 4)))
        return _changed(graph, chosen, change(graph.constants[chosen]).contiguous())

    return mutate


def _edited(graph: Graph, op: str, rng: np.random.Generator, edit: Callable[[Call], list[Call]]) -> Graph:
    """One call of that kind replaced by others."""
    chosen = str(rng.choice([call.name for call in graph.calls if call.op == op]))
    calls = [new for call in graph.calls for new in (edit(call) if call.name == chosen else [call])]
    return replace(graph, calls=tuple(calls))


def _dropped_skip(graph: Graph, rng: np.random.Generator) -> Graph:
    return _edited(graph, "add", rng, lambda call: [replace(call, kwargs={**call.kwargs, "alpha": 0})])


def _shifted_padding(more: int) -> Mutation:
    """One column of padding more on one side and less on the other."""

    def mutate(graph: Graph, rng: np.random.Generator) -> Graph:
        def edit(call: Call) -> list[Call]:
            x = call.bound()["input"]
            shape = (None, graph.shapes()[x.name][1], SIDE + 2, SIDE + 2)
            target = torch.ops.aten.constant_pad_nd.default
            pad = replace(call, name=f"{call.name}__padded", op="constant_pad_nd", target=target, shape=shape,
                          args=(x, [1 + more, 1 - more, 1, 1]), kwargs={})  # fmt: skip
            arguments = call.bound() | {"input": Ref(pad.name), "padding": [0, 0]}
            return [pad, replace(call, args=(), kwargs=arguments)]

        return _edited(graph, "conv2d", rng, edit)

    return mutate


def _dropped_bias(graph: Graph, rng: np.random.Generator) -> Graph:
    chosen = str(rng.choice(_weights(graph, 1)))
    return _changed(graph, chosen, torch.zeros_like(graph.constants[chosen]))


def _corner(graph: Graph, rng: np.random.Generator) -> Graph:
    """In a collapse: what a corner pixel counts for one output, by a relative 1e-3."""
    value = graph.constants[_weights(graph, 2)[0]].clone()
    value[int(rng.integers(CLASSES)), int(rng.choice([0, SIDE - 1, SIDE**2 - 1]))] *= 1 + 1e-3
    return _changed(graph, _weights(graph, 2)[0], value)


IN_NETWORK: dict[str, Mutation] = {
    **{f"weight {factor:g}": _entry("weight", factor) for factor in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)},
    "weight 1 ulp": _entry("weight", None),
    "bias 1 ulp": _entry("bias", None),
    "flipped kernel": _kernel(lambda w: w.flip(-1)),
    "transposed kernel": _kernel(lambda w: w.mT),
    "padding + 1": _shifted_padding(1),
    "padding - 1": _shifted_padding(-1),
    "dropped skip": _dropped_skip,
    "dropped bias": _dropped_bias,
}
IN_COLLAPSE: dict[str, Mutation] = {
    "W 1e-5": _entry("weight", 1e-5),
    "W 1 ulp": _entry("weight", None),
    "b 1 ulp": _entry("bias", None),
    "border pixel 1e-3": _corner,
}
