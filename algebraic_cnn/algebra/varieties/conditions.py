"""The conditions on an infinitesimal change of a network's values: linear equations, sparse, over Q.

A_v, s_v     a value v goes to (1 + e A_v) v + e s_v, A_v a matrix of channels, s_v a vector of them
unknown      (v, i, j): A_v[i, j]; (v, i, -1): s_v[i]; (-v, 0, 0): the rate of the free strength that makes v
input, output    do not change: their unknowns are left out of every equation
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from .absorption import shared
from .architecture import Architecture, Entrywise, Matrix, Strength, Sum, Weights

Unknown = tuple[int, int, int]
_ONE = Fraction(1)


def unknowns(net: Architecture) -> Iterator[Unknown]:
    """All of them, those of the input and of the output left out."""
    for value in range(1, len(net.steps)):
        c = net.channels[value]
        yield from ((value, i, j) for i in range(c) for j in range(-1, c))
    for number, step in enumerate(net.steps):
        if isinstance(step, Strength) and step.parameter is not None:
            yield -1 - number, 0, 0


def conditions(net: Architecture, absorbed: Mapping[tuple[int, int], object]) -> Iterator[Mapping[Unknown, Fraction]]:
    """What must be 0; the input's and the output's own changes are, and so are left out."""
    stiff = shared(net)
    for number, step in enumerate(net.steps):
        v = number + 1
        if isinstance(step, Weights):
            yield from _of_weights(net, number, step, stiff)
        elif isinstance(step, Matrix):
            yield from _of_matrix(net, v, step)
        elif isinstance(step, Sum):
            yield from _of_sum(net, v, [source for source in step.sources if (v, source) not in absorbed])
        elif isinstance(step, Strength):
            if step.parameter is not None or step.t:
                rate = step.parameter is not None and all(term != v for _, term in absorbed)
                yield from _of_strength(net, v, step, rate)
            else:
                yield from ({(v, i, -1): _ONE} for i in range(net.channels[v]))
        else:
            yield from _of_activation(net, v, step)


def _equal(v: int, u: int, i: int, j: int, factor: Fraction = _ONE) -> dict[Unknown, Fraction]:
    """A_v[i, j] = factor A_u[i, j]."""
    return {(v, i, j): _ONE, (u, i, j): -factor}


def _of_sum(net: Architecture, v: int, sources: list[int]) -> Iterator[dict[Unknown, Fraction]]:
    c = net.channels[v]
    for u in sources:
        yield from (_equal(v, u, i, j) for i in range(c) for j in range(c))
    for i in range(c):
        total: dict[Unknown, Fraction] = {(v, i, -1): _ONE}
        for u in sources:
            total[u, i, -1] = total.get((u, i, -1), Fraction(0)) - 1
        yield total


def _of_strength(net: Architecture, v: int, step: Strength, rate: bool) -> Iterator[dict[Unknown, Fraction]]:
    u, c = step.source, net.channels[v]
    for i in range(c):
        for j in range(c):
            yield _equal(v, u, i, j) | ({(-v, 0, 0): -_ONE} if rate and i == j else {})
        if step.parameter is None:
            yield {(v, i, -1): _ONE, (u, i, -1): -step.t}
        else:
            yield from ({(v, i, -1): _ONE}, {(u, i, -1): _ONE})


def _of_activation(net: Architecture, v: int, step: Entrywise) -> Iterator[dict[Unknown, Fraction]]:
    u, c = step.source, net.channels[v]
    powers = [r for r, coefficient in enumerate(step.coefficients) if coefficient]
    for i in range(c):
        for j in range(c):
            if i != j and powers != [1]:
                yield from ({(v, i, j): _ONE}, {(u, i, j): _ONE})
            else:
                yield from (_equal(v, u, i, j, Fraction(r)) for r in powers)
        yield from (_equal(v, u, i, -1),) if powers == [1] else ({(v, i, -1): _ONE}, {(u, i, -1): _ONE})


def _of_weights(net: Architecture, number: int, step: Weights, stiff: set[int]) -> Iterator[dict[Unknown, Fraction]]:
    """An A keeps the zeros of W where they are; letters that stand in two layers do not move at all."""
    v, u = number + 1, step.source
    c, d = net.channels[v], net.channels[u]
    support = np.zeros((c, d), bool)
    support[step.rows // net.positions[v], step.columns // net.positions[u]] = True
    fixed = number in stiff
    for i in range(c):
        yield from ({(v, i, j): _ONE} for j in range(c) if fixed or (support[j] & ~support[i]).any())
    for i in range(d):
        yield from ({(u, i, j): _ONE} for j in range(d) if fixed or (support[:, i] & ~support[:, j]).any())
    if step.bias is None or fixed:
        yield from ({(v, i, -1): _ONE} for i in range(c))
    if step.bias is None or fixed or not _carries(net, number, step):
        yield from ({(u, i, -1): _ONE} for i in range(d))


def _carries(net: Architecture, number: int, step: Weights) -> bool:
    """Whether W takes what is constant in every channel to what is constant in every channel, whatever the letters."""
    s, n = net.positions[number + 1], net.positions[step.source]
    seen: dict[int, set[tuple[tuple[int, int], ...]]] = {}
    order = np.lexsort((step.index, step.columns // n, step.rows))
    rows, pairs = step.rows[order], np.stack([step.columns[order] // n, step.index[order]], axis=1)
    bounds = np.searchsorted(rows, np.arange(net.size(number + 1) + 1))
    for row in range(net.size(number + 1)):
        seen.setdefault(row // s, set()).add(tuple(map(tuple, pairs[bounds[row] : bounds[row + 1]].tolist())))
    return all(len(kinds) == 1 for kinds in seen.values())


def _of_matrix(net: Architecture, v: int, step: Matrix) -> Iterator[dict[Unknown, Fraction]]:
    """M A_u = A_v M for M = rho x S, S acting on positions; multiples of 1 alone where M is no such product."""
    u, c, d = step.source, net.channels[v], net.channels[step.source]
    rho, row_sum = _channelwise(net, v, step)
    if rho is None:
        diagonal = [(v, i, i) for i in range(c)] + [(u, i, i) for i in range(d)]
        yield from ({diagonal[0]: _ONE, other: -_ONE} for other in diagonal[1:])
        for w, size in ((v, c), (u, d)):
            yield from ({(w, i, j): _ONE} for i in range(size) for j in range(-1, size) if i != j)
        return
    for i in range(c):
        for j in range(d):
            equation: dict[Unknown, Fraction] = {}
            for m, entry in rho[i].items():
                equation[u, m, j] = equation.get((u, m, j), Fraction(0)) + entry
            for m in range(c):
                if j in rho[m]:
                    equation[v, i, m] = equation.get((v, i, m), Fraction(0)) - rho[m][j]
            yield equation
        if row_sum is not None:
            yield {(v, i, -1): _ONE} | {(u, m, -1): -entry * row_sum for m, entry in rho[i].items()}
    if row_sum is None:
        yield from ({(v, i, -1): _ONE} for i in range(c))
        yield from ({(u, i, -1): _ONE} for i in range(d))


def _channelwise(net: Architecture, v: int, step: Matrix) -> tuple[list[dict[int, Fraction]] | None, Fraction | None]:
    """rho by rows, and the sum of every row of S if all are alike; None where there is no such rho."""
    s, n, c = net.positions[v], net.positions[step.source], net.channels[v]
    blocks: dict[tuple[int, int], dict[tuple[int, int], Fraction]] = {}
    for r, k, entry in zip(step.rows.tolist(), step.columns.tolist(), np.asarray(step.entries).tolist(), strict=True):
        if entry:
            place = blocks.setdefault((r // s, k // n), {})
            place[r % s, k % n] = place.get((r % s, k % n), Fraction(0)) + Fraction(entry)
    rho: list[dict[int, Fraction]] = [{} for _ in range(c)]
    first = next(iter(blocks.values()), {})
    for (i, j), block in blocks.items():
        if block.keys() != first.keys():
            return None, None
        ratios = {block[key] / first[key] for key in first}
        if len(ratios) != 1:
            return None, None
        rho[i][j] = ratios.pop()
    sums = [sum((value for (row, _), value in first.items() if row == p), Fraction(0)) for p in range(s)]
    return rho, sums[0] if len(set(sums)) == 1 else None
