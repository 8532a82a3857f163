"""Are two networks the same function over the rationals?

    maps       f(x) = g(x) at random points of F_p^n, where one of them is an explicit map
    networks   the same interface (interface.py), and, their calls that are not affine paired (matching.py), the same
               affine maps from inputs and calls to calls and outputs at random points; the first place where it is
               not so is named, with its source line
    batches    every batch size, where no call mixes samples or counts them; else those that were tried
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..derivation.samples import doubtful, require_samples_apart, rows_of
from ..derivation.splitting import Cut, cut, points, unlike, values
from ..errors import ShapeError
from ..ir.graph import Graph, Rows
from ..ir.interpreter import interpret
from ..ir.sized import Sized, sized
from ..ops.registry import traits
from ..rings.prime_field import PrimeField
from ..rings.residues import Residues
from .certificate import Certificate, Witness
from .check import Check, device, residues
from .interface import unlike_outputs
from .matching import Matching, matched
from .trials import Trials, difference

_AFFINE = "the two networks are the same function over the rational numbers"
_ROUNDED = " (Weights that were computed anew in floating point, by fusing a BatchNorm for instance, make another "
_ROUNDED += "function, by rounding; level 'bounded' says whether that is all.)"
_DIFFERENT = f"the two networks are not the same function over the rational numbers.{_ROUNDED}"
_SPLIT = "the two networks make the same {} affine, and every affine part between them is the same function over the "
_SPLIT += "rational numbers; so the two are the same function"
_PART = f"an affine part of the two networks is not the same function over the rational numbers.{_ROUNDED}"

_DEFINED = " (Calls that torch defines by others are taken as those.)"

#: Batch sizes that are tried where a call mixes the samples of a batch, or counts them.
BATCHES = (1, 2, 3, 5, 8)

#: No batch size that both networks take is looked for beyond.
_FURTHEST = 4096

#: A batch size at which calls are looked at: a length that few other axes have.
_TYPICAL = 7


def identical(check: Check) -> Certificate:
    """Whether every output of the one network is that of the other."""
    if isinstance(check.original, Graph) and isinstance(check.collapsed, Graph):
        return networks(check, (check.original, check.collapsed))
    for network in (check.original, check.collapsed):
        if isinstance(network, Graph):
            require_samples_apart(network, device(network))

    def trial(field: PrimeField, generator: np.random.Generator) -> Witness | None:
        x = field.uniform((1, *check.shape), generator)
        y, z = (residues(network, field)(x).ravel() for network in (check.original, check.collapsed))
        return difference(field, y, z, "output {} at the integer input recorded here", x)

    holds = Certificate(f"{_AFFINE}.", "modular", True)
    trials = Trials((check.original, check.collapsed), 1, 10 * check.points)
    return trials.run(trial, check, holds, replace(holds, statement=_DIFFERENT, ok=False))


@dataclass(frozen=True)
class Batches:
    """For which batch sizes two networks are compared.

    Attributes:
        tried: the sizes.
        words: for which sizes the comparison then speaks.
    """

    tried: tuple[int, ...]
    words: str


def batches_of(graphs: Sequence[Graph], *, several: bool = False) -> Batches:
    """The batch sizes to try, and for which that speaks.

    Args:
        graphs: two networks, or one.
        several: whether to speak of the sizes that are tried alone.

    Raises:
        ShapeError: if there is no batch size that both networks take.
    """
    fixed = {graph.batch for graph in graphs if graph.batch is not None}
    free = [graph for graph in graphs if graph.batch is None]
    sizes = fixed or range(1, _FURTHEST + 1)
    fits = [n for n in sizes if all(graph.takes(n) for graph in free)]
    if len(fixed) > 1 or not fits:
        got = [graph.batch or (*graph.batch_sizes, graph.batch_step) for graph in graphs]
        raise ShapeError("there is no batch size that both networks take", got=got, where="certify")
    if fixed:
        words = f"for batches of {fits[0]}" if any(any(graph.input_shapes) for graph in graphs) else ""
        return Batches((fits[0],), words)
    # torch says "from 2 on" of an export that never looked at one sample: the calls are compared there all the same
    single = (1,) if fits[0] == 2 and all(graph.batch_step == 1 and _runs(graph, 1) for graph in graphs) else ()
    allowed = tuple(n for n in fits if n == fits[0] or n in BATCHES)
    allowed = allowed if len(allowed) > 1 else tuple(fits[:3])
    counts = [_counts(graph, next((n for n in fits if n >= _TYPICAL), fits[0])) for graph in graphs]
    endless = not several and all(graph.batch_sizes[1] is None for graph in graphs)
    if endless and not any(count.unknown for count in counts):
        step = math.lcm(*(graph.batch_step for graph in graphs))
        words = "for every batch size" + (f" from {fits[0]} on" if fits[0] > 1 else "")
        words += f" in steps of {step}" if step > 1 else ""
        return Batches(single + (allowed if any(count.sized for count in counts) else allowed[:1]), words)
    return Batches(single + allowed, f"for batches of {', '.join(map(str, allowed))}")


def _runs(graph: Graph, batch: int) -> bool:
    """Whether torch lets a network have a batch of this size; of places in it torch asks with numbers alone."""
    try:
        here = sized(graph, batch)
        inputs = {name: here.values[name] for name in here.graph.inputs}
        zeros = {name: torch.zeros(x.shape, dtype=x.dtype, device=graph.device) for name, x in inputs.items()}
        with torch.no_grad():
            interpret(here.graph, zeros, keep=())
    except Exception:  # torch's refusals are of many classes
        return False
    return True


@dataclass(frozen=True)
class _Counts:
    """How a network depends on the number of samples.

    Attributes:
        sized: whether a number of a call is an expression in the batch size.
        unknown: whether a call may mix the samples of a batch, or count them in a way that is not known.
    """

    sized: bool
    unknown: bool


def _counts(graph: Graph, batch: int) -> _Counts:
    section = cut(graph, batch, moved=False)
    sizes = [text for boundary in section.boundaries if "('size', " in (text := repr(boundary.form.arguments))]
    unknown = any("('size', ''" in text for text in sizes) or not _proportional(graph)
    return _Counts(bool(sizes), unknown or doubtful(section.graph, rows_of(graph)) is not None)


def _proportional(graph: Graph) -> bool:
    """Whether every length is fixed, or that of a first axis which is N, or k N for every N.

    A reshape to N (1 + N % 2) rows is another one for even N and for odd: one N tells nothing of the others.
    """
    shapes = [shape for shape in graph.shapes().values() if shape]
    first = (shape[0] for shape in shapes)
    return all(None not in shape[1:] for shape in shapes) and all(
        each.multiple > 0 for each in first if isinstance(each, Rows)
    )


#: Decides whether all pairs of two cuts are the same functions: (check, pairs, yes, no) -> which of the two.
Compared = Callable[[Check, Matching, Certificate, Certificate], Certificate]


def networks(check: Check, graphs: tuple[Graph, Graph], compared: Compared | None = None) -> Certificate:
    """Whether two networks are the same function, at every batch size that the statement speaks of.

    Args:
        check: how hard to look.
        graphs: the original and the other.
        compared: decides it for affine parts that are paired; default at random points modulo random primes.

    Raises:
        ShapeError: if there is no batch size that both take.
        NotAffineError: if a call draws random numbers.
    """
    found = _at_all_sizes(check, graphs, batches_of(graphs), compared or _compared)
    if not found.undecided:
        return found
    defined = _at_all_sizes(check, graphs, batches_of(graphs, several=True), compared or _compared, defined=True)
    return replace(defined, statement=defined.statement + _DEFINED) if defined.ok else found


def _at_all_sizes(
    check: Check, graphs: tuple[Graph, Graph], batches: Batches, compared: Compared, *, defined: bool = False
) -> Certificate:
    """The certificate of every batch size that is tried; of the first that says no."""
    found: list[Certificate] = []
    for batch in batches.tried:
        sections = [cut(graph, batch, defined=defined) for graph in graphs]
        found.append(_at_one_size(check, graphs, sections, batches, compared))
        if not found[-1].ok:
            return found[-1]
    odds = [each.error_probability for each in found if each.error_probability is not None]
    error = min(1.0, sum(odds)) if odds else None
    return replace(found[0], error_probability=error, primes=tuple(p for each in found for p in each.primes))


def _at_one_size(
    check: Check, graphs: Sequence[Graph], sections: Sequence[Cut], batches: Batches, compared: Compared
) -> Certificate:
    boundaries = len(sections[0].boundaries)
    reason = unlike_outputs(*(Sized(part.whole, part.values) for part in sections))
    if reason:
        return Certificate(f"the networks are different: {reason}.", "modular", False, interface=True)
    pairing = matched(sections[0], sections[1], check.seed)
    calls = "1 call that is not" if boundaries == 1 else f"{boundaries} calls that are not"
    scope = f", {batches.words}" if batches.words else ""
    stops = any(traits(call.op).detaches for graph in graphs for call in graph.calls)
    scope += ", in values, not in gradients" if stops else ""
    holds = Certificate(f"{_SPLIT.format(calls) if boundaries else _AFFINE}{scope}.", "modular", True)
    fails = replace(holds, statement=_PART if boundaries else _DIFFERENT, ok=False)
    found = compared(check, pairing, holds, fails)
    if not found.ok and pairing.alone:
        reason = unlike(sections[0], sections[1]) or f"only one of them makes {pairing.alone[0]}"
        what = f"the networks cannot be shown to be the same function: {reason}."
        return Certificate(what, "modular", False, undecided=True)
    return found


def _compared(check: Check, pairing: Matching, holds: Certificate, fails: Certificate) -> Certificate:
    """Whether all pairs of values are the same functions of the sources, at random points modulo random primes."""
    cuts = pairing.cuts
    weights = Residues(*(part.graph.constants for part in cuts))
    boundaries = any(part.boundaries for part in cuts)

    def trial(field: PrimeField, generator: np.random.Generator) -> Witness | None:
        inputs, embed = points(cuts, field, generator), weights.modulo(field)
        found = [values(part, field, row, part.graph.device, embed)
                 for part, row in zip(cuts, inputs, strict=True)]  # fmt: skip
        for (one, i), (other, j), place in pairing.pairs:
            at = f"entry {{}} of {place}" if boundaries else "output {} at the integer input recorded here"
            shown = inputs[0][0].numpy() if inputs[0] and not boundaries else None
            witness = unequal(field, found[one][i], found[other][j], at, shown)
            if witness is not None:
                return witness
        return None

    return Trials([part.graph for part in cuts], 1, 10 * check.points).run(trial, check, holds, fails)


def unequal(field: PrimeField, y: Any, z: Any, place: str, x: np.ndarray | None) -> Witness | None:
    """Where two values differ: residues modulo p, constants as they are.

    Args:
        field: of the residues.
        y: a flat array of residues, or a constant.
        z: the other.
        place: what they are, in words; "{}" becomes the entry's number.
        x: the input, if the entry is to be found again from it.
    """
    if isinstance(y, np.ndarray) and isinstance(z, np.ndarray):
        return difference(field, y, z, place, x)
    if _same(y, z):
        return None
    one, other = (float(v) if isinstance(v, int | float) else float("nan") for v in _first_unlike(y, z))
    return Witness(f"a value that does not depend on the input, {place.replace('entry {} of ', '')}", one, other)


def _first_unlike(y: Any, z: Any) -> tuple[Any, Any]:
    """The first numbers of two tensors that are not the same; anything else as it is."""
    if not isinstance(y, Tensor) or not isinstance(z, Tensor) or y.shape != z.shape:
        return y, z
    place = int((y.flatten() != z.flatten()).int().argmax()) if y.numel() else 0
    return (y.flatten()[place].item(), z.flatten()[place].item()) if y.numel() else (y, z)


def _same(y: Any, z: Any) -> bool:
    if isinstance(y, Tensor) and isinstance(z, Tensor):
        y, z = (v.detach().cpu() for v in (y, z))
        y, z = (v.double() if v.is_floating_point() else v for v in (y, z))
        alike = y.dtype == z.dtype and y.shape == z.shape
        return alike and bool(((y == z) | ((y != y) & (z != z))).all())
    sizes = [getattr(v, "expression", None) for v in (y, z)]
    return type(y) is type(z) and sizes[0] == sizes[1] and bool(y == z or (y != y and z != z))
