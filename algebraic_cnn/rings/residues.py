"""A cache for runs modulo many primes: the weights of networks, equal tensors once, and always in the same memory.

    Residues         what is known of the weights for all primes
    modulo(field)    their residues, each computed when it is asked for; those of the prime before are overwritten
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .dyadic import Dyadic
from .prime_field import PrimeField


class Residues:
    """The constants of networks, ready for many primes.

    Args:
        constants: those of each network by name, what is no tensor of floats left out; two networks that share weights,
            as a network and its conversion do, share their residues.

    >>> weight = torch.tensor([0.5]).double()
    >>> residues = Residues({"weight": weight})
    >>> [residues.modulo(PrimeField(p))(weight).item() for p in (5, 7)]              # 1/2 = 3 = -2 and 1/2 = 4 = -3
    [-2.0, -3.0]
    """

    def __init__(self, *constants: Mapping[str, Any]) -> None:
        self._constants = constants  # a number that ``id`` gave is taken as long as they live
        self._first: dict[int, Tensor] = {}
        self._known: dict[int, tuple[Dyadic, Tensor]] = {}
        alike: dict[tuple[object, ...], list[Tensor]] = {}
        for tensor in _weights(constants):
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


def _weights(networks: tuple[Mapping[str, Any], ...]) -> Iterator[Tensor]:
    for constants in networks:
        for constant in constants.values():
            if isinstance(constant, Tensor) and constant.is_floating_point():
                yield constant
