"""Interpolation as what it is: copies of neighbours, or a few neighbours times weights, one axis after the other.

    evaluate    the neighbours that torch chooses in the network's dtype, or sums of them times the weights of torch
    operator    the rows that torch has, read off its kernel: from n to m positions there are m / gcd(m, n) phases, and
                where the rows of each are the same numbers, moved, it is a transposed convolution: a bilinear
                upsampling by 2 has the taps 3/4 and 1/4; along the border torch repeats the last pixel
    layer       a layer for each axis

In every case it is one map of the image in every channel, so maps of channels pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..algebra.operators import layers
from ..algebra.operators.axes import Period
from ..algebra.operators.operator import Operator
from ..errors import GeometryError
from ..ir.graph import Call, Graph, Ref
from ..rings.ring import Float
from .denominators import Denominator, dyadic
from .moves import moved
from .op import Arguments, CallSite, Op, Sample, always
from .precision import working_dtype
from .reading import Reading
from .source import Source

#: Rows of a resizing by m / n repeat after m of them; a factor of larger n is no short fraction, but a rounded one.
_PERIOD = 64

#: Rows so many periods away from the ends have nothing to do with them.
_BORDER = 4


def _nearest(site: CallSite) -> Tensor:
    """Copies of the neighbours that torch chooses in the network's dtype; another dtype may break ties otherwise."""
    name = "self" if "self" in site.raw else "input"
    y = site[name]
    for axis in range(2, y.ndim):
        ruler = torch.arange(y.shape[axis], dtype=site.dtype, device=y.device)
        ruler = ruler.reshape(-1, *[1] * (y.ndim - 1 - axis)).expand(1, 1, *site[name].shape[2:])
        chosen = site.call(**{name: ruler.contiguous()}).movedim(axis, -1)[(0,) * (y.ndim - 1)]
        y = y.index_select(axis, chosen.long())
    return y


def _weighted(site: CallSite) -> Tensor:
    """Along each axis in turn, the sum of neighbours times their weights, each product reduced before it is added."""
    y = site["self" if "self" in site.raw else "input"]
    for axis in range(2, y.ndim):
        places, numbers = weights(site, axis)
        total = torch.zeros((), dtype=y.dtype, device=y.device)
        for place, factor in zip(places.T, site.ring.embed(numbers).T, strict=True):
            neighbour = _reducing(site, y.index_select(axis, place))
            total = total + site.ring.reduce(neighbour * factor.reshape(-1, *[1] * (y.ndim - 1 - axis)))
        y = _reducing(site, site.ring.reduce(total))
    return y


def _reducing(site: CallSite, x: Tensor) -> Tensor:
    """x, whose gradient is reduced before autograd adds it to others."""
    if site.ring.exact and x.requires_grad:
        x.register_hook(site.ring.reduce)
    return x


def weights(site: CallSite, axis: int) -> tuple[Tensor, Tensor]:
    """The neighbours of every output along one axis and their weights, read off torch's kernel.

    An image that is one entry long along every other axis is resized along this one alone, and its unit vectors show
    the weights.

    Returns:
        Indices (m, taps) and float64 numbers (m, taps), 0 where an output has fewer neighbours than others.
    """
    name = "self" if "self" in site.raw else "input"
    x = site.raw[name]
    dtype = torch.promote_types(site.dtype, torch.float32)  # torch computes the weights of shorter ones in float32
    changes: dict[str, Any] = {name: _units(x, axis, dtype)}
    for what, neutral in (("output_size", 1), ("scale_factors", 1.0)):
        if site.raw.get(what):
            changes[what] = [v if place == axis else neutral for place, v in enumerate(site.raw[what], 2)]
    changes |= {what: None for what in _scales(site, x.ndim) if what != _scale(axis, x.ndim)}
    matrix = site.call(**changes).reshape(x.shape[axis], -1).double().T
    count = int((matrix != 0).sum(1).max())
    places = (matrix != 0).double().topk(count, dim=1, sorted=False).indices
    numbers = matrix.gather(1, places)
    return (places, numbers) if x.is_meta else (places.to(x.device), numbers.to(x.device))


