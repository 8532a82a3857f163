"""W for every image size from one small image: its rows are a finite table of stencils, by distance to the borders.

    Border          one axis of the small image: how many outputs at each end are special, and the strides
    BorderClasses   W and b of the small image, and how to place them on any larger one of the same residue
    border_classes  network -> its table, by probing a network on the small image alone

The row of W at an output depends only on how far it is from the borders, up to the reach of its window, and on its
phase where layers stride.  So the cost of deriving is independent of the image; placing costs what the result takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..algebra.affine import AffineMap
from ..algebra.stencils.lattice import Axis
from ..algebra.stencils.pieces import Form, Piece
from ..errors import ShapeError
from ..ir.graph import Graph
from ..ir.trace import trace
from ..ops.evaluate import Evaluator, Progress
from ..rings.ring import Float, Ring
from .colouring import coloured
from .whole import reaches, size_free, whole


@dataclass(frozen=True)
class Border:
    """One axis of the small image.

    Attributes:
        n: length of its input.
        m: length of its output.
        first: outputs at the low end with rows of their own.
        last: outputs at the high end with rows of their own.
        down: inputs from one output of a phase to the next.
        up: number of phases.
    """

    n: int
    m: int
    first: int
    last: int
    down: int
    up: int

    @classmethod
    def of(cls, axis: Axis) -> Border:
        """The smallest axis with the rows of the given one."""
        low, stop = axis.interior
        spare = (stop - low - axis.up) // axis.up
        for fewer in range(max(0, spare), 0, -1):
            n, m = axis.n - fewer * axis.down, axis.m - fewer * axis.up
            left = reaches(axis, 0, low + axis.up)[1] < n
            right = reaches(axis, stop - axis.up, axis.m)[0] >= axis.n - n
            if left and right:
                return cls(n, m, low, axis.m - stop, axis.down, axis.up)
        return cls(axis.n, axis.m, low, axis.m - stop, axis.down, axis.up)

    def places(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """For every output of an axis of length n: the output of the small one with its row, and how far that shifts.

        Raises:
            ShapeError: if n is shorter, or not of the same residue modulo the stride.
        """
        more, rest = divmod(n - self.n, self.down)
        if rest or more < 0:
            expected = f"{self.n} plus a multiple of {self.down}"
            raise ShapeError("no such image size in the table", expected=expected, got=n, where="BorderClasses.at")
        p = np.arange(self.m + more * self.up)
        inside = self.first + (p - self.first) % self.up
        own = np.where(p < self.first, p, np.where(p >= len(p) - self.last, p - more * self.up, inside))
        return own, (p - own) // self.up * self.down


@dataclass(frozen=True, eq=False)
class BorderClasses:
    """The rows of W and entries of b for every image size of one residue.

    Attributes:
        small: the map of the small image.
        channels: of input and output.
        borders: its spatial axes.
    """

    small: AffineMap
    channels: tuple[int, int]
    borders: tuple[Border, ...]

    @property
    def count(self) -> int:
        """How many classes of positions there are."""
        return math.prod(border.first + border.last + border.up for border in self.borders)

    def at(self, *sizes: int) -> AffineMap:
        """The map of images of these sizes, W as a CSR array.

        Raises:
            ShapeError: if there is not one size for each axis, or an axis is shorter than the table's or not of its
                residue modulo the stride.
        """
        if len(sizes) != len(self.borders):
            expected = f"{len(self.borders)} lengths"
            raise ShapeError("an image size has a length for each axis", expected=expected, got=sizes, where="at")
        own, shifts = zip(*(border.places(n) for border, n in zip(self.borders, sizes, strict=True)), strict=True)
        c_in, c_out = self.channels
        rows = _numbers([np.arange(c_out), *own], [c_out, *(border.m for border in self.borders)])
        W = sp.csr_array(self.small.W)[rows]
        each = np.diff(W.indptr)
        before = (c_in, *(border.n for border in self.borders))
        channel, *inputs = np.unravel_index(W.indices, before)
        lengths = [len(each_own) for each_own in own]
        moved = []
        for axis, (shift, place) in enumerate(zip(shifts, inputs, strict=True)):
            along = shift.reshape([-1 if a == axis else 1 for a in range(len(sizes))])
            by_row = np.broadcast_to(along, (c_out, *lengths)).reshape(-1)
            moved.append(place + np.repeat(by_row, each))
        columns = np.ravel_multi_index((channel, *moved), (c_in, *sizes))
        W = sp.csr_array((W.data, columns, W.indptr), shape=(len(rows), c_in * math.prod(sizes)))
        return AffineMap(W, self.small.b[rows], (c_in, *sizes), (c_out, *lengths))


def _numbers(places: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    return np.ravel_multi_index(np.ix_(*places), tuple(sizes)).reshape(-1)


def border_classes(model: Any, example: Any = None, *, ring: Ring | None = None) -> BorderClasses:
    """The table of a network that is a stencil.

    Args:
        model: a module in evaluation mode, an exported program, or a traced ``Graph``.
        example: an input tensor (N, *in_shape), large enough to have an interior.
        ring: where to compute; default float64.

    Returns:
        The table; ``at(height, width)`` is the map for an image size.

    Raises:
        ShapeError: if the network is no stencil, or writes its image size into its calls.
        NotAffineError, TraceError, TrainingModeError, NonFiniteError: as ``derive`` raises them.

    >>> import torch
    >>> blur = torch.nn.Conv1d(1, 1, 3, padding=1, bias=False).eval()
    >>> _ = blur.weight.data.fill_(1.0)
    >>> table = border_classes(blur, torch.zeros(1, 1, 100))
    >>> table.count, table.small.in_shape
    (3, (1, 3))
    >>> table.at(4).W.toarray()
    array([[1., 1., 0., 0.],
           [1., 1., 1., 0.],
           [0., 1., 1., 1.],
           [0., 0., 1., 1.]])
    """
    graph = model if isinstance(model, Graph) else trace(model, example)
    return table_of(Evaluator(graph, ring or Float()), 64, lambda done, total: None)


def reduction(graph: Graph, piece: Piece, found: Form) -> float | None:
    """How much smaller the table's image is, as a fraction; None if the network has no table."""
    fp = found.footprint
    sizes = ((fp.c_in, *(axis.n for axis in fp.axes)), (fp.c_out, *(axis.m for axis in fp.axes)))
    if not fp.axes or graph.single() != sizes or not size_free(graph, piece):
        return None
    return math.prod(Border.of(axis).n / axis.n for axis in fp.axes)


