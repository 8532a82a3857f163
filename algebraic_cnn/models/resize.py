"""The resizing R of a skip connection: what makes f^(k) fit where f^(i-1) goes in.

    identity    R = 1; the shapes must agree
    stride      every s-th position of each axis, missing channels filled with zeros (He et al. 2016, option A)
    pool        the mean of each window of s positions, missing channels filled with zeros
    conv        a convolution with kernel 1 and stride s, with BatchNorm if asked (He et al. 2016, option B)

The strides s are those that take the one spatial shape to the other: ceil(n / s) positions remain of n.
"""

from __future__ import annotations

import torch
from torch import nn

from ..algebra.affine import Shape
from ..errors import GeometryError, ShapeError, chosen

RESIZINGS = ("identity", "stride", "pool", "conv")

#: The layers of each kind, by the number of spatial axes.
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
AVERAGE_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
BATCH_NORMS = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Subsample(nn.Module):
    """Every s-th position of each spatial axis: (N, C, *spatial) to (N, C, *ceil(spatial / s)).

    >>> Subsample((2,))(torch.arange(5.0).reshape(1, 1, 5))
    tensor([[[0., 2., 4.]]])
    """

    def __init__(self, strides: Shape) -> None:
        super().__init__()
        self.strides = strides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the positions 0, s, 2s, ... of every axis."""
        for axis, stride in enumerate(self.strides, start=2):
            x = x[(slice(None),) * axis + (slice(None, None, stride),)]
        return x


class ZeroChannels(nn.Module):
    """Append `extra` channels of zeros: (N, C, *spatial) to (N, C + extra, *spatial).

    >>> ZeroChannels(1, axes=0)(torch.ones(1, 2))
    tensor([[1., 1., 0.]])
    """

    def __init__(self, extra: int, axes: int) -> None:
        super().__init__()
        self.padding = (0, 0) * axes + (0, extra)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad the channel axis at its end."""
        return nn.functional.pad(x, self.padding)


def resizing(kind: str, source: Shape, target: Shape, *, batch_norm: bool = False, where: object = None) -> nn.Module:
    """The module R from tensors of shape (N, *source) to tensors of shape (N, *target).

    Args:
        kind: "identity", "stride", "pool" or "conv".
        source: shape (C, *spatial) of f^(k).
        target: shape (C, *spatial) of what it is added to.
        batch_norm: follow the convolution by a BatchNorm (and leave out its bias).
        where: what to name in an error.

    Raises:
        UnknownNameError: if there is no such kind.
        GeometryError: if a BatchNorm is asked for without a convolution.
        ShapeError: if no resizing of this kind takes the one shape to the other.

    >>> resizing("stride", (8, 7, 7), (16, 4, 4))(torch.ones(1, 8, 7, 7)).shape
    torch.Size([1, 16, 4, 4])
    """
    chosen("resizing", kind, RESIZINGS, where=where)
    if batch_norm and kind != "conv":
        raise GeometryError("a BatchNorm follows a resizing by convolution only", got=f"resize={kind!r}", where=where)
    if kind == "identity":
        if source != target:
            what = "a skip without resizing needs equal shapes (resizings: stride, pool, conv)"
            raise ShapeError(what, expected=target, got=source, where=where)
        return nn.Identity()
    strides = _strides(source, target, where)
    if kind == "conv":
        return _projection(source[0], target[0], strides, batch_norm)
    if source[0] > target[0]:
        what = f"resizing by {kind} fills channels with zeros but drops none (conv mixes them)"
        raise ShapeError(what, expected=f"at most {target[0]} channels", got=source[0], where=where)
    parts: list[nn.Module] = []
    if any(stride > 1 for stride in strides):
        pool = kind == "pool"
        parts.append(AVERAGE_POOLS[len(strides)](strides, ceil_mode=True) if pool else Subsample(strides))
    if target[0] > source[0]:
        parts.append(ZeroChannels(target[0] - source[0], axes=len(strides)))
    return nn.Sequential(*parts)


def _strides(source: Shape, target: Shape, where: object) -> Shape:
    if len(source) != len(target):
        what = "a skip keeps the number of axes"
        raise ShapeError(what, expected=f"{len(target)} axes as in {target}", got=source, where=where)
    strides = tuple(-(-n // m) for n, m in zip(source[1:], target[1:], strict=True))
    reached = tuple(-(-n // s) for n, s in zip(source[1:], strides, strict=True))
    if reached != target[1:]:
        what = "no stride takes the skip's positions to the layer's (any module may be given as the resizing)"
        raise ShapeError(what, expected=target[1:], got=source[1:], where=where)
    return strides


def _projection(channels_in: int, channels_out: int, strides: Shape, batch_norm: bool) -> nn.Module:
    axes = len(strides)
    if axes:
        mix = CONVOLUTIONS[axes](channels_in, channels_out, 1, stride=strides, bias=not batch_norm)
    else:
        mix = nn.Linear(channels_in, channels_out, bias=not batch_norm)
    return nn.Sequential(mix, BATCH_NORMS[axes](channels_out)) if batch_norm else mix
