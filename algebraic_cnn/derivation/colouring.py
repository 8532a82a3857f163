"""W by colouring: inputs whose windows do not meet in any output are probed in one pass [Curtis, Powell, Reid 1974].

period      along an axis, the distance at which two inputs may share a probe: no output reads both
coloured    one pass for each channel and each residue modulo the periods, whatever the image size

References:
    A. Curtis, M. Powell, J. Reid, On the estimation of sparse Jacobian matrices, IMA J. Appl. Math. 13 (1974).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch

from ..algebra.affine import AffineMap
from ..algebra.operators.axes import Axis
from ..algebra.operators.operator import Operator
from ..ops.evaluate import Evaluator, Progress


@dataclass(frozen=True, eq=False)
class Colours:
    """One axis of an image: how its inputs share probes.

    Attributes:
        n: length of the input.
        low: the first input that each output reads.
        period: one more than the largest distance of two inputs of one output.
    """

    n: int
    low: np.ndarray
    period: int

    @classmethod
    def of(cls, axis: Axis, n: int) -> Colours:
        """From the rows of an axis; an output that reads nothing counts as one that reads input 0."""
        rows = axis.rows(n)
        reads = [axis.positions(rows, p) or [0] for p in range(rows.m)]
        period = max(max(each) - min(each) for each in reads) + 1
        return cls(n, np.array([min(each) for each in reads]), period)

    def read(self, residue: int) -> np.ndarray:
        """For every output, the input of a residue that it may read; below 0 or from n on for none."""
        return self.low + (residue - self.low) % self.period


def colours_of(f: Operator, sizes: Sequence[int]) -> list[Colours]:
    """The axes of an image of these sizes.

    Raises:
        GeometryError: if an image of this size has no output.
    """
    return [Colours.of(axis, n) for axis, n in zip(f.blocks.axes, sizes, strict=True)]


def passes(f: Operator, axes: Sequence[Colours]) -> int:
    """How many probes colouring takes: c_in times the product of the periods."""
    return f.channels[0] * math.prod(axis.period for axis in axes)


def coloured(run: Evaluator, chunk: int, progress: Progress, f: Operator, axes: Sequence[Colours]) -> AffineMap:
    """W and b of a network of convolutional kind, W as a CSR array: the network itself is probed, borders included.

    Args:
        run: the network over a ring.
        chunk: probes of one pass.
        progress: called with (probes done, probes in all).
        f: its operator; what it reads is asked alone.
        axes: of its image.
    """
    (in_shape, out_shape), (c_in, c_out) = run.graph.single(), f.channels
    lengths, periods = [len(axis.low) for axis in axes], [axis.period for axis in axes]
    colours = list(product(range(c_in), *map(range, periods)))
    dtype = torch.float64 if run.ring.exact else getattr(torch, run.ring.dtype)  # pyright: ignore[reportAttributeAccessIssue]
    values, columns = [], []
    with torch.no_grad():
        for start in range(0, len(colours), chunk):
            part = colours[start : start + chunk]
            probes = torch.zeros(len(part), c_in, *(axis.n for axis in axes), dtype=dtype, device=run.device)
            for probe, (channel, *residues) in zip(probes, part, strict=True):
                probe[channel][tuple(slice(r, None, p) for r, p in zip(residues, periods, strict=True))] = 1
            y = run(probes.reshape(-1, *in_shape), linear=True).reshape(len(part), c_out, -1)
            values.append(y.cpu().numpy())
            columns += [_columns(axes, residues, channel) for channel, *residues in part]
            progress(start + len(part), len(colours))
        b = run(torch.zeros(1, *in_shape, dtype=dtype, device=run.device)).reshape(-1).cpu().numpy()
    rows, each = c_out * math.prod(lengths), len(colours)
    data = np.concatenate(values).transpose(1, 2, 0).reshape(-1)
    places = np.broadcast_to(np.stack(columns, -1), (c_out, math.prod(lengths), each)).reshape(-1)
    data = np.where(places < 0, 0, data)
    W = sp.csr_array((data, np.maximum(places, 0), np.arange(rows + 1) * each), shape=(rows, math.prod(in_shape)))
    W.eliminate_zeros()
    W.sort_indices()
    return AffineMap(W, b, in_shape, out_shape)


def _columns(axes: Sequence[Colours], residues: list[int], channel: int) -> np.ndarray:
    """For every output position, which input of a colour it may read: its number, or -1 for none."""
    place = np.full((), channel)
    outside = np.zeros((), dtype=bool)
    for axis, residue in zip(axes, residues, strict=True):
        read = axis.read(residue)
        outside = outside[..., None] | (read >= axis.n)
        place = place[..., None] * axis.n + np.minimum(read, axis.n - 1)
    return np.where(outside, -1, place).reshape(-1)
