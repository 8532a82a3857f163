"""A network with letters for its weights: a list of steps, each from earlier values to a new one.

value 0      the input; step s makes value s + 1; a value is a vector, row-major (channels, positions)
Weights      y = W x + b, where every entry of W and of b is one of the parameters theta, or 0: an index pattern
Matrix       y = M x, M given: paddings, pools, resizings
Strength     y = t x, t given, or a parameter
Sum          y = x + x' + ...
Entrywise    y = c_0 + c_1 x + c_2 x^2 + ..., entry by entry
chain        convolutions without padding on their receptive field, one output position, as in the literature
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...errors import GeometryError, NotAffineError
from ...rings.arrays import fractions
from ...toeplitz import conv_matrix
from ..recursion import SkipRecursion

Integers = NDArray[np.int64]
#: "given": the strengths that the network has; "free": parameters; or the strength of some, by name.
Strengths = str | Mapping[Hashable, Any]


@dataclass(frozen=True, eq=False)
class Weights:
    """W[rows, columns] = theta[index], b = theta[bias]."""

    source: int
    rows: Integers
    columns: Integers
    index: Integers
    bias: Integers | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """M[rows, columns] = entries, an array of floats or of fractions."""

    source: int
    rows: Integers
    columns: Integers
    entries: Any


@dataclass(frozen=True, eq=False)
class Strength:
    """t, or theta[parameter] where there is one."""

    source: int
    name: Hashable
    t: Fraction = Fraction(1)
    parameter: int | None = None


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of the sources."""

    sources: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Entrywise:
    """A polynomial, its coefficients from the constant one on."""

    source: int
    coefficients: tuple[Fraction, ...]


