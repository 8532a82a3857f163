"""Layers as operators: convolutions, transposed convolutions, padding, averages, interpolation, shuffles, scalings.

Arguments are spelled as torch spells them.  Numbers are arrays, or functions of the ring that return them there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import numpy as np

from ...errors import GeometryError
from ...rings.ring import Ring
from ...toeplitz.arguments import padding_pairs, per_axis
from ...toeplitz.pooling import adaptive_rows, pool_rows
from ...toeplitz.resampling import axis_rows
from .axes import KEPT, Leaf, Period
from .blocks import Array, Kernel, Numbers
from .operator import Operator, channelwise
from .rules import shuffle, spread, weighted, windows


def over(numbers: Any) -> Numbers:
    """Numbers as a function of the ring."""
    return cast(Numbers, numbers) if callable(numbers) else lambda ring: ring.embed(np.asarray(numbers))


def conv(
    weight: Any,
    bias: Any = None,
    *,
    shape: Sequence[int] | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Operator:
    """A convolution.

    Args:
        weight: (c_out, c_in / groups, *taps).
        bias: (c_out,), or None.
        shape: of the weight, where this is a function of the ring.
        stride: an int, or one for each axis.
        padding: as ``conv_matrix`` takes it; a negative number crops.
        dilation: an int, or one for each axis.
        groups: as torch has it.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    >>> conv(np.ones((1, 1, 3)), stride=2, padding=1, padding_mode="circular").matrix([4], format="dense")
    array([[1., 1., 0., 1.],
           [0., 1., 1., 1.]])
    """
    shape = tuple(np.shape(weight) if shape is None else shape)
    d = len(shape) - 2
    steps, spaces = per_axis(stride, d, "stride", least=1), per_axis(dilation, d, "dilation", least=1)
    pairs = padding_pairs(padding, shape[2:], steps, spaces)
    axes = [windows(k, s, p, w, padding_mode) for k, s, p, w in zip(shape[2:], steps, pairs, spaces, strict=True)]
    return Operator(Kernel(shape, axes, over(weight), groups=groups, bias=None if bias is None else over(bias)))


def conv_transpose(
    weight: Any,
    bias: Any = None,
    *,
    shape: Sequence[int] | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Operator:
    """A transposed convolution.

    Args:
        weight: (c_in, c_out / groups, *taps).
        bias: (c_out,), or None.
        shape: of the weight, where this is a function of the ring.
        stride: an int, or one for each axis.
        padding: positions cut off at both ends.
        output_padding: positions added at the end.
        dilation: an int, or one for each axis.
        groups: as torch has it.

    >>> conv_transpose(np.array([[[1.0, 2.0]]]), stride=2).matrix([2], format="dense")
    array([[1., 0.],
           [2., 0.],
           [0., 1.],
           [0., 2.]])
    """
    shape = tuple(np.shape(weight) if shape is None else shape)
    c_in, each, *taps = shape
    d = len(taps)
    how = [per_axis(stride, d, "stride", least=1), per_axis(padding, d, "padding", least=0)]
    how += [per_axis(output_padding, d, "output_padding", least=0), per_axis(dilation, d, "dilation", least=1)]
    numbers = over(weight)

    def kernel(ring: Ring) -> Array:
        w = numbers(ring).reshape(groups, c_in // groups, each, *taps)
        return np.ascontiguousarray(w.swapaxes(1, 2))

    axes = [spread(*along) for along in zip(taps, *how, strict=True)]
    of = (each * groups, c_in // groups, *taps)
    return Operator(Kernel(of, axes, kernel, groups=groups, bias=None if bias is None else over(bias)))


def pad(channels: int, pairs: Sequence[tuple[int, int]], mode: str = "zeros", value: Any = 0) -> Operator:
    """Padding, (before, after) for each axis; negative numbers crop, circles before they are padded.

    Args:
        channels: how many.
        pairs: for each axis.
        mode: "zeros", "reflect", "replicate" or "circular".
        value: what zeros are instead: a number, or a function of the ring.

    >>> pad(1, [(1, 0)], value=7).at(2)(np.array([[1.0, 2.0]]))
    array([[7., 1., 2.]])
    """
    if mode == "circular" and any(n < 0 for pair in pairs for n in pair):
        cropped, kept = ([(f(a, 0), f(b, 0)) for a, b in pairs] for f in (min, max))
        return pad(channels, cropped).then(pad(channels, kept, mode))
    axes = [windows(1, 1, pair, 1, mode) for pair in pairs]
    constant = value if callable(value) else over([value])
    return channelwise(channels, axes, outside=constant if callable(value) or value else None)


def avg_pool(
    channels: int,
    kernel_size: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Operator:
    """Averages over windows, laid and divided as torch does it; sequences have one int for each axis.

    Args:
        channels: how many.
        kernel_size: of the window.
        stride: between windows.
        padding: zeros at both ends.
        ceil_mode: whether a last window may reach further.
        count_include_pad: whether padded positions count.
        divisor_override: what sums are divided by instead.

    >>> avg_pool(1, [2], stride=[2], padding=[0]).matrix([4], format="dense")
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    sums = divisor_override is not None

    def along(k: int, s: int, p: int) -> Leaf:
        def rows(n: int) -> Any:
            found = pool_rows(n, k, s, p, ceil_mode, count_include_pad)
            return [dict.fromkeys(row, 1) for row in found] if sums else found

        return weighted(rows, (1, s))

    axes = [along(*how) for how in zip(kernel_size, stride, padding, strict=True)]
    return channelwise(channels, axes, divisor=divisor_override or 1)


