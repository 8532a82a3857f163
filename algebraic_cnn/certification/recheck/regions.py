"""Two networks that are not affine, as steps for the checker: affine regions, and calls, compared by name.

The calls are paired as ``certify`` pairs them (matching.py).  What a call is given is a region of what earlier calls
have returned; the regions of both networks are claimed to be the same functions over the rational numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from ...derivation.samples import require_samples_apart
from ...derivation.splitting import Cut, Origin, cut
from ...errors import NotAffineError
from ...ir.graph import Graph, Ref, needed
from ...ops.sums import terms
from ..matching import Matching, matched
from .file import Held, call, equal, held, region, steps_file
from .layers import Coefficients, Integers, Program, Shape
from .lifted import Recipe, Recipes, lifted, odd_counts
from .maps import stored
from .spelling import alone, spelled_output
from .writer import Exact


def regions_file(first: Graph, second: Graph, text: str = "", recipes: Recipes = MappingProxyType({})) -> bytes:
    """The file of the claim that two networks are the same function, region by region.

    Args:
        first: a network of which samples do not mix.
        second: another one.
        text: a sentence for who reads it.
        recipes: of constants of the second one that were rounded: their regions are claimed with the numbers before.

    Returns:
        The bytes.

    Raises:
        NotAffineError: if a region has a call that the checker does not know, or the calls between the regions are not
            the same ones, each made once.
    """
    pairing = matched(cut(first), cut(second))
    for part in pairing.cuts:
        require_samples_apart(part.graph)
    writer = _Steps(pairing, _partners(pairing), _exactly(first, second, recipes))
    for number in range(len(pairing.cuts[0].boundaries)):
        writer.boundary(number)
    ours = pairing.cuts[0]
    returned = tuple(writer.region(place) for place in range(ours.given, len(ours.places)))
    inputs = [writer.shapes[(-1, i)] for i in range(len(ours.whole.inputs))]
    return steps_file(text, inputs, writer.steps, (returned, returned))


def _exactly(first: Graph, second: Graph, recipes: Recipes) -> Exact:
    sums, odd = max(terms(first), terms(second)), odd_counts(first)

    def one(recipe: Recipe) -> Callable[[], Integers]:
        return lambda: lifted(recipe, sums, odd)

    return {name: one(recipe) for name, recipe in recipes.items()}


def _partners(pairing: Matching) -> dict[int, int]:
    """Which output of the second cut is which of the first."""
    partners = {i: j for (one, i), (other, j), _ in pairing.pairs if (one, other) == (0, 1)}
    if pairing.alone or len(partners) != len(pairing.pairs) or len(partners) != len(pairing.cuts[0].places):
        got = pairing.alone[0] if pairing.alone else "one that is made twice"
        raise NotAffineError("the two networks do not make the same calls between their regions", got=got)
    return partners


@dataclass
class _Steps:
    """The steps so far.

    Attributes:
        pairing: the two cuts.
        partners: which output of the second is which of the first.
        exact: numbers that were rounded in the second.
        steps: their bytes.
        values: the numbers of the values that stand for sources.
        shapes: theirs.
    """

    pairing: Matching
    partners: dict[int, int]
    exact: Exact
    steps: list[bytes] = field(default_factory=list)
    values: dict[Origin, int] = field(default_factory=dict)
    shapes: dict[Origin, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ours = self.pairing.cuts[0]
        first, second = map(_seen, self.pairing.cuts)
        for source, shape in first.items():
            self.shapes[source] = stored(max(shape, second.get(source, shape), key=len))
        for i, name in enumerate(ours.whole.inputs):
            self.values[-1, i] = i
            shape = ours.whole.input_shapes[ours.whole.inputs.index(name)]
            self.shapes[-1, i] = stored(alone(shape))

    def made(self, content: bytes) -> int:
        """The number of the value that one more step makes."""
        self.steps.append(content)
        return len(self.pairing.cuts[0].whole.inputs) + len(self.steps) - 1

    def boundary(self, number: int) -> None:
        """The call, once for every part of what it returns."""
        boundary = self.pairing.cuts[0].boundaries[number]
        given = tuple(self.region(place) for place in boundary.given)
        places = {self.partners[place] for place in boundary.given}
        other = next((each for each in self.pairing.cuts[1].boundaries if set(each.given) == places), boundary)
        forms = [repr((each.form.op, each.form.arguments)) for each in (boundary, other)]
        for source in [source for source in self.shapes if source[0] == number]:
            names = f"{forms[0]} part {source[1]}", f"{forms[1]} part {source[1]}"
            self.values[source] = self.made(call(names, (given, given), self.shapes[source]))

    def region(self, place: int) -> int:
        """The number of the value that is output ``place`` of the first cut."""
        cuts, places = self.pairing.cuts, (place, self.partners[place])
        used = {source for part, i in zip(cuts, places, strict=True) for source in _used(part, i)}
        if not used or not used <= self.values.keys():
            raise NotAffineError("a region that does not depend on earlier values", got=cuts[0].places[place])
        order = sorted(used, key=self.values.__getitem__)
        one, other = (_program(part, i, order, self.shapes) for part, i in zip(cuts, places, strict=True))
        claim = equal(other) if not self.exact else self.held(places[1], order, other)
        return self.made(region(one, [claim], tuple(self.values[source] for source in order)))

    def held(self, place: int, order: list[Origin], floats: Program) -> bytes:
        """That the region is equal with the numbers that were rounded, and what is held in their place."""
        exact = _program(self.pairing.cuts[1], place, order, self.shapes, self.exact)
        pairs = [[(one.kernel, other.kernel), (one.bias, other.bias)]
                 for one, other in zip(exact.layers, floats.layers, strict=True)]  # fmt: skip
        if not any(one.values.dtype.hasobject for pair in pairs for one, _ in pair):
            return equal(floats)
        return held(exact, [(_kept(*kernel), _kept(*bias)) for kernel, bias in pairs])


def _kept(exact: Coefficients, floats: Coefficients) -> Held:
    """Floats in the place of numbers, and how many are not the nearest ones; None where they are the numbers.

    In units of 2^low / divisor the numbers, the floats and the distances from each float to its neighbours are whole.
    """
    if not exact.values.dtype.hasobject:
        return None
    given = np.broadcast_to(floats.values, floats.shape).ravel()
    halves, exponents = np.frexp(given.astype(np.float64))
    ulps = np.frexp(np.spacing(np.abs(given)).astype(np.float64))[1] - 1
    low = min(exact.exponent, int(exponents.min(initial=0)) - _DIGITS, int(ulps.min(initial=0)))
    q = exact.values.ravel() << (exact.exponent - low)
    y = np.ldexp(halves, _DIGITS).astype(np.int64).astype(object) * exact.divisor
    y = y << (exponents - _DIGITS - low).astype(object)
    gaps = np.full(len(given), exact.divisor, dtype=object) << (ulps - low).astype(object)
    distances = np.abs(q - y)
    # below a power of two the floats are twice as close
    alone = (np.abs(q) >= np.abs(y)) | (np.abs(halves) != 0.5)
    loose = distances[~((2 * distances <= gaps) & (alone | (4 * distances <= gaps))).astype(bool)]
    return floats, len(loose), int(max(loose, default=0)) * Fraction(2) ** low / exact.divisor


#: Of a float64.
_DIGITS = 53


def _seen(part: Cut) -> dict[Origin, tuple[int, ...]]:
    """The shapes of sources without batch axis: of what is returned on one axis, that to which it is restored."""
    found = {}
    for name, source, shape in zip(part.graph.inputs, part.sources, part.graph.input_shapes, strict=True):
        views = (call.shape for call in part.graph.calls if name in call.refs())
        found[source] = alone(next(views, shape) if len(shape) == 1 else shape)
    return found


def _used(part: Cut, place: int) -> list[Origin]:
    """The sources on which an output depends."""
    output = part.graph.outputs[place]
    if not isinstance(output, Ref):
        raise NotAffineError("a call is given what is no tensor", got=part.places[place])
    names = needed(part.graph.calls, [output.name])[1] | {output.name}
    return [source for name, source in zip(part.graph.inputs, part.sources, strict=True) if name in names]


def _program(
    part: Cut, place: int, order: list[Origin], shapes: dict[Origin, Shape], exact: Exact = MappingProxyType({})
) -> Program:
    """One output as a program of the sources in this order."""
    names = dict(zip(part.sources, part.graph.inputs, strict=True))
    sizes = dict(zip(part.sources, part.graph.input_shapes, strict=True))
    inputs = tuple(names.get(source, f"unused {source}") for source in order)
    given = tuple(sizes.get(source, (1, *shapes[source])) for source in order)
    laid = [shapes[source] for source in order]
    output = part.graph.outputs[place]
    name = output.name if isinstance(output, Ref) else ""
    return spelled_output(replace(part.graph, inputs=inputs, input_shapes=given), name, exact, laid)
