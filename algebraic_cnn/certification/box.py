"""The level "bounded" over a box of inputs: how far two affine networks can be apart anywhere between two bounds.

    centre, radius   the box { x : |x - centre| <= radius }, entry by entry
    D                the largest difference of the exact maps there: |dW centre + db| + |dW| radius, with dW and db
                     derived in float64 and what that derivation can lose (rounding.py)
    E                how far torch's arithmetic can be from the exact map anywhere in the box: the adjoint bound, with
                     every value replaced by the largest that it reaches there

So what torch computes with the one and with the other differs by D + E + E at most.  The difference D is attained at
a corner of the box, where outputs are compared as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..algebra.affine import AffineMap
from ..errors import ShapeError
from ..ops.precision import UNIT_ROUNDOFF
from ..ops.sums import gamma
from .certificate import Certificate, Witness
from .check import Check, Network, derived, dtype, native, stated
from .parts import undecidable
from .rounding import box_error, derivation_error, ieee_kernels

_INFLATION = 1 + 2.0**-20


@dataclass(frozen=True, eq=False)
class Box:
    """The inputs within a radius of a centre, both float64 of shape (n,)."""

    centre: Tensor
    radius: Tensor

    @classmethod
    def between(cls, box: tuple[Any, Any], in_shape: tuple[int, ...]) -> Box:
        """The box between two bounds, numbers or tensors of shape in_shape.

        Raises:
            ShapeError: if they do not fit the network, are not finite, or the first is beyond the second.
        """
        try:
            low, high = (torch.as_tensor(side).double().cpu().expand(in_shape).flatten() for side in box)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ShapeError("the box does not fit the network", expected=f"two bounds of shape {in_shape}") from error
        if not bool((low <= high).all()) or not bool(torch.isfinite(low + high).all()):
            got = f"{low.min()} .. {high.max()}"
            raise ShapeError("a box has finite bounds, the lower first", got=got, where="box")
        centre = (low + high) / 2
        return cls(centre, torch.maximum(high - centre, centre - low) * (1 + 2.0**-52))

    @property
    def reach(self) -> Tensor:
        """The largest magnitude of every entry."""
        return self.centre.abs() + self.radius


def over_a_box(check: Check, box: Box) -> Certificate:
    """Whether two affine networks differ by no more than rounding explains, anywhere in a box."""
    own = [_own(network, box, check.memory_budget) for network in (check.original, check.collapsed)]
    maps = [derived(network, check.method, check.memory_budget) for network in (check.original, check.collapsed)]
    doubts = [_derivation(network, box, check.memory_budget) for network in (check.original, check.collapsed)]
    pairs = (maps[0].W, maps[1].W), (maps[0].b, maps[1].b)
    W, b = (torch.from_numpy((np.asarray(one) - np.asarray(other)).astype(np.float64)) for one, other in pairs)
    middle = W @ box.centre + b
    difference = (middle.abs() + W.abs() @ box.radius) * _INFLATION + sum(doubts)
    explained = 2 * own[1] + sum(doubts)
    if stated(check.collapsed, check.memory_budget) is not None and not isinstance(check.original, AffineMap):
        explained = explained + 2 * _own(check.original, box, check.memory_budget, torch.float64)
    total = (difference + own[0] + own[1]) * _INFLATION
    worst = int((difference - explained).argmax())
    corner = box.centre + torch.where(W[worst] * (1 if middle[worst] >= 0 else -1) >= 0, 1.0, -1.0) * box.radius
    x = corner.reshape(1, *check.shape)
    with ieee_kernels():
        y, z = (native(network, x)[0, worst] for network in (check.original, check.collapsed))
    most = float(total.max()) * 1.005  # so that three figures are not fewer
    explained_there = float((explained + own[0] + own[1])[worst]) * _INFLATION
    found = Certificate(
        f"anywhere in the box the outputs differ by {most:.3g} at most, and by no more than rounding explains.",
        "bounded",
        True,
        bound=explained_there,
        observed=float((y - z).abs()),
    )
    if not bool((total + explained).isfinite().all()) or not bool((y - z).isfinite()):
        return undecidable(found, "an output somewhere in the box")
    if bool((difference <= explained).all()):
        return found
    witness = Witness(f"output {worst} at a corner of the box", float(y), float(z), input=corner.tolist())
    what = f"in the box the outputs differ by up to {most:.3g}, which is more than rounding explains."
    return replace(found, statement=what, ok=False, witness=witness)


def _own(network: Network, box: Box, memory_budget: int, precision: torch.dtype | None = None) -> Tensor:
    """How far the network's own arithmetic can be from its exact map, for each output."""
    if not isinstance(network, AffineMap):
        return box_error(network, box.centre, box.radius, precision, memory_budget=memory_budget)
    W, b = (torch.from_numpy(np.asarray(array, dtype=np.float64)).abs() for array in (network.to("dense").W, network.b))
    return gamma(W.shape[1] + 2, UNIT_ROUNDOFF[dtype(network)]) * (W @ box.reach + b) * _INFLATION


def _derivation(network: Network, box: Box, memory_budget: int) -> Tensor:
    """How far the derived map can be from the exact one anywhere in the box; an explicit map is exact."""
    if isinstance(network, AffineMap):
        return torch.zeros(len(network.b), dtype=torch.float64)
    W, b = (torch.from_numpy(array) for array in derivation_error(network, memory_budget=memory_budget))
    return (W @ box.reach + b) * _INFLATION
