"""Common denominators of the numbers of a call: floats are dyadic, averages divide by small counts.

    Denominator     2^dyadic odd
    dyadic          of the floats of a tensor
    of_arguments    of the constants that a call multiplies by, divides by, and adds
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..ir.graph import Call, Graph, Ref
from ..rings.arrays import fractions
from .precision import UNIT_ROUNDOFF, is_place, is_scalar, taken

_PRECISION = {dtype: 1 - math.frexp(u)[1] for dtype, u in UNIT_ROUNDOFF.items()}


@dataclass(frozen=True)
class Denominator:
    """The integer 2^dyadic odd."""

    dyadic: int = 0
    odd: int = 1

    @classmethod
    def of(cls, count: int) -> Denominator:
        """A positive integer."""
        twos = (count & -count).bit_length() - 1
        return cls(twos, count >> twos)

    @property
    def integer(self) -> int:
        """The integer itself."""
        return self.odd << self.dyadic

    @property
    def bits(self) -> float:
        """Its logarithm to base 2."""
        return self.dyadic + math.log2(self.odd)

    def __mul__(self, other: Denominator) -> Denominator:
        return Denominator(self.dyadic + other.dyadic, self.odd * other.odd)

    def common(self, other: Denominator) -> Denominator:
        """The least common multiple."""
        same = self.odd == other.odd or other.odd == 1
        return Denominator(max(self.dyadic, other.dyadic), self.odd if same else math.lcm(self.odd, other.odd))


#: Of the numbers that a call multiplies by, and of those that it adds: from the call, its network, what depends.
Denominators = Callable[[Call, Graph, frozenset[str]], tuple[Denominator, Denominator]]


def of_arguments(added: tuple[str, ...] = ("bias",), divisor: str = "") -> Denominators:
    """Reads the denominators of a call off its constants: those of its factors, and those of its summands.

    Args:
        added: names of the arguments that are added; the others are factors.
        divisor: name of the argument that is divided by, or "".
    """

    def read(call: Call, graph: Graph, dependent: frozenset[str]) -> tuple[Denominator, Denominator]:
        factors, offsets = Denominator(), Denominator()
        for name, value in call.bound().items():
            for constant in _numbers(call, name, value, graph, dependent):
                if name == divisor:
                    factors = factors * inverse(constant)
                elif name in added:
                    offsets = offsets * dyadic(constant)
                else:
                    factors = factors * dyadic(constant)
        return factors, offsets

    return read


def _numbers(call: Call, name: str, value: Any, graph: Graph, dependent: frozenset[str]) -> Iterator[Tensor]:
    for leaf in () if is_place(name) else pytree.tree_leaves(value):
        if isinstance(leaf, Ref):
            if leaf.name in graph.constants and leaf.name not in dependent:
                yield taken(call, graph.constants[leaf.name], graph)
        elif is_scalar(name, leaf):
            yield taken(call, leaf, graph)


def dyadic(constant: Any) -> Denominator:
    """A common denominator of the floats of a tensor: 2^(precision - smallest exponent)."""
    if not isinstance(constant, Tensor) or not constant.is_floating_point() or not bool(constant.any()):
        return Denominator()
    if constant.ndim == 0:
        return Denominator.of(float(constant).as_integer_ratio()[1])
    magnitudes = constant.detach().abs()
    _, exponent = math.frexp(float(magnitudes.masked_fill_(magnitudes == 0, math.inf).min()))
    return Denominator(max(0, _PRECISION[constant.dtype] - exponent))


def of_array(array: np.ndarray) -> Denominator:
    """A common denominator of the entries of an array."""
    if array.dtype != object:
        return dyadic(torch.as_tensor(array))
    return Denominator.of(math.lcm(*(value.denominator for value in fractions(array.ravel().tolist(), "height"))))


def inverse(constant: Tensor) -> Denominator:
    """A common denominator of 1 / c for the entries c of a tensor: the product of their different odd numerators."""
    numbers = np.unique(abs(constant.detach().cpu().double().numpy())).tolist()
    numerators = [Denominator.of(number.as_integer_ratio()[0]) for number in numbers]
    return Denominator(max(n.dyadic for n in numerators), _product(list({n.odd for n in numerators})))


def _product(factors: list[int]) -> int:
    """The product of integers, the short ones first: so that thousands take no time."""
    if len(factors) < 3:
        return math.prod(factors)
    half = len(factors) // 2
    return _product(factors[:half]) * _product(factors[half:])
