"""What a convolution does to shapes, checked as torch checks it.

Everything else that the library knows about a convolution follows from what is written down here.

    kernel        taps per spatial axis
    input shape   (c_in, *spatial), no batch axis
    output shape  (c_out, *spatial)
    groups        blocks of channels that do not see each other
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..errors import GeometryError, ShapeError, UnknownNameError
from .arguments import PADDING_MODES, Padding, Pairs, check_padding, integer, padding_pairs, per_axis, shape_of


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution, or a transposed one, without its numbers: ``input_shape -> output_shape``.

    Along one axis of length n, with padding (p, q), a convolution of k taps gives
    ``floor((n + p + q - d (k - 1) - 1) / s) + 1`` outputs at stride s and dilation d, and a transposed one
    ``(n - 1) s - p - q + d (k - 1) + output_padding + 1``.

    Attributes:
        input_shape: (c_in, *spatial).
        out_channels: c_out.
        kernel: taps per spatial axis.
        stride: step between outputs (transposed: between inputs), per axis.
        padding: (before, after) per axis; a transposed convolution crops its output by as much.
        dilation: step between taps, per axis.
        groups: blocks of channels that do not see each other; divides c_in and c_out.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        transposed: whether this is the transposed convolution.
        output_padding: positions appended to the output of a transposed convolution, per axis.

    >>> conv_geometry((8, 3, 3, 3), (3, 28, 28), stride=2, padding=1).output_shape
    (8, 14, 14)
    """

    input_shape: tuple[int, ...]
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int = 1
    padding_mode: str = "zeros"
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def spatial(self) -> tuple[int, ...]:
        """Lengths of the input's spatial axes."""
        return self.input_shape[1:]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(c_out, *spatial) of the output."""
        axes = zip(self.spatial, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        if self.transposed:
            lengths = (
                (n - 1) * s - p - q + d * (k - 1) + extra + 1
                for (n, k, s, (p, q), d), extra in zip(axes, self.output_padding, strict=True)
            )
        else:
            lengths = ((n + p + q - d * (k - 1) - 1) // s + 1 for n, k, s, (p, q), d in axes)
        return (self.out_channels, *lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix: (prod(output_shape), prod(input_shape))."""
        return prod(self.output_shape), prod(self.input_shape)


