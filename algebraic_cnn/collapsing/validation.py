"""The proof that a rewritten network computes the same maps: region by region, modulo random primes.

A collapse does two things.  It follows recipes from the network's numbers to new ones, and it rounds the result once.
The recipes run over any ring.  So the whole construction is repeated over F_p, from the very numbers that the
network's floats are, and each region of the network is compared with what replaces it at a random point of F_p^n: if
they are not the same function over the rationals, that shows but for a stated probability.  What remains is floating
point: the numbers that the new network holds are those recipes in float64, each rounded once.

References:
    J. T. Schwartz, Fast probabilistic algorithms for verification of polynomial identities, J. ACM 27 (1980).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..certification.certificate import Certificate, Witness, fingerprint
from ..derivation.magnitudes.heights import denominator
from ..derivation.samples import doubtful
from ..errors import NonFiniteError, ShapeError, TraceError
from ..ir.graph import Graph, Ref
from ..ir.resizing import followed
from ..ops.evaluate import Evaluator
from ..ops.precision import out_of_range
from ..ops.sums import terms
from ..rings.dyadic import Known
from ..rings.prime_field import PrimeField
from ..rings.primes import at_random_prime, entropy, prime_interval, unlucky
from ..rings.ring import Float, Majorant
from .region import Region, part, regions
from .rewriting import Rewrite

#: A false collapse passes with at most this probability.
ERROR = 2.0**-30

#: Trials where none of them says anything.
_MOST = 64


@dataclass(frozen=True, eq=False)
class Pair:
    """A region as the network has it, and as the rewritten network computes it over any ring."""

    region: Region
    original: Graph
    rewrite: Rewrite
    starts: frozenset[str]

    def new(self, rewritten: Graph) -> Graph:
        """The same map in a rewritten graph."""
        outputs = [self.rewrite.values.get(name, Ref(name)) for name in self.region.outputs]
        return part(rewritten, outputs, self.starts)


def changed(rewrite: Rewrite) -> list[Pair]:
    """The regions whose calls are no longer those of the network."""
    network, starts = rewrite.network, rewrite.network.starts
    kept = {call.name: call for call in rewrite.rewritten.calls}
    pairs = []
    for region in regions(network):
        if any(kept.get(call.name) is not call and not _same(kept.get(call.name), call) for call in region.calls):
            graph = part(network.graph, [Ref(name) for name in region.outputs], starts)
            pairs.append(Pair(region, graph, rewrite, starts))
    return pairs


def _same(new: object, old: object) -> bool:
    return new is not None and all(getattr(new, name) == getattr(old, name) for name in ("op", "args", "kwargs"))


def overflowing(rewrite: Rewrite, after: Graph) -> dict[str, str]:
    """The calls of regions whose new numbers are beyond the dtype of the result, by name, and why they stay."""
    found = {}
    for pair in changed(rewrite):
        new = pair.new(after).constants
        huge = [new[name] for name in new.keys() - pair.original.constants.keys() if not new[name].isfinite().all()]
        if huge:
            why = f"a number of its form would be beyond {str(huge[0].dtype).removeprefix('torch.')}"
            found |= {call.name: why for call in pair.region.calls}
    return found


def vanishing(rewrite: Rewrite, after: Graph) -> str:
    """What became of new numbers that are below the dtype of the result, in words; "" if none is.

    They are rounded to 0 as they should be; a network that multiplies by them one after the other may keep something.
    """
    found = []
    for name, recipe in rewrite.rewritten.recipes.items():
        value = after.constants.get(name)
        if value is not None and bool((value == 0).any()):
            numbers = torch.from_numpy(np.ascontiguousarray(recipe(Float())))
            found.append(out_of_range(numbers, value.dtype))
    return "; ".join(filter(None, found))


def parameters(rewrite: Rewrite) -> dict[str, bool]:
    """The parameters of the rewritten network: the network's own, and what a region made of some of them.

    A number of a region requires a gradient where a parameter of the region did.
    """
    own, shell = rewrite.network.graph.parameters, rewrite.rewritten.shell()
    found = dict(own)
    for pair in changed(rewrite):
        made_of = [own[name] for name in pair.original.constants if name in own]
        new = pair.new(shell).constants.keys() - rewrite.network.graph.constants.keys()
        found |= dict.fromkeys(new, any(made_of)) if made_of else {}
    return found


def every(pairs: Sequence[Pair]) -> str:
    """What a statement calls the rewritten regions."""
    return "the one rewritten region" if len(pairs) == 1 else f"each of the {len(pairs)} rewritten regions"


#: Values of the right shapes for the starts, by the length of a free batch axis.
Examples = Callable[[int], Mapping[str, Tensor]]


def validated(rewrite: Rewrite, examples: Examples, *, seed: int | None = None, error: float = ERROR) -> Certificate:
    """Whether every region of the rewritten network is the region of the network, but for one rounding of numbers.

    A region that surely treats samples apart is run on one sample, any other on batches of several sizes.

    Args:
        rewrite: the network and what it became.
        examples: batch size -> a value of the right shape for every start.
        seed: of the primes and points; None draws one from the system.
        error: a false collapse passes with at most this probability.

    Returns:
        The certificate; ``error_probability`` bounds the probability, over the primes and points, of a false "yes".
    """
    seed = entropy() if seed is None else seed
    generator = np.random.default_rng(seed)
    pairs, shell = changed(rewrite), rewrite.rewritten.shell()
    found = Certificate("", "modular", True, seed=seed, fingerprints=(fingerprint(rewrite.network.graph), ""))
    primes, odds, looked = [], 0.0, list[Batches]()
    for pair in pairs:
        new = pair.new(shell)
        sums = max(terms(pair.original), terms(new))
        low, _ = prime_interval(sums)
        looked.append(batches(pair, new, examples))
        sizes = looked[-1].sizes
        magnitudes = rewrite.rewritten.over(Majorant(), within=new)
        most = max(height(pair, magnitudes, examples(batch)) for batch in sizes)
        chance = min(1.0, unlucky(most, sums) + 1 / low)
        count = math.ceil(math.log(error / len(pairs)) / math.log(chance)) if chance < 1 else _MOST
        odds += chance**count
        known = Known()  # of one region alone: what it holds goes with the region
        for batch in sizes * count:

            def trial(
                field: PrimeField, pair: Pair = pair, new: Graph = new, batch: int = batch, known: Known = known
            ) -> Witness | None:
                field = replace(field, known=known)
                numbers = rewrite.rewritten.over(field, within=new)
                return _difference(pair, numbers, field, examples(batch), generator)

            field, witness = at_random_prime(sums, generator, trial)
            primes.append(field.p)
            if witness is not None:
                what = f"the region that ends at {pair.region.calls[-1].where} is not what replaces it."
                return replace(found, statement=what, ok=False, witness=witness, primes=tuple(primes))
    if not pairs:
        return replace(found, statement="every call is as it was.")
    what = f"{every(pairs)} is the same function over the rational numbers as before, "
    what += "its numbers then computed in float64 and rounded once." + Batches.words(looked)
    return replace(found, statement=what, error_probability=min(1.0, odds), primes=tuple(primes), points=len(primes))


#: So many batch sizes are looked through for those at which a region is compared.
_FEW = 16


@dataclass(frozen=True)
class Batches:
    """At which batch sizes a region is compared.

    Attributes:
        sizes: these.
        apart: whether samples are surely apart, so that one batch says it all.
    """

    sizes: tuple[int, ...]
    apart: bool

    @staticmethod
    def words(found: Iterable[Batches]) -> str:
        """What a statement says of the sizes of several regions; "" where samples are apart in all."""
        sizes = sorted({n for each in found if not each.apart for n in each.sizes})
        return f" Where samples are not apart, this is for batches of {', '.join(map(str, sizes))}." if sizes else ""


def batches(pair: Pair, new: Graph, examples: Examples) -> Batches:
    """At which batch sizes a region is compared: one sample says it all where samples are surely apart.

    Any other is compared at the two least from 2 on at which its outputs have entries (of two samples, ``x[3:]`` is
    empty), and at that of the example.

    Args:
        pair: the region.
        new: what replaces it.
        examples: batch size -> a value of the right shape for every start.
    """
    region = pair.original
    if region.batch is not None:
        return Batches((region.batch,), apart=True)
    near = [n for n in range(region.least, region.least + _FEW + 1) if region.takes(n)]
    if doubtful(region) is None and doubtful(new) is None:
        return Batches((next((n for n in near if _started(examples, n)), region.least),), apart=True)
    own = next((shape[0] for shape in pair.rewrite.network.graph.example_shapes if shape), region.least)
    told = [*itertools.islice((n for n in near if n > 1 and _told(region, examples, n)), 2)]
    more = [own] if region.takes(own) and _told(region, examples, own) else []
    return Batches(tuple(dict.fromkeys((*told, *more))) or (region.least,), apart=False)


def _started(examples: Examples, batch: int) -> Mapping[str, Tensor]:
    """The starts of the regions for a batch of this size; none where samples go in pairs, and it is one of three."""
    try:
        return examples(batch)
    except (ShapeError, TraceError):
        return {}


def _told(region: Graph, examples: Examples, batch: int) -> bool:
    """Whether every output of a region has entries for a batch of this size."""
    given = _started(examples, batch)
    if not given:
        return False
    values = followed(region, [tuple(given[name].shape) for name in region.inputs], batch)
    leaves = (leaf for out in region.outputs for leaf in pytree.tree_leaves(values[out.name]))
    return all(leaf.numel() for leaf in leaves if isinstance(leaf, Tensor))


def height(pair: Pair, magnitudes: Graph, examples: Mapping[str, Tensor]) -> float:
    """Bits of what a prime must not divide: numerators by which the two can differ, and the original's divisors.

    Args:
        pair: the region.
        magnitudes: what replaces it, with the magnitudes of its numbers.
        examples: a value of the right shape for every start.

    Raises:
        NonFiniteError: if the numbers leave the range of float64.
    """
    size = sum(_size(graph, examples) for graph in (pair.original, magnitudes))
    if not math.isfinite(size):
        where = pair.region.calls[-1].where
        raise NonFiniteError("the numbers of a region overflow", expected="below 2^1024", where=where)
    common = denominator(pair.original)
    return 2 * common.bits + math.log2(common.odd) + math.log2(max(size, 1.0)) + 1


def _size(graph: Graph, examples: Mapping[str, Tensor]) -> float:
    """An upper bound of the entries of |W| and |B|, for inputs of the examples' shapes."""
    ones = [torch.ones(examples[name].shape, dtype=torch.float64) for name in graph.inputs]
    with torch.no_grad():
        values = Evaluator(graph, Majorant()).run(ones)
    return max((float(value.max()) for value in values if value.numel()), default=0.0)


