"""A skip over a single layer is no skip: W x + t M x = (W + t M) x, where the weights can be any W + t M.

absorbed     the skips of an architecture for which that is so, and what they add to the letters
in the way   an activation, a second use of the layer's output, letters that stand elsewhere too, or an M that is not
             among the W that the letters can make: a kernel without a tap where M has one
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .architecture import Architecture, Matrix, Strength, Sum, Weights


def strength_of(net: Architecture, value: int) -> Strength | None:
    """The strength on the way to a term; None where there is none."""
    while value and isinstance(step := net.steps[value - 1], Matrix | Strength):
        if isinstance(step, Strength):
            return step
        value = step.source
    return None


def shared(net: Architecture) -> set[int]:
    """The numbers of the steps that have letters in common with another."""
    users: dict[int, set[int]] = {}
    for number, step in enumerate(net.steps):
        if isinstance(step, Weights):
            letters = step.index if step.bias is None else np.concatenate([step.index, step.bias])
            for letter in np.unique(letters).tolist():
                users.setdefault(letter, set()).add(number)
    return {number for numbers in users.values() if len(numbers) > 1 for number in numbers}


def absorbed(net: Architecture) -> Iterator[tuple[tuple[int, int], dict[int, Fraction]]]:
    """The skips over a single layer that its weights can take over, as (sum, term), and what that adds to letters.

    A free strength counts as 1.
    """
    uses: dict[int, int] = {}
    for step in net.steps:
        for source in step.sources if isinstance(step, Sum) else (step.source,):
            uses[source] = uses.get(source, 0) + 1
    for number, step in enumerate(net.steps):
        if not isinstance(step, Sum):
            continue
        layers = [v for v in step.sources if v and isinstance(net.steps[v - 1], Weights) and uses[v] == 1]
        for v in layers[:1]:
            for other in step.sources:
                amounts = _as_weights(net, v, other) if other != v else None
                if amounts is not None:
                    yield (number + 1, other), amounts


def _as_weights(net: Architecture, v: int, other: int) -> dict[int, Fraction] | None:
    """What the skip with that value adds to the letters of the layer with the value v; None if it cannot."""
    layer = net.steps[v - 1]
    if not isinstance(layer, Weights) or (v - 1) in shared(net):
        return None
    chain, at = [], other
    while at != layer.source and at:
        step = net.steps[at - 1]
        if not isinstance(step, Matrix | Strength):
            return None
        chain.append(step)
        at = step.source
    if at != layer.source:
        return None
    entries = _product(net, chain, net.size(other))
    places = list(zip(layer.rows.tolist(), layer.columns.tolist(), layer.index.tolist(), strict=True))
    if len({place[:2] for place in places}) < len(places) or not entries.keys() <= {place[:2] for place in places}:
        return None
    amounts: dict[int, Fraction] = {}
    for r, c, letter in places:
        if amounts.setdefault(letter, entries.get((r, c), Fraction(0))) != entries.get((r, c), Fraction(0)):
            return None
    return {letter: amount for letter, amount in amounts.items() if amount}


def _product(net: Architecture, chain: list[Matrix | Strength], size: int) -> dict[tuple[int, int], Fraction]:
    """The product of given matrices and strengths, the last one first; a free strength counts as 1."""
    rows: list[dict[int, Fraction]] = [{r: Fraction(1)} for r in range(size)]
    for step in chain:
        if isinstance(step, Strength):
            factor = Fraction(1) if step.parameter is not None else step.t
            rows = [{k: value * factor for k, value in row.items()} for row in rows]
            continue
        by_row: dict[int, list[tuple[int, Fraction]]] = {}
        given = step.rows.tolist(), step.columns.tolist(), np.asarray(step.entries).tolist()
        for r, c, entry in zip(*given, strict=True):
            by_row.setdefault(r, []).append((c, Fraction(entry)))
        product: list[dict[int, Fraction]] = []
        for row in rows:
            total: dict[int, Fraction] = {}
            for k, value in row.items():
                for c, entry in by_row.get(k, []):
                    total[c] = total.get(c, Fraction(0)) + value * entry
            product.append(total)
        rows = product
    return {(r, c): value for r, row in enumerate(rows) for c, value in row.items() if value}
