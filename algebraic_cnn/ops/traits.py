"""What is known of one kind of call whether it is affine or not: what it leaves of its values, and what it costs.

    Traits    facts that a call either has or has not; the default is that nothing is known
    Prices    the cost model's constants: nanoseconds for a call, a multiply-add, a byte
    Work      nanoseconds of arithmetic: (prices, call, arguments, shapes, length of a batch)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..ir.graph import Call, Rows, Size


@dataclass(frozen=True)
class Prices:
    """The cost model's constants, in nanoseconds; measured on two cores of an ordinary server CPU.

    Attributes:
        call: dispatch of any call.
        kernel: what a convolution costs before its first product.
        norm: what a BatchNorm costs before its first number.
        product: a multiply-add of a convolution.
        matrix: a multiply-add of a matrix product with one vector.
        lone: a multiply-add where few channels are summed over, and an entry of a pool.
        plane: an entry that a depthwise convolution reads or writes, beside its products.
        byte: a byte read or written.
    """

    call: float = 2_000.0
    kernel: float = 8_000.0
    norm: float = 3_000.0
    product: float = 0.0125
    matrix: float = 0.03
    lone: float = 0.15
    plane: float = 0.55
    byte: float = 0.017


Work = Callable[[Prices, Call, Mapping[str, Any], Mapping[str, Size], int], float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Traits:
    """One kind of call.

    Attributes:
        copies: whether it returns the numbers that it is given, in their shape and dtype.
        casts: whether it returns them in their shape and in another dtype.
        ordered: whether it leaves every entry at its place in row-major order.
        bijective: whether it moves every entry of one value to one place.
        view: whether it moves no memory.
        idle: whether it computes nothing at all.
        detaches: whether gradients stop there.
        convolves: whether a kernel walks over an image.
        normalises: whether it is a BatchNorm.
        averages: whether it takes means over windows.
        local: whether it runs on a part of an image as on the whole, these being its arguments.
        unit: whether it is linear for positive and for negative numbers, each entry by itself.
        activation: whether it is a function of each entry by itself that is no polynomial.
        power: the exponent, where it is a power of each entry; else 0.
        largest: whether it takes the largest entry of every window.
        poles: whether ordinary numbers may become infinite in it.
        tame: whether it gives finite numbers for infinite ones.
        guards: whether it looks for NaN or infinity.
        channelwise: whether every channel of an image goes by itself: no other one enters it.
        floor: the number that it gives for every smaller one, if there is one.
        bounds: the two numbers between which it takes every entry, None for an end that is open; None if it does more.
        along: whether it gives a row for every row along its axis ``dim``.
        reduces: whether it gives a number for every row along its axes ``dim``.
        innermost: whether it gives a row for every row along the last axes, those of its ``normalized_shape``.
        quantises: whether it rounds to integers, of a scale and a zero that are arguments.
        dequantises: whether it takes these back.
        overload: torch's overload of it that is written into new networks.
        called: what a report calls it, with the arguments and shapes of the call; None for its name.
        start: what it costs before its first number, beside the dispatch of any call.
        work: its arithmetic.
    """

    copies: bool = False
    casts: bool = False
    ordered: bool = False
    bijective: bool = False
    view: bool = False
    idle: bool = False
    detaches: bool = False
    convolves: bool = False
    normalises: bool = False
    averages: bool = False
    local: Callable[[Mapping[str, Any]], bool] = lambda a: False
    unit: bool = False
    activation: bool = False
    power: Callable[[Mapping[str, Any]], int] = lambda a: 0
    largest: bool = False
    poles: bool = False
    tame: bool = False
    guards: bool = False
    channelwise: bool = False
    floor: Callable[[Mapping[str, Any]], float | None] = lambda a: None
    bounds: Callable[[Mapping[str, Any]], tuple[Any, Any] | None] = lambda a: None
    along: bool = False
    reduces: bool = False
    innermost: bool = False
    quantises: bool = False
    dequantises: bool = False
    overload: str = "default"
    called: str | Callable[[Mapping[str, Any], Mapping[str, Size]], str] | None = None
    start: Callable[[Prices], float] = lambda prices: 0.0
    work: Work = lambda prices, call, a, shapes, batch: 0.0


def always_local(a: Mapping[str, Any]) -> bool:
    """A call that runs on a part of an image as on the whole, whatever its arguments are."""
    return True


def spatial(op: str) -> int:
    """Over how many axes of an image a pool goes, by its name; 0 for other calls.

    >>> spatial("max_pool2d"), spatial("relu")
    (2, 0)
    """
    return int(op[-2]) if op.endswith(("1d", "2d", "3d")) else 0


def length(shape: Iterable[int | None], batch: int) -> int:
    """How many entries a value has, of a batch of that size."""
    return math.prod(batch if n is None else n * batch if isinstance(n, Rows) else n for n in shape)