def _difference(
    pair: Pair, new: Graph, field: PrimeField, examples: Mapping[str, Tensor], generator: np.random.Generator
) -> Witness | None:
    """An output in which the two differ at one random point, or None."""
    points = {}
    for name in dict.fromkeys((*pair.original.inputs, *new.inputs)):
        x = generator.integers(-field.half, field.half + 1, size=tuple(examples[name].shape))
        points[name] = torch.from_numpy(x.astype(np.float64))
    return unequal(pair, new, field, points, "at a random point")


def unequal(pair: Pair, new: Graph, field: PrimeField, points: Mapping[str, Tensor], at: str) -> Witness | None:
    """An output in which a region and what replaces it differ at the same inputs, or None.

    Args:
        pair: the region.
        new: what replaces it, with numbers of the field.
        field: of the residues.
        points: of every start.
        at: which they are, in words.
    """
    with torch.no_grad():
        before, after = (Evaluator(g, field).run([points[name] for name in g.inputs]) for g in (pair.original, new))
    for name, y, z in zip(pair.region.outputs, before, after, strict=True):
        if y.shape != z.shape:
            return Witness(f"the rank of {name}, of shapes {tuple(y.shape)} and {tuple(z.shape)}", y.ndim, z.ndim)
        wrong = field.reduce(y - z).flatten().nonzero()
        if len(wrong):
            place = int(wrong[0])
            values = float(y.flatten()[place]), float(z.flatten()[place])
            return Witness(f"entry {place} of {name} {at}", *values, field.p)
    return None
