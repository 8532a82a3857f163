"""A network that takes many image sizes, collapsed for all of them at once.

    Sampled     the network at the example's size, where forms are chosen, and at sizes where they are compared
    sampled     free graph -> Sampled; finds by which steps the network's sizes go
    proven      the smallest size that every form takes, and the certificate at sizes from there on

A form is chosen at the example's size, and taken only if it is written alike at the others (lifting.py).  Then
the network and its collapse are compared modulo primes at the smallest sizes, whose borders are all that larger
images have as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

import torch

from ..certification.certificate import Certificate
from ..derivation.definitions import network_of
from ..errors import ShapeError
from ..ir.graph import Graph
from ..ir.image_sizes import ImageSizes
from ..ir.resizing import at, followed, refused
from .rewriting import Rewrite

Values = Mapping[str, int]
Judge = Callable[[Rewrite], Certificate]

#: How much longer than the example an axis is where forms are compared: every residue modulo 4, also after strides.
_LONGER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)

#: By how many steps two axes are longer than the least where the collapse is certified; a third is as the first.
_STEPS = ((0, 0), (1, 2), (2, 1), (3, 0), (4, 7), (9, 5), (33, 18))

#: Steps between the sizes of a network that does not take all.
_MOST = 64

#: What torch assumes of an axis of which nothing is said: so small a bound is nobody's wish.
_UNSAID = 2


@dataclass(frozen=True, eq=False)
class Sampled:
    """A network that takes many image sizes, at some of them.

    Attributes:
        free: the network.
        here: the same at the example's size.
        others: the same at other sizes.
        example: the values of the symbols in the example.
        bound: why an axis that was to be free takes no other length; "" where all do.
        asked: the sizes of the network as it was given.
    """

    free: Graph
    here: Graph
    others: tuple[Graph, ...]
    example: Values
    bound: str = ""
    asked: ImageSizes | None = None

    @property
    def sizes(self) -> ImageSizes:
        """The sizes that the network takes."""
        return self.free.sizes or ImageSizes({}, {})


def sampled(free: Graph) -> Sampled:
    """The network at the example's size and at others.

    Args:
        free: takes many image sizes.

    Raises:
        ShapeError: if it does not take the example.
    """
    asked = free.sizes
    sizes = asked or ImageSizes({}, {})
    known = sizes.of(free.inputs, free.example_shapes) if len(free.example_shapes) == len(free.inputs) else {}
    example = {name: known.get(name, _middle(values)) for name, values in sizes.values.items()}
    here, bound = at(free, example), {}
    for symbol, values in sizes.values.items():
        taken, why = _stepped(free, values, example, symbol)
        sizes = sizes.narrowed(symbol, taken)
        bound |= {why: None} if why else {}
    free = replace(free, sizes=sizes)
    others = tuple(at(free, values) for values in _others(sizes, example))
    return Sampled(free, here, others, example, "; ".join(bound), asked)


def _middle(values: range) -> int:
    """A value where no example says one."""
    return max(values.start, 64 if values.stop == sys.maxsize else values[len(values) // 2])


def _stepped(free: Graph, values: range, example: Values, symbol: str) -> tuple[range, str]:
    """The values of a symbol with which the network runs: all, every s-th, or that of the example alone, and why."""
    centre, why = example[symbol], ""
    for step in range(1, _MOST + 1):
        nearby = [v for v in (centre + step, centre + 2 * step, centre - step) if v in values]
        if not nearby:
            break
        error = next(filter(None, (refused(free, {**example, symbol: value}) for value in nearby)), None)
        if error is None:
            start = centre - (centre - values.start) // step * step
            return (range(start, values.stop, step), "") if step > 1 else (values, "")
        why = f"for {error.what.partition(' takes')[0]} takes no other [at {error.where}]"
    return (range(centre, centre + 1), why) if why else (values, "")


def _others(sizes: ImageSizes, example: Values) -> Iterator[Values]:
    """Values at which forms are compared: the least that somebody asked for, and larger than the example."""
    if any(values.start > _UNSAID for values in sizes.values.values()):
        yield {name: values.start if values.start > _UNSAID else example[name] for name, values in sizes.values.items()}
    slope = max(side.slope * sizes.values[side.symbol].step for side in sizes.sides.values())
    longer = [n for place, n in enumerate(_LONGER) if slope * n <= _LONGER[-1] or place < 4]
    for place in range(len(longer)):
        found = {}
        for turn, (name, values) in enumerate(sizes.values.items()):
            more = longer[(place + turn) % len(longer)] * values.step
            nearby = [value for value in (example[name] + more, example[name] - more) if value in values]
            found[name] = nearby[0] if nearby else example[name]
        yield found


def proven(
    sample: Sampled, written: Rewrite, judge: Judge, *, few: bool = False, alike: bool = False
) -> tuple[ImageSizes, Certificate]:
    """The sizes that a collapse takes, and the certificate of it at the example's and at the smallest of them.

    Args:
        sample: the network.
        written: what it became.
        judge: the certificate for one image size.
        few: whether to ask it of fewer sizes, because it works with whole matrices.
        alike: whether it says the same of all sizes at which the network runs.

    Returns:
        The sizes: all that were asked for; where nothing was said of the least, from the least that every form takes.
        A certificate that says no is of the first size that was refuted.

    Raises:
        ShapeError: if the collapse runs at no range of the sizes that were asked for.
    """
    new = replace(written.rewritten.shell(), input_shapes=sample.free.input_shapes, sizes=sample.sizes)
    known: dict[tuple[int, ...], Certificate | None] = {}
    once = judge(written) if alike else None

    def check(values: Values) -> Certificate | None:
        key = tuple(values.values())
        if key not in known and once is not None:
            known[key] = once if refused(sample.free, values) is None else None
        elif key not in known:
            known[key] = _judged(sample.free, new, written, values, judge)
        return known[key]

    sizes, ranges, steps = sample.sizes, sample.sizes.values, _STEPS[:4] if few else _STEPS
    found = [check(sample.example)]
    for low in range(max(1, *(sample.example[name] - values.start + 1 for name, values in ranges.items()))):
        least = {name: _least(values, low, sample.example[name]) for name, values in ranges.items()}
        if least != sample.example and not _roomy(sample, new, least):
            continue
        points = [sample.example, *(_beyond(ranges, least, each) for each in steps)]
        found = list(takewhile(_says_yes, map(check, points)))
        if len(found) == len(points):
            for name, value in least.items():
                sizes = sizes.narrowed(name, range(value, ranges[name].stop, ranges[name].step))
            return sizes, _together(sample.free, points, [each for each in found if each])
    bad = next((each for each in known.values() if each and not each.ok), None)
    if bad is None:
        raise ShapeError("the collapse does not run at the sizes that were asked for", got=str(sizes), where="collapse")
    return sizes, bad


def _roomy(sample: Sampled, new: Graph, least: Values) -> bool:
    """Whether no value that only the collapse has is shorter than 2 where it grows with the image.

    An export takes a length of 1 for one that never changes, so where one is met the size would not stay free.  Not
    asked of a size that somebody asked for.
    """
    if any(values.start > _UNSAID for values in sample.sizes.values.values()):
        return True
    try:
        before, after, usual = at(sample.free, least), at(new, least), at(new, sample.example)
    except ShapeError:
        return False
    known = set(before.shapes().values())
    calls = zip(after.calls, usual.calls, strict=True)
    pairs = [(n, m) for a, b in calls if a.shape not in known for n, m in zip(a.shape, b.shape, strict=True)]
    return all(n is None or n == m or n > 1 for n, m in pairs)


def _says_yes(certificate: Certificate | None) -> bool:
    return certificate is not None and certificate.ok


def _least(values: range, low: int, example: int) -> int:
    """The least value: the one that was asked for, or some steps more than nothing."""
    return values.start if values.start > _UNSAID else min(values.start + low * values.step, example)


def _beyond(ranges: Mapping[str, range], least: Values, steps: Sequence[int]) -> Values:
    """Values some steps beyond the least, as far as the ranges go."""
    found = {}
    for turn, (name, values) in enumerate(ranges.items()):
        more = least[name] + steps[turn % len(steps)] * values.step
        found[name] = more if more in values else least[name]
    return found


def _judged(free: Graph, new: Graph, written: Rewrite, values: Values, judge: Judge) -> Certificate | None:
    """The certificate for one image size; None if the network or its collapse does not run there."""
    try:
        before, after = at(free, values), at(new, values)
    except ShapeError:
        return None
    rewritten = replace(written.rewritten, original=before, calls=after.calls)
    return judge(replace(written, network=network_of(before, written.network.kept), rewritten=rewritten))


def _together(free: Graph, points: Sequence[Values], found: Sequence[Certificate]) -> Certificate:
    """One certificate of several image sizes."""
    shapes = [(free.sizes or ImageSizes({}, {})).shapes(free.inputs, free.input_shapes, values) for values in points]
    named = ["x".join(str(n) for n in shape[1:]) for (shape, *_) in shapes]
    said = f"{found[0].statement} So it is for images of {', '.join(dict.fromkeys(named))}."
    error = min(1.0, sum(each.error_probability or 0.0 for each in found))
    primes = tuple(prime for each in found for prime in each.primes)
    more = {"primes": primes, "points": sum(each.points for each in found)}
    return replace(found[0], statement=said, error_probability=error, **more)


def starts_of(rewrite: Rewrite) -> Callable[[int], dict[str, torch.Tensor]]:
    """Batch size -> the values at which regions begin, without their numbers."""
    graph, starts = rewrite.network.graph, rewrite.network.starts

    @lru_cache
    def values(batch: int) -> dict[str, torch.Tensor]:
        found = followed(graph, graph.input_shapes, batch)
        return {name: found[name] for name in starts if isinstance(found[name], torch.Tensor)}

    return values
