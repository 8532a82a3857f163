"""Two networks compared coefficient by coefficient: every affine part between their calls, over the rationals.

An affine map is known from its values at 0 and at the unit vectors.  These are computed modulo so many primes that
their product exceeds every numerator by which two coefficients can differ; so chance plays no part.  Sources that no
part has both of are probed together, as the columns of a sparse Jacobian are (Curtis, Powell and Reid 1974).

    compared_exactly    (check, paired cuts, yes, no) -> which of the two, as identity.networks asks
    unit_points         0 and the unit vectors, several values together

References:
    A. R. Curtis, M. J. D. Powell, J. K. Reid, On the estimation of sparse Jacobian matrices, J. Inst. Maths Applics
    13 (1974).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from ..derivation.magnitudes.heights import denominator, height
from ..derivation.splitting import Cut, Origin, modulo
from ..errors import TooLargeError
from ..ir.graph import Ref
from ..ops.sums import terms
from ..rings.crt import primes_for
from ..rings.prime_field import PrimeField
from ..rings.residues import Residues
from .certificate import Certificate
from .check import Check
from .identity import unequal
from .matching import Matching

#: Bits to spare: a value at a unit vector is a sum of a coefficient and a constant.
SPARE = 16

Shape = tuple[int, ...]
Name = TypeVar("Name", bound=Hashable)


def compared_exactly(check: Check, pairing: Matching, holds: Certificate, fails: Certificate) -> Certificate:
    """Whether all pairs of values are the same functions of the sources: every coefficient is compared.

    Args:
        check: the two networks and the budget.
        pairing: their cuts, and what must be equal.
        holds: the certificate if it is so.
        fails: the certificate if not.

    Raises:
        TooLargeError: if the coefficients would not fit the budget; nothing was computed.
        NonFiniteError: if the numerators have no bound in float64.
    """
    cuts = pairing.cuts
    graphs = [part.graph for part in cuts]
    odd = math.prod(denominator(graph).odd for graph in graphs)
    primes = primes_for(height(*graphs) + SPARE, max(map(terms, graphs)), odd)
    shapes = {source: tuple(int(n or 0) for n in shape) for part in cuts
              for source, shape in zip(part.sources, part.graph.input_shapes, strict=True)}  # fmt: skip
    reads = [_read(cuts[one], i) | _read(cuts[other], j) for (one, i), (other, j), _ in pairing.pairs]
    _require_room(check, pairing, reads, shapes, len(primes))
    weights = Residues(*(graph.constants for graph in graphs))
    for done, p in enumerate(primes, 1):
        field = PrimeField(p)
        embed = weights.modulo(field)
        runs = [modulo(part, field, part.graph.device, embed) for part in cuts]
        for point in unit_points(shapes, _together(reads, shapes)):
            found = [run([point[each] for each in part.sources]) for run, part in zip(runs, cuts, strict=True)]
            for (one, i), (other, j), place in pairing.pairs:
                witness = unequal(field, found[one][i], found[other][j], f"entry {{}} of {place}", None)
                if witness is not None:
                    return replace(fails, level="rational", witness=witness, primes=tuple(primes[:done]))
        check.progress(done, len(primes))
    what = f"{holds.statement} Every coefficient was compared; chance plays no part."
    return replace(holds, level="rational", statement=what)


def _read(section: Cut, number: int) -> Set[Origin]:
    """The sources on which an output of a cut depends."""
    out = section.graph.outputs[number]
    reached: dict[str, frozenset[Origin]] = {
        name: frozenset([source]) for name, source in zip(section.graph.inputs, section.sources, strict=True)
    }
    for call in section.graph.calls:
        reached[call.name] = frozenset().union(*(reached.get(name, frozenset()) for name in call.refs()))
    return reached.get(out.name, frozenset()) if isinstance(out, Ref) else frozenset()


def _require_room(
    check: Check, pairing: Matching, reads: Sequence[Set[Origin]], shapes: Mapping[Origin, Shape], primes: int
) -> None:
    entries = 0
    for ((one, i), _, _), sources in zip(pairing.pairs, reads, strict=True):
        graph = pairing.cuts[one].graph
        out = graph.outputs[i]
        m = math.prod(int(n or 0) for n in graph.shapes().get(out.name, ())) if isinstance(out, Ref) else 1
        entries += m * (1 + sum(math.prod(shapes[source]) for source in sources))
    if 4 * primes * entries > check.memory_budget:
        what = "the coefficients of the affine parts are beyond the budget"
        raise TooLargeError(what, needed=4 * primes * entries, budget=check.memory_budget)


def _together(reads: Sequence[Set[Origin]], shapes: Mapping[Origin, Shape]) -> list[list[Origin]]:
    """The sources in groups, no two of which some value depends on; large ones with large ones."""
    groups: list[list[Origin]] = []
    for source in sorted(shapes, key=lambda each: -math.prod(shapes[each])):
        beside = set().union(*(read for read in reads if source in read))
        group = next((group for group in groups if beside.isdisjoint(group)), None)
        if group is None:
            groups.append([source])
        else:
            group.append(source)
    return groups


def unit_points(shapes: Mapping[Name, Sequence[int]], groups: Iterable[Sequence[Name]]) -> Iterator[dict[Name, Tensor]]:
    """Zero everywhere, then one in one entry of each value of a group, one group after the other.

    Args:
        shapes: of every value, by its name.
        groups: names of values that are probed together.

    >>> [point["x"].tolist() + point["y"].tolist() for point in unit_points({"x": (2,), "y": (1,)}, [["x", "y"]])]
    [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    zero = {name: torch.zeros(tuple(shape), dtype=torch.float64) for name, shape in shapes.items()}
    yield zero
    for group in groups:
        for entry in range(max(zero[name].numel() for name in group)):
            point = dict(zero)
            for name in group:
                if entry < zero[name].numel():
                    point[name] = zero[name].clone()
                    point[name].view(-1)[entry] = 1.0
            yield point
