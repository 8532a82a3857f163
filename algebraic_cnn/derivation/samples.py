"""Does a network treat every sample of a batch by itself, and all alike?  Without that there is no f(x) = W x + B.

    apart       calls that the registry knows to act on each sample: most networks have no others
    doubtful    any other: a flip, a mean, a reshape over the first axis, a number that depends on the batch size
    of_any_number  a graph that is bound to a batch of one, as one that takes any number of samples
    decided     a network with doubtful calls is run modulo a random prime, on two batches that share one sample and
                differ in their sizes, in its place and in its companions: the sample's output must be the same; and on
                the first of them with every sample in the place of the next: so must be the outputs

A batch that is smaller than the numbers of such a call does not show what the call does: of three samples, ``x[3:]`` is
empty, and a ``roll`` by 6 leaves them as they are.  So it is done for larger batches too; what would need too many
samples counts as mixed.  Else the exact run says "mixed" only of networks that do mix, and misses one with probability
about 1/p.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..errors import NotAffineError, ShapeError
from ..ir.graph import Call, Graph, Ref, Rows, Size
from ..ir.resizing import followed
from ..ops.evaluate import Evaluator
from ..ops.op import as_deep, never, regrouped
from ..ops.registry import OPS, traits
from ..ops.sums import terms
from ..rings.prime_field import PrimeField
from ..rings.primes import at_random_prime

Arguments = dict[str, Any]

_NONE: Mapping[str, int] = MappingProxyType({})

#: The least batches that are compared; a graph that is bound to a batch size gets that one twice.
_SIZES = (3, 2)

#: The most samples of a batch.
_MOST = 256

#: Arguments that say which axis is meant, and not how many samples.
_AXES = frozenset({"dim", "dims", "dim0", "dim1", "start_dim", "end_dim"})


def require_samples_apart(graph: Graph, device: torch.device | str = "cpu") -> None:
    """Refuse an affine graph whose samples influence each other, or count by their place or number.

    Args:
        graph: affine, with any number of inputs and outputs.
        device: where to run it.

    Raises:
        NotAffineError: if it does; names the first call that may be the cause and its source line.

    >>> from algebraic_cnn.ir.trace import trace
    >>> class Centred(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x - x.mean(0)
    >>> require_samples_apart(trace(Centred().eval(), torch.zeros(2, 3)))
    Traceback (most recent call last):
    algebraic_cnn.errors.NotAffineError: the samples of a batch are not treated each by itself, ... got mean [at ...]
    """
    call = None if apart(graph, device) else doubtful(graph)
    if call is not None:
        what = "the samples of a batch are not treated each by itself, so there is no map of one sample"
        raise NotAffineError(what, expected="calls that keep samples apart", got=call.op, where=call.where)


def apart(graph: Graph, device: torch.device | str = "cpu") -> bool:
    """Whether an affine graph treats every sample of a batch by itself, and all alike.

    Args:
        graph: affine, with any number of inputs and outputs.
        device: where to run it.
    """
    return doubtful(graph) is None or not _mixed(graph, device)


def doubtful(graph: Graph, rows: Mapping[str, int] = _NONE) -> Call | None:
    """The first call that is not known to treat samples apart; None for a graph that is bound to a batch of one.

    A first axis of k N, one sample's k rows after the other's, keeps them apart as N does.

    Args:
        graph: affine.
        rows: k by the names of values whose first axis is k N, where the graph does not say so itself.
    """
    return next(_doubts(graph, rows), None)


def _doubts(graph: Graph, rows: Mapping[str, int] = _NONE) -> Iterator[Call]:
    """All such calls."""
    if graph.batch == 1:
        return
    shapes, dependent = graph.shapes(), graph.dependent()
    known = {name: _rows(shape, graph.batch, rows.get(name, 0)) for name, shape in shapes.items()}
    for call in graph.calls:
        if call.name in dependent and call.op != "operator.getitem":
            a = call.bound()
            varying = [ref.name for ref in _refs(a.values()) if ref.name in dependent]
            apart = OPS[call.op].apart if call.op in OPS else never
            lengths = {known[name] for name in varying}
            fits = 0 not in lengths and (call.shape == () or {known[call.name]} == lengths)
            if apart is regrouped and 0 not in lengths | {known[call.name]} and None not in call.shape[1:]:
                continue  # each sample's entries stand together before and after
            told = a.values() if apart not in (regrouped, as_deep) or None in call.shape[1:] else _own(a)
            counted = any(shapes.get(ref.name, ()) == () and ref.name not in graph.constants for ref in _refs(told))
            if not fits or counted or _uneven(graph, call, a) or not apart(a, shapes[varying[0]], call.shape):
                yield call


def _uneven(graph: Graph, call: Call, a: Arguments) -> bool:
    """Whether a call of a graph that is bound to a batch size takes other numbers for each sample."""
    if graph.batch is None or OPS[call.op].apart is not as_deep:
        return False
    numbers = [graph.constants[ref.name] for ref in _refs(a.values()) if ref.name in graph.constants]
    return any(x.ndim == len(call.shape) and len(x) == graph.batch and bool((x != x[:1]).any()) for x in numbers)


def of_any_number(graph: Graph) -> Graph:
    """A graph that is bound to a batch of one, as one of any number of samples; itself where that is not plain to see.

    A network that only takes one image has convolutions all the same, of as many images as one likes.  Plain are
    convolutions, BatchNorms and reshapes of values whose first axis is that of samples.

    >>> from algebraic_cnn.ir.trace import trace
    >>> graph = trace(torch.nn.Linear(3, 2).eval(), torch.zeros(1, 3))
    >>> of_any_number(graph) is graph                      # it takes any number already
    True
    """
    dependent = graph.dependent()
    if graph.batch != 1 or any(shape[:1] != (1,) for shape in graph.input_shapes):
        return graph
    calls = [_of_samples(call, graph) if call.name in dependent else call for call in graph.calls]
    if None in calls:
        return graph
    shapes = tuple((None, *shape[1:]) for shape in graph.input_shapes)
    return replace(graph, input_shapes=shapes, calls=tuple(call for call in calls if call), batch=None)


def _of_samples(call: Call, graph: Graph) -> Call | None:
    """A call of one sample, as one of any number; None if it may be another for them."""
    known, shape = traits(call.op), (None, *call.shape[1:])
    given, *others = [*(ref for ref in call.refs() if ref in graph.shapes() and ref not in graph.constants), "", ""]
    if any(others) or call.op not in OPS or {call.shape[:1], graph.shapes().get(given, ())[:1]} != {(1,)}:
        return None
    if known.convolves or known.normalises:
        weight = graph.constants.get(getattr(call.bound().get("weight"), "name", ""))
        whole = weight is not None and weight.ndim == len(call.shape)  # an image alone has an axis less
        return replace(call, shape=shape) if known.normalises or whole else None
    sized = OPS[call.op].apart is regrouped and isinstance(call.args[-1], list | tuple) and len(call.args) == 2
    return replace(call, shape=shape, args=(call.args[0], [-1, *call.shape[1:]])) if sized else None


def rows_of(graph: Graph) -> dict[str, int]:
    """k by the names of the values whose first axis is k N for every N, k above 1, and whose other axes are fixed."""
    shapes = ((name, shape) for name, shape in graph.shapes().items() if None not in shape[1:])
    return {name: shape[0].multiple for name, shape in shapes if shape and isinstance(shape[0], Rows)}


def _rows(shape: Size, batch: int | None, multiple: int) -> int:
    """k where a first axis is k N; 0 where that is not known."""
    if shape[:1] == (batch,):
        return 1
    if shape and isinstance(shape[0], Rows):
        return shape[0].multiple if None not in shape[1:] else 0
    return multiple if batch and shape[:1] == (multiple * batch,) else 0


def _refs(values: Any) -> list[Ref]:
    return [leaf for value in values for leaf in (value if isinstance(value, list | tuple) else [value])
            if isinstance(leaf, Ref)]  # fmt: skip


def _own(a: Arguments) -> list[Any]:
    """The factors and summands of a call, where the size of the batch would be a number of the network.

    In a reshape or an expansion it says how many samples there are, and nothing else, if the other axes are fixed.
    """
    return [a[name] for name in ("other", "alpha", "beta", "value") if name in a]


def _mixed(graph: Graph, device: torch.device | str) -> bool:
    rng = np.random.default_rng()
    pairs = _compared(graph)
    try:
        for size in {size for pair in pairs for size in pair}:
            followed(graph, graph.input_shapes, size)
    except ShapeError:  # it takes no such batch: samples go in pairs, or in windows
        return True
    sums = terms(graph)
    for pair in pairs:
        if at_random_prime(sums, rng, lambda field, sizes=pair: _mixed_modulo(field, graph, sizes, rng, device))[1]:
            return True
    return not pairs


def _compared(graph: Graph) -> list[tuple[int, int]]:
    """The pairs of batch sizes at which a network is looked at; none where that would take too many samples."""
    if graph.batch is not None:
        return [(graph.batch, graph.batch)]
    far = math.prod(1 + _numbers(graph, call) for call in _doubts(graph))
    if far + graph.least > _MOST:
        return []
    pairs = {_two(graph, least) for least in (_SIZES[-1], far + 1)}
    return [pair for pair in sorted(pairs) if all(map(graph.takes, pair))]


def _two(graph: Graph, least: int) -> tuple[int, int]:
    """Two batch sizes that a network takes, if it takes so many samples."""
    steps = -(-max(least - graph.least, 0) // graph.batch_step)
    size = graph.least + steps * graph.batch_step
    return size + graph.batch_step, size


def _numbers(graph: Graph, call: Call) -> int:
    """The sum of the numbers of a call that can count samples: steps, shifts, starts, and places in a constant."""
    found = 0
    for name, value in call.bound().items():
        for leaf in pytree.tree_leaves(value) if name not in _AXES else ():
            if isinstance(leaf, int) and not isinstance(leaf, bool) and leaf != sys.maxsize:
                found += abs(leaf)
            places = graph.constants.get(leaf.name) if isinstance(leaf, Ref) else None
            if isinstance(places, Tensor) and not places.is_floating_point() and places.numel():
                found += int(places.abs().max())
    return found


def _mixed_modulo(
    field: PrimeField, graph: Graph, sizes: Sequence[int], rng: np.random.Generator, device: torch.device | str
) -> bool:
    run, own = Evaluator(graph, field, device), 0 if graph.batch is not None else sizes[1] - 1
    shared = [_residues(field, 1, shape, rng) for shape in graph.input_shapes]
    given = []
    for size, place in zip(sizes, (0, own), strict=True):
        given.append([_residues(field, size, shape, rng) for shape in graph.input_shapes])
        for sample, batch in zip(shared, given[-1], strict=True):
            batch[place] = sample[0]
    given.append([batch.roll(1, 0) for batch in given[0]])
    found = []
    with torch.no_grad():
        for batches in given:
            found.append([y for y in run.run([batch.to(device) for batch in batches]) if isinstance(y, Tensor)])
            if any(y.ndim == 0 or len(y) != len(batches[0]) for y in found[-1]):
                return True
    return not all(
        torch.equal(one[0], other[own]) and torch.equal(one.roll(1, 0), moved)
        for one, other, moved in zip(*found, strict=True)
    )


def _residues(field: PrimeField, count: int, shape: Size, rng: np.random.Generator) -> Tensor:
    size = (count, *(n or 1 for n in shape[1:]))
    return torch.from_numpy(rng.integers(-field.half, field.half + 1, size=size).astype(np.float64))
