"""The rules of layers, along one axis: for every output its hits.

    windows      a convolution: output p reads p stride + t dilation - before through tap t
    spread       a transposed convolution: input i reaches output i stride + t dilation - crop through tap t
    weighted     rows with numbers of their own, given at every length: averages, interpolation
    chosen       output p is a copy of one input
    shuffle      output p reads p // r through tap p mod r

What falls off the axis is read from where the padding mode says: zeros from nowhere, a reflection or a copy of the end
from a place that moves with the row, a circle from the other end, which is counted from there (NEAR, FAR).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from ...toeplitz.arguments import check_padding
from .axes import FAR, HERE, KEPT, NEAR, Hit, Leaf, Period, Read


def _folded(q: int, n: int, mode: str) -> Read | None:
    """Where a position of the padded axis comes from; None for a zero."""
    if 0 <= q < n:
        return HERE, q
    if mode == "zeros":
        return None
    if mode == "circular":
        return (FAR, q) if q < 0 else (NEAR, q - n)
    if mode == "reflect":
        return HERE, -q if q < 0 else 2 * (n - 1) - q
    return HERE, min(max(q, 0), n - 1)


@lru_cache(maxsize=KEPT)
def windows(
    taps: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1, mode: str = "zeros"
) -> Leaf:
    """A convolution along one axis; negative padding crops.

    >>> windows(3, padding=(1, 1)).rows(4)
    AxisRows(n=4, classes=(0, 1, 1, 2), anchors=(0, 0, 1, 2))
    >>> circle = windows(2, padding=(1, 0), mode="circular")
    >>> circle.rows(4).classes, circle.reads
    ((0, 1, 1, 1), [((0, 0), (2, -1)), ((0, 0), (0, 1))])
    """
    before, after = padding

    def rule(n: int) -> Iterator[list[Hit]]:
        check_padding((n,), ((max(before, 0), max(after, 0)),), mode)
        for p in range((n + before + after - dilation * (taps - 1) - 1) // stride + 1):
            folded = ((_folded(p * stride + t * dilation - before, n, mode), t) for t in range(taps))
            yield [(*at, t, 1) for at, t in folded if at]

    reach = max(0, before), max(0, dilation * (taps - 1) - before + max(0, -after))
    return Leaf(taps, (1, stride), rule, reach)


@lru_cache(maxsize=KEPT)
def spread(taps: int, stride: int, crop: int = 0, extra: int = 0, dilation: int = 1) -> Leaf:
    """A transposed convolution along one axis; ``crop`` and ``extra`` are torch's padding and output_padding.

    >>> spread(2, 2).rows(3).classes
    (0, 1, 0, 1, 0, 1)
    """

    def rule(n: int) -> Iterator[list[Hit]]:
        for p in range((n - 1) * stride - 2 * crop + dilation * (taps - 1) + 1 + extra):
            hits = ((divmod(p + crop - t * dilation, stride), t) for t in range(taps))
            yield [(HERE, i, t, 1) for (i, rest), t in hits if rest == 0 and 0 <= i < n]

    wide = dilation * (taps - 1)
    last = max((stride - 1 + crop) // stride, -((wide + extra + 1 - stride - 2 * crop) // stride))
    return Leaf(taps, (stride, 1), rule, (max(0, -((crop - wide) // stride)), max(0, last)))


def weighted(rows: Callable[[int], Sequence[Mapping[int, Fraction]]], period: Period) -> Leaf:
    """Rows that are numbers: n -> for every output {input: weight}; one tap.

    >>> half = Fraction(1, 2)
    >>> weighted(lambda n: [{p: half, p + 1: half} for p in range(n - 1)], (1, 1)).rows(3).classes
    (0, 0)
    """

    def rule(n: int) -> Iterator[list[Hit]]:
        for row in rows(n):
            yield [(HERE, i, 0, weight) for i, weight in row.items()]

    return Leaf(1, period, rule)


def chosen(inputs: Callable[[int], Sequence[int]], period: Period) -> Leaf:
    """Copies: n -> for every output the input that it repeats, one before the first counted from the last (FAR).

    >>> chosen(lambda n: range(-1, n - 1), (1, 1)).rows(3)                   # a circular shift by one
    AxisRows(n=3, classes=(0, 1, 1), anchors=(0, 0, 1))
    """
    return Leaf(1, period, lambda n: ([(HERE if i >= 0 else FAR, i, 0, 1)] for i in inputs(n)))


@lru_cache(maxsize=KEPT)
def shuffle(factor: int) -> Leaf:
    """The axis of a pixel shuffle.

    >>> shuffle(2).rows(2).anchors
    (0, 0, 1, 1)
    """
    rule = lambda n: ([(HERE, p // factor, p % factor, 1)] for p in range(n * factor))  # noqa: E731
    return Leaf(factor, (factor, 1), rule, (0, 0))