def conv_geometry(
    weight_shape: Sequence[int],
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Geometry:
    """The geometry of a convolution, checked as torch checks it.

    Args:
        weight_shape: (c_out, c_in / groups, *kernel).
        input_shape: (c_in, *spatial), no batch axis.
        stride: step between outputs; an int, or one per axis.
        padding: an int, one int per axis, one (before, after) pair per axis, "same" or "valid".
        dilation: step between taps; an int, or one per axis.
        groups: blocks of channels that do not see each other.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Returns:
        The geometry, every argument in its long form.

    Raises:
        ShapeError: ``weight_shape`` or ``input_shape`` has the wrong number of axes or a channel count that
            does not fit.
        GeometryError: arguments that torch refuses: a stride or dilation below 1, negative padding, groups that do not
            divide, "same" with a stride, a padding too large for its mode, a kernel larger than the padded input.
        UnknownNameError: an unknown padding mode or padding word.

    >>> conv_geometry((4, 1, 3), (1, 10), dilation=2, padding="same").padding
    ((2, 2),)
    """
    weight_shape, input_shape = _shapes(weight_shape, input_shape)
    kernel, axes = weight_shape[2:], len(weight_shape) - 2
    steps, spread = per_axis(stride, axes, "stride", least=1), per_axis(dilation, axes, "dilation", least=1)
    if padding_mode not in PADDING_MODES:
        raise UnknownNameError("unknown padding mode", expected=PADDING_MODES, got=padding_mode, where="padding_mode")
    groups = _checked_groups(groups, weight_shape[0], "c_out")
    if weight_shape[1] * groups != input_shape[0]:
        raise ShapeError(
            "the input's channels do not fit the weight",
            expected=f"c_in = {weight_shape[1] * groups} (weight.shape[1] * groups)",
            got=input_shape[0],
            where="input_shape",
        )
    pairs = padding_pairs(padding, kernel, steps, spread)
    check_padding(input_shape[1:], pairs, padding_mode)
    for axis, (n, k, (p, q), d) in enumerate(zip(input_shape[1:], kernel, pairs, spread, strict=True)):
        if n + p + q < d * (k - 1) + 1:
            raise GeometryError(
                f"the kernel is larger than the padded input along axis {axis}",
                expected=f"at least {d * (k - 1) + 1} positions (dilation * (kernel - 1) + 1)",
                got=n + p + q,
                where="input_shape",
            )
    return Geometry(input_shape, weight_shape[0], kernel, steps, pairs, spread, groups, padding_mode)


def conv_transpose_geometry(
    weight_shape: Sequence[int],
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Geometry:
    """The geometry of a transposed convolution, checked as torch checks it.

    Args:
        weight_shape: (c_in, c_out / groups, *kernel): torch's order for transposed convolutions.
        input_shape: (c_in, *spatial), no batch axis.
        stride: step between inputs as seen by the output; an int, or one per axis.
        padding: how much of the output is cropped on both sides; an int, one per axis, or pairs.
        output_padding: positions appended to the output; an int, or one per axis.
        dilation: step between taps; an int, or one per axis.
        groups: blocks of channels that do not see each other.

    Returns:
        The geometry, every argument in its long form.

    Raises:
        ShapeError: ``weight_shape`` or ``input_shape`` has the wrong number of axes or a channel count that
            does not fit.
        GeometryError: a stride or dilation below 1, negative padding, groups that do not divide, output padding not
            smaller than stride or dilation, or an output of negative length.
        UnknownNameError: padding given as a word.

    >>> conv_transpose_geometry((8, 4, 3), (8, 5), stride=2, padding=1, output_padding=1).output_shape
    (4, 10)
    """
    weight_shape, input_shape = _shapes(weight_shape, input_shape)
    kernel, axes = weight_shape[2:], len(weight_shape) - 2
    steps, spread = per_axis(stride, axes, "stride", least=1), per_axis(dilation, axes, "dilation", least=1)
    extra = per_axis(output_padding, axes, "output_padding", least=0)
    if isinstance(padding, str):
        raise UnknownNameError("a transposed convolution takes padding as numbers", got=padding, where="padding")
    pairs = padding_pairs(padding, kernel, steps, spread)
    check_padding(input_shape[1:], pairs, "zeros")
    groups = _checked_groups(groups, weight_shape[0], "c_in")
    if weight_shape[0] != input_shape[0]:
        raise ShapeError(
            "the input's channels do not fit the weight",
            expected=f"c_in = {weight_shape[0]} (weight.shape[0])",
            got=input_shape[0],
            where="input_shape",
        )
    for more, s, d in zip(extra, steps, spread, strict=True):
        if more >= max(s, d):
            raise GeometryError(
                "output padding must be smaller than stride or dilation",
                expected=f"at most {max(s, d) - 1}",
                got=more,
                where="output_padding",
            )
    channels = weight_shape[1] * groups
    geometry = Geometry(input_shape, channels, kernel, steps, pairs, spread, groups, "zeros", True, extra)
    if min(geometry.output_shape[1:], default=1) < 1:
        raise GeometryError("the output has no positions", got=geometry.output_shape, where="padding")
    return geometry


def _shapes(weight_shape: Sequence[int], input_shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both shapes as tuples of ints, with as many spatial axes."""
    weight, image = tuple(weight_shape), shape_of(input_shape)
    if len(weight) < 2 or len(image) != len(weight) - 1:
        raise ShapeError(
            "input_shape must be (c_in, *spatial), with one spatial axis per kernel axis and no batch axis",
            expected=f"{max(len(weight), 2) - 1} axes",
            got=image,
            where="input_shape",
        )
    if min(weight) < 1:
        raise ShapeError("the weight is empty", expected="at least 1 along every axis", got=weight, where="weight")
    return weight, image


def _checked_groups(groups: int, channels: int, name: str) -> int:
    groups = integer(groups, "groups")
    if groups < 1:
        raise GeometryError("groups is too small", expected="at least 1", got=groups, where="groups")
    if channels % groups:
        raise GeometryError(f"groups must divide {name} = {channels}", got=groups, where="groups")
    return groups
