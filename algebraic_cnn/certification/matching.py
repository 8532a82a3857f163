"""Which call of one network is which of the other: a guess, which the comparison afterwards proves or refutes.

    matched    cuts of two networks -> the same cuts, with sources named alike, and the pairs of values to compare

Both are run in float64 on the same random numbers, calls that are not affine returning random numbers as well.  A call
of the second network is taken for that call of the first which has the same form and is given the most similar values;
a call that the first network makes twice, on the same values, is one.  Order, copies and dead calls do not matter, nor
does the order of entries in a call that takes each by itself (reordering.py).

If every pair is the same affine function of the sources, the networks are the same function.  Let X be the values that
the sources have in the first network.  Every call of the second is given, by induction over its execution, the same
function of X as its partner, hence the same numbers, and what it reads beside numbers was made in the same way
(making.py); it is the same call, hence returns what its partner returns.  The outputs are the same functions of X.  A
call without a partner is a source of its own, on which nothing then depends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..derivation.rowwise import row_lengths, takes_rows
from ..derivation.splitting import BoundaryCall, Cut, Origin
from ..ir.canonical import commutes
from ..ir.graph import Call
from ..ops.evaluate import Evaluator
from ..rings.ring import Float
from .making import NEVER_MINUS, Making
from .reordering import inverse, order_of, reordered

#: Values further apart than this, beside their size, are not thought to be one value that was rounded in two ways.
_ALIKE = 2.0**-10

#: A boundary by the number of its network, 0 or 1, and its own.
Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Matching:
    """Two cuts, and what must be equal.

    Attributes:
        cuts: of both networks, what stands for the same value called alike in ``sources``.
        pairs: ((network, output of its cut), (network, output of its cut), what it is in words).
        alone: names of boundaries that have no partner in the other network.
    """

    cuts: tuple[Cut, Cut]
    pairs: tuple[tuple[Place, Place, str], ...]
    alone: tuple[str, ...]


def matched(first: Cut, second: Cut, seed: int = 0) -> Matching:
    """The two cuts with boundaries paired, and the values that must be the same.

    Args:
        first: of one network.
        second: of the other; as many outputs.
        seed: of the numbers on which they are run; the guess depends on it, the proof does not.

    >>> from algebraic_cnn.ir.trace import trace
    >>> from algebraic_cnn.derivation.splitting import cut
    >>> class Branches(torch.nn.Module):
    ...     def __init__(self, *calls):
    ...         super().__init__()
    ...         self.calls = calls
    ...     def forward(self, x):
    ...         return self.calls[0](x) + self.calls[1](x)
    >>> one, other = (cut(trace(Branches(*calls).eval(), torch.zeros(1, 2)))
    ...               for calls in ((torch.relu, torch.sigmoid), (torch.sigmoid, torch.relu)))
    >>> [source for source in matched(one, other).cuts[1].sources]                  # the second's sigmoid is call 1
    [(-1, 0), (1, 0), (0, 0)]
    """
    generator = np.random.default_rng(seed)
    known: list[_Known] = []
    tokens: dict[Origin, Tensor] = {}
    runs = [_Run(section, number, known, tokens, generator) for number, section in enumerate((first, second))]
    for run in runs:
        run.follow()
    ours, theirs = (range(section.given, len(section.places)) for section in (first, second))
    outputs = [((0, i), (1, j), first.places[i]) for i, j in zip(ours, theirs, strict=True)]
    alone = tuple(entry.boundary.name for entry in known if entry.met != {0, 1})
    cuts = runs[0].renamed(), runs[1].renamed()
    return Matching(cuts, (*runs[0].pairs, *runs[1].pairs, *outputs), alone)


@dataclass(eq=False)
class _Known:
    """A call that was met, and what it was given.

    Attributes:
        places: of the values that it is given.
        boundary: the call.
        given: the numbers that it was given.
        met: the networks that make it.
        made: for a call that reads more than numbers, by which calls each value was made (making.py).
        rows: the lengths of the axes that were taken together as its rows, where they were.
    """

    places: list[Place]
    boundary: BoundaryCall
    given: list[Any]
    met: set[int]
    made: list[str]
    rows: tuple[int, ...] = ()


@dataclass(eq=False)
class _Run:
    """One network, followed call by call."""

    section: Cut
    number: int
    known: list[_Known]
    tokens: dict[Origin, Tensor]
    generator: np.random.Generator
    partner: dict[int, int] = field(default_factory=dict)
    pairs: list[tuple[Place, Place, str]] = field(default_factory=list)
    orders: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.making = Making(self.section, self.partner, self.orders)
        self.calls = {call.name: call for call in self.section.whole.calls}
        self.shapes, self.dependent = self.section.whole.shapes(), self.section.whole.dependent()

    def follow(self) -> None:
        """Run the network; find or make the entry of every boundary."""
        section, values = self.section, {}
        evaluator = Evaluator(section.graph, Float(), section.graph.device)
        sources = {name: (source, tuple(int(n or 0) for n in shape)) for name, source, shape in
                   zip(section.graph.inputs, section.sources, section.graph.input_shapes, strict=True)}  # fmt: skip
        boundaries = {boundary.call.name: number for number, boundary in enumerate(section.boundaries)}
        for name in section.whole.inputs:
            values[name] = self._token(*sources[name])
        with torch.no_grad():
            for call in section.whole.calls:
                if call.name in boundaries:
                    outputs = (section.graph.outputs[i] for i in section.boundaries[boundaries[call.name]].given)
                    given = [evaluator.value(out, values) for out in outputs]
                    self.partner[boundaries[call.name]] = self._entry(boundaries[call.name], given)
                elif call.name not in sources and not (boundaries.keys() & set(call.refs()) and is_part(call)):
                    values[call.name] = evaluator.step(call, values)
                if call.name in sources:
                    (number, part), shape = sources[call.name]
                    token = self._token((self.partner[number], part), shape)
                    values[call.name] = token[inverse(self.orders[number])] if number in self.orders else token

    def renamed(self) -> Cut:
        """The cut, a boundary called by the number of its entry, and its values in that entry's order."""
        sources = tuple((self.partner.get(number, number), part) for number, part in self.section.sources)
        return replace(reordered(self.section, self.orders), sources=sources)

    def _token(self, source: Origin, shape: tuple[int, ...]) -> Tensor:
        if source not in self.tokens:
            drawn = torch.from_numpy(self.generator.standard_normal(shape))
            self.tokens[source] = drawn.to(self.section.graph.device)
        return self.tokens[source]

    def _entry(self, number: int, given: list[Any]) -> int:
        """The number of the entry that a boundary is; a pair to compare for each value that it is given."""
        boundary = self.section.boundaries[number]
        places = [(self.number, i) for i in boundary.given]
        made = self.making.of(boundary)
        best, order = self._nearest(number, given, made)
        if best is None:
            rows = row_lengths(boundary.call, self.calls, self.shapes)
            self.known.append(_Known(places, boundary, given, {self.number}, made, rows))
            return len(self.known) - 1
        entry = self.known[best]
        entry.met.add(self.number)
        where = entry.boundary.given_name
        self.pairs += [(known, places[i], where) for known, i in zip(entry.places, order, strict=True)]
        return best

    def _nearest(self, place: int, given: list[Any], made: list[str]) -> tuple[int | None, list[int]]:
        """The entry of the same form that was given the most similar values, and in which order; or None.

        What this network has made already is the same only if it is given the very same numbers.
        """
        boundary = self.section.boundaries[place]
        orders = [list(range(len(given)))]
        orders += [[1, 0]] if commutes(boundary.form) else []
        found: list[tuple[float, int, list[int]]] = []
        for number, entry in enumerate(self.known):
            if entry.boundary.form == boundary.form and entry.made == made:
                for order in orders:
                    distance = sum(_distance(x, given[i]) for x, i in zip(entry.given, order, strict=True))
                    if distance == 0 or (self.number == 1 and 0 in entry.met):
                        found.append((distance, number, order))
        if not found:
            return None, []
        distance, best, order = min(found)
        if distance > _ALIKE:  # nothing like it: the same in another order, or else the next of its kind
            free = [each for each in found if self.number not in self.known[each[1]].met]
            for _, number, order in free if self._takes_rows(boundary.call, made) else ():
                rows = self.known[number].rows, row_lengths(boundary.call, self.calls, self.shapes)
                moved = order_of(rows, self.known[number].given, [given[i] for i in order])
                if moved is not None:
                    self.orders[place] = moved
                    return number, order
            _, best, order = min(free, key=lambda each: each[1], default=(distance, best, order))
        return best, order

    def _takes_rows(self, call: Call, made: list[str]) -> bool:
        """Whether a call does the same with every row, and reads no sign of a zero."""
        whole = self.section.whole
        return set(made) <= {NEVER_MINUS} and takes_rows(call, self.shapes, self.dependent, whole.constants)


def is_part(call: Call) -> bool:
    """Whether a call takes one part of what another returned."""
    return call.op == "operator.getitem"


def _distance(x: Any, y: Any) -> float:
    """How far two values are from each other, beside the size of the first."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return 0.0 if type(x) is type(y) and x == y else float("inf")
    if x.shape != y.shape:
        return float("inf")
    if torch.equal(x, y):
        return 0.0
    gap = (x.double() - y.double()).abs().max() / (1 + x.double().abs().max())
    return float(gap.nan_to_num(float("inf")))
