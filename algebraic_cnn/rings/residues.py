"""The weights of networks modulo one prime after the other: equal tensors once, and always in the same memory.

    Residues         what is known of the weights for all primes
    modulo(field)    their residues, each computed when it is asked for; those of the prime before are overwritten
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..ir.graph import Graph
from .dyadic import Dyadic
from .prime_field import PrimeField


class Residues:
    """The constants of networks, ready for many primes.

    Args:
        graphs: the networks; two that share weights, as a network and its conversion do, share their residues.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(1, 1, bias=False).double().eval()
    >>> _ = layer.weight.data.fill_(0.5)
    >>> graph = trace(layer, torch.zeros(1, 1).double())
    >>> weight, residues = graph.constants["p_weight"], Residues(graph)
    >>> [residues.modulo(PrimeField(p))(weight).item() for p in (5, 7)]              # 1/2 = 3 = -2 and 1/2 = 4 = -3
    [-2.0, -3.0]
    """

    def __init__(self, *graphs: Graph) -> None:
        self._graphs = graphs  # a number that ``id`` gave is taken as long as they live
        self._first: dict[int, Tensor] = {}
        self._known: dict[int, tuple[Dyadic, Tensor]] = {}
        alike: dict[tuple[object, ...], list[Tensor]] = {}
        for tensor in _weights(graphs):
            others = alike.setdefault((tensor.shape, tensor.dtype, tensor.device), [])
            same = next((other for other in others if other is tensor or torch.equal(other, tensor)), None)
            if same is None:
                others.append(tensor)
            self._first[id(tensor)] = tensor if same is None else same

    def modulo(self, field: PrimeField) -> Callable[[Tensor], Tensor]:
        """The residues of a constant of the networks, and of any other tensor; what an ``Evaluator`` takes."""
        done: set[int] = set()

        def embed(tensor: Tensor) -> Tensor:
            if id(tensor) not in self._first:
                return field.embed(tensor)
            first = self._first[id(tensor)]
            if id(first) not in self._known:
                self._known[id(first)] = Dyadic.of(first), _room(first)
            floats, residues = self._known[id(first)]
            if id(first) not in done:
                done.add(id(first))
                field.embed_into(residues, floats)
            return residues

        return embed


def _room(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=torch.float64, device=tensor.device)


def _weights(graphs: tuple[Graph, ...]) -> Iterator[Tensor]:
    for graph in graphs:
        for constant in graph.constants.values():
            if isinstance(constant, Tensor) and constant.is_floating_point():
                yield constant