def table_of(run: Evaluator, chunk: int, progress: Progress) -> BorderClasses:
    """``border_classes`` for a network that is ready to run.

    Raises:
        ShapeError: as ``border_classes`` raises it.
    """
    piece, found = whole(run.graph)
    fp = found.footprint
    if reduction(run.graph, piece, found) is None:
        expected = "calls that run on any image size"
        raise ShapeError("the network speaks of one image size only", expected=expected, where="border_classes")
    borders = tuple(Border.of(axis) for axis in fp.axes)
    axes = tuple(replace(axis, n=border.n, m=border.m) for axis, border in zip(fp.axes, borders, strict=True))
    small = replace(found, footprint=replace(fp, axes=axes))
    in_shape, out_shape = (fp.c_in, *(b.n for b in borders)), (fp.c_out, *(b.m for b in borders))
    elsewhere = Evaluator(_resized(run.graph, in_shape, out_shape), run.ring, run.device)
    return BorderClasses(coloured(elsewhere, chunk, progress, small), (fp.c_in, fp.c_out), borders)


def _resized(graph: Graph, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Graph:
    """The same calls on another image size."""
    batch, last = graph.input_shapes[0][0], graph.outputs[0].name
    calls = tuple(replace(call, shape=(batch, *out_shape)) if call.name == last else call for call in graph.calls)
    return replace(graph, input_shapes=((batch, *in_shape),), calls=calls)
