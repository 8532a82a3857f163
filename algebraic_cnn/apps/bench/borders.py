"""Errors at padded borders: of the usual merge of layers, and of ours, on small chains whose borders matter.

    CASES      the chains
    naive      the composed kernel with zeros around the image and one bias for each channel: what research codes deploy
    borders    one row for each chain
    table      the rows as text

The naive merge errs in two ways: a bias that meets padding is no constant image, and a padded zero between two layers
is not what the composed kernel sees there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...algebra.stencils.folding import offset, sure_form
from ...algebra.stencils.pieces import Form, settled
from ...collapsing.pipeline import collapse
from ...derivation.definitions import joined, network_of
from ...ir.spelling import plain
from ...ir.trace import trace
from ...ops.traits import Prices
from ...rings.ring import Float
from .patterns import randomised

#: Prices by which multiply-adds alone count, and matrices are not made: what saves any is merged.
EAGER = Prices(call=1e-6, kernel=0.0, product=1.0, matrix=1e9, lone=1.0, byte=0.0)


def _convs(*sizes: tuple[int, int], **options: Any) -> list[nn.Module]:
    """Convolutions of 3 -> 32 -> 3 -> ... channels; ``sizes`` are (kernel, padding)."""
    channels = [3, 32, 3, 32, 3, 32]
    pairs = zip(channels, channels[1:], sizes, strict=False)
    return [*(nn.Conv2d(c, d, k, padding=p, **options) for c, d, (k, p) in pairs)]


CASES: dict[str, Callable[[], list[nn.Module]]] = {
    "1x1 with bias, then 3x3 padded": lambda: _convs((1, 0), (3, 1)),
    "3x3, 3x3, both padded, bias": lambda: _convs((3, 1), (3, 1)),
    "3x3, 3x3, both padded, no bias": lambda: _convs((3, 1), (3, 1), bias=False),
    "five 3x3, padded": lambda: _convs(*[(3, 1)] * 5),
    "3x3 of stride 2, then 3x3, padded": lambda: [nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 3, 3, padding=1)],
    "3x3 dilated, then 3x3, padded": lambda: [
        nn.Conv2d(3, 32, 3, padding=2, dilation=2), nn.Conv2d(32, 3, 3, padding=1)],
    "3x3, 3x3 grouped, padded": lambda: [
        nn.Conv2d(4, 32, 3, padding=1, groups=2), nn.Conv2d(32, 4, 3, padding=1, groups=2)],
    "BatchNorm, then 3x3 padded": lambda: [nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)],
    "3x3 padded, average pool counting padding": lambda: [*_convs((3, 1)), nn.AvgPool2d(3, 1, 1)],
    "3x3 padded, average pool not counting it": lambda: [
        *_convs((3, 1)), nn.AvgPool2d(3, 1, 1, count_include_pad=False)],
    "nearest upsampling, then 3x3 padded": lambda: [nn.Upsample(scale_factor=2), *_convs((3, 1))],
    "3x3 padded, pixel shuffle, 3x3 padded": lambda: [
        nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 3, 3, padding=1)],
    "3x3, 3x3, circular padding": lambda: _convs((3, 1), (3, 1), padding_mode="circular"),
    "3x3, 3x3, reflect padding": lambda: _convs((3, 1), (3, 1), padding_mode="reflect"),
}  # fmt: skip


@dataclass(frozen=True)
class Border:
    """One chain.

    Attributes:
        name: of the chain.
        calls: affine calls before and after our collapse, merging whatever merges exactly.
        error: of ours: the largest difference over all pixels, over the largest entry, in float64.
        naive: the same of the naive merge.
    """

    name: str
    calls: tuple[int, int]
    error: float
    naive: float


def borders(names: Sequence[str] = tuple(CASES), *, size: int = 48, seed: int = 0) -> list[Border]:
    """One row for each chain, on one random image (c, size, size)."""
    rows = []
    for name in names:
        model = randomised(nn.Sequential(*CASES[name]()), seed).double()
        channels = 4 if "grouped" in name else 3
        x = torch.randn(1, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        result = collapse(model, x, prices=EAGER, measure=False)
        with torch.no_grad():
            y = model(x)
            errors = [float((other - y).abs().max() / y.abs().max()) for other in (result.model(x), naive(model, x))]
        rows.append(Border(name, result.report.calls, *errors))
    return rows


def naive(model: nn.Module, x: Tensor) -> Tensor:
    """What the kernel composed of all layers makes of x with zeros around it, plus the bias that it has inside."""
    (definition,) = joined(network_of(plain(trace(model, x)))).definitions.values()
    piece = settled(definition.operands[0][1])
    y = _convolved(sure_form(piece), x)
    shift = offset(piece, Float())
    if shift is not None and shift.ndim > 1:
        shift = shift[:, shift.shape[1] // 2, shift.shape[2] // 2]
    return y if shift is None else y + torch.from_numpy(shift).reshape(-1, 1, 1)


def _convolved(form: Form, x: Tensor) -> Tensor:
    """What the taps of a form make of images with zeros around them: one convolution for each phase."""
    taps, axes = form.taps(Float()), form.axes
    padded = torch.nn.functional.pad(x, [n for axis in axes[::-1] for n in axis.padding])
    y = x.new_zeros(len(x), form.c_out, *(axis.m for axis in axes))
    how = [axis.down for axis in axes], 0, [axis.step for axis in axes], form.groups
    for p, q in np.ndindex(*taps.shape[:2]):
        z = torch.nn.functional.conv2d(padded, torch.from_numpy(taps[p, q]), None, *how)
        part = y[:, :, p :: axes[0].up, q :: axes[1].up]
        part += z[:, :, : part.shape[2], : part.shape[3]]
    return y


def table(rows: Sequence[Border]) -> str:
    """The rows as text.

    >>> print(table([Border("3x3, 3x3", (2, 1), 0.0, 0.25)]))
    chain       calls   ours   naive merge
    3x3, 3x3   2 -> 1  0e+00          0.25
    """
    width = max(len(row.name) for row in rows)
    lines = [f"{'chain':{width}}    calls   ours   naive merge"]
    for row in rows:
        calls = "{} -> {}".format(*row.calls)
        lines.append(f"{row.name:{width}}  {calls:>7}  {row.error:.0e}  {row.naive:>12.2g}")
    return "\n".join(lines)
