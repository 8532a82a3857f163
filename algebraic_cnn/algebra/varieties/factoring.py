"""From a filter back to layers: all the ways in which it is a composition of smaller filters, or that it is none.

filter        taps w_0 .. w_n on one axis as a polynomial w_0 + w_1 x + ...; layers of strides s_1 .. s_L compose to
              w(x) = w_1(x) w_2(x^S_2) ... w_L(x^S_L),   S_i = s_1 ... s_(i-1)
polyphase     the S polynomials of the taps r, r + S, r + 2 S, ...: w_L(x^S) divides w iff w_L divides all of them
over Q        divisors of their greatest common divisor, from its irreducible factors: all factorisations, exactly
over R        layers of one S share the real roots and the pairs of complex ones among them; multiple roots are refused
scale         every layer but the first has 1 for its last tap; the first has the scale

References:
    K. Kohn, G. Montúfar, V. Shahverdi, M. Trager, Function space and critical points of linear convolutional networks,
    arXiv:2304.05752.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import GeometryError, ShapeError, UnknownNameError
from ...rings.arrays import fractions

RINGS = ("QQ", "RR")
#: Digits of the roots.
_DIGITS = 40

Layers = tuple[np.ndarray, ...]


def composed(layers: Sequence[Any], strides: Sequence[int]) -> np.ndarray:
    """The filter that layers compose to; object arrays stay exact.

    Args:
        layers: the taps of each.
        strides: of each; the last one does not matter.

    Returns:
        Its taps, 1 + sum (k_i - 1) S_i of them.

    >>> composed([[1, 2, 1], [1, -1]], [2, 1])
    array([1, 2, 0, -2, -1], dtype=object)
    """
    taps, S = np.array([1], dtype=object), 1
    for layer, stride in zip(layers, strides, strict=True):
        spread = np.zeros((len(layer) - 1) * S + 1, dtype=object)
        spread[::S] = list(layer)
        taps = np.convolve(taps, spread)
        S *= stride
    return taps


def factor_filter(
    w: Sequence[Any], kernel_sizes: Sequence[int], strides: Sequence[int] | None = None, ring: str = "QQ"
) -> list[Layers]:
    """All layers of these sizes and strides that compose to a filter, up to the scales of the layers.

    Args:
        w: its taps, ints or fractions; for "RR" floats too, as the rationals that they are.
        kernel_sizes: k_1 .. k_L.
        strides: s_1 .. s_L; 1 if absent.
        ring: "QQ" for rational layers, exactly, or "RR" for real ones, as floats.

    Returns:
        The factorisations, each a layer's taps after the other; the last tap is 1 for all layers but the first.  The
        list is empty if the architecture cannot express the filter.

    Raises:
        ShapeError: if the number of taps is not that of the composition, or there are floats where exactness is asked.
        GeometryError: if sizes and strides do not fit together, the first tap and the last one are 0, or, for "RR", the
            roots are not simple or leave a choice between strides.
        UnknownNameError: if there is no such ring.
        NonFiniteError: if a tap is NaN or infinite.

    References:
        arXiv:2304.05752, Theorem 2.4, of the strides; for stride 1 layers are parts of the roots.

    >>> [(first, last)] = factor_filter([1, 2, 0, -2, -1], [3, 2], [2, 1])
    >>> first.tolist(), last.tolist()                                # (1 + 2 x + x^2) (1 - x^2)
    ([Fraction(-1, 1), Fraction(-2, 1), Fraction(-1, 1)], [Fraction(-1, 1), Fraction(1, 1)])
    >>> factor_filter([1, 2, 3, 4, 5], [3, 2], [2, 1])
    []
    """
    w, kernel_sizes, strides, flipped = _checked(w, kernel_sizes, strides, ring)
    if ring == "QQ":
        found = [tuple(_taps(layer) for layer in layers) for layers in _rational(_poly(w), kernel_sizes, strides)]
    else:
        groups = _groups(_poly(w), kernel_sizes, strides)
        found = [] if groups is None else list(_real(groups))
    return [tuple(_normal(layers, flipped)) for layers in found]


def is_realisable(
    w: Sequence[Any], kernel_sizes: Sequence[int], strides: Sequence[int] | None = None, ring: str = "QQ"
) -> bool:
    """Whether a filter is a composition of layers of these sizes and strides, decided exactly.

    Args:
        w: its taps.
        kernel_sizes: k_1 .. k_L.
        strides: s_1 .. s_L; 1 if absent.
        ring: "QQ" for rational layers or "RR" for real ones; roots may be multiple.

    Returns:
        Whether there is at least one factorisation.

    Raises:
        ShapeError, GeometryError, UnknownNameError, NonFiniteError: as `factor_filter` raises them.

    >>> is_realisable([1, 0, 1], [2, 2]), is_realisable([1, 0, -1], [2, 2])      # x^2 + 1 has no real root
    (False, True)
    >>> is_realisable([-2, 0, 1], [2, 2]), is_realisable([-2, 0, 1], [2, 2], ring="RR")
    (False, True)
    """
    w, kernel_sizes, strides, _ = _checked(w, kernel_sizes, strides, ring)
    if ring == "QQ":
        return next(_rational(_poly(w), kernel_sizes, strides), None) is not None
    groups = _groups(_poly(w), kernel_sizes, strides)
    return groups is not None and all(_pairs(g) <= sum((k - 1) // 2 for k in sizes) for g, sizes in groups)


def count_real(w: Sequence[Any], kernel_sizes: Sequence[int], strides: Sequence[int] | None = None) -> int:
    """How many factorisations into real layers `factor_filter` would list, from the numbers of roots alone.

    Raises:
        ShapeError, GeometryError, NonFiniteError: as `factor_filter` raises them.

    >>> count_real([-6, 11, -6, 1], [2, 2, 2])                           # (x - 1) (x - 2) (x - 3) in any order
    6
    """
    w, kernel_sizes, strides, _ = _checked(w, kernel_sizes, strides, "RR")
    groups = _groups(_poly(w), kernel_sizes, strides)
    if groups is None:
        return 0
    for g, _ in groups:
        _require_simple(g)
    return math.prod(_ways(g.degree() - 2 * _pairs(g), _pairs(g), [k - 1 for k in sizes]) for g, sizes in groups)


def _ways(real: int, pairs: int, degrees: list[int]) -> int:
    """The ways to give roots and pairs of roots, all different, to layers of these degrees."""
    if not degrees:
        return int(real == pairs == 0)
    first, rest = degrees[0], degrees[1:]
    return sum(
        math.comb(pairs, b) * math.comb(real, first - 2 * b) * _ways(real - first + 2 * b, pairs - b, rest)
        for b in range(min(pairs, first // 2) + 1)
        if first - 2 * b <= real
    )


def _rational(w: Any, sizes: Sequence[int], strides: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The factorisations over Q: the last layer from the divisors of the polyphase parts, then the others."""
    if len(sizes) == 1:
        yield (w,)
        return
    S = math.prod(strides[: len(sizes) - 1])
    for divisor in _divisors(_common(w, S), sizes[-1] - 1):
        quotient = w.quo(_spread(divisor, S))
        for others in _rational(quotient, sizes[:-1], strides):
            yield (*others, divisor)


