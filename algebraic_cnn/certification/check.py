"""Two networks side by side, seen alike whether they are graphs of calls or explicit maps.

Network     a traced ``Graph`` or an ``AffineMap``
Asked       how hard to look, and where; the same for every level
Check       what every level of certificate is given: the two networks, and what was asked
residues    a network modulo a prime, as a function on arrays
stated      the W and b that a network states outright, exactly, if it does
native      what torch computes
derived     the W and b of a network in float64, derived as ``derive`` does it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..derivation.methods import MEMORY_BUDGET, METHODS, derive_graph
from ..derivation.samples import require_samples_apart
from ..errors import NotAffineError, ShapeError, chosen
from ..ir.graph import Graph, Ref
from ..ops.evaluate import Evaluator, Progress, affine_obstacle
from ..ops.registry import OPS
from ..ops.sums import terms
from ..ops.watched import Watched
from ..rings.prime_field import PrimeField
from ..rings.primes import entropy
from ..rings.ring import Float
from ..toeplitz.arguments import bytes_allowed

Network = Graph | AffineMap

#: Shows something of two networks from the ground up: a ``Certificate``, or None if it does not hold.
Claim = Callable[["Check"], Any]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """What is asked of two networks; ``certify`` takes the same.

    Attributes:
        level: the name of the check.
        points: how hard to look: modular checks err with probability at most 2^(-10 points).
        seed: seed of everything random.
        method: how W and b of the other were derived, if it is a derived map.
        inputs: where to compare outputs, (N, *in_shape); None for random inputs.
        box: bounds of inputs between which outputs are compared, numbers or tensors of shape in_shape.
        memory_budget: bytes that a derivation may take.
        progress: called with (points done, points in all).

    Raises:
        UnknownNameError: if there is no such method.
        ShapeError: if points, seed, inputs or budget are of another kind.
    """

    level: str = "auto"
    points: int = 8
    seed: int = field(default_factory=entropy)
    method: str = "auto"
    inputs: Tensor | None = None
    box: tuple[Any, Any] | None = None
    memory_budget: int = MEMORY_BUDGET
    progress: Progress = silent

    def __post_init__(self) -> None:
        chosen("method", self.method, ("auto", *METHODS), where="method")
        if not isinstance(self.points, int) or self.points < 1:
            got = repr(self.points)
            raise ShapeError("a check needs points", expected="an integer from 1 on", got=got, where="points")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise ShapeError("a seed is an integer", expected="0, 1, ...", got=repr(self.seed), where="seed")
        if self.inputs is not None and not isinstance(self.inputs, Tensor):
            got = type(self.inputs).__name__
            raise ShapeError("inputs are no tensor", expected="(N, *in_shape)", got=got, where="inputs")
        bytes_allowed(self.memory_budget)


@dataclass(frozen=True, eq=False)
class Check(Asked):
    """What a level is given.

    Attributes:
        original: the network that is taken as right.
        collapsed: the other one, of the same shapes.
        claim: what can be shown of the two where they are not equal over the rationals, if anything.
        free: the two networks before their image sizes were fixed, where these are free.
    """

    original: Network
    collapsed: Network
    claim: Claim | None = None
    free: tuple[Graph, Graph] | None = None

    @property
    def alike(self) -> bool:
        """Whether both are affine maps of one sample, with the same shapes."""
        maps = all(isinstance(network, AffineMap) or is_map(network) for network in (self.original, self.collapsed))
        return maps and shapes(self.original) == shapes(self.collapsed)

    @property
    def shape(self) -> tuple[int, ...]:
        """The common input shape, without batch axis."""
        return shapes(self.original)[0]


def is_map(graph: Graph) -> bool:
    """Whether a graph is one affine map of one sample: one input, one output, nothing written, no samples mixed."""
    if affine_obstacle(graph) is not None:
        return False
    try:
        graph.single()
        require_samples_apart(graph, device(graph))
    except (NotAffineError, ShapeError):
        return False
    return True


def shapes(network: Network) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """in_shape and out_shape, without batch axis.

    Raises:
        NotAffineError, ShapeError: if the network has no such pair, as ``Graph.single`` raises them.
    """
    return (network.in_shape, network.out_shape) if isinstance(network, AffineMap) else network.single()


def signature(network: Network) -> tuple[Any, ...]:
    """The shapes of all inputs and all outputs, without batch axis."""
    if isinstance(network, AffineMap):
        return (network.in_shape,), (network.out_shape,)
    sizes = network.shapes()
    outputs = (sizes.get(out.name, ())[1:] if isinstance(out, Ref) else out for out in network.outputs)
    return tuple(shape[1:] for shape in network.input_shapes), tuple(outputs)


def device(network: Network) -> torch.device:
    """Where the numbers of the network live."""
    tensors = [] if isinstance(network, AffineMap) else list(network.constants.values())
    return tensors[0].device if tensors else torch.device("cpu")


def dtype(network: Network) -> torch.dtype:
    """The dtype in which the network computes."""
    if not isinstance(network, AffineMap):
        return network.dtype
    return torch.from_numpy(network.b[:0]).dtype if network.b.dtype.kind == "f" else torch.float64


def sums(network: Network) -> int:
    """The most products that a pass through the network sums before it reduces."""
    return network.W.shape[1] + 1 if isinstance(network, AffineMap) else terms(network)


def residues(network: Network, field: PrimeField) -> Callable[[np.ndarray], np.ndarray]:
    """The network modulo p: from residues (N, *in_shape) to residues (N, prod(out_shape))."""
    if isinstance(network, AffineMap):
        W, b = field.embed(network.to("dense").W), field.embed(network.b)
        return lambda x: field.reduce(field.matmul(W, x.reshape(len(x), -1).T) + b[:, None]).T
    run = Evaluator(network, field, device(network))

    def on_arrays(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return run(torch.from_numpy(x).to(run.device)).reshape(len(x), -1).cpu().numpy()

    return on_arrays


def native(network: Network, x: Tensor) -> Tensor:
    """What torch computes with the network in its own dtype, as float64 of shape (N, prod(out_shape))."""
    if isinstance(network, AffineMap):
        values = network(x.cpu().numpy().astype(network.b.dtype))
        return torch.from_numpy(np.asarray(values, dtype=np.float64)).reshape(len(x), -1)
    run = Watched(network, Float(str(network.dtype).removeprefix("torch.")), device(network), native=True)
    with torch.no_grad():
        return run(x.to(run.device, network.dtype)).double().cpu().reshape(len(x), -1)


def stated(network: Network, memory_budget: int) -> AffineMap | None:
    """The dense map that the network states in its own numbers: an ``AffineMap``, or one contraction and moves.

    Every entry of W must be one weight: then probing multiplies weights by ones and adds zeros, hence rounds nothing.
    That is so unless the moves before the contraction repeat an input, which the contraction may then add to itself.
    """
    if isinstance(network, AffineMap):
        return network.to("dense")
    dependent = network.dependent()
    exact = {name for name, op in OPS.items() if op.exact}
    steps = [call for call in network.calls if call.name in dependent and call.op not in exact]
    if len(network.inputs) != 1 or len(steps) != 1:
        return None
    arguments, contraction = steps[0].bound(), OPS.get(steps[0].op)
    weight: Any = None if contraction is None or contraction.bilinear else arguments.get(contraction.contraction)
    if weight is None or weight.name not in network.constants:
        return None
    if any(arguments.get(name, 1) != 1 for name in ("alpha", "beta")):
        return None
    given = {"device": device(network), "memory_budget": memory_budget}
    repeats = any(call.op in OPS and OPS[call.op].repeats for call in network.calls)
    if repeats and derive_graph(_counting(network, weight.name), Float(), **given).W.max(initial=0) > 1:
        return None
    return derive_graph(network, Float(), **given)


def _counting(network: Graph, weight: str) -> Graph:
    """The network with a weight of ones and biases of zeros: entries of W are how many weights the network's sum."""
    constants = {
        name: torch.full_like(value, name == weight) if value.is_floating_point() else value
        for name, value in network.constants.items()
    }
    return replace(network, constants=constants)


def derived(network: Network, method: str, memory_budget: int) -> AffineMap:
    """W and b in float64: an ``AffineMap``'s own, or those that ``derive`` finds, bit for bit."""
    if isinstance(network, AffineMap):
        return network.to("dense")
    return derive_graph(network, Float(), method, device=device(network), memory_budget=memory_budget).to("dense")
