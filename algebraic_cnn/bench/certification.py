"""The check of the checks: how often each way of comparing two networks is wrong, on pairs whose truth is known.

    right      a linear CNN with skips and its collapse, in float32
    wrong      the network with one defect, or its collapse with one, from a relative 1e-1 to one unit in the last place
    alarm      a right pair that a check refuses
    miss       a wrong pair that it accepts

The others compare outputs at eight random inputs, with their own tolerances.  RepVGG's script prints a mean square and
leaves the judgement to its reader, whom its documentation tells to expect about 1e-10; ten times that is accepted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..certificates.check import native
from ..certification import certify
from ..derivation import derive
from ..graph import Call, Graph, Ref
from ..models import LinearCNN
from ..trace import trace

DEPTHS = (4, 8, 16, 34)
CHANNELS, SIDE, CLASSES = 8, 8, 10

Compare = Callable[[Graph, Graph, Tensor], bool]
Mutation = Callable[[Graph, np.random.Generator], Graph]


@dataclass(frozen=True)
class Tally:
    """How one check did at one depth.

    Attributes:
        check: its name.
        depth: layers of the network.
        right: right pairs that it saw.
        alarms: of these, refused.
        wrong: wrong pairs that it saw.
        misses: of these, accepted.
        missed: how many misses of each kind of defect.
    """

    check: str
    depth: int
    right: int
    alarms: int
    wrong: int
    misses: int
    missed: dict[str, int]


def network(depth: int, seed: int) -> Graph:
    """A linear CNN of that many layers with a skip of strength 1/2 over every second one; values keep their size."""
    torch.manual_seed(seed)
    convs = [nn.Conv2d(1 if i == 0 else CHANNELS, CHANNELS, 3, padding=1) for i in range(depth - 1)]
    skips = {(i - 2, i): 0.5 for i in range(3, depth, 2)}
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    model = LinearCNN((1, SIDE, SIDE), [*convs, nn.Linear(CHANNELS * SIDE**2, CLASSES)], skips).eval()
    return trace(model, torch.zeros(1, 1, SIDE, SIDE))


def collapsed(graph: Graph) -> Graph:
    """Its map as one matrix, in float32, traced as a user's module would be."""
    return trace(derive(graph).to_module(torch.float32), torch.zeros(1, 1, SIDE, SIDE))


def _tolerance(accepts: Callable[[Tensor, Tensor], bool]) -> Compare:
    def compare(first: Graph, second: Graph, x: Tensor) -> bool:
        y, z = (native(graph, x).float() for graph in (first, second))
        return accepts(y, z)

    return compare


def _assert_close(y: Tensor, z: Tensor) -> bool:
    try:
        torch.testing.assert_close(z, y)
    except AssertionError:
        return False
    return True


CHECKS: dict[str, Compare] = {
    "torch.allclose": _tolerance(lambda y, z: torch.allclose(y, z)),
    "torch.testing.assert_close": _tolerance(_assert_close),
    "onnxsim (1e-4, 1e-5)": _tolerance(lambda y, z: bool(np.allclose(y, z, rtol=1e-4, atol=1e-5))),
    "RepVGG (mean square)": _tolerance(lambda y, z: float((y - z).square().mean()) <= 1e-9),
    "bounded": lambda first, second, x: certify(first, second, level="bounded", points=len(x)).ok,
    "modular": lambda first, second, x: certify(first, second).ok,
}


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


def _shifted_padding(graph: Graph, rng: np.random.Generator) -> Graph:
    """Two columns of padding on one side, none on the other."""

    def edit(call: Call) -> list[Call]:
        x = call.bound()["input"]
        shape = (None, graph.shapes()[x.name][1], SIDE + 2, SIDE + 2)
        target = torch.ops.aten.constant_pad_nd.default
        pad = replace(call, name=f"{call.name}__padded", op="constant_pad_nd", target=target, shape=shape,
                      args=(x, [2, 0, 1, 1]), kwargs={})  # fmt: skip
        arguments = call.bound() | {"input": Ref(pad.name), "padding": [0, 0]}
        return [pad, replace(call, args=(), kwargs=arguments)]

    return _edited(graph, "conv2d", rng, edit)


def _dropped_bias(graph: Graph, rng: np.random.Generator) -> Graph:
    chosen = str(rng.choice(_weights(graph, 1)))
    return _changed(graph, chosen, torch.zeros_like(graph.constants[chosen]))


def _corner(graph: Graph, rng: np.random.Generator) -> Graph:
    """In a collapse: what the corner pixel counts for one output, by a relative 1e-3."""
    value = graph.constants[_weights(graph, 2)[0]].clone()
    value[int(rng.integers(CLASSES)), int(rng.choice([0, SIDE - 1, SIDE**2 - 1]))] *= 1 + 1e-3
    return _changed(graph, _weights(graph, 2)[0], value)


#: Defects of a network, to be compared with the network; and of a collapse, likewise.
IN_NETWORK: dict[str, Mutation] = {
    **{f"weight {factor:g}": _entry("weight", factor) for factor in (1e-1, 1e-3, 1e-5)},
    "weight 1 ulp": _entry("weight", None),
    "bias 1 ulp": _entry("bias", None),
    "flipped kernel": _kernel(lambda w: w.flip(-1)),
    "transposed kernel": _kernel(lambda w: w.mT),
    "shifted padding": _shifted_padding,
    "dropped skip": _dropped_skip,
    "dropped bias": _dropped_bias,
}
IN_COLLAPSE: dict[str, Mutation] = {
    "W 1e-5": _entry("weight", 1e-5),
    "W 1 ulp": _entry("weight", None),
    "b 1 ulp": _entry("bias", None),
    "corner pixel": _corner,
}


def tallies(depth: int, *, mutants: int, networks: int = 5, bounded: int = 20, seed: int = 0) -> list[Tally]:
    """Every check on right and wrong pairs of one depth.

    Args:
        depth: layers of the networks.
        mutants: wrong pairs, spread over all defects and networks.
        networks: how many different networks; each gives one right pair.
        bounded: how many wrong pairs the slower check "bounded" sees.
        seed: of networks, defects and inputs.
    """
    rng = np.random.default_rng(seed)
    cases = [(graph, collapsed(graph)) for graph in (network(depth, seed + i) for i in range(networks))]
    inputs = torch.from_numpy(rng.standard_normal((8, 1, SIDE, SIDE))).float()
    alarms = {name: sum(not check(*pair, inputs) for pair in cases) for name, check in CHECKS.items()}
    kinds = [(name, mutate, 0) for name, mutate in IN_NETWORK.items()]
    kinds += [(name, mutate, 1) for name, mutate in IN_COLLAPSE.items()]
    missed: dict[str, Counter[str]] = {name: Counter() for name in CHECKS}
    seen: Counter[str] = Counter()
    for i in range(mutants):
        pair = cases[(i // len(kinds)) % networks]
        kind, mutate, side = kinds[i % len(kinds)]
        mutant = mutate(pair[side], rng)
        for name, check in CHECKS.items():
            if name != "bounded" or i < bounded:
                seen[name] += 1
                missed[name][kind] += check(pair[0], mutant, inputs)
    return [
        Tally(name, depth, networks, alarms[name], seen[name], missed[name].total(), dict(+missed[name]))
        for name in CHECKS
    ]
