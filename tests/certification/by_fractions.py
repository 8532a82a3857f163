"""What the networks of a .cert file compute, from the definition of a convolution in exact fractions, entry by entry.

It is slow, and shares nothing with the checker: ``true_claims`` says of a small file whether all that it claims is so.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np

from algebraic_cnn.certification.recheck.layers import Convolution, Program, Shape, Walk, Window
from algebraic_cnn.certification.recheck.reader import Claim, read

Image = dict[tuple[int, int, int], Fraction]


def _met(walk: Walk, mode: str, n: int, tap: int, output: int) -> int | None:
    """The position that a tap meets at an output; None meets a zero."""
    if not isinstance(walk, Window):
        return None if walk.met[tap, output] < 0 else int(walk.met[tap, output])
    place = output * walk.stride + tap * walk.dilation - walk.before
    if 0 <= place < n:
        return place
    if mode == "reflect":
        return -place if place < 0 else 2 * (n - 1) - place
    return {"zeros": None, "replicate": max(0, min(n - 1, place)), "circular": place % n}[mode]


def _layer(layer: Convolution, x: Image, shape: Shape) -> tuple[Image, Shape]:
    c, h, w = shape
    result = layer.result(shape)
    per_group, outputs = c // layer.groups, result[0] // layer.groups
    taps = list(itertools.product(range(per_group), range(layer.rows.extent), range(layer.columns.extent)))
    weights, biases = layer.kernel.fractions(), layer.bias.fractions()
    made: Image = {}
    for o, u, v in itertools.product(*map(range, result)):
        total = biases[o]
        for place, (i, a, b) in enumerate(taps):
            r, s = _met(layer.rows, layer.mode, h, a, u), _met(layer.columns, layer.mode, w, b, v)
            if r is not None and s is not None:
                total += weights[o * len(taps) + place] * x[o // outputs * per_group + i, r, s]
        made[o, u, v] = total
    return made, result


def _positions(shape: Shape) -> list[tuple[int, int, int]]:
    c, h, w = shape
    return list(itertools.product(range(c), range(h), range(w)))


def outputs_of(program: Program, x: list[Fraction]) -> list[Fraction]:
    """What a network of one input makes of it, flat."""
    values: list[tuple[Image, Shape]] = [(dict(zip(_positions(program.shape), x, strict=True)), program.shape)]
    for layer in program.layers:
        fed = [(values[k], Fraction(t)) for k, t in layer.feeds]
        shape = fed[0][0][1]
        total = {at: sum((t * value[0][at] for value, t in fed), Fraction(0)) for at in _positions(shape)}
        values.append(_layer(layer, total, shape))
    image, shape = values[-1]
    return [image[at] for at in _positions(shape)]


def true_claims(path: Path) -> bool:
    """Whether both networks are wired alike, every region is what is claimed of it, at 0 and at all unit vectors, and
    every float is near its number.
    """
    file = read(path)
    wires = [file.returned, *(step.given for step in file.steps), *(step.names for step in file.steps)]
    if any(first != second for first, second in wires):
        return False
    claims = [(step.network, claim) for step in file.steps for claim in step.claims]
    return all(_same(network, claim) and _near(claim) for network, claim in claims)


def _same(network: Program | None, claim: Claim) -> bool:
    assert network is not None
    c, h, w = network.shape
    for j in range(-1, c * h * w):
        x = [Fraction(i == j) for i in range(c * h * w)]
        first, second = outputs_of(network, x), outputs_of(claim.network, x)
        if len(first) != len(second):
            return False
        if any(not _zero(a - b, claim.modulus) for a, b in zip(first, second, strict=True)):
            return False
    return True


def _zero(difference: Fraction, p: int | None) -> bool:
    return difference == 0 if p is None else difference.numerator % p == 0


def _near(claim: Claim) -> bool:
    for layer, held in zip(claim.network.layers, claim.floats, strict=bool(claim.floats)):
        for numbers, floats in zip((layer.kernel, layer.bias), held, strict=True):
            if floats is None:
                continue
            given = np.broadcast_to(floats.values.values, floats.values.shape).ravel()
            pairs = zip(numbers.fractions(), given, strict=True)
            loose = [abs(q - Fraction(float(y))) for q, y in pairs if not _nearest(q, y)]
            if loose and (len(loose) > floats.loose or max(loose) > Fraction(2) ** floats.furthest):
                return False
    return True


def _nearest(q: Fraction, y: np.floating) -> bool:
    """Whether neither neighbour of a float is closer to a number."""
    with np.errstate(over="ignore"):
        beside = [float(np.nextafter(y, y.dtype.type(towards))) for towards in (-np.inf, np.inf)]
    return all(not np.isfinite(z) or abs(q - Fraction(float(y))) <= abs(q - Fraction(z)) for z in beside)
