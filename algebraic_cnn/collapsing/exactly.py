"""The proof of a collapse without chance: every coefficient of every region, over the rationals.

validation.py compares a region with what replaces it at random points modulo random primes.  Here it is at 0 and at the
unit vectors, modulo so many primes that their product exceeds every numerator by which two coefficients can differ.
Where samples are surely apart, the unit vectors are the samples of one batch.

    exactly    (rewrite, examples, budget) -> certificate
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..certification.certificate import Certificate, Witness, fingerprint
from ..certification.coefficients import SPARE, unit_points
from ..derivation.magnitudes.heights import denominator
from ..errors import TooLargeError
from ..ir.graph import Graph
from ..ops.sums import terms
from ..rings.crt import primes_for
from ..rings.prime_field import PrimeField
from ..rings.ring import Majorant
from .rewriting import Rewrite
from .validation import Batches, Examples, Pair, batches, changed, every, height, unequal

#: Entries of the inputs that are looked at together.
_CHUNK = 2**22

#: Batch sizes at which a region is compared whose samples are not apart.
_SIZES = 2


def exactly(rewrite: Rewrite, examples: Examples, budget: int) -> Certificate:
    """Whether every region of the rewritten network is the region of the network, but for one rounding of numbers.

    Args:
        rewrite: the network and what it became.
        examples: batch size -> a value of the right shape for every start.
        budget: bytes that the coefficients of a region may take.

    Returns:
        The certificate, of level "rational".

    Raises:
        TooLargeError: if the coefficients would not fit the budget.
        NonFiniteError: if the numbers of a region leave the range of float64.
    """
    pairs, shell = changed(rewrite), rewrite.rewritten.shell()
    found = Certificate("", "rational", True, fingerprints=(fingerprint(rewrite.network.graph), ""))
    looked = list[Batches]()
    for pair in pairs:
        new = pair.new(shell)
        at = batches(pair, new, examples)
        looked.append(replace(at, sizes=at.sizes[:_SIZES]))
        witness = _wrong(pair, new, rewrite, examples, looked[-1], budget)
        if witness is not None:
            what = f"the region that ends at {pair.region.calls[-1].where} is not what replaces it."
            return _replaced(found, what, witness)
    if not pairs:
        return _replaced(found, "every call is as it was.")
    what = f"{every(pairs)} is the same function over the rational numbers as before: "
    what += "every coefficient was compared; its numbers then computed in float64 and rounded once."
    return _replaced(found, what + Batches.words(looked))


def _replaced(found: Certificate, statement: str, witness: Witness | None = None) -> Certificate:
    prints = found.fingerprints
    return Certificate(statement, found.level, witness is None, witness=witness, fingerprints=prints)


def _wrong(pair: Pair, new: Graph, rewrite: Rewrite, examples: Examples, at: Batches, budget: int) -> Witness | None:
    """A coefficient in which a region and what replaces it differ, or None."""
    magnitudes, sums = rewrite.rewritten.over(Majorant(), within=new), max(terms(pair.original), terms(new))
    stacked = at.apart and pair.original.batch is None
    bits = max(height(pair, magnitudes, examples(batch)) for batch in at.sizes)
    primes = primes_for(bits + SPARE, sums, denominator(pair.original).odd)
    names = list(dict.fromkeys((*pair.original.inputs, *new.inputs)))
    for batch in at.sizes:
        shapes = {name: tuple(int(n) for n in examples(batch)[name].shape) for name in names}
        _require_room(pair, shapes, batch, len(primes), budget)
        for p in primes:
            field = PrimeField(p)
            numbers = rewrite.rewritten.over(field, within=new)
            for points in _stacked(shapes, batch) if stacked else unit_points(shapes, [[name] for name in shapes]):
                witness = unequal(pair, numbers, field, points, "at 0 or at a unit vector")
                if witness is not None:
                    return witness
    return None


def _require_room(pair: Pair, shapes: Mapping[str, Sequence[int]], batch: int, primes: int, budget: int) -> None:
    known = pair.original.shapes()
    outs = sum(math.prod(batch if n is None else n for n in known[name]) for name in pair.region.outputs)
    needed = 4 * primes * outs * (1 + sum(math.prod(shape) for shape in shapes.values()))
    if needed > budget:
        where = pair.region.calls[-1].where
        what = "the coefficients of a region are beyond the budget"
        raise TooLargeError(what, needed=needed, budget=budget, where=where)


def _stacked(shapes: Mapping[str, Sequence[int]], batch: int) -> Iterator[dict[str, Tensor]]:
    """0 and the unit vectors as samples of a batch, many together; the least size that is looked at is filled.

    A sample is the rows of a start that it has in a batch: one, or as many as there are windows of it.
    """
    sizes = {name: math.prod(shape) // batch for name, shape in shapes.items()}
    step = max(batch, _CHUNK // max(1, sum(sizes.values())))
    total = 1 + sum(sizes.values())
    for start in range(0, total, step):
        stop = max(min(start + step, total), start + batch)
        points, first = {}, 1
        for name, shape in shapes.items():
            x = torch.zeros(stop - start, sizes[name], dtype=torch.float64)
            here = torch.arange(max(start, first), min(stop, first + sizes[name]))
            x[here - start, here - first] = 1.0
            points[name] = x.reshape((stop - start) * shape[0] // batch, *shape[1:])
            first += sizes[name]
        yield points
