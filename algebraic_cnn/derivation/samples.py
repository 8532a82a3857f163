"""Does a network treat every sample of a batch by itself, and all alike?  Without that there is no f(x) = W x + B.

    apart       calls that the registry knows to act on each sample: most networks have no others
    doubtful    any other: a flip, a mean, a reshape over the first axis, a number that depends on the batch size
    decided     a network with doubtful calls is run modulo a random prime, on two batches that share one sample and
                differ in their sizes, in its place and in its companions: the sample's output must be the same

The exact run says "mixed" only of networks that do mix, and misses one with probability about 1/p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NotAffineError, ShapeError
from ..ir.graph import Call, Graph, Ref, Size
from ..ir.resizing import followed
from ..ops.evaluate import Evaluator
from ..ops.op import never
from ..ops.registry import OPS
from ..ops.sums import terms
from ..rings.prime_field import PrimeField
from ..rings.primes import at_random_prime

Arguments = dict[str, Any]

#: Batches that are compared; a graph that is bound to a batch size gets that one twice.
_SIZES = (3, 2)


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


def doubtful(graph: Graph) -> Call | None:
    """The first call that is not known to treat samples apart; None for a graph that is bound to a batch of one."""
    if graph.batch == 1:
        return None
    shapes, dependent = graph.shapes(), graph.dependent()
    for call in graph.calls:
        if call.name in dependent and call.op != "operator.getitem":
            a = call.bound()
            varying = [ref.name for ref in _refs(a.values()) if ref.name in dependent]
            apart = OPS[call.op].apart if call.op in OPS else never
            fits = all(shapes[name][:1] == (graph.batch,) for name in varying)
            fits = fits and (call.shape == () or call.shape[:1] == (graph.batch,))
            counted = any(shapes.get(ref.name, ()) == () and ref.name not in graph.constants for ref in _refs(_own(a)))
            if not fits or counted or not apart(a, shapes[varying[0]], call.shape):
                return call
    return None


def _refs(values: Any) -> list[Ref]:
    return [leaf for value in values for leaf in (value if isinstance(value, list | tuple) else [value])
            if isinstance(leaf, Ref)]  # fmt: skip


def _own(a: Arguments) -> list[Any]:
    """The factors and summands of a call, where the size of the batch would be a number of the network."""
    return [a[name] for name in ("other", "alpha", "beta", "value") if name in a]


def _mixed(graph: Graph, device: torch.device | str) -> bool:
    rng = np.random.default_rng()
    sizes = _SIZES if graph.batch is None else (graph.batch, graph.batch)
    try:
        for size in sizes:
            followed(graph, graph.input_shapes, size)
    except ShapeError:  # it takes no such batch: samples go in pairs, or in windows
        return True
    _, found = at_random_prime(terms(graph), rng, lambda field: _mixed_modulo(field, graph, sizes, rng, device))
    return found


def _mixed_modulo(
    field: PrimeField, graph: Graph, sizes: Sequence[int], rng: np.random.Generator, device: torch.device | str
) -> bool:
    run, rows = Evaluator(graph, field, device), []
    shared = [_residues(field, 1, shape, rng) for shape in graph.input_shapes]
    for size, place in zip(sizes, (0, sizes[1] - 1), strict=True):
        batches = []
        for sample, shape in zip(shared, graph.input_shapes, strict=True):
            batch = _residues(field, size, shape, rng)
            batch[place] = sample[0]
            batches.append(batch.to(device))
        with torch.no_grad():
            outputs = [y for y in run.run(batches) if isinstance(y, Tensor)]
        if any(y.ndim == 0 or len(y) != size for y in outputs):
            return True
        rows.append([y[place] for y in outputs])
    return not all(torch.equal(y, z) for y, z in zip(*rows, strict=True))


def _residues(field: PrimeField, count: int, shape: Size, rng: np.random.Generator) -> Tensor:
    size = (count, *(n or 1 for n in shape[1:]))
    return torch.from_numpy(rng.integers(-field.half, field.half + 1, size=size).astype(np.float64))
