"""``Operator``: an affine map of images of EVERY size whose rows are finitely many classes along each axis.

    f(x)[o, p] = sum over i, r of K_c[o, i, r] x[i, position of read r] + b_c[o],      c = (c_1(p_1), ..., c_d(p_d))

Along each axis a rule n -> rows gives class and anchor of every output; no image size is part of the map.

    closure   sums, compositions, concatenations of operators are operators (``then``, ``plus``, ``beside``, ``pick``)
    period    where it has one, one table of blocks serves every size: a new size re-runs integers
    cost      blocks are computed when asked for: ``form`` looks at integers, its ``kernel`` at the middle, ``matrix``
              at all classes that occur at that size, at most the product of those of each axis

The word is quasi-Toeplitz: a Toeplitz matrix and what differs at its ends (Bini, Massei, Robol 2019).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import index
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...rings.ring import Float, Ring
from ...toeplitz.arguments import bytes_allowed
from ...toeplitz.formats import MEMORY_BUDGET, convert
from ..affine import AffineMap
from .axes import Period
from .blocks import Array, Beside, Blocks, Identity, Kernel, Pick, composed
from .forms import OperatorForm, form_of
from .products import mixed, zeros
from .rules import windows
from .writing import bias_vector, matrix


@dataclass(frozen=True, eq=False)
class Operator:
    """An affine map of images (c_in, *sizes) of every size; ``operator`` and the layers of ``layers`` make them.

    Attributes:
        blocks: its channels, axes and numbers.

    >>> from algebraic_cnn.algebra.operators.layers import conv
    >>> sums = conv(np.ones((1, 1, 3)), padding=1)                          # the sum of three neighbours
    >>> sums.matrix([4], format="dense")
    array([[1., 1., 0., 0.],
           [1., 1., 1., 0.],
           [0., 1., 1., 1.],
           [0., 0., 1., 1.]])
    >>> twice = sums @ sums
    >>> twice.classes(100), twice.form([100]).kind, twice.form([100]).axes[0].told
    ((5,), 'interior', (1, 99))
    """

    blocks: Blocks

    @classmethod
    def identity(cls, channels: int, axes: int) -> Operator:
        """x -> x on images of so many channels and axes.

        >>> Operator.identity(2, 1)(np.ones((2, 3))).sum()
        np.float64(6.0)
        """
        return cls(Identity(channels, [windows(1) for _ in range(axes)]))

    @property
    def channels(self) -> tuple[int, int]:
        """Of the input and of the output."""
        return self.blocks.c_in, self.blocks.c_out

    @property
    def period(self) -> tuple[Period, ...]:
        """Along each axis (up, down): away from the ends, row p + up is row p moved by ``down`` inputs.

        None if there is no such period, because the size changes the rows everywhere.
        """
        return tuple(axis.period for axis in self.blocks.axes)

    def then(self, after: Operator) -> Operator:
        """First this map, then ``after``; associated to the left, so that biases meet blocks of single layers alone.

        Raises:
            ShapeError: if channels or axes do not fit.
        """
        f, g = self.blocks, after.blocks
        self._require(f.c_out == g.c_in and len(f.axes) == len(g.axes), "the maps do not compose", self, after)
        return Operator(composed(f, g))

    def __matmul__(self, other: Operator) -> Operator:
        """x -> self(other(x)).

        Raises:
            ShapeError: if channels or axes do not fit.
        """
        return other.then(self) if isinstance(other, Operator) else NotImplemented

    def plus(self, other: Operator) -> Operator:
        """The pointwise sum.

        Raises:
            ShapeError: if channels or axes differ.
        """
        same = self.channels == other.channels and len(self.period) == len(other.period)
        self._require(same, "the maps cannot be added", self, other)
        return Operator(Beside(self.blocks, other.blocks, stacked=False))

    def __add__(self, other: Operator) -> Operator:
        """The pointwise sum.

        Raises:
            ShapeError: if channels or axes differ.
        """
        return self.plus(other) if isinstance(other, Operator) else NotImplemented

    def beside(self, other: Operator) -> Operator:
        """The channels of this map, then those of the other.

        Raises:
            ShapeError: if their inputs differ.
        """
        same = self.channels[0] == other.channels[0] and len(self.period) == len(other.period)
        self._require(same, "the maps have no common input", self, other)
        return Operator(Beside(self.blocks, other.blocks, stacked=True))

    def pick(self, channels: Sequence[int]) -> Operator:
        """Some of the output channels, in the given order.

        Raises:
            ShapeError: if there is no such channel, or none is picked.
        """
        chosen, c_out = list(channels), self.blocks.c_out
        if not chosen or not all(0 <= channel < c_out for channel in chosen):
            expected = f"some of 0 .. {c_out - 1}"
            raise ShapeError("there are no such channels", expected=expected, got=chosen, where="pick")
        return Operator(Pick(self.blocks, chosen))

    def output_sizes(self, *sizes: int) -> tuple[int, ...]:
        """Lengths of the axes of f(x), for those of x.

        Raises:
            ShapeError: if there is not one length for each axis.
            GeometryError: if an image of this size has no output.
        """
        return tuple(axis.rows(n).m for axis, n in zip(self.blocks.axes, self._sizes(sizes), strict=True))

    def classes(self, *sizes: int) -> tuple[int, ...]:
        """How many classes of rows each axis has at a size.

        Raises:
            ShapeError: if there is not one length for each axis.
            GeometryError: if an image of this size has no output.
        """
        return tuple(len(axis.rows(n).places) for axis, n in zip(self.blocks.axes, self._sizes(sizes), strict=True))

    def __call__(self, x: Any, ring: Ring | None = None) -> Any:
        """f(x), or f of every image of a batch.

        Args:
            x: array (c_in, *sizes) or (N, c_in, *sizes), NumPy or torch.
            ring: where to compute; default float64.

        Raises:
            ShapeError: if x is no such array.
            GeometryError: if an image of this size has no output.
        """
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(x, torch.Tensor):
            return torch.from_numpy(self(x.detach().cpu().numpy(), ring)).to(x.device)
        ring, x, rank = ring or Float(), np.asarray(x), len(self.period) + 1
        single = x.ndim == rank
        images = x[None] if single else x
        if images.ndim != rank + 1 or images.shape[1] != self.blocks.c_in:
            expected = f"({self.blocks.c_in}, {rank - 1} lengths), or a batch of them"
            raise ShapeError("x does not fit the map", expected=expected, got=x.shape, where="Operator")
        y = applied(self.blocks, ring.embed(images), ring)
        return y[0] if single else y

    def matrix(
        self, sizes: Sequence[int], format: str = "csr", *, ring: Ring | None = None, memory_budget: int = MEMORY_BUDGET
    ) -> Any:
        """W on images of these sizes: W vec(x) + b = vec(f(x)), row-major.

        Args:
            sizes: length of each axis.
            format: as for ``conv_matrix``; dense where the ring's elements are Python objects.
            ring: where to compute; default float64.
            memory_budget: bytes that W may take.

        Returns:
            Matrix of shape (c_out prod(output sizes), c_in prod(sizes)).

        Raises:
            ShapeError: if there is not one length for each axis, or the budget is no number.
            GeometryError: if an image of this size has no output.
            TooLargeError: if W is beyond the budget.
            UnknownNameError: if there is no such format.
        """
        W = matrix(self.blocks, self._sizes(sizes), ring or Float(), bytes_allowed(memory_budget))
        return W if format == "csr" or isinstance(W, np.ndarray) else convert(W, format)

    def at(self, *sizes: int, ring: Ring | None = None, memory_budget: int = MEMORY_BUDGET) -> AffineMap:
        """The map of images of these sizes, W as ``matrix`` makes it.

        Args:
            sizes: length of each axis.
            ring: where to compute; default float64.
            memory_budget: bytes that W may take.

        Raises:
            ShapeError, GeometryError, TooLargeError: as ``matrix`` raises them.
        """
        W = self.matrix(sizes, ring=ring, memory_budget=memory_budget)
        b = bias_vector(self.blocks, sizes, ring or Float())
        return AffineMap(W, b, (self.blocks.c_in, *sizes), (self.blocks.c_out, *self.output_sizes(*sizes)))

    def form(self, sizes: Sequence[int], *, ring: Ring | None = None) -> OperatorForm:
        """Is it one convolution on images of these sizes?  Where, in which phases, with which bias.

        Args:
            sizes: length of each axis.
            ring: where biases are compared; default float64.

        Raises:
            ShapeError: if there is not one length for each axis.
            GeometryError: if an image of this size has no output.
        """
        return form_of(self.blocks, self._sizes(sizes), ring or Float())

    def _sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        try:
            lengths = tuple(index(n) for n in sizes)
        except TypeError:
            lengths = ()
        if len(lengths) != len(self.period) or min(lengths, default=1) < 1:
            expected, where = f"{len(self.period)} lengths, 1 at least", "sizes"
            raise ShapeError("an image size has a length for each axis", expected=expected, got=sizes, where=where)
        return lengths

    def _require(self, condition: bool, what: str, one: Operator, other: Operator) -> None:
        if not condition:
            first, second = (f"{f.channels[0]} -> {f.channels[1]} channels, {len(f.period)} axes" for f in (one, other))
            raise ShapeError(what, expected=first, got=second, where="Operator")


def applied(f: Blocks, x: Array, ring: Ring, *, linear: bool = False) -> Array:
    """f of a batch, without its matrix: for every choice of classes, products of its block with what is read.

    Args:
        f: the map.
        x: ring elements of shape (N, c_in, *sizes).
        ring: where to compute.
        linear: whether biases are left out.
    """
    rows = [axis.rows(n) for axis, n in zip(f.axes, x.shape[2:], strict=True)]
    y = np.empty((f.c_out, len(x), *(r.m for r in rows)), x.dtype)
    x = np.moveaxis(x, 0, 1)
    for c in product(*(r.places for r in rows)):
        outs = [r.places[i] for r, i in zip(rows, c, strict=True)]
        places = [
            np.array([axis.positions(r, p) for p in along], int).reshape(len(along), -1)
            for axis, r, along in zip(f.axes, rows, outs, strict=True)
        ]
        K, shape = f.block(ring, c), (f.c_out, len(x[0]), *map(len, outs))
        here = zeros(ring, shape) if linear else np.broadcast_to(
            f.bias(ring, c).reshape(-1, *[1] * (len(shape) - 1)), shape
        )  # fmt: skip
        for t in np.ndindex(*K.shape[2:]):
            at = np.ix_(*(along[:, i] for along, i in zip(places, t, strict=True)))
            here = ring.reduce(here + mixed(K[(..., *t)], f.groups, x[(slice(None), slice(None), *at)], 1, ring))
        y[(slice(None), slice(None), *np.ix_(*outs))] = here
    return np.moveaxis(y, 1, 0)


def channelwise(channels: int, axes: Sequence[Any], **more: Any) -> Operator:
    """The same map in each channel, without numbers of its own; ``more`` as ``Kernel`` takes it."""
    return Operator(Kernel((channels, 1, *(axis.taps for axis in axes)), axes, groups=channels, **more))
