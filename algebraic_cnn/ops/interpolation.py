"""Interpolation as what it is: copies of neighbours, or a few neighbours times weights, one axis after the other.

NEAREST     calls that copy the neighbour that torch chooses in the network's dtype
WEIGHTED    calls that sum neighbours times weights, the weights being torch's in the network's dtype
weights     along one axis: which neighbours, and how much each counts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..rings.ring import Float
from .step import Step

NEAREST = [f"{name}{n}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for n in (1, 2, 3)]

WEIGHTED = ["upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"]


def nearest(step: Step) -> Tensor:
    """Copies of the neighbours that torch chooses in the network's dtype; another dtype may break ties otherwise."""
    name = "self" if "self" in step.raw else "input"
    y = step[name]
    for axis in range(2, y.ndim):
        ruler = torch.arange(y.shape[axis], dtype=step.dtype, device=y.device)
        ruler = ruler.reshape(-1, *[1] * (y.ndim - 1 - axis)).expand(1, 1, *step[name].shape[2:])
        chosen = step.call(**{name: ruler.contiguous()}).movedim(axis, -1)[(0,) * (y.ndim - 1)]
        y = y.index_select(axis, chosen.long())
    return y


def weighted(step: Step) -> Tensor:
    """Along each axis in turn, the sum of neighbours times their weights, each product reduced before it is added."""
    y = step["self" if "self" in step.raw else "input"]
    for axis in range(2, y.ndim):
        places, numbers = weights(step, axis)
        total = torch.zeros((), dtype=y.dtype, device=y.device)
        for place, factor in zip(places.T, step.ring.embed(numbers).T, strict=True):
            neighbour = _reducing(step, y.index_select(axis, place))
            total = total + step.ring.reduce(neighbour * factor.reshape(-1, *[1] * (y.ndim - 1 - axis)))
        y = _reducing(step, step.ring.reduce(total))
    return y


def _reducing(step: Step, x: Tensor) -> Tensor:
    """x, whose gradient is reduced before autograd adds it to others."""
    if step.ring.exact and x.requires_grad:
        x.register_hook(step.ring.reduce)
    return x


def weights(step: Step, axis: int) -> tuple[Tensor, Tensor]:
    """The neighbours of every output along one axis and their weights, read off torch's kernel.

    An image that is one entry long along every other axis is resized along this one alone, and its unit vectors show
    the weights.

    Returns:
        Indices (m, taps) and float64 numbers (m, taps), 0 where an output has fewer neighbours than others.
    """
    name = "self" if "self" in step.raw else "input"
    x = step.raw[name]
    dtype = torch.promote_types(step.dtype, torch.float32)  # torch computes the weights of shorter ones in float32
    changes: dict[str, Any] = {name: _units(x, axis, dtype)}
    for what, neutral in (("output_size", 1), ("scale_factors", 1.0)):
        if step.raw.get(what):
            changes[what] = [v if place == axis else neutral for place, v in enumerate(step.raw[what], 2)]
    changes |= {what: None for what in _scales(step, x.ndim) if what != _scale(axis, x.ndim)}
    matrix = step.call(**changes).reshape(x.shape[axis], -1).double().T
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
    step = Step(target, arguments, {}, frozenset(), Float(), dtype=dtype)
    rank = arguments["self" if "self" in arguments else "input"].ndim
    yield from (weights(step, axis) for axis in range(2, rank))


def factors(target: Callable[..., Any], arguments: Mapping[str, Any], dtype: torch.dtype) -> Iterator[Tensor]:
    """The weights alone along every axis, as ``along_axes`` gives them."""
    yield from (numbers for _, numbers in along_axes(target, arguments, dtype))


def _units(x: Tensor, axis: int, dtype: torch.dtype) -> Tensor:
    n = x.shape[axis]
    return torch.eye(n, dtype=dtype).reshape(n, 1, *(n if a == axis else 1 for a in range(2, x.ndim)))


def _scale(axis: int, rank: int) -> str:
    """The name of an axis's own scale in the calls that have one for each."""
    return "scales" if rank == 3 else "scales_" + "dhw"[axis - rank]


def _scales(step: Step, rank: int) -> list[str]:
    return [name for name in (_scale(axis, rank) for axis in range(2, rank)) if name in step.raw]
