"""W of one image size: every choice of classes is a few strided writes of one block.

    run       outputs of one class in arithmetic progression, their anchors and the entries before them too
    entries   row after row, channel after channel; outputs of a group look at the same places

One window of memory reaches all rows of a product of runs.  NumPy checks that the window lies inside the array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...rings.ring import Ring
from ...toeplitz.formats import check_budget
from .axes import HERE, Axis, AxisRows
from .blocks import Array, Blocks, Classes, zeros


@dataclass(frozen=True)
class Run:
    """Outputs of one class along one axis, ``count`` of them.

    Attributes:
        first: the first output.
        count: how many.
        before: entries that the outputs before the first one have, along this axis.
        jump: how much that grows from one to the next.
        inputs: what the first reads.
        shift: how far that moves from one to the next.
    """

    first: int
    count: int
    before: int
    jump: int
    inputs: tuple[int, ...]
    shift: int


def matrix(f: Blocks, sizes: Sequence[int], ring: Ring, memory_budget: int) -> Any:
    """W on images of these sizes: a CSR array, or a dense array where the elements of the ring are Python objects.

    Entries that are 0 by their numbers stay; places that meet are added up.

    Raises:
        GeometryError: if there is no output of this size.
        TooLargeError: if W is beyond the budget.
    """
    rows = [axis.rows(n) for axis, n in zip(f.axes, sizes, strict=True)]
    counts = [[len(axis.reads[c]) for c in r.classes] for axis, r in zip(f.axes, rows, strict=True)]
    per = f.c_in // f.groups
    shape = (f.c_out * prod(r.m for r in rows), f.c_in * prod(sizes))
    totals = [sum(each) for each in counts]
    channel = per * prod(totals)
    data = zeros(ring, (0,))
    check_budget(shape, f.c_out * channel, data.itemsize, "dense" if data.dtype == object else "csr", memory_budget)
    each: Array = per * np.array(1)
    for along in counts:
        each = each[..., None] * np.array(along)
    indptr = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.broadcast_to(each.ravel(), (f.c_out, each.size)).ravel(), out=indptr[1:])
    whole = np.int32 if max(f.c_out * channel, shape[1]) < 2**31 else np.int64
    data, indices = np.empty(f.c_out * channel, data.dtype), np.empty(f.c_out * channel, whole)
    for c, runs in _choices(f, rows, counts):
        K = f.block(ring, c)
        if K.size:
            _write(f, K, runs, totals, sizes, data, indices)
    return _assembled(data, indices, indptr.astype(whole), shape, _tidy(f, rows), ring)


def bias_vector(f: Blocks, sizes: Sequence[int], ring: Ring) -> Array:
    """b on images of these sizes, row-major.

    Raises:
        GeometryError: if there is no output of this size.
    """
    rows = [axis.rows(n) for axis, n in zip(f.axes, sizes, strict=True)]
    b = zeros(ring, (f.c_out, *(r.m for r in rows)))
    for c in product(*(r.places for r in rows)) if f.biased else ():
        at = np.ix_(*(r.places[i] for r, i in zip(rows, c, strict=True)))
        b[(slice(None), *at)] = f.bias(ring, c).reshape(-1, *[1] * len(rows))
    return b.ravel()


def _choices(f: Blocks, rows: list[AxisRows], counts: list[list[int]]) -> Iterator[tuple[Classes, tuple[Run, ...]]]:
    """Every choice of classes with every product of runs of these."""
    split = []
    for axis, r, along in zip(f.axes, rows, counts, strict=True):
        before = [0, *accumulate(along)]
        split.append([(c, run) for c, places in r.places.items() for run in _runs(axis, r, c, places, before)])
    for chosen in product(*split):
        yield tuple(c for c, _ in chosen), tuple(run for _, run in chosen)


def _runs(axis: Axis, rows: AxisRows, c: int, places: list[int], before: list[int]) -> Iterator[Run]:
    """The outputs of a class as runs; one by one where some reads do not move with the row."""
    still = any(kind != HERE for kind, _ in axis.reads[c])
    points = [(rows.anchors[p], before[p]) for p in places]
    steps = [tuple(b - a for a, b in zip(*pair, strict=True)) for pair in pairwise(points)]
    start = 0
    while start < len(places):
        stop = start + 1
        while not still and stop < len(places) and steps[stop - 1] == steps[start]:
            stop += 1
        shift, jump = steps[start] if stop > start + 1 else (0, 0)
        inputs = tuple(axis.positions(rows, places[start]))
        yield Run(places[start], stop - start, before[places[start]], jump, inputs, shift)
        start = stop


def _write(
    f: Blocks, K: Array, runs: tuple[Run, ...], totals: list[int], sizes: Sequence[int], data: Array, indices: Array
) -> None:
    """The rows of one product of runs, in every channel."""
    per, size, d = f.c_in // f.groups, K[0].size, len(runs)
    channel = len(data) // f.c_out
    offset, jumps = 0, []
    for i, run in enumerate(runs):  # entries of a row along the axes before, of the whole axes after
        weight = per * prod(len(r.inputs) for r in runs[:i]) * prod(totals[i + 1 :])
        offset += run.before * weight
        jumps.append(run.jump * weight)
    strides = [prod(sizes[i + 1 :]) for i in range(d)]
    columns = (per * np.arange(f.groups)[:, None] + np.arange(per)) * prod(sizes)
    shift: Array = np.zeros((1,) * (d + 1), np.int64)
    for i, (run, stride) in enumerate(zip(runs, strides, strict=True)):
        columns = columns[..., None] + np.array(run.inputs) * stride
        moved = np.arange(run.count) * run.shift * stride
        shift = shift + moved.reshape(*(run.count if j == i else 1 for j in range(d)), 1)
    shape = (f.groups, f.c_out // f.groups, *(run.count for run in runs), size)
    lead = (channel * shape[1], channel, *jumps, 1)
    values, places = (
        np.ndarray(shape, x.dtype, x, offset * x.itemsize, [x.itemsize * jump for jump in lead])
        for x in (data, indices)
    )
    values[...] = K.reshape(*shape[:2], *[1] * d, size)
    places[...] = columns.reshape(f.groups, 1, *[1] * d, size) + shift


def _tidy(f: Blocks, rows: list[AxisRows]) -> bool:
    """Whether the columns of every row grow: so where all that it reads moves with it."""
    return all(
        kind == HERE
        for axis, r in zip(f.axes, rows, strict=True)
        for c in r.places
        for kind, _ in axis.reads[c]
    )  # fmt: skip


def _assembled(data: Array, indices: Array, indptr: Array, shape: tuple[int, int], tidy: bool, ring: Ring) -> Any:
    if data.dtype == object:
        dense = zeros(ring, shape)
        np.add.at(dense, (np.repeat(np.arange(shape[0]), np.diff(indptr)), indices), data)
        return dense
    W = sp.csr_array((data, indices, indptr), shape=shape)
    if not tidy:
        W.sum_duplicates()
        W.data = ring.reduce(W.data)
    return W
