"""The derivative of a network's function by its weights at a point, modulo a prime.

probe       a random input x and a random combination u of the outputs: one row, the gradient of u^T f(x) by theta
forward     the values of all steps on a batch of probes
backward    the adjoint of every value, from the last step to the first; weights collect adjoint times input
growth      how large the integers of a row can be, and of which degree, before they are reduced: for its probability

Probes of rank one separate the points of any space of maps: as many random ones as the rank is give the whole rank,
which fewer inputs with all their outputs need not do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...rings.prime_field import PrimeField
from .architecture import Architecture, Entrywise, Matrix, Node, Strength, Sum, Weights
from .elimination import BLOCK

Residues = NDArray[np.float64]
#: Entries of a temporary array, at most.
_CHUNK = 2**22


@dataclass(frozen=True, eq=False)
class Point:
    """An architecture at weights of a prime field.

    Args:
        architecture: the network.
        field: F_p, with a capacity of at least ``longest_sum(architecture)``.
        theta: the parameters, residues.
    """

    architecture: Architecture
    field: PrimeField
    theta: Residues

    def __post_init__(self) -> None:
        matrices = [self._matrix(number, step) for number, step in enumerate(self.architecture.steps)]
        object.__setattr__(self, "_matrices", matrices)
        collected = [_collector(step) if isinstance(step, Weights) else None for step in self.architecture.steps]
        object.__setattr__(self, "_collectors", collected)

    def _matrix(self, number: int, step: Node) -> Any:
        """The matrix of a step over the field, sparse; None for a step that has none."""
        if not isinstance(step, Weights | Matrix):
            return None
        shape = self.architecture.size(number + 1), self.architecture.size(step.source)
        entries = self.theta[step.index] if isinstance(step, Weights) else self.field.embed(step.entries)
        matrix = sp.csr_array((entries, (step.rows, step.columns)), shape=shape)
        matrix.data = self.field.reduce(matrix.data)
        return matrix

    def strength(self, step: Strength) -> float:
        """t modulo p."""
        return float(self.field.embed(np.array([step.t]))[0] if step.parameter is None else self.theta[step.parameter])

    def forward(self, x: Residues) -> list[Residues]:
        """All values on a batch of inputs, the columns of x; the input first."""
        field, values = self.field, [x]
        for number, step in enumerate(self.architecture.steps):
            if isinstance(step, Sum):
                y = field.reduce(sum((values[source] for source in step.sources[1:]), values[step.sources[0]]))
            elif isinstance(step, Strength):
                y = field.reduce(values[step.source] * self.strength(step))
            elif isinstance(step, Entrywise):
                y = _horner(step.coefficients, values[step.source], field)
            else:
                y = field.reduce(self._matrices[number] @ values[step.source])  # pyright: ignore[reportAttributeAccessIssue]
                if isinstance(step, Weights) and step.bias is not None:
                    y = field.reduce(y + self.theta[step.bias][:, None])
            values.append(y)
        return values

    def gradients(self, x: Residues, u: Residues) -> Residues:
        """The gradients of u^T f(x) by theta, one row for each column of x and of u."""
        steps, field = self.architecture.steps, self.field
        values = self.forward(x)
        adjoints: list[Any] = [None] * len(steps) + [u]
        rows = np.zeros((self.architecture.parameters, x.shape[1]))

        def pull(source: int, term: Residues) -> None:
            before = adjoints[source]
            adjoints[source] = term if before is None else field.reduce(before + term)

        for number in reversed(range(len(steps))):
            step, g = steps[number], adjoints[number + 1]
            if g is None:
                continue
            adjoints[number + 1] = None
            if isinstance(step, Sum):
                for source in step.sources:
                    pull(source, g)
            elif isinstance(step, Strength):
                if step.parameter is not None:
                    rows[step.parameter] = field.reduce(field.reduce(g * values[step.source]).sum(axis=0))
                pull(step.source, field.reduce(g * self.strength(step)))
            elif isinstance(step, Entrywise):
                slopes = [k * c for k, c in enumerate(step.coefficients)][1:]
                pull(step.source, field.reduce(g * _horner(slopes, values[step.source], field)))
            else:
                if isinstance(step, Weights):
                    self._collect(number, step, g, values[step.source], rows)
                if step.source or any(isinstance(earlier, Weights) for earlier in steps[:number]):
                    pull(step.source, field.reduce(self._matrices[number].T @ g))  # pyright: ignore[reportAttributeAccessIssue]
        return rows.T

    def _collect(self, number: int, step: Weights, g: Residues, x: Residues, rows: Residues) -> None:
        """Add what the letters of a step get: the sum of adjoint times input over the entries where they stand."""
        letters, places = self._collectors[number]  # pyright: ignore[reportAttributeAccessIssue]
        width = max(1, _CHUNK // max(1, len(step.rows)))
        for start in range(0, x.shape[1], width):
            part = slice(start, start + width)
            terms = self.field.reduce(g[step.rows, part] * x[step.columns, part])
            rows[letters, part] = self.field.reduce(rows[letters, part] + self.field.reduce(places @ terms))
        if step.bias is not None:
            biases, which = np.unique(step.bias, return_inverse=True)
            sums = np.zeros((len(biases), x.shape[1]))
            np.add.at(sums, which, g)
            rows[biases] = self.field.reduce(rows[biases] + self.field.reduce(sums))

    def jacobian(self, probes: int, generator: np.random.Generator, bound: int) -> Residues:
        """The gradients for random probes, integers of [0, bound), shape (probes, parameters)."""
        net = self.architecture
        widest = max(net.size(value) for value in range(len(net.channels)))
        step = max(1, min(probes, _CHUNK // widest))
        result = np.empty((probes, net.parameters))
        for start in range(0, probes, step):
            count = min(step, probes - start)
            x, u = (
                self.field.embed(generator.integers(0, bound, (net.size(value), count)))
                for value in (0, len(net.steps))
            )
            result[start : start + count] = self.gradients(x, u)
        return result


def _collector(step: Weights) -> tuple[NDArray[np.int64], Any]:
    """The letters of a step, and the 0/1 matrix that sums over the entries where each stands."""
    letters, which = np.unique(step.index, return_inverse=True)
    entries = np.arange(len(step.index))
    return letters, sp.csr_array((np.ones(len(entries)), (which, entries)), shape=(len(letters), len(entries)))


def _horner(coefficients: Any, x: Residues, field: PrimeField) -> Residues:
    """The polynomial, entry by entry."""
    y = np.zeros_like(x)
    for c in field.embed(np.array([Fraction(c) for c in reversed(coefficients)], dtype=object)):
        y = field.reduce(y * x + c)
    return y


def longest_sum(architecture: Architecture) -> int:
    """The largest number of products that are summed before a reduction."""
    longest = BLOCK
    for step in architecture.steps:
        if isinstance(step, Weights | Matrix) and len(step.rows):
            longest = max(longest, int(np.bincount(step.rows).max()) + 1, int(np.bincount(step.columns).max()) + 1)
    return longest


@dataclass(frozen=True)
class Growth:
    """Of one entry of the Jacobian at integers below a bound.

    Attributes:
        degree: as a polynomial in weights, inputs and combinations.
        bits: of its numerator, at most.
        denominator: bits of a common denominator, at most.
    """

    degree: int
    bits: float
    denominator: float


def growth(architecture: Architecture, bound: int) -> Growth:
    """Bounds for the entries of the Jacobian, by the same steps over sizes instead of numbers."""
    B = math.log2(bound)
    values = [Growth(1, B, 0.0)]
    for step in architecture.steps:
        if isinstance(step, Sum):
            parts = [values[source] for source in step.sources]
            common = sum(part.denominator for part in parts)
            bits = max(part.bits + common - part.denominator for part in parts) + math.log2(len(parts))
            values.append(Growth(max(part.degree for part in parts), bits, common))
            continue
        x = values[step.source]
        if isinstance(step, Weights):
            most = int(np.bincount(step.rows).max(initial=0)) + (step.bias is not None)
            values.append(Growth(x.degree + 1, x.bits + x.denominator + B + math.log2(max(1, most)), x.denominator))
        elif isinstance(step, Strength) and step.parameter is not None:
            values.append(Growth(x.degree + 1, x.bits + B, x.denominator))
        elif isinstance(step, Entrywise):
            values.append(_powers(step, x))
        else:
            alone = isinstance(step, Strength)
            entries = [step.t] if alone else [Fraction(entry) for entry in set(np.asarray(step.entries).tolist())]
            values.append(_given(entries, 1 if alone else int(np.bincount(step.rows).max(initial=1)), x))
    last = values[-1]
    outputs = architecture.size(len(architecture.steps))
    return Growth(last.degree + 1, last.bits + math.log2(last.degree + 1) + B + math.log2(outputs), last.denominator)


def _given(entries: list[Fraction], most: int, x: Growth) -> Growth:
    """After a product with given numbers, so many of them in a sum."""
    common = math.lcm(*(entry.denominator for entry in entries)) if entries else 1
    largest = max((abs(int(entry * common)) for entry in entries), default=1)
    bits = x.bits + math.log2(max(1, largest)) + math.log2(max(1, most))
    return Growth(x.degree, bits, x.denominator + math.log2(common))


def _powers(step: Entrywise, x: Growth) -> Growth:
    """After a polynomial."""
    r = len(step.coefficients) - 1
    y = _given([c for c in step.coefficients if c], r + 1, Growth(1, 0.0, 0.0))
    return Growth(r * x.degree, y.bits + r * (max(x.bits, 0.0) + x.denominator), y.denominator + r * x.denominator)
