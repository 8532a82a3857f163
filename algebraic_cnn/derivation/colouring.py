"""W by colouring: inputs whose windows do not meet in any output are probed in one pass [Curtis, Powell, Reid 1974].

period      along an axis, the distance at which two inputs may share a probe: no output reads both
coloured    one pass for each channel and each residue modulo the periods, whatever the image size

References:
    A. Curtis, M. Powell, J. Reid, On the estimation of sparse Jacobian matrices, IMA J. Appl. Math. 13 (1974).
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch

from ..algebra.affine import AffineMap
from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Form
from ..ops.evaluate import Evaluator, Progress
from .whole import spans, whole


def passes(found: Form) -> int:
    """How many probes colouring takes: c_in times the product of the periods."""
    return found.footprint.c_in * math.prod(_periods(found))


def _periods(found: Form) -> list[int]:
    return [min(axis.n, span) for axis, span in zip(found.footprint.axes, spans(found), strict=True)]


def coloured(run: Evaluator, chunk: int, progress: Progress, found: Form | None = None) -> AffineMap:
    """W and b of a network that is a stencil, W as a CSR array: the network itself is probed, borders included.

    Args:
        run: the network over a ring.
        chunk: probes of one pass.
        progress: called with (probes done, probes in all).
        found: the network's form, if it is known.

    Raises:
        ShapeError: if the network is no stencil.
    """
    found = whole(run.graph)[1] if found is None else found
    (in_shape, out_shape), fp, periods = run.graph.single(), found.footprint, _periods(found)
    sizes, lengths = [axis.n for axis in fp.axes], [axis.m for axis in fp.axes]
    colours = list(product(range(fp.c_in), *map(range, periods)))
    dtype = torch.float64 if run.ring.exact else getattr(torch, run.ring.dtype)  # pyright: ignore[reportAttributeAccessIssue]
    values, columns = [], []
    with torch.no_grad():
        for start in range(0, len(colours), chunk):
            part = colours[start : start + chunk]
            probes = torch.zeros(len(part), fp.c_in, *sizes, dtype=dtype, device=run.device)
            for probe, (channel, *residues) in zip(probes, part, strict=True):
                probe[channel][tuple(slice(r, None, p) for r, p in zip(residues, periods, strict=True))] = 1
            y = run(probes.reshape(-1, *in_shape), linear=True).reshape(len(part), fp.c_out, -1)
            values.append(y.cpu().numpy())
            columns += [_columns(fp.axes, periods, residues, channel) for channel, *residues in part]
            progress(start + len(part), len(colours))
        b = run(torch.zeros(1, *in_shape, dtype=dtype, device=run.device)).reshape(-1).cpu().numpy()
    rows, each = fp.c_out * math.prod(lengths), len(colours)
    data = np.concatenate(values).transpose(1, 2, 0).reshape(-1)
    places = np.broadcast_to(np.stack(columns, -1), (fp.c_out, math.prod(lengths), each)).reshape(-1)
    data = np.where(places < 0, 0, data)
    W = sp.csr_array((data, np.maximum(places, 0), np.arange(rows + 1) * each), shape=(rows, math.prod(in_shape)))
    W.eliminate_zeros()
    W.sort_indices()
    return AffineMap(W, b, in_shape, out_shape)


def _columns(axes: tuple[Axis, ...], periods: list[int], residues: list[int], channel: int) -> np.ndarray:
    """For every output position, which input of a colour it reads: its number, or -1 for none."""
    place = np.full((), channel)
    outside = np.zeros((), dtype=bool)
    for axis, period, residue in zip(axes, periods, residues, strict=True):
        low = axis.reads.min(1)
        if period == axis.n:
            low = np.zeros_like(low)
        read = low + (residue - low) % period
        outside = outside[..., None] | (read < 0) | (read >= axis.n)
        place = place[..., None] * axis.n + np.clip(read, 0, axis.n - 1)
    return np.where(outside, -1, place).reshape(-1)