def along_axes(
    target: Callable[..., Any], arguments: Mapping[str, Any], dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """The neighbours and weights along every axis of a call whose argument is given by its shape.

    Args:
        target: the ATen callable.
        arguments: all of them; the image as a tensor of any device, its entries unread.
        dtype: of the network.

    Yields:
        What ``weights`` returns, for each axis in turn.
    """
    site = CallSite(target, arguments, {}, frozenset(), Float(), dtype=dtype)
    rank = arguments["self" if "self" in arguments else "input"].ndim
    yield from (weights(site, axis) for axis in range(2, rank))


def _units(x: Tensor, axis: int, dtype: torch.dtype) -> Tensor:
    n = x.shape[axis]
    return torch.eye(n, dtype=dtype).reshape(n, 1, *(n if a == axis else 1 for a in range(2, x.ndim)))


def _scale(axis: int, rank: int) -> str:
    """The name of an axis's own scale in the calls that have one for each."""
    return "scales" if rank == 3 else "scales_" + "dhw"[axis - rank]


def _scales(site: CallSite, rank: int) -> list[str]:
    return [name for name in (_scale(axis, rank) for axis in range(2, rank)) if name in site.raw]


def _operator(source: Source, call: Call, a: Arguments) -> Operator | None:
    """The rows that torch has at every length, along each axis; where the call names a length, they have no period."""
    name = "self" if "self" in a else "input"
    f, factors = a[name], a.get("scale_factors")
    d, dtype, given = len(f.period), source.graph.dtype, {what: value for what, value in a.items() if what != name}

    def along(axis: int) -> Callable[[int], list[dict[int, Fraction]]]:
        def rows(n: int) -> list[dict[int, Fraction]]:
            m = int(n * factors[axis]) if factors else n
            if m == 0:
                return []
            if call.op == "upsample_nearest2d" and factors and n > 1 and m in (n, 2 * n) and m != n * factors[axis]:
                why = "torch chooses the neighbours along an axis by the length of the other too"
                raise GeometryError(why, got=(n, m), where=call.where)
            image = torch.empty([1, 1, *(n if i == axis else 1 for i in range(d))])
            site = CallSite(call.target, {**given, name: image}, {}, frozenset(), Float(), dtype=dtype)
            places, numbers = weights(site, axis + 2)
            found = zip(places.tolist(), numbers.tolist(), strict=True)
            return [{i: Fraction(w) for i, w in zip(*row, strict=True) if w} for row in found]

        return rows

    axes = [along(i) for i in range(d)]
    periods = [_period(rows, Fraction(u)) for rows, u in zip(axes, factors or (), strict=False)] or [None] * d
    return f.then(layers.resize(f.channels[1], axes, periods))


def _period(rows: Callable[[int], list[dict[int, Fraction]]], factor: Fraction) -> Period:
    """After how many rows they are the same numbers, moved; None where corners are aligned, or weights are rounded."""
    up, down = factor.as_integer_ratio()
    if down > _PERIOD:
        return None
    found = rows(4 * _BORDER * down)
    pairs = zip(found[_BORDER * up :], found[(_BORDER + 1) * up : -_BORDER * up], strict=False)
    return (up, down) if all({i + down: w for i, w in row.items()} == later for row, later in pairs) else None


def _layers(reading: Reading, call: Call, a: Arguments) -> Combination:
    """Interpolation by weights: a layer for each axis."""
    name = "self" if "self" in a else "input"
    x = a[name]
    image = torch.empty(1, *x.shape, dtype=reading.graph.dtype)
    for axis, (places, numbers) in enumerate(along_axes(call.target, {**a, name: image}, reading.graph.dtype), 1):
        m, taps = places.shape
        entries = (numbers.numpy().ravel(), (np.arange(m).repeat(taps), places.numpy().ravel()))
        A = sp.csr_array(entries, shape=(m, x.shape[axis]))
        shape = (*x.shape[:axis], m, *x.shape[axis + 1 :])
        x = reading.assembly.layer(x, shape, reading.spend(reading.along(A, x.shape, axis)))
    return x


def _denominators(call: Call, graph: Graph, dependent: frozenset[str]) -> tuple[Denominator, Denominator]:
    sizes = {name: torch.empty([n or 1 for n in shape], device="meta") for name, shape in graph.shapes().items()}
    raw = {name: sizes[v.name] if isinstance(v, Ref) else v for name, v in call.bound().items()}
    numbers = (dyadic(numbers) for _, numbers in along_axes(call.target, raw, working_dtype(call, graph)))
    return reduce(Denominator.__mul__, numbers, Denominator()), Denominator()


def _moved(reading: Reading, call: Call, a: Arguments) -> Any:
    """Copies of neighbours, those that torch chooses in the network's dtype."""
    return moved(reading, call, a, dtype=working_dtype(call, reading.graph))


def _by_factors(a: Arguments) -> bool:
    """The ratio of its sizes is an argument: a part of the image is resized as the whole is."""
    return bool(a.get("scale_factors"))


_READ = {"operator": _operator, "alike": lambda a: True}
_NEAREST = {**_READ, "layer": _moved, "apart": always, "exact": True, "repeats": True}

OPS: dict[str, Op] = {
    **{f"upsample_nearest{n}d": Op(_nearest, ("self", "input"), local=_by_factors, **_NEAREST) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": Op(_nearest, ("self", "input"), **_NEAREST) for n in (1, 2, 3)},
    **dict.fromkeys(
        ("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"),
        Op(
            _weighted,
            ("self", "input"),
            **_READ,
            layer=_layers,
            window=lambda call, shapes: [4] * (len(call.shape) - 2),
            denominators=_denominators,
            local=_by_factors,
        ),
    ),
}

SAMPLES: dict[str, Sample] = {
    **{f"upsample_nearest{n}d": (lambda x: F.interpolate(x, scale_factor=2), (2, *[3] * n), ()) for n in (1, 2, 3)},
    **{
        f"_upsample_nearest_exact{n}d": (
            lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
            (2, *[3] * n),
            (),
        )
        for n in (1, 2, 3)
    },
    "upsample_linear1d": (lambda x: F.interpolate(x, scale_factor=2, mode="linear"), (2, 3), ()),
    "upsample_linear1d down": (lambda x: F.interpolate(x, size=3, mode="linear"), (2, 12), ()),
    "upsample_bilinear2d": (lambda x: F.interpolate(x, scale_factor=(2, 4), mode="bilinear"), (4, 6, 6), ()),
    "upsample_bilinear2d corners": (
        lambda x: F.interpolate(x, size=(9, 5), mode="bilinear", align_corners=True),
        (2, 5, 3),
        (),
    ),
    "upsample_bicubic2d": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), (4, 6, 6), ()),
    "upsample_trilinear3d": (lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"), (1, 2, 3, 2), ()),
}
