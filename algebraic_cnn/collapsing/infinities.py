"""What becomes of infinite numbers: a region that they may reach keeps a form only if it spreads them as it did.

0 times infinity is NaN.  So a matrix with zeros makes NaN of entries that its infinite input never reached, and a
network that repairs infinities afterwards, as the softplus where(2 x > 5, x, log(1 + exp(2 x)) / 2) does, is another
one.  Exponentials, logarithms and quotients make such numbers out of ordinary ones, and a network that asks for NaN
expects to meet it.

    reached     the values that may be infinite on ordinary inputs
    spreading   the regions whose new form spreads NaN further, or less far, than their calls did
    staying     these, and the regions whose new numbers would be beyond their dtype
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set

import torch
from torch import Tensor

from ..derivation import samples
from ..ir.graph import Call, Graph, Ref
from ..ops.evaluate import Evaluator
from ..ops.registry import traits
from ..rings.ring import Float
from .any_size import starts_of
from .rewriting import Rewrite
from .validation import Pair, changed, overflowing

#: Entries of a region's inputs that are made NaN, one at a time.
_PROBES = 16

_WHY = "an infinite number that may reach it would spread otherwise"


def reached(graph: Graph, affine: Set[str]) -> Set[str]:
    """The values that calls which are not affine return, and which may be infinite; inputs too where NaN is asked for.

    Args:
        graph: the network.
        affine: names of the values that are affine in others.

    >>> from algebraic_cnn.ir.trace import trace
    >>> class Soft(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.exp().log1p() + x.relu()
    >>> sorted(reached(trace(Soft().eval(), torch.ones(1, 2)), {"add"}))
    ['exp', 'log1p']
    """
    foreign = {call.name for call in graph.calls if call.name not in affine}
    if any(traits(call.op).guards for call in graph.calls):
        return foreign | set(graph.inputs)
    found: set[str] = set()
    for call in graph.calls:
        known = traits(call.op)
        given = not found.isdisjoint(call.refs())
        poles = call.name not in affine and (known.poles or _holds_infinity(call, graph))
        if not known.tame and (given or poles):
            found.add(call.name)
    return found & foreign


def _holds_infinity(call: Call, graph: Graph) -> bool:
    numbers = (graph.constants.get(leaf.name) if isinstance(leaf, Ref) else leaf for leaf in call.leaves())
    return any(map(_infinite, numbers))


def _infinite(number: object) -> bool:
    if isinstance(number, Tensor):
        return number.is_floating_point() and not bool(number.isfinite().all())
    return isinstance(number, float) and not math.isfinite(number)


def spreading(rewrite: Rewrite, after: Graph) -> dict[str, str]:
    """The calls of regions that an infinite number may reach, and whose new form spreads it otherwise; and why.

    Args:
        rewrite: the network and what it became.
        after: the rewritten network with its numbers.
    """
    network = rewrite.network
    doubtful = reached(network.graph, network.affine)
    found = {}
    for pair in changed(rewrite) if doubtful else ():
        if not doubtful.isdisjoint(pair.original.inputs) and _differs(pair, rewrite, after, doubtful):
            found |= {call.name: _WHY for call in pair.region.calls}
    return found


def staying(rewrite: Rewrite, after: Graph) -> dict[str, str]:
    """The calls of regions that must stay as they were, by name, and why.

    Args:
        rewrite: the network and what it became.
        after: the rewritten network with its numbers.
    """
    return overflowing(rewrite, after) or spreading(rewrite, after)


def _differs(pair: Pair, rewrite: Rewrite, after: Graph, doubtful: Set[str]) -> bool:
    """Whether NaN in some entry of an input reaches other entries of the outputs than it did.

    Where samples are surely apart, and any number of them will do, every one of a batch has its own entry.
    """
    new, starts = pair.new(after), starts_of(rewrite)
    names = dict.fromkeys((*pair.original.inputs, *new.inputs))
    together = _PROBES if _apart(pair.original, new) else 0
    if together and any(starts(together)[name].shape[:1] != (together,) for name in names):
        together = 0
    inputs = starts(together or pair.original.least)
    sides = [Evaluator(graph, Float(), graph.device) for graph in (pair.original, new)]
    device = rewrite.network.graph.device
    plain = {name: torch.ones(inputs[name].shape, dtype=torch.float64, device=device) for name in names}
    with torch.no_grad():
        for probe in _probes(plain, doubtful, together):
            masks = [[y.isnan() for y in side.run([probe[name] for name in side.graph.inputs])] for side in sides]
            if any(x.shape != y.shape or not torch.equal(x, y) for x, y in zip(*masks, strict=True)):
                return True
    return False


def _apart(original: Graph, new: Graph) -> bool:
    """Whether two graphs take any number of samples, and surely treat each by itself."""
    free = original.batch is None and (original.batch_sizes, original.batch_step) == ((1, None), 1)
    return free and samples.doubtful(original) is samples.doubtful(new) is None


def _probes(plain: Mapping[str, Tensor], doubtful: Set[str], together: int) -> Iterator[dict[str, Tensor]]:
    """The inputs of a region with NaN in one entry: the first, the last, and some between, as evenly as can be.

    Args:
        plain: the inputs, all entries 1.
        doubtful: names of those that may be infinite.
        together: in so many samples at once, each with its own entry; 0 for one entry in all samples.
    """
    for name in sorted(doubtful & plain.keys()):
        count = plain[name].numel() // max(together, 1)
        places = list(dict.fromkeys(round(i * (count - 1) / (_PROBES - 1)) for i in range(_PROBES) if count))
        if together:
            x = plain[name].clone()
            for sample, place in zip(x.view(together, -1), places, strict=False):
                sample[place] = math.nan
            yield {**plain, name: x}
        for place in () if together else places:
            x = plain[name].clone()
            x.view(-1)[place] = math.nan
            yield {**plain, name: x}
