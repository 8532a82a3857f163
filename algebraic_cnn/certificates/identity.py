"""Are two networks the same function over the rationals?

    affine     f(x) = g(x) at random points of F_p^n
    seamed     networks with calls that are not affine: these must be the same calls, and the affine map from inputs and
               seams to seams and outputs must be the same at random points (seams.py); the first place where it is not
               is named, with its source line
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..graph import Graph
from ..prime_field import PrimeField
from ..residues import Residues
from .certificate import Certificate, Witness
from .check import Check, device, residues
from .seams import cut, points, unlike, values
from .trials import Trials, difference, uniform

_AFFINE = "the two networks are the same function over the rational numbers."
_ROUNDED = " (Weights that were computed anew in floating point, by fusing a BatchNorm for instance, make another "
_ROUNDED += "function, by rounding; level 'bounded' says whether that is all.)"
_DIFFERENT = f"the two networks are not the same function over the rational numbers.{_ROUNDED}"
_SEAMED = "the two networks make the same {} affine, in the same order, and every affine part "
_SEAMED += "between them is the same function over the rational numbers; so the two are the same function."


def identical(check: Check) -> Certificate:
    """Whether every output of the one network is that of the other."""
    if isinstance(check.original, Graph) and isinstance(check.collapsed, Graph):
        return _seamed(check, (check.original, check.collapsed))

    def trial(field: PrimeField, generator: np.random.Generator) -> Witness | None:
        x = uniform(field, (1, *check.shape), generator)
        y, z = (residues(network, field)(x).ravel() for network in (check.original, check.collapsed))
        return difference(field, y, z, "output {} at the integer input recorded here", x)

    holds = Certificate(_AFFINE, "modular", True)
    trials = Trials((check.original, check.collapsed), 1, 10 * check.points)
    return trials.run(trial, check, holds, replace(holds, statement=_DIFFERENT, ok=False))


def _seamed(check: Check, graphs: Sequence[Graph]) -> Certificate:
    pieces = [cut(graph) for graph in graphs]
    seams = len(pieces[0].seams)
    reason = unlike(pieces[0], pieces[1])
    if reason:
        return Certificate(f"the networks cannot be shown to be the same function: {reason}.", "modular", False)
    calls = "1 call that is not" if seams == 1 else f"{seams} calls that are not"
    holds = Certificate(_SEAMED.format(calls) if seams else _AFFINE, "modular", True)
    what = f"an affine part of the two networks is not the same function over the rational numbers.{_ROUNDED}"
    fails = replace(holds, statement=what if seams else _DIFFERENT, ok=False)

    weights = Residues(*(part.graph for part in pieces))

    def trial(field: PrimeField, generator: np.random.Generator) -> Witness | None:
        inputs, embed = points(pieces, field, generator), weights.modulo(field)
        found = [values(part, field, row, device(graph), embed)
                 for part, row, graph in zip(pieces, inputs, graphs, strict=True)]  # fmt: skip
        for place, y, z in zip(pieces[0].places, *found, strict=True):
            at = f"entry {{}} of {place}" if seams else "output {} at the integer input recorded here"
            witness = difference(field, y, z, at, None if seams else inputs[0][0].numpy())
            if witness is not None:
                return witness
        return None

    return Trials([part.graph for part in pieces], 1, 10 * check.points).run(trial, check, holds, fails)