def adaptive_avg_pool(channels: int, output_size: Sequence[int]) -> Operator:
    """Output o of m averages inputs floor(o n / m) up to ceil((o + 1) n / m): no period, unless m divides n.

    Args:
        channels: how many.
        output_size: for each axis.

    >>> adaptive_avg_pool(1, [2]).period, adaptive_avg_pool(1, [2]).classes(5)
    ((None,), (1,))
    """
    axes = [weighted(lambda n, m=m: adaptive_rows(n, m), None) for m in output_size]
    return channelwise(channels, axes)


def totals(channels: int, along: Sequence[bool], *, mean: bool) -> Operator:
    """Sums, or means, of all positions along some axes.

    Args:
        channels: how many.
        along: for each axis, whether.
        mean: whether sums are divided by the length.

    >>> totals(1, [True], mean=True).matrix([4], format="dense")
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return channelwise(channels, [_total(mean) if each else windows(1) for each in along])


@lru_cache(maxsize=2)
def _total(mean: bool) -> Leaf:
    return weighted(lambda n: [dict.fromkeys(range(n), Fraction(1, n if mean else 1))], None)


def cropped(channels: int, slices: Sequence[slice]) -> Operator:
    """Some positions of every axis.

    Args:
        channels: how many.
        slices: for each axis; steps are not negative.

    >>> cropped(1, [slice(1, -1, 2)])(np.arange(6.0)[None])
    array([[1., 3.]])
    """
    return channelwise(channels, [_slice(s.start, s.stop, s.step or 1) for s in slices])


@lru_cache(maxsize=KEPT)
def _slice(start: int | None, stop: int | None, step: int) -> Leaf:
    return weighted(lambda n: [{p: Fraction(1)} for p in range(n)[start:stop:step]], (1, step))


def resize(channels: int, rows: Sequence[Callable[[int], Any]], periods: Sequence[Period]) -> Operator:
    """Interpolation by rows of its own along each axis.

    Args:
        channels: how many.
        rows: for each axis n -> for every output {input: weight}.
        periods: for each axis.
    """
    return channelwise(channels, [weighted(*along) for along in zip(rows, periods, strict=True)])


def interpolate(channels: int, factors: Sequence[int], mode: str) -> Operator:
    """Interpolation to whole multiples of the lengths, corners not aligned, with exact weights.

    Args:
        channels: how many.
        factors: for each axis.
        mode: as ``interpolate_matrix`` has it, but for "area".

    >>> interpolate(1, [2], "linear").matrix([2], format="dense")
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """
    rows = [lambda n, u=u: axis_rows(n, n * u, float(u), mode, False, np.float64) for u in factors]
    return resize(channels, rows, [(u, 1) for u in factors])


def pixel_shuffle(c_out: int, factor: int, axes: int = 2) -> Operator:
    """factor^axes channels become the pixels of one.

    Args:
        c_out: channels of the result.
        factor: along each axis.
        axes: how many.

    >>> pixel_shuffle(1, 2, 1)(np.array([[1.0, 3.0], [2.0, 4.0]]))
    array([[1., 2., 3., 4.]])
    """
    each = factor**axes
    one = np.eye(each).reshape(1, each, *[factor] * axes)
    kernel = np.concatenate([one] * c_out)
    return Operator(Kernel(kernel.shape, [shuffle(factor) for _ in range(axes)], over(kernel), groups=c_out))


def pixel_unshuffle(c_in: int, factor: int, axes: int = 2) -> Operator:
    """The pixels of a block of each channel become channels.

    Args:
        c_in: channels of the image.
        factor: along each axis.
        axes: how many.

    Raises:
        GeometryError: when the map is used on a length that the factor does not divide.

    >>> pixel_unshuffle(1, 2, 1)(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[1., 3.],
           [2., 4.]])
    """
    each = factor**axes
    kernel = np.concatenate([np.eye(each).reshape(each, 1, *[factor] * axes)] * c_in)

    def blocks() -> Leaf:
        whole = windows(factor, factor)

        def rule(n: int) -> Any:
            if n % factor:
                what = "the factor does not divide the length"
                raise GeometryError(what, expected=factor, got=n, where="downscale_factor")
            return whole.rule(n)

        return Leaf(factor, (1, factor), rule)

    return Operator(Kernel(kernel.shape, [blocks() for _ in range(axes)], over(kernel), groups=c_in))


def scaling(channels: int, axes: int, scale: Any = None, shift: Any = None) -> Operator:
    """x scale + shift, a number for each channel.

    Args:
        channels: how many.
        axes: how many.
        scale: (channels,), or a function of the ring; None for 1.
        shift: (channels,), or a function of the ring; None for 0.

    >>> scaling(1, 1, [2.0], [1.0])(np.array([[3.0]]))
    array([[7.]])
    """
    kernel = None if scale is None else over(scale)
    along = [windows(1) for _ in range(axes)]
    bias = None if shift is None else over(shift)
    return Operator(Kernel((channels, 1, *[1] * axes), along, kernel, groups=channels, bias=bias))
