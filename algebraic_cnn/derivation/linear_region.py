"""The affine map of a piecewise-linear network at an input, and the region on which it is that map.

On its activation region a network of affine layers, ReLU, LeakyReLU and max-pool is a linear CNN: with the diagonal
D(x) of its activations after each layer, [JV24, Thm 3.1] gives W_x and B_x.  The region is a polytope
{ z : A z + c >= 0 } with one row for every unit and for every entry that a max-pool window passed over.

    local_affine_map   W_x, B_x and the pattern at x, the pattern decided by exact signs
    LinearRegion       halfspaces, membership (exact), the largest balls inside
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from ..algebra.affine import AffineMap
from ..errors import ShapeError, UnknownNameError
from ..ir.graph import Call, Graph
from ..ir.interpreter import interpret
from ..ir.trace import trace
from ..rings.ring import Float
from .exact import exact_map, exact_outputs
from .methods import MEMORY_BUDGET, derive_graph
from .pinning import ActivationPattern, Pinned, activations, pattern_at, pin


@dataclass(frozen=True, eq=False)
class LinearRegion:
    """Where a piecewise-linear network is one affine map.

    Attributes:
        affine: W_x and B_x in float64.
        pattern: what every activation does there, in order of execution.
        x: the input that it was found at, float64 of shape in_shape.
        pinned: the affine network and the margins of the pattern, as graphs.
        memory_budget: bytes that derivations may take.
    """

    affine: AffineMap
    pattern: tuple[ActivationPattern, ...]
    x: Tensor
    pinned: Pinned
    memory_budget: int

    def exact(self) -> AffineMap:
        """W_x and B_x over the rationals, as ``exact_map`` gives them."""
        return exact_map(self.pinned.network, memory_budget=self.memory_budget)

    def halfspaces(self) -> tuple[np.ndarray, np.ndarray]:
        """A and c of the region { z : A z + c >= 0 }, derived in float64.

        Returns:
            A of shape (margins, prod(in_shape)) and c of shape (margins,), one row for every unit and for every entry
            that a max-pool window passed over.
        """
        return self._halfspaces

    @cached_property
    def _halfspaces(self) -> tuple[np.ndarray, np.ndarray]:
        if self.pinned.margins is None:
            return np.zeros((0, self.x.numel())), np.zeros(0)
        f = derive_graph(self.pinned.margins, Float(), memory_budget=self.memory_budget)
        return np.asarray(f.W), f.b

    def contains(self, z: Tensor) -> bool:
        """Whether z is in the region, its faces included: decided over the rationals.

        Args:
            z: one input, of shape in_shape or (1, *in_shape).

        Raises:
            ShapeError: if z has neither shape.
        """
        z = _single(z, tuple(self.x.shape))
        margins = self.pinned.margins
        return margins is None or bool((exact_outputs(margins, z[None]) >= 0).all())

    def radius(self, norm: str = "l2") -> float:
        """The radius of the largest ball around x inside the region, in float64; infinite for an affine network.

        Args:
            norm: "l2" or "linf".

        Raises:
            UnknownNameError: if it is another norm.
        """
        order = {"l2": 2, "linf": 1}.get(norm)
        if order is None:
            raise UnknownNameError("no such norm", expected=("l2", "linf"), got=norm, where="LinearRegion.radius")
        A, c = self.halfspaces()
        margins = np.maximum(A @ self.x.numpy().ravel() + c, 0.0)
        lengths = np.linalg.norm(A, order, axis=1)
        bounded = lengths > 0
        return float(np.min(margins[bounded] / lengths[bounded], initial=np.inf))


def local_affine_map(model: Any, x: Tensor, *, memory_budget: int = MEMORY_BUDGET) -> LinearRegion:
    """The affine map W_x z + B_x that a piecewise-linear network is around x, and its region [JV24, Thm 3.1].

    Args:
        model: a module, an exported program or a traced ``Graph`` of affine calls, ReLU, LeakyReLU and max-pool.
        x: one input, of shape (1, *in_shape).
        memory_budget: bytes that derivations may take.

    Returns:
        The region.  Its pattern is decided by exact signs; a unit whose value is 0 counts as closed.

    Raises:
        NotAffineError: if a call is neither affine nor one of these; names the call and its source line.
        ShapeError: if x is not one input of the network.
        TrainingModeError, TraceError, TooLargeError, NonFiniteError: as ``derive`` raises them.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)).double().eval()
    >>> for parameter, value in zip(network.parameters(), ([[1.0], [-1.0]], [0.0, 1.0], [[2.0, 3.0]], [0.5])):
    ...     parameter.data = torch.tensor(value).double()
    >>> region = local_affine_map(network, torch.tensor([[0.25]]).double())     # both units are open on [0, 1]
    >>> region.affine.W, region.affine.b, region.radius(), region.contains(torch.tensor([[1.0]]).double())
    (array([[-1.]]), array([3.5]), 0.25, True)
    """
    graph = model if isinstance(model, Graph) else trace(model, x)
    in_shape, _ = graph.single()
    x = _single(x, in_shape)
    calls = activations(graph)
    pattern = [pattern_at(call, z) for call, z in zip(calls, _given(graph, x, calls), strict=True)]
    pinned = pin(graph, pattern)
    while (wrong := _first_wrong(pinned, x)) is not None:  # the earlier ones are right, so its exact value is known
        z = exact_outputs(pinned.given[wrong], x[None]).reshape(pattern[wrong].shape)
        pattern[wrong] = pattern_at(calls[wrong], z)
        pinned = pin(graph, pattern)
    affine = derive_graph(pinned.network, Float(), memory_budget=memory_budget)
    return LinearRegion(affine, tuple(pattern), x, pinned, memory_budget)


def _given(graph: Graph, x: Tensor, calls: tuple[Call, ...]) -> Iterator[np.ndarray]:
    """What each of some calls is given when torch computes in float64."""
    doubled = {name: value.cpu() for name, value in graph.constants.items()}
    values = {name: value.double() if value.is_floating_point() else value for name, value in doubled.items()}
    values = interpret(graph, values | {graph.inputs[0]: x[None]})
    for call in calls:
        yield values[next(call.refs())][0].numpy()


def _first_wrong(pinned: Pinned, x: Tensor) -> int | None:
    """The first activation whose exact margins at x are not all nonnegative."""
    if pinned.margins is None:
        return None
    negative = np.flatnonzero(exact_outputs(pinned.margins, x[None])[0] < 0)
    return int(np.searchsorted(np.cumsum(pinned.counts), negative[0], side="right")) if len(negative) else None


def _single(x: Tensor, in_shape: tuple[int, ...]) -> Tensor:
    """One input as float64 on the CPU."""
    single = x[0] if tuple(x.shape) == (1, *in_shape) else x
    if tuple(single.shape) != in_shape:
        raise ShapeError("x is not one input of the network", expected=in_shape, got=tuple(x.shape))
    return single.detach().double().cpu()
