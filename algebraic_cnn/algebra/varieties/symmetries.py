"""Ways of changing the weights that leave the function alone, and which of them each skip breaks.

generator    an infinitesimal change: a value v goes to (1 + e A_v) v, channel by channel alike at all positions, and
             every layer absorbs what happens on its two sides, W to (1 + e A_out) W (1 - e A_in)
GL           between two layers the A of c channels are all c x c matrices: the group GL(c); scaling: diagonal ones only
shift        a value v goes to v + e s, and the next biases take it back
strength     a skip over one layer is a change of that layer's weights: a free strength of it changes nothing
family       the generators that act behind the same layers; a skip ties layers together, or forbids them to act
absorbed     a skip t M over a single layer whose weights can be any W + t M: it is no skip but other weights

The conditions are linear, M A_in = A_out M for all that is given and A_out = r A_in diagonal past x^r, and are solved
over Q.  No function of the weights enters: the families are there for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from .absorption import absorbed, strength_of
from .architecture import Architecture, Integers, Strength, Weights
from .conditions import Unknown, conditions, unknowns
from .elimination import Row, kernel, rank
from .jacobian import Point, Residues

Generator = Mapping[Unknown, Fraction]


@dataclass(frozen=True)
class Family:
    """Generators that act behind the same layers.

    Attributes:
        kind: "GL", "scaling", "shift" or "strength".
        behind: the numbers of the layers, counted from 1; of a strength the name of the skip.
        dimension: how many independent ones there are.
    """

    kind: str
    behind: tuple[Hashable, ...]
    dimension: int


@dataclass(frozen=True, eq=False)
class Symmetries:
    """The symmetries of an architecture.

    Attributes:
        families: of the network as it is.
        without_skips: of its feeds alone.
        broken: name of a skip to the families of the feeds that are gone when it alone is there.
        absorbed: the skips that are only other weights of the layer they skip.
    """

    families: tuple[Family, ...]
    without_skips: tuple[Family, ...]
    broken: Mapping[Hashable, tuple[Family, ...]]
    absorbed: tuple[Hashable, ...]

    @property
    def dimension(self) -> int:
        """The sum of the families' dimensions."""
        return sum(family.dimension for family in self.families)


def symmetries_of(architecture: Architecture) -> Symmetries:
    """The families of an architecture, and what each skip does to those of its feeds.

    Args:
        architecture: the network.

    >>> net = Architecture.chain([3, 3, 2], channels=[1, 2, 2, 1], skips={(1, 3): 1})
    >>> found = symmetries_of(net)
    >>> found.families
    (Family(kind='GL', behind=(1,), dimension=4), Family(kind='GL', behind=(2,), dimension=4))
    >>> found.absorbed
    ((1, 3),)
    >>> symmetries_of(Architecture.chain([3, 3, 2], skips={(0, 3): 1})).broken
    {(0, 3): (Family(kind='scaling', behind=(2,), dimension=1),)}
    """
    action = Action.of(architecture)
    names = list(architecture.strengths())
    plain = Action.of(_with_skips(architecture, ())).families() if names else action.families()
    broken = {}
    for name in names:
        alone = Action.of(_with_skips(architecture, (name,))).families()
        broken[name] = tuple(family for family in plain if family not in alone)
    taken = [step.name for _, term in sorted(action.absorbed) if (step := strength_of(architecture, term))]
    return Symmetries(action.families(), plain, broken, tuple(taken))


def _with_skips(architecture: Architecture, names: tuple[Hashable, ...]) -> Architecture:
    """The architecture with the strengths of the other skips 0."""
    steps = (
        replace(step, t=Fraction(0), parameter=None) if isinstance(step, Strength) and step.name not in names else step
        for step in architecture.steps
    )
    return replace(architecture, steps=tuple(steps))


