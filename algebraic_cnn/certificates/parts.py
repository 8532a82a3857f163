"""The levels "bounded" and "sampled" for networks with calls that are not affine: part by part, between these calls.

Both networks are cut at their seams (seams.py).  Every affine part of the one is run beside that of the other, on the
values that the first network has there, in float64, so that what is left is the difference of their numbers:

    products    a fused or re-parameterised weight is a sum of products of the original's numbers, each computed with a
                few roundings (_EACH for every call that it was made of); so it is off by gamma |f|(|x|) at most
    arithmetic  what float64 loses in the two runs

The last value of a part is named as the region that it is: what a call is given, or an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import ShapeError
from ..evaluate import Evaluator
from ..graph import Graph, Ref
from ..precision import UNIT_ROUNDOFF
from ..ring import Float, Majorant, Ring
from ..sums import call_roundings, gamma, roundings
from .certificate import Certificate, Witness
from .check import device
from .rounding import ieee_kernels
from .seams import Cut, Source, cut, unlike

#: Roundings of a number for every call that it was made of: fusing a BatchNorm takes five, joining branches a few more.
_EACH = 8

#: Sums and products of a few nonnegative numbers in float64 lose less than this.
_INFLATION = 1 + 2.0**-20

_TINY = 2.0**-1022


def compared_by_parts(graphs: Sequence[Graph], inputs: Sequence[Tensor], holds: Certificate) -> Certificate:
    """Whether every affine part of two networks gives the same values but for what rounding their numbers explains.

    Args:
        graphs: the original and the other.
        inputs: a batch (N, *in_shape) for every input of the networks.
        holds: the certificate if they do.
    """
    pieces = [cut(graph) for graph in graphs]
    reason = unlike(*pieces)
    if reason:
        what = f"the networks cannot be compared part by part: {reason}."
        return replace(holds, ok=False, statement=what)
    u = max(UNIT_ROUNDOFF[graph.dtype] for graph in graphs)
    with torch.no_grad(), ieee_kernels():
        given = _sources(graphs[0], pieces[0], inputs)
        first, second = (_values(part, Float(), given, graph) for part, graph in zip(pieces, graphs, strict=True))
        sizes = [_values(part, Majorant(), given, graph) for part, graph in zip(pieces, graphs, strict=True)]
    depths = _depths(pieces[0].graph)
    arithmetic = [gamma(roundings(part.graph), 2.0**-53) for part in pieces]
    rows = zip(pieces[0].places, depths, first, second, *sizes, strict=True)
    seen: list[Certificate] = []
    for place, depth, y, z, size, other in rows:
        if isinstance(y, Tensor) and y.is_floating_point():
            bound = (gamma(_EACH * depth, u) + arithmetic[0]) * size + arithmetic[1] * other
            seen.append(_judged(place, y, z, bound * _INFLATION, inputs[0], holds))
        elif not (torch.equal(y, z) if isinstance(y, Tensor) else y == z):
            seen.append(replace(holds, ok=False, statement=f"a value that is no number differs: {place}."))
        if seen and not seen[-1].ok:
            return seen[-1]
    return max(seen, key=lambda found: (found.observed or 0) / max(found.bound or 1, _TINY), default=holds)


def _judged(place: str, y: Tensor, z: Tensor, bound: Tensor, x: Tensor, holds: Certificate) -> Certificate:
    """The verdict on one part, with the entry that comes nearest to its bound, or is furthest beyond it."""
    observed, bound = (y - z).abs().flatten(), bound.flatten()
    within = observed <= bound  # False where either is NaN
    beyond = torch.where(within, observed / bound.clamp_min(_TINY), observed / bound.clamp_min(_TINY) + 2)
    worst = int(beyond.nan_to_num(float("inf")).argmax())
    outcome = replace(holds, observed=float(observed[worst]), bound=float(bound[worst]))
    if bool(within.all()):
        return outcome
    what = f"the two networks differ by more than rounding explains in the part that ends with {place}."
    numbers = float(y.flatten()[worst]), float(z.flatten()[worst])
    witness = Witness(f"entry {worst} of {place}", *numbers, input=x.flatten().tolist())
    return replace(outcome, ok=False, statement=what, witness=witness)


def _sources(graph: Graph, pieces: Cut, inputs: Sequence[Tensor]) -> dict[Source, Tensor]:
    """The network's inputs and what its seams return, as torch computes them, in float64."""
    place = device(graph)
    moved = [x.to(place, graph.dtype if x.is_floating_point() else None) for x in inputs]
    values: dict[str, Any] = dict(graph.constants) | dict(zip(graph.inputs, moved, strict=True))
    for call in graph.calls:
        args, kwargs = call.resolved(values)
        values[call.name] = call.target(*args, **kwargs)
    found: dict[Source, Any] = {(-1, i): values[name] for i, name in enumerate(graph.inputs)}
    for k, call in enumerate(pieces.seams):
        result = values[call.name]
        found |= {(k, j): part for j, part in enumerate(result if isinstance(result, tuple | list) else [result])}
    return {source: x.double() if x.is_floating_point() else x for source, x in found.items()}


def _values(part: Cut, ring: Ring, given: dict[Source, Tensor], graph: Graph) -> list[Any]:
    """The outputs of the affine parts over a ring, on the values given, or on their magnitudes."""
    inputs = [given[source].to(device(graph)) for source in part.sources]
    if isinstance(ring, Majorant):
        inputs = [x.abs() if x.is_floating_point() else x for x in inputs]
    return [y.cpu() if isinstance(y, Tensor) else y for y in Evaluator(part.graph, ring, device(graph)).run(inputs)]


def _depths(graph: Graph) -> list[int]:
    """For every output: the most calls with numbers of their own on a way to it from an input."""
    counts = call_roundings(graph)
    depths: dict[str, int] = {}
    for call in graph.calls:
        before = max((depths.get(name, 0) for name in call.refs()), default=0)
        depths[call.name] = before + bool(counts.get(call.name))
    return [depths.get(out.name, 0) if isinstance(out, Ref) else 0 for out in graph.outputs]


def random_inputs(graphs: Sequence[Graph], inputs: Tensor | None, points: int, generator: Any) -> list[Tensor]:
    """The inputs that the caller gave, or random ones for every input of the networks.

    Raises:
        ShapeError: if the inputs given do not fit the networks, or a batch size that one of them is bound to.
    """
    bound = next((graph.batch for graph in graphs if graph.batch is not None), None)
    shapes = [tuple(n or 1 for n in shape[1:]) for shape in graphs[0].input_shapes]
    coarsest = max((graph.dtype for graph in graphs), key=UNIT_ROUNDOFF.__getitem__)
    if inputs is None:
        count = bound or points
        drawn = [torch.from_numpy(generator.standard_normal((count, *shape))) for shape in shapes]
        return [x.to(coarsest).double() for x in drawn]
    if [tuple(inputs.shape[1:])] != shapes or len(inputs) != (bound or len(inputs)):
        expected = (bound or "N", *shapes[0])
        raise ShapeError("the inputs do not fit the networks", expected=expected, got=tuple(inputs.shape))
    return [inputs.detach().cpu().to(coarsest).double()]
