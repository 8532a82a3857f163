"""Everything that is known of one kind of affine call, as one value: an entry of the registry.

    Op        how the call is evaluated over a ring, as an operator, as a layer; what it sums, rounds and divides by
    Join      a call as a sum or a concatenation of several values
    CallSite  a call about to be evaluated: carriers for what depends on the input, ring elements for constants
    Sample    a small call of the kind; the property tests of an entry are made from it

A new affine call is one entry in the file of its family, and a sample.  Who reads which field, and what is lost where
an entry leaves it out:

    evaluate, affine_in, accepts        evaluate                    must be right: what is affine, and computed how
    contraction, bilinear, broadcasts   sums                        must be right where products are summed: no overflow
    window, roundings                   sums                        must be right where numbers are summed, or rounded
    counts, denominators                derivation/magnitudes       must be right where it divides, or scales
    operator, last, alike               derivation/images           it has no map of images: it is not merged
    piece, joins                        derivation/definitions      it is not merged with its neighbours
    layer                               derivation/extract          it is no part of the paper's recursion
    placed                              derivation/function_space   its weight has no letters there
    apart                               derivation/samples          it is taken to mix the samples of a batch
    exact, repeats                      sums, certification/check   it is taken to round; its copies are not counted

Some names stand elsewhere as well, as ``ir`` and ``precision`` are below the registry and may not ask it, and others
write a language of their own.  A call of such a kind has a line there too; without it, it is refused or left as it is:

    precision                           whose constants torch rounds, whose added constants may round on purpose
    channels                            what a call does with channels; without it, no dead channel goes through it
    ir/trace                            which argument says "training"; which calls refuse a mixture of dtypes
    ir/canonical, ir/composites         which spellings are one call
    ir/onnx/spelling                    the calls that are written as nodes of ONNX
    certification/recheck/spelling      the calls that the extracted checker knows
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..algebra.operators.operator import Operator
from ..algebra.stencils.pieces import Piece
from ..ir.graph import Call, Size
from ..rings.ring import Ring
from .denominators import Denominators, of_arguments
from .reading import Reading
from .source import Arguments, Source
from .traits import Traits

#: A function of x and constants, the shape of x without batch axis, the shapes of the constants.
Sample = tuple[Callable[..., Any], tuple[int, ...], Sequence[tuple[int, ...]]]

#: Does a call keep the samples of a batch apart? (its arguments, the shape of what it is given, and of its result)
Apart = Callable[[Arguments, Size, Size], bool]


@dataclass(frozen=True, eq=False)
class Join:
    """A sum or a concatenation.

    Attributes:
        kind: "sum" or "cat".
        operands: values and what becomes of each.
        axis: that of a concatenation.
    """

    kind: str
    operands: list[tuple[str, Piece]]
    axis: int = 1


@dataclass(frozen=True, eq=False)
class CallSite:
    """A call site: one call with its arguments resolved.

    Attributes:
        target: the ATen callable.
        raw: every argument by name; constants as the model has them.
        ringed: the tensor and scalar arguments in the ring.
        dependent: names of the arguments that depend on the network's input.
        ring: the ring.
        linear: whether added constants are dropped.
        dtype: the network's own, in which torch chooses nearest neighbours.
    """

    target: Callable[..., Any]
    raw: Arguments
    ringed: Arguments
    dependent: frozenset[str]
    ring: Ring
    linear: bool = False
    dtype: torch.dtype = torch.float64

    def __getitem__(self, name: str) -> Any:
        return self.ringed.get(name, self.raw.get(name))

    def offset(self, name: str) -> Any:
        """An argument that is added: itself if it depends on the input, else 0 in the linear part; None if absent."""
        value = self[name]
        return value if value is None or not self.linear or name in self.dependent else value * 0

    def call(self, **changes: Any) -> Any:
        """The ATen kernel on the carriers, some arguments changed."""
        named = {name: self[name] for name in self.raw} | changes
        schema = self.target._schema  # pyright: ignore[reportFunctionMemberAccess]
        positional = [named.pop(a.name) for a in schema.arguments if not a.kwarg_only]
        return self.target(*positional, **named)


def never(a: Arguments, given: Size, y: Size) -> bool:
    """A call of which it is not known that it keeps samples apart."""
    return False


def always(a: Arguments, given: Size, y: Size) -> bool:
    """A call that works on each sample by itself."""
    return True


def as_deep(a: Arguments, given: Size, y: Size) -> bool:
    """A call that does so where it neither adds axes nor drops any."""
    return len(given) == len(y)


def along(*names: str) -> Apart:
    """A call that does so where the axes that it names are all later than the first."""

    def test(a: Arguments, given: Size, y: Size) -> bool:
        named = [a.get(name) for name in names]
        axes = [axis for value in named for axis in ([value] if isinstance(value, int) else value or ())]
        return bool(axes) and all(axis % len(given) != 0 for axis in axes)

    return test


def regrouped(a: Arguments, given: Size, y: Size) -> bool:
    """Row-major order, and as many entries for each sample as before: the samples stay where they are."""
    return None not in (*given[1:], *y[1:]) and math.prod(n or 0 for n in given[1:]) == math.prod(n or 0 for n in y[1:])


def not_if(name: str, reason: str) -> Callable[[Arguments], str]:
    """A call that is affine unless an argument is set."""
    return lambda a: reason if a.get(name) else ""


@dataclass(frozen=True, eq=False)
class Op(Traits):
    """One kind of affine call; the traits of any call are given by name.

    Attributes:
        evaluate: computes the call over the site's ring, from four primitives: torch's kernel on carriers, sums,
            multiples by constants, ``ring.reduce``.  So the code that runs a network mod p is the code that runs it in
            floating point.
        affine_in: arguments that may depend on the network's input, jointly.
        bilinear: whether exactly one of ``affine_in`` may depend on it.
        contraction: name of the constant whose products are summed, or "".
        broadcasts: whether an element of an argument may occur in many products.
        accepts: a reason why this call is not affine after all, or "".
        operator: the call as a map of images of every size, of arguments that are such maps; None if it is none; no
            reader if it never is.
        last: whether its channels are the last axis of what it is given; its operator has them before all others.
        alike: whether it is one map of the image in every channel, through which maps of channels pass.
        piece: the call as a piece of an image map at one size, where this is more than its operator says: a move, a
            multiple whose channels stand first or last.
        layer: the call as a part of the paper's recursion; no reader if it never is.
        placed: where the entries of its weight stand in its matrix: (a weight, the shape of one sample, the arguments)
            -> the matrix, its statistics left out; None if it has none there, or no weight.
        joins: the call as a sum or a concatenation of values that all depend on the input, or None if it is none.
        apart: whether it surely keeps the samples of a batch apart.
        exact: whether it rounds nothing, because it only moves, drops and repeats entries.
        repeats: whether it may take an entry to several places.
        window: how many numbers a sum or an average takes together along each axis, at most.
        roundings: rounded operations beside the sum of a contraction and the window.
        counts: a common multiple of the counts that it divides by.
        denominators: common denominators of the numbers that it multiplies by, and of those that it adds.
    """

    evaluate: Callable[[CallSite], Any]
    affine_in: tuple[str, ...] = ("self",)
    bilinear: bool = False
    contraction: str = ""
    broadcasts: bool = False
    accepts: Callable[[Arguments], str] = lambda a: ""
    operator: Callable[[Source, Call, Arguments], Operator | list[Operator] | None] | None = None
    last: Callable[[Arguments, Size], bool] = lambda a, given: False
    alike: Callable[[Arguments], bool] = lambda a: False
    piece: Callable[[Source, Call, Arguments], Piece | None] | None = None
    layer: Callable[[Reading, Call, Arguments], Any] | None = None
    placed: Callable[[Any, Sequence[int], Arguments], Any] | None = None
    joins: Callable[[Source, Call, Arguments], Join | None] = lambda source, call, a: None
    apart: Apart = never
    exact: bool = False
    repeats: bool = False
    window: Callable[[Call, Mapping[str, Size]], list[int]] = lambda call, shapes: []
    roundings: int = 2
    counts: Callable[[Call, Mapping[str, Size]], int] = lambda call, shapes: 1
    denominators: Denominators = field(default_factory=of_arguments)


def kernel(site: CallSite) -> Any:
    """torch's own kernel on the carriers."""
    return site.call()


def summed(site: CallSite) -> Any:
    """torch's own kernel on the carriers, then reduced."""
    return site.ring.reduce(site.call())