@dataclass(frozen=True, eq=False)
class Action:
    """The generators of an architecture.

    Attributes:
        architecture: the network.
        generators: a basis.
        absorbed: by (sum, term) of a skip that is only other weights: what it adds to the letters; a free t is 1.
    """

    architecture: Architecture
    generators: tuple[Generator, ...]
    absorbed: Mapping[tuple[int, int], Mapping[int, Fraction]]

    @classmethod
    def of(cls, architecture: Architecture) -> Action:
        """The solutions of the conditions."""
        taken = dict(absorbed(architecture))
        number: dict[Unknown, int] = {}
        for unknown in unknowns(architecture):
            number[unknown] = len(number)
        rows: list[Row] = [
            {number[unknown]: factor for unknown, factor in equation.items() if unknown in number}
            for equation in conditions(architecture, taken)
        ]
        names = list(number)
        basis = [{names[i]: value for i, value in vector.items()} for vector in kernel(rows, len(names))]
        layers = [(number + 1, step) for number, step in enumerate(architecture.steps) if isinstance(step, Weights)]
        touched = {value for made, step in layers for value in (made, step.source)}
        acting = tuple(vector for vector in basis if any(u[0] in touched for u in vector))
        return cls(architecture, acting, taken)

    def families(self) -> tuple[Family, ...]:
        """The generators, those that act behind the same layers together."""
        behind, found = _layer_of(self.architecture), {}
        for generator in self.generators:
            layers = tuple(sorted({behind[u[0]] for u in generator if u[0] in behind}))
            kind = "shift" if any(u[2] == -1 for u in generator) else "GL"
            found.setdefault((kind, layers), []).append(generator)
        families = []
        for (kind, layers), generators in found.items():
            diagonal = all(u[1] == u[2] for generator in generators for u in generator)
            families.append(Family("scaling" if kind == "GL" and diagonal else kind, layers, len(generators)))
        free = [step.name for _, term in self.absorbed if (step := self._free(term))]
        return (*families, *(Family("strength", (name,), 1) for name in free))

    def _free(self, value: int) -> Strength | None:
        step = strength_of(self.architecture, value)
        return step if step is not None and step.parameter is not None else None

    def orbit(self, point: Point) -> int:
        """The dimension of the orbit of a point, by the rank modulo p of what the generators do there.

        It is at most the generic one over Q.
        """
        fields = self.fields(point)
        return rank(fields, point.field) if len(fields) else 0

    def fields(self, point: Point) -> Residues:
        """What every generator does to the parameters at a point, residues, one row each."""
        field, theta = point.field, point.theta.copy()
        for (_, term), amounts in self.absorbed.items():
            t = self._along(term, point)
            for letter, amount in amounts.items():
                theta[letter] = field.reduce(theta[letter] + t * float(field.embed(np.array([amount]))[0]))
        sides = [_Sides.of(self.architecture, number, field.reduce(theta)) for number in _weighted(self.architecture)]
        rows = [self._moved(generator, sides, point) for generator in self.generators]
        for (_, term), amounts in self.absorbed.items():
            if (step := self._free(term)) is not None and step.parameter is not None:
                row = np.zeros(self.architecture.parameters)
                row[list(amounts)] = -field.embed(np.array(list(amounts.values()), dtype=object))
                row[step.parameter] = 1.0
                rows.append(row)
        return np.stack(rows) if rows else np.zeros((0, self.architecture.parameters))

    def _along(self, term: int, point: Point) -> float:
        """The free strength on the way of an absorbed skip, 1 for a given one, which its amounts have already."""
        step = self._free(term)
        return 1.0 if step is None else point.strength(step)

    def _moved(self, generator: Generator, sides: list[_Sides], point: Point) -> Residues:
        field, row = point.field, np.zeros(self.architecture.parameters)
        residues = dict(zip(generator, field.embed(np.array(list(generator.values()), dtype=object)), strict=True))
        for side in sides:
            for (value, i, j), a in residues.items():
                if value == side.value:
                    side.output(row, i, j, a)
                if value == side.source:
                    side.input(row, i, j, a)
        for number, step in enumerate(self.architecture.steps):
            if isinstance(step, Strength) and step.parameter is not None:
                rate = residues.get((-1 - number, 0, 0), 0.0)
                row[step.parameter] += rate * point.theta[step.parameter]
        return field.reduce(row)


@dataclass(frozen=True, eq=False)
class _Sides:
    """Where every letter of a layer stands, and what stands in the same place for the other channels.

    theta ends with a 0, the letter where there is none.
    """

    value: int
    source: int
    theta: Residues
    letters: Integers
    out: Integers  # output channel of every letter
    into: Integers
    above: Integers  # letter for (letter, another output channel)
    beside: Integers  # letter for (letter, another input channel)
    biases: Integers  # letter of the bias of every output channel; empty where there is none
    sums: Integers  # the letters between an output channel at its first position and an input channel, as pairs

    @classmethod
    def of(cls, net: Architecture, number: int, theta: Residues) -> _Sides:
        """The two sides of the step of that number."""
        step = net.steps[number]
        if not isinstance(step, Weights):
            raise TypeError
        value, source = number + 1, step.source
        shape, (s, n) = (net.size(value), net.size(source)), (net.positions[value], net.positions[source])
        table = sp.csr_array((step.index + 1.0, (step.rows, step.columns)), shape=shape)
        letters, first = np.unique(step.index, return_index=True)
        r, c = step.rows[first], step.columns[first]

        def look(rows: Integers, columns: Integers) -> Integers:
            rows, columns = np.broadcast_arrays(rows, columns)
            found = table[rows.ravel(), columns.ravel()]
            dense = found.toarray() if sp.issparse(found) else np.asarray(found)
            return dense.reshape(rows.shape).astype(np.int64) - 1

        above = look(np.arange(net.channels[value]) * s + (r % s)[:, None], c[:, None])
        beside = look(r[:, None], np.arange(net.channels[source]) * n + (c % n)[:, None])
        biases = np.zeros(0, np.int64) if step.bias is None else step.bias[::s]
        at = step.rows % s == 0
        sums = np.stack([step.rows[at] // s, step.columns[at] // n, step.index[at]])
        return cls(value, source, np.append(theta, 0.0), letters, r // s, c // n, above, beside, biases, sums)

    def output(self, row: Residues, i: int, j: int, a: float) -> None:
        """(1 + e A) W, the entry A[i, j] = a; or b + e s for j = -1."""
        if j >= 0:
            here = self.out == i
            row[self.letters[here]] += a * self.theta[self.above[here, j]]
        if len(self.biases):
            row[self.biases[i]] += a * (self.theta[self.biases[j]] if j >= 0 else 1.0)

    def input(self, row: Residues, i: int, j: int, a: float) -> None:
        """W (1 - e A); or b - e W s."""
        if j >= 0:
            here = self.into == j
            row[self.letters[here]] -= a * self.theta[self.beside[here, i]]
            return
        outs, ins, letters = self.sums
        for o, letter in zip(outs[ins == i], letters[ins == i], strict=True):
            row[self.biases[o]] -= a * self.theta[letter]


def _weighted(net: Architecture) -> list[int]:
    return [number for number, step in enumerate(net.steps) if isinstance(step, Weights)]


def _layer_of(net: Architecture) -> dict[int, int]:
    """Value to the number of the layer that makes it."""
    return {number + 1: layer for layer, number in enumerate(_weighted(net), 1)}