Node = Weights | Matrix | Strength | Sum | Entrywise


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network whose weights are letters.

    Attributes:
        steps: in order of execution; the last one makes the output.
        channels: of every value, the input's first.
        positions: of every value; it has channels times positions entries.
        parameters: how many letters there are.
    """

    steps: tuple[Node, ...]
    channels: tuple[int, ...]
    positions: tuple[int, ...]
    parameters: int

    def size(self, value: int) -> int:
        """The number of entries of a value."""
        return self.channels[value] * self.positions[value]

    def strengths(self) -> dict[Hashable, Strength]:
        """The steps that are strengths of skips, by name."""
        return {step.name: step for step in self.steps if isinstance(step, Strength)}

    @classmethod
    def chain(
        cls,
        kernel_sizes: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        channels: Sequence[int] | None = None,
        groups: Sequence[int] | None = None,
        skips: Mapping[tuple[int, int], Any] | None = None,
        dims: int = 1,
        bias: bool = False,
        activation: Any = None,
        strengths: Strengths = "given",
    ) -> Architecture:
        """Convolutions without padding, one after the other, on an input as large as one output sees.

        A skip (k, i) adds t R f^(k) to the input of layer i, where R takes every s-th position, s the strides on the
        way, and of these the middle ones; channels that are missing are 0, those that are too many are left out.

        Args:
            kernel_sizes: k_1 .. k_L, along every axis.
            strides: s_1 .. s_L; 1 if absent.
            channels: c_0 .. c_L; 1 if absent.
            groups: of every layer; 1 if absent.
            skips: (k, i) to t, from f^(k) into layer i, 0 <= k < i - 1.
            dims: the number of spatial axes.
            bias: whether layers have biases.
            activation: after every layer but the last: a power, or coefficients from the constant one on.
            strengths: "given", "free", or (k, i) to a strength or "free".

        Raises:
            GeometryError: if the lists do not fit together, or a skip does not go forward over a layer.
            NotAffineError: if the activation is no polynomial.

        >>> net = Architecture.chain([3, 2], strides=[2, 1])
        >>> net.parameters, net.size(0), net.size(len(net.steps))
        (5, 5, 1)
        """
        L = len(kernel_sizes)
        strides, groups = strides or [1] * L, groups or [1] * L
        channels, skips = channels or [1] * (L + 1), dict(skips or {})
        _require_chain(kernel_sizes, strides, channels, groups, skips)
        field = 1
        for k, s in zip(reversed(kernel_sizes), reversed(strides), strict=True):
            field = (field - 1) * s + k
        draft = Draft(channels[0], field**dims)
        shapes: list[tuple[int, ...]] = [(channels[0], *[field] * dims)]
        values = [0]
        for i in range(1, L + 1):
            terms = [values[-1]]
            for k in sorted(k for k, j in skips if j == i):
                selected = draft.select(values[k], shapes[k], shapes[-1], math.prod(strides[k : i - 1]))
                terms.append(draft.strength(selected, (k, i), skips[k, i], strengths))
            shape = (channels[i], channels[i - 1] // groups[i - 1], *[kernel_sizes[i - 1]] * dims)
            value, out = draft.convolution(
                draft.sum(terms), shape, shapes[-1], bias=bias, stride=strides[i - 1], groups=groups[i - 1]
            )
            values.append(draft.activation(value, activation) if i < L else value)
            shapes.append(out)
        return draft.architecture()

    @classmethod
    def of_recursion(cls, f: SkipRecursion, *, strengths: Strengths = "given", activation: Any = None) -> Architecture:
        """A recursion whose nonzero entries of every W, and all of every b, are letters of their own.

        What is 0 in W stays 0; P, R and r are given.

        Args:
            f: the recursion.
            strengths: "given", "free", or (k, i) to a strength or "free".
            activation: after every layer but the last: a power, or coefficients from the constant one on.

        Raises:
            NotAffineError: if the activation is no polynomial, or a resizing adds a constant.

        >>> from algebraic_cnn import Layer
        >>> Architecture.of_recursion(SkipRecursion([Layer(np.ones((2, 3))), Layer(np.ones((1, 2)))])).parameters
        8
        """
        sizes, values = f.sizes, [0]
        draft = Draft(sizes[0], 1)
        for i, layer in enumerate(f.layers, 1):
            terms = []
            for k, skip in f.into(i):
                if skip.r is not None:
                    raise NotAffineError("a resizing that adds a constant has no letter for it", where=f"skip {(k, i)}")
                term = draft.matrix(values[k], skip.R)
                terms.append(term if k == i - 1 else draft.strength(term, (k, i), skip.t, strengths))
            value = draft.entries(draft.matrix(draft.sum(terms), layer.P), layer.W, layer.b)
            values.append(draft.activation(value, activation) if i < len(f.layers) else value)
        return draft.architecture()


class Draft:
    """An architecture that is being written; every method adds a step and returns the number of its value.

    Args:
        channels: of the input.
        positions: of the input.
    """

    def __init__(self, channels: int, positions: int) -> None:
        self.steps: list[Node] = []
        self.channels, self.positions = [channels], [positions]
        self.parameters = 0

    def architecture(self) -> Architecture:
        """What was written."""
        return Architecture(tuple(self.steps), tuple(self.channels), tuple(self.positions), self.parameters)

    def add(self, step: Node, channels: int, positions: int) -> int:
        """A step, with the shape of its value."""
        self.steps.append(step)
        self.channels.append(channels)
        self.positions.append(positions)
        return len(self.steps)

    def fresh(self, count: int) -> Integers:
        """New letters."""
        self.parameters += count
        return np.arange(self.parameters - count, self.parameters)

    def weights(self, source: int, pattern: Any, letters: Integers, bias: Integers | None, channels: int) -> int:
        """y = W x + b by the sparse matrix of 1 + the number of every letter, among these letters."""
        coo: Any = sp.coo_array(pattern)
        rows, columns = (np.asarray(axis, dtype=np.int64) for axis in coo.coords)
        index = letters[np.rint(coo.data).astype(np.int64) - 1]
        return self.add(Weights(source, rows, columns, index, bias), channels, coo.shape[0] // channels)

    def convolution(
        self, source: int, shape: Sequence[int], in_shape: Sequence[int], *, bias: bool, **options: Any
    ) -> tuple[int, tuple[int, ...]]:
        """A convolution with zero padding, options as for ``conv_matrix``; its value and that one's shape."""
        letters = self.fresh(math.prod(shape))
        pattern = conv_matrix(1.0 + np.arange(len(letters)).reshape(shape), in_shape, **options)
        positions = pattern.shape[0] // shape[0]
        biases = self.fresh(shape[0]).repeat(positions) if bias else None
        side = round(positions ** (1 / max(1, len(in_shape) - 1)))
        return self.weights(source, pattern, letters, biases, shape[0]), (shape[0], *[side] * (len(in_shape) - 1))

    def entries(self, source: int, W: Any, b: Any) -> int:
        """A letter for every nonzero entry of W, and for every entry of b."""
        coo: Any = sp.coo_array(W)
        kept = coo.data != 0
        letters, biases = self.fresh(int(kept.sum())), None if b is None else self.fresh(len(b))
        rows, columns = (np.asarray(axis, dtype=np.int64)[kept] for axis in coo.coords)
        return self.add(Weights(source, rows, columns, letters, biases), coo.shape[0], 1)

    def matrix(self, source: int, M: Any, channels: int | None = None) -> int:
        """y = M x; the source itself for None."""
        if M is None:
            return source
        coo: Any = sp.coo_array(M) if sp.issparse(M) else None
        rows, columns = np.nonzero(M) if coo is None else coo.coords
        entries = np.asarray(M)[rows, columns] if coo is None else coo.data
        step = Matrix(source, np.asarray(rows, np.int64), np.asarray(columns, np.int64), entries)
        outputs = int(M.shape[0])
        return self.add(step, channels or outputs, outputs // (channels or outputs))

    def select(self, source: int, shape: Sequence[int], target: Sequence[int], stride: int) -> int:
        """Every s-th position, the middle ones of these, and as many channels as there are."""
        every = (slice(None), *[slice(None, None, stride)] * (len(shape) - 1))
        places = np.arange(math.prod(shape)).reshape(shape)[every]
        starts = [(have - want) // 2 for have, want in zip(places.shape[1:], target[1:], strict=True)]
        kept = min(shape[0], target[0])
        window = (slice(at, at + want) for at, want in zip(starts, target[1:], strict=True))
        columns = places[(slice(kept), *window)].ravel()
        step = Matrix(source, np.arange(len(columns)), columns, np.ones(len(columns)))
        return self.add(step, target[0], math.prod(target[1:]))

    def strength(self, source: int, name: Hashable, t: Any, strengths: Strengths) -> int:
        """y = t x, for the t of that name among the strengths, else the given one.

        Raises:
            GeometryError: if there is no such way of treating strengths.
        """
        if isinstance(strengths, str) and strengths not in ("given", "free"):
            raise GeometryError("unknown strengths", expected="given | free | a mapping", got=strengths)
        chosen = strengths.get(name, t) if isinstance(strengths, Mapping) else t if strengths == "given" else "free"
        shape = self.channels[source], self.positions[source]
        if isinstance(chosen, str):
            return self.add(Strength(source, name, parameter=int(self.fresh(1)[0])), *shape)
        return self.add(Strength(source, name, fractions([chosen], f"the strength of {name}")[0]), *shape)

    def sum(self, sources: Sequence[int]) -> int:
        """The sum; the source itself if there is one."""
        if len(sources) == 1:
            return sources[0]
        return self.add(Sum(tuple(sources)), self.channels[sources[0]], self.positions[sources[0]])

    def activation(self, source: int, activation: Any) -> int:
        """The polynomial of the value; the value itself for None."""
        if activation is None:
            return source
        return self.add(Entrywise(source, polynomial(activation)), self.channels[source], self.positions[source])


def polynomial(activation: Any) -> tuple[Fraction, ...]:
    """The coefficients of an activation, from the constant one on: of x^r for an integer r.

    Raises:
        NotAffineError: if it is neither a positive power nor a list of numbers that is no constant.

    >>> polynomial(2)
    (Fraction(0, 1), Fraction(0, 1), Fraction(1, 1))
    """
    if isinstance(activation, int) and activation >= 1:
        return (*[Fraction(0)] * activation, Fraction(1))
    if isinstance(activation, Sequence | np.ndarray) and not isinstance(activation, str):
        coefficients = tuple(fractions(list(activation), "activation"))
        if any(coefficients[1:]):
            return coefficients
    expected = "a power r >= 1, or coefficients from the constant one on"
    raise NotAffineError("the activation is no polynomial", expected=expected, got=repr(activation), where="activation")


def _require_chain(
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    channels: Sequence[int],
    groups: Sequence[int],
    skips: Mapping[tuple[int, int], Any],
) -> None:
    L = len(kernel_sizes)
    lengths = (L, len(strides), len(channels) - 1, len(groups))
    if L < 1 or len(set(lengths)) > 1 or min([*kernel_sizes, *strides, *channels, *groups]) < 1:
        expected = "L kernel sizes, L strides, L groups and L + 1 channels, all positive"
        raise GeometryError("the lists of a chain do not fit", expected=expected, got=lengths, where="chain")
    for i, g in enumerate(groups):
        if channels[i] % g or channels[i + 1] % g:
            got = f"{g} of {channels[i]} and {channels[i + 1]}"
            raise GeometryError("groups divide both numbers of channels", got=got, where=f"layer {i + 1}")
    for k, i in skips:
        if not 0 <= k < i - 1 < L:
            raise GeometryError("a skip goes forward over a layer", expected=f"0 <= k < i - 1 < {L}", got=(k, i))