def _divisors(g: Any, degree: int) -> Iterator[Any]:
    """The monic divisors of that degree over Q."""
    _, factors = g.factor_list()
    one = g.one
    for exponents in itertools.product(*(range(multiplicity + 1) for _, multiplicity in factors)):
        if sum(e * factor.degree() for e, (factor, _) in zip(exponents, factors, strict=True)) == degree:
            parts = (factor.monic() ** e for e, (factor, _) in zip(exponents, factors, strict=True))
            yield math.prod(parts, start=one)


def _groups(w: Any, sizes: Sequence[int], strides: Sequence[int]) -> list[tuple[Any, list[int]]] | None:
    """For every S the product of its layers, rational whatever the layers are, and their sizes, the first S first.

    None if there is no such product.

    Raises:
        GeometryError: if there is more than one.
    """
    S = [math.prod(strides[:i]) for i in range(len(sizes))]
    found: list[tuple[Any, list[int]]] = []
    for step in sorted(set(S), reverse=True):
        own = [k for k, s in zip(sizes, S, strict=True) if s == step]
        degree, common = sum(own) - len(own), _common(w, step)
        if common.degree() < degree:
            return None
        if step > 1 and common.degree() > degree:
            what = "a special filter: the layers behind a stride have factors to choose from"
            raise GeometryError(what, expected=f"degree {degree}", got=common.degree(), where=f"stride {step}")
        if step > 1:
            w = w.quo(_spread(common.monic(), step))
        found.insert(0, (common.monic() if step > 1 else w, own))
    return found


def _real(groups: list[tuple[Any, list[int]]]) -> Iterator[tuple[np.ndarray, ...]]:
    """The factorisations over R, from the roots of every group."""
    choices = [list(_shares(g, sizes)) for g, sizes in groups]
    for parts in itertools.product(*choices):
        layers = [layer for part in parts for layer in part]
        layers[0] = layers[0] * float(groups[0][0].LC())
        yield tuple(layers)


def _shares(g: Any, sizes: list[int]) -> Iterator[list[np.ndarray]]:
    """The ways to give the roots of a polynomial to layers of these sizes: their monic taps."""
    _require_simple(g)
    roots = [complex(root) for root in g.nroots(n=_DIGITS, maxsteps=500)] if g.degree() else []
    by_distance = sorted(roots, key=lambda root: abs(root.imag))
    count = len(roots) - 2 * _pairs(g)
    factors = [np.array([-root.real, 1.0]) for root in by_distance[:count]]
    factors += [np.array([abs(root) ** 2, -2 * root.real, 1.0]) for root in by_distance[count:] if root.imag > 0]
    for which in _assignments([len(factor) - 1 for factor in factors], [k - 1 for k in sizes]):
        layers = [np.array([1.0]) for _ in sizes]
        for factor, layer in zip(factors, which, strict=True):
            layers[layer] = np.convolve(layers[layer], factor)
        yield layers


