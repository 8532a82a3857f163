"""W for every image size from one table: its rows are of finitely many classes, by distance to the borders.

    BorderClasses   the map of every image size, and the smallest image that has all its classes of rows
    border_classes  network -> its table, from the rows of its operator

The row of W at an output depends only on how far it is from the borders, up to the reach of its window, and on its
phase where layers stride.  So the cost of deriving is independent of the image; placing costs what the result takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..algebra.affine import AffineMap
from ..algebra.operators.axes import Axis
from ..algebra.operators.operator import Operator
from ..errors import GeometryError, ShapeError
from ..ir.graph import Graph
from ..ir.trace import trace
from ..rings.ring import Float, Ring
from .images import operator_of


@dataclass(frozen=True, eq=False)
class BorderClasses:
    """The rows of W and entries of b for every image size.

    Attributes:
        map: the network as an operator.
        ring: of the numbers.
        least: the smallest image, of the example's residues modulo the strides, with every class of rows.
    """

    map: Operator
    ring: Ring
    least: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many classes of positions images of those residues have."""
        return math.prod(self.map.classes(*self.least))

    @cached_property
    def small(self) -> AffineMap:
        """The map of the smallest image with every class."""
        return self.at(*self.least)

    def at(self, *sizes: int) -> AffineMap:
        """The map of images of these sizes, W as a CSR array.

        Raises:
            ShapeError: if there is not one size for each axis.
            GeometryError: if an image of this size has no output.
        """
        return self.map.at(*sizes, ring=self.ring)


def border_classes(model: Any, example: Any = None, *, ring: Ring | None = None) -> BorderClasses:
    """The table of a network of convolutional kind.

    Args:
        model: a module in evaluation mode, an exported program, or a traced ``Graph``.
        example: an input tensor (N, *in_shape).
        ring: where to compute; default float64.

    Returns:
        The table; ``at(height, width)`` is the map for an image size.

    Raises:
        ShapeError: if a call is no map of images of every size, or its rows change everywhere with the size, as where
            it writes an image size, aligns corners or rounds a weight at each place.
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
    f = operator_of(graph)
    if not f.period or None in f.period:
        expected = "calls that look alike away from the borders, with numbers that are not rounded at each place"
        raise ShapeError("the rows change everywhere with the image size", expected=expected, where="border_classes")
    sizes = graph.single()[0][1:]
    least = tuple(_least(axis, n) for axis, n in zip(f.blocks.axes, sizes, strict=True))
    return BorderClasses(f, ring or Float(), least)


def _least(axis: Axis, n: int) -> int:
    """The smallest length of a residue that has every class of rows that long ones have."""
    down = axis.period[1] if axis.period else 1
    far, classes = n, set(axis.rows(n).places)
    while classes != (more := set(axis.rows(far + down * far).places)):
        far, classes = far + down * far, more
    return next(k for k in range((n - 1) % down + 1, far + 1, down) if _classes(axis, k) == classes)


def _classes(axis: Axis, n: int) -> set[int]:
    try:
        return set(axis.rows(n).places)
    except GeometryError:
        return set()
