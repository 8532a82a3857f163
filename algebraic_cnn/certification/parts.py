"""The levels "bounded" and "sampled" for networks with calls that are not affine: part by part, between these calls.

Both networks are cut at their boundaries (derivation/splitting.py).  Every affine part of the one is run beside that of
the other, on the values that the first network has there, in float64, so that their numbers alone differ.  At random
inputs these values are moved at random as well: a unit that a ReLU makes 0 would hide the weights that read it.  Nor
may values hide the numbers that are added to them, as the epsilon of a norm: these are compared where all values are 0.

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

from ..derivation.splitting import Cut, Origin, cut, unlike
from ..errors import ShapeError
from ..ir.graph import Call, Graph, Ref
from ..ir.interpreter import asked, interpret
from ..ir.sized import Sized
from ..ops.evaluate import Evaluator
from ..ops.precision import UNIT_ROUNDOFF, working_dtype
from ..ops.sums import call_roundings, gamma, roundings
from ..rings.ring import Float, Majorant, Ring
from .certificate import Certificate, Witness
from .interface import unlike_outputs
from .matching import Matching, matched
from .rounding import ieee_kernels

#: Roundings of a number for every call that it was made of: fusing a BatchNorm takes five, joining branches a few more.
_EACH = 8

#: Sums and products of a few nonnegative numbers in float64 lose less than this.
_INFLATION = 1 + 2.0**-20

_TINY = 2.0**-1022


def compared_by_parts(
    graphs: Sequence[Graph], inputs: Sequence[Tensor], holds: Certificate, generator: Any = None
) -> Certificate:
    """Whether every affine part of two networks gives the same values but for what rounding their numbers explains.

    Args:
        graphs: the original and the other.
        inputs: a batch (N, *in_shape) for every input of the networks.
        holds: the certificate if they do.
        generator: of random numbers by which values are moved; None to compare at those of the inputs alone.
    """
    found = _by_parts(graphs, inputs, holds, generator, ({}, {"defined": True}))
    if found.ok or found.interface:
        return found
    real = _by_parts(graphs, inputs, holds, generator, ({"defined": True, "real": True},))
    return real if real.ok else found


def _by_parts(
    graphs: Sequence[Graph], inputs: Sequence[Tensor], holds: Certificate, generator: Any, ways: Sequence[Any]
) -> Certificate:
    """That, the networks cut in the first of some ways in which their calls that are not affine are the same."""
    sections: list[Cut] = []
    pairing, reason = None, ""
    for way in ways:
        tried = [cut(graph, _batch(graphs[0], inputs), **way) for graph in graphs]
        reason = reason or unlike_outputs(*(Sized(part.whole, part.values) for part in tried))
        again = None if reason else matched(tried[0], tried[1])
        if not sections or (again is not None and not again.alone):
            sections, pairing = tried, again
        if pairing is None or not pairing.alone:
            break
    if pairing is None or pairing.alone:
        reason = reason or unlike(sections[0], sections[1]) or f"only one makes {pairing.alone[0] if pairing else ''}"
        what = f"the networks cannot be compared part by part: {reason}."
        return replace(holds, ok=False, undecided=pairing is not None, interface=pairing is None, statement=what)
    try:
        with torch.no_grad(), ieee_kernels():
            given = _sources(sections[0], pairing.cuts[0], inputs)
            again = generator and _sources(sections[0], pairing.cuts[0], _redrawn(inputs, generator))
    except ShapeError as error:
        what = f"the networks cannot be compared by numbers: {error}."
        return replace(holds, ok=False, undecided=True, statement=what)
    shown = inputs[0] if inputs else torch.empty(0)
    if again is None:
        return _on_values(sections, pairing, given, shown, holds)
    found = _on_values(sections, pairing, _moved(given, again, generator), shown, holds)
    if found.undecided:
        return found
    added = _on_values(sections, pairing, _quiet(given, again), shown, holds, added=True) if found.ok else found
    if added.ok or added.undecided:
        return found
    found = added
    seen = _on_values(sections, pairing, given, shown, holds)
    if not seen.ok:
        return seen
    more = " That is so at values that no input was seen to give it; at those that were seen it is explained."
    return replace(found, undecided=True, statement=found.statement + more)


def _redrawn(inputs: Sequence[Tensor], generator: Any) -> list[Tensor]:
    """Other inputs of the same shapes, so large that few activations are 0 everywhere; integers as they are."""
    drawn = (torch.as_tensor(64 * generator.standard_normal(x.shape)) for x in inputs)
    return [y if x.is_floating_point() else x for x, y in zip(inputs, drawn, strict=True)]


def _moved(given: dict[Origin, Any], again: dict[Origin, Any], generator: Any) -> dict[Origin, Any]:
    """Values moved at random, by as much as the largest is; what is the same at other inputs is constant, and stays."""
    found = dict(given)
    for source, x in given.items():
        if isinstance(x, Tensor) and x.is_floating_point() and x.numel() and not torch.equal(x, again[source]):
            largest = float(x.abs().nan_to_num(0.0, 0.0, 0.0).max()) or 1.0
            found[source] = x + largest * torch.as_tensor(generator.uniform(-1, 1, x.shape)).to(x.device)
    return found


def _quiet(given: dict[Origin, Any], again: dict[Origin, Any]) -> dict[Origin, Any]:
    """Zeros for all numbers that depend on the inputs."""
    return {
        source: torch.zeros_like(x) if x.is_floating_point() and not torch.equal(x, again[source]) else x
        for source, x in given.items()
    }


def _on_values(
    sections: Sequence[Cut],
    pairing: Matching,
    given: dict[Origin, Any],
    shown: Tensor,
    holds: Certificate,
    *,
    added: bool = False,
) -> Certificate:
    """Whether every affine part gives the same on these values; of zeros, whether it adds the same.

    An added number may be what cancellation left of larger ones in either network.
    """
    with torch.no_grad(), ieee_kernels():
        masked = added or any(x.is_floating_point() and not bool(x.isfinite().all()) for x in given.values())
        exact = [_values(part, Float(), given) for part in pairing.cuts]
        sizes = [_values(part, Majorant(), given) for part in pairing.cuts]
    depths = [_depths(part.graph) for part in sections]
    arithmetic = [gamma(roundings(part.graph), 2.0**-53) for part in sections]
    seen: list[Certificate] = []
    for (one, i), (other, j), place in pairing.pairs:
        y, z = exact[one][i], exact[other][j]
        if isinstance(y, Tensor) and y.is_floating_point() and isinstance(z, Tensor):
            (depth, u), (deep, coarse) = depths[one][i], depths[other][j]
            products = gamma(_EACH * max(depth, deep), max(u, coarse)) + arithmetic[one]
            size = torch.maximum(sizes[one][i], sizes[other][j]) if added else sizes[one][i]
            bound = products * size + arithmetic[other] * sizes[other][j]
            seen.append(_judged(place, y, z, bound * _INFLATION, masked, shown, holds))
        elif not (torch.equal(y, z) if isinstance(y, Tensor) else y == z):
            seen.append(replace(holds, ok=False, statement=f"a value that is no number differs: {place}."))
        if seen and not seen[-1].ok:
            return seen[-1]
    return max(seen, key=lambda found: (found.observed or 0) / max(found.bound or 1, _TINY), default=holds)


def _batch(graph: Graph, inputs: Sequence[Tensor]) -> int:
    """How many samples the inputs are."""
    sizes = (len(x) for x, shape in zip(inputs, graph.input_shapes, strict=True) if shape and shape[0] is None)
    return graph.batch or next(sizes, 1)


def _judged(
    place: str, y: Tensor, z: Tensor, bound: Tensor, masked: bool, x: Tensor, holds: Certificate
) -> Certificate:
    """The verdict on one part, with the entry that comes nearest to its bound, or is furthest beyond it.

    Infinities that the part was given, as those of a mask, are compared as they are; any other that both networks
    have is an overflow, and tells nothing.
    """
    if not y.numel():
        return holds
    known = y.isinf() & z.isinf() & masked
    observed, bound = (torch.where(known & (y == z), 0.0, values).flatten() for values in ((y - z).abs(), bound))
    unknown = ~known.flatten() & ((~y.isfinite() & ~z.isfinite()).flatten() | ~bound.isfinite())
    within = (observed <= bound) & observed.isfinite()  # False where either is NaN
    beyond = torch.where(within, observed / bound.clamp_min(_TINY), observed / bound.clamp_min(_TINY) + 2)
    worst = int(beyond.nan_to_num(float("inf")).argmax())
    figures = {"observed": observed, "bound": bound, "size": y.abs().flatten()}
    outcome = replace(holds, **{name: float(values[worst]) for name, values in figures.items()})
    if bool((within & ~unknown).all()):
        return outcome
    if bool((within | unknown).all()):
        return undecidable(holds, place)
    what = f"the two networks differ by more than rounding explains in the part that ends with {place}."
    numbers = float(y.flatten()[worst]), float(z.flatten()[worst])
    witness = Witness(f"entry {worst} of {place}", *numbers, input=x.flatten().tolist())
    return replace(outcome, ok=False, statement=what, witness=witness)


def undecidable(holds: Certificate, place: str) -> Certificate:
    """The certificate that says nothing, since numbers leave the range in which they can be compared."""
    what = f"nothing can be said: {place} is NaN, infinite, or has no finite bound in both networks."
    return replace(holds, ok=False, undecided=True, statement=what)


def _natively(call: Call, values: dict[str, Any]) -> Any:
    what = f"{call.op} does not run on inputs that were drawn"
    return asked(call, values, lambda reason: ShapeError(f"{what} ({reason})", where=call.where))


def _sources(section: Cut, renamed: Cut, inputs: Sequence[Tensor]) -> dict[Origin, Any]:
    """The network's inputs and what its boundaries return, as torch computes them, in float64.

    Raises:
        ShapeError: if a call does not run on these inputs.
    """
    graph = section.whole
    moved = [x.to(graph.device, graph.dtype if x.is_floating_point() else None) for x in inputs]
    values = interpret(graph, dict(zip(graph.inputs, moved, strict=True)), _natively)
    found = {}
    for name, source in zip(section.graph.inputs, renamed.sources, strict=True):
        value = values[name] if isinstance(values[name], Tensor) else values[name][source[1]]
        found[source] = value.double() if value.is_floating_point() else value
    return found


def _values(part: Cut, ring: Ring, given: dict[Origin, Tensor]) -> list[Any]:
    """The outputs of the affine parts over a ring, on the values given, or on their magnitudes.

    What does not depend on the input is a value of the network over any ring.
    """
    device = part.graph.device
    inputs = [given[source].to(device) for source in part.sources]
    if isinstance(ring, Majorant):
        inputs = [x.abs() if x.is_floating_point() else x for x in inputs]
    found = [y.cpu() if isinstance(y, Tensor) else y for y in Evaluator(part.graph, ring, device).run(inputs)]
    if isinstance(ring, Majorant):
        found = [y.abs() if isinstance(y, Tensor) and y.is_floating_point() else y for y in found]
    return found


def _depths(graph: Graph) -> list[tuple[int, float]]:
    """For every output: the most calls with numbers of their own on a way to it, and the coarsest roundoff of these."""
    counts = call_roundings(graph)
    depths: dict[str, tuple[int, float]] = {}
    for call in graph.calls:
        before = [depths[name] for name in call.refs() if name in depths]
        depth, u = max((d for d, _ in before), default=0), max((u for _, u in before), default=0.0)
        own = bool(counts.get(call.name))
        depths[call.name] = depth + own, max(u, UNIT_ROUNDOFF[working_dtype(call, graph)] if own else 0.0)
    return [depths.get(out.name, (0, 0.0)) if isinstance(out, Ref) else (0, 0.0) for out in graph.outputs]


def random_inputs(graphs: Sequence[Graph], inputs: Any, points: int, generator: Any) -> list[Tensor]:
    """The inputs that the caller gave, or random ones for every input of the networks.

    Args:
        graphs: the original and the other.
        inputs: a tensor, or one for every input; None for random ones.
        points: how many samples, where the networks take any number.
        generator: of the random numbers.

    Returns:
        For every input a batch: floats as float64 that are exact in both precisions; integers 0 and 1.

    Raises:
        ShapeError: if the inputs given do not fit the networks, or a batch size that one of them is bound to.
    """
    bound = next((graph.batch for graph in graphs if graph.batch is not None), None)
    coarsest = max((graph.dtype for graph in graphs), key=UNIT_ROUNDOFF.__getitem__)
    count = bound or (points if inputs is None else len(next(iter(_listed(inputs)))))
    shapes = [tuple(count if n is None or (axis == 0 and n == graphs[0].batch) else n for axis, n in enumerate(shape))
              for shape in graphs[0].input_shapes]  # fmt: skip
    if inputs is None:
        dtypes = graphs[0].input_dtypes or (graphs[0].dtype,) * len(shapes)
        drawn = [_drawn(shape, dtype, generator) for shape, dtype in zip(shapes, dtypes, strict=True)]
        held = {graphs[0].inputs.index(name): value.cpu() for name, value in graphs[0].initial.items()}
        drawn = [held.get(i, x) for i, x in enumerate(drawn)]
    else:
        drawn = [x.detach().cpu() for x in _listed(inputs)]
        if [tuple(x.shape) for x in drawn] != shapes:
            got = [tuple(x.shape) for x in drawn]
            expected = [(bound or "N", *shape[1:]) for shape in shapes]
            sides = (expected[0], got[0]) if len(shapes) == len(got) == 1 else (expected, got)
            raise ShapeError("the inputs do not fit the networks", expected=sides[0], got=sides[1])
    return [x.to(coarsest).double() if x.is_floating_point() else x for x in drawn]


def _listed(inputs: Any) -> list[Tensor]:
    return [inputs] if isinstance(inputs, Tensor) else list(inputs)


def _drawn(shape: tuple[int, ...], dtype: torch.dtype, generator: Any) -> Tensor:
    if dtype.is_floating_point:
        return torch.from_numpy(generator.standard_normal(shape))
    return torch.from_numpy(generator.integers(0, 2, shape)).to(dtype)