def _assignments(degrees: list[int], room: list[int]) -> Iterator[list[int]]:
    """For every factor a layer, so that every layer is full."""
    if not degrees:
        if not any(room):
            yield []
        return
    for layer, left in enumerate(room):
        if left >= degrees[0]:
            less = [n - degrees[0] * (i == layer) for i, n in enumerate(room)]
            yield from ([layer, *rest] for rest in _assignments(degrees[1:], less))


def _pairs(g: Any) -> int:
    """The number of pairs of complex roots, with multiplicity, by Sturm's theorem."""
    real = sum(multiplicity * part.count_roots() for part, multiplicity in g.sqf_list()[1])
    return (g.degree() - real) // 2


def _require_simple(g: Any) -> None:
    if g.degree() > 1 and g.discriminant() == 0:
        what = "the filter has multiple roots, whose factorisations are no discrete choice"
        raise GeometryError(what, expected="a discriminant that is not 0", got=0, where="ring='RR'")


def _common(w: Any, S: int) -> Any:
    """The greatest common divisor of the polyphase parts; w itself for S = 1."""
    if S == 1:
        return w
    taps = _taps(w)
    parts = [_poly(taps[r::S]) for r in range(S) if any(taps[r::S])]
    g = parts[0]
    for part in parts[1:]:
        g = g.gcd(part)
    return g


def _spread(g: Any, S: int) -> Any:
    """g(x^S)."""
    taps = np.zeros(g.degree() * S + 1, dtype=object)
    taps[::S] = _taps(g)
    return _poly(taps)


def _poly(taps: Sequence[Any] | np.ndarray) -> Any:
    """The taps as a polynomial over Q."""
    from sympy import QQ, Poly, Symbol

    exact = [Fraction(tap) for tap in reversed(list(taps))]
    numbers = [QQ(int(tap.numerator), int(tap.denominator)) for tap in exact]
    return Poly.from_list(numbers, Symbol("x"), domain=QQ)


def _taps(g: Any) -> np.ndarray:
    """The coefficients from the constant one on, as fractions."""
    taps = np.empty(g.degree() + 1, dtype=object)
    taps[:] = [Fraction(int(c.p), int(c.q)) for c in reversed(g.all_coeffs())]
    return taps


def _normal(layers: Sequence[np.ndarray], flipped: bool) -> Iterator[np.ndarray]:
    """Taps in the order in which they were given, every last one 1 where it can be, the first layer with the scale."""
    if not flipped:
        yield from layers
        return
    turned = [layer[::-1] for layer in layers]
    scales = [layer[-1] if layer[-1] else type(layer[0])(1) for layer in turned[1:]]
    yield turned[0] * math.prod(scales, start=type(turned[0][0])(1))
    yield from (layer / scale for layer, scale in zip(turned[1:], scales, strict=True))


def _checked(
    w: Sequence[Any], kernel_sizes: Sequence[int], strides: Sequence[int] | None, ring: str
) -> tuple[list[Fraction], list[int], list[int], bool]:
    """Taps, sizes, strides, and whether the taps were turned round so that the last one is not 0."""
    if ring not in RINGS:
        raise UnknownNameError("unknown ring", expected=" | ".join(RINGS), got=ring, where="ring")
    sizes, strides = list(kernel_sizes), list(strides or [1] * len(kernel_sizes))
    if not sizes or len(strides) != len(sizes) or min([*sizes, *strides]) < 1:
        expected, got = "as many strides as kernel sizes, all positive", f"{sizes}, {strides}"
        raise GeometryError("sizes and strides do not fit together", expected=expected, got=got)
    taps = w.tolist() if isinstance(w, np.ndarray) else list(w)
    kinds = Counter(type(tap).__name__ for tap in taps if isinstance(tap, float | np.floating))
    if ring == "QQ" and kinds:
        expected = "ints or fractions (Fraction(tap) is the number that a float is)"
        raise ShapeError("floats where exactness is asked", expected=expected, got=", ".join(kinds), where="w")
    exact = fractions(taps, "w")
    length = 1 + sum((k - 1) * math.prod(strides[:i]) for i, k in enumerate(sizes))
    if len(exact) != length:
        raise ShapeError("the filter is not as long as the composition", expected=length, got=len(exact), where="w")
    flipped = not exact[-1]
    if flipped and not exact[0]:
        raise GeometryError("the first tap and the last one are 0", expected="one that is not", where="w")
    return exact[::-1] if flipped else exact, sizes, strides, flipped
