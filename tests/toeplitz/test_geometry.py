"""Arguments mean what torch means by them, and what torch refuses is refused in words about the argument."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from algebraic_cnn.errors import AlgebraicError, GeometryError, ShapeError, UnknownNameError
from algebraic_cnn.toeplitz import (
    adaptive_avg_pool_matrix,
    avg_pool_matrix,
    bias_vector,
    channel_shuffle_matrix,
    fold_matrix,
    interpolate_matrix,
    pad_matrix,
    pixel_shuffle_matrix,
    pixel_unshuffle_matrix,
    unfold_matrix,
)
from algebraic_cnn.toeplitz.arguments import check_padding, padding_pairs, per_axis
from algebraic_cnn.toeplitz.geometry import conv_geometry, conv_transpose_geometry

F = torch.nn.functional
X = torch.zeros(1, 4, 5, 5)


def conv(**how: Any) -> Any:
    """Torch's layer on the 5 x 5 image with 4 channels."""
    return lambda: nn.Conv2d(4, 4, **{"kernel_size": 3, **how})(X)


def geometry(weight_shape: tuple[int, ...] = (4, 4, 3, 3), shape: tuple[int, ...] = (4, 5, 5), **how: Any) -> Any:
    """Our geometry of the same."""
    return lambda: conv_geometry(weight_shape, shape, **how)


def transposed(**how: Any) -> Any:
    """Our geometry of a transposed convolution."""
    return lambda: conv_transpose_geometry((4, 4, 3, 3), (4, 5, 5), **how)


REFUSALS: dict[str, tuple[Any, Any, type[AlgebraicError], str]] = {
    "kernel too large": (conv(kernel_size=6), geometry((4, 4, 6, 6)), GeometryError, "larger than the padded input"),
    "dilated kernel too large": (conv(dilation=3), geometry(dilation=3), GeometryError, "larger than the padded input"),
    "groups": (conv(groups=3), geometry((4, 4, 3, 3), groups=3), GeometryError, "groups must divide c_out = 4"),
    "no groups": (conv(groups=0), geometry(groups=0), GeometryError, "groups is too small"),
    "channels": (lambda: nn.Conv2d(3, 4, 3)(X), geometry((4, 3, 3, 3)), ShapeError, "expected c_in = 3"),
    "batch axis": (
        lambda: F.conv2d(X[None], torch.zeros(4, 4, 3, 3)),
        geometry(shape=(1, 4, 5, 5)),
        ShapeError,
        "no batch",
    ),
    "stride 0": (conv(stride=0), geometry(stride=0), GeometryError, "stride is too small: expected at least 1"),
    "dilation 0": (conv(dilation=0), geometry(dilation=0), GeometryError, "dilation is too small"),
    "negative padding": (conv(padding=-1), geometry(padding=-1), GeometryError, "padding is too small"),
    "same with stride": (conv(stride=2, padding="same"), geometry(stride=2, padding="same"), GeometryError, "stride 1"),
    "padding word": (conv(padding="full"), geometry(padding="full"), UnknownNameError, "full"),
    "padding mode": (conv(padding_mode="edge"), geometry(padding_mode="edge"), UnknownNameError, "edge"),
    "reflect": (
        conv(padding=5, padding_mode="reflect"),
        geometry(padding=5, padding_mode="reflect"),
        GeometryError,
        "too large for mode 'reflect' on an axis of length 5: expected at most 4",
    ),
    "circular": (
        conv(padding=6, padding_mode="circular"),
        geometry(padding=6, padding_mode="circular"),
        GeometryError,
        "too large for mode 'circular' on an axis of length 5: expected at most 5",
    ),
    "strides": (conv(stride=(1, 1, 1)), geometry(stride=(1, 1, 1)), GeometryError, "stride has the wrong number"),
    "output padding": (
        lambda: nn.ConvTranspose2d(4, 4, 3, output_padding=1)(X),
        transposed(output_padding=1),
        GeometryError,
        "smaller than stride or dilation",
    ),
    "negative output": (
        lambda: nn.ConvTranspose2d(4, 4, 3, padding=4)(X),
        transposed(padding=4),
        GeometryError,
        "no positions",
    ),
    "transposed padding word": (
        lambda: nn.ConvTranspose2d(4, 4, 3, padding="same")(X),  # type: ignore[arg-type]
        transposed(padding="same"),
        UnknownNameError,
        "as numbers",
    ),
    "pool kernel": (lambda: F.avg_pool2d(X, 6), lambda: avg_pool_matrix((4, 5, 5), 6), GeometryError, "kernel exceeds"),
    "pool padding": (
        lambda: F.avg_pool2d(X, 3, padding=2),
        lambda: avg_pool_matrix((4, 5, 5), 3, padding=2),
        GeometryError,
        "half the kernel",
    ),
    "pool divisor": (
        lambda: F.avg_pool2d(X, 3, divisor_override=0),
        lambda: avg_pool_matrix((4, 5, 5), 3, divisor_override=0),
        GeometryError,
        "divisor",
    ),
    "pool sizes": (
        lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)),
        lambda: adaptive_avg_pool_matrix((4, 5, 5), (1, 2, 3)),
        GeometryError,
        "output_size has the wrong number",
    ),
    "cropped to nothing": (
        lambda: F.pad(X, (-3, -3)),
        lambda: pad_matrix((4, 5, 5), ((0, 0), (-3, -3))),
        GeometryError,
        "cropping leaves nothing",
    ),
    "pads": (lambda: F.pad(X, (1, 1, 1)), lambda: pad_matrix((4, 5, 5), (1, 1, 1)), GeometryError, "padding"),
    "pad mode": (
        lambda: F.pad(X, (1, 1), "edge"),
        lambda: pad_matrix((4, 5, 5), 1, padding_mode="edge"),
        UnknownNameError,
        "edge",
    ),
    "interpolation mode": (
        lambda: F.interpolate(X, 3, mode="linear"),
        lambda: interpolate_matrix((4, 5, 5), size=3, mode="linear"),
        UnknownNameError,
        "2 spatial axes",
    ),
    "interpolation of nothing": (
        lambda: F.interpolate(X, scale_factor=0.1),
        lambda: interpolate_matrix((4, 5, 5), scale_factor=0.1),
        GeometryError,
        "positions on both sides",
    ),
    "size and scale": (
        lambda: F.interpolate(X, 3, scale_factor=2),
        lambda: interpolate_matrix((4, 5, 5), size=3, scale_factor=2),
        GeometryError,
        "either size or scale_factor",
    ),
    "scales": (
        lambda: F.interpolate(X, scale_factor=(2.0, 2.0, 2.0)),
        lambda: interpolate_matrix((4, 5, 5), scale_factor=(2.0, 2.0, 2.0)),
        GeometryError,
        "scale_factor has the wrong number",
    ),
    "negative scale": (
        lambda: F.interpolate(X, scale_factor=-1.0),
        lambda: interpolate_matrix((4, 5, 5), scale_factor=-1.0),
        GeometryError,
        "scale factors are positive",
    ),
    "scale that is no number": (
        lambda: F.interpolate(X, scale_factor=float("nan")),
        lambda: interpolate_matrix((4, 5, 5), scale_factor=float("nan")),
        GeometryError,
        "scale factors are positive",
    ),
    "corners": (
        lambda: F.interpolate(X, 3, mode="nearest", align_corners=True),
        lambda: interpolate_matrix((4, 5, 5), size=3, align_corners=True),
        GeometryError,
        "no corners",
    ),
    "pixel shuffle": (
        lambda: F.pixel_shuffle(X, 3),
        lambda: pixel_shuffle_matrix((4, 5, 5), 3),
        GeometryError,
        "must divide the channels",
    ),
    "pixel unshuffle": (
        lambda: F.pixel_unshuffle(X, 2),
        lambda: pixel_unshuffle_matrix((4, 5, 5), 2),
        GeometryError,
        "must divide the height",
    ),
    "pixel shuffle of a vector": (
        lambda: F.pixel_shuffle(X[0, 0], 1),
        lambda: pixel_shuffle_matrix((4, 5), 1),
        ShapeError,
        "not an image",
    ),
    "channel shuffle": (
        lambda: F.channel_shuffle(X, 3),
        lambda: channel_shuffle_matrix((4, 5, 5), 3),
        GeometryError,
        "must divide the channels",
    ),
    "unfold": (
        lambda: F.unfold(X, 6),
        lambda: unfold_matrix((4, 5, 5), 6),
        GeometryError,
        "larger than the padded input",
    ),
    "fold": (
        lambda: F.fold(X[0], (3, 3), 2),
        lambda: fold_matrix((5, 5), (3, 3), 2),
        ShapeError,
        "no unfolded image",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_torch_refuses_is_refused_in_words_about_the_argument(name: str) -> None:
    torch_call, our_call, error, words = REFUSALS[name]
    with pytest.raises((RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError)):
        torch_call()
    with pytest.raises(error, match=words):
        our_call()


def test_bias_of_another_length() -> None:
    with pytest.raises(ShapeError, match="one number per output channel"):
        bias_vector([1.0, 2.0], (3, 2, 2))


@pytest.mark.parametrize("value", ["a", 1.5, None, (1, "a")])
def test_arguments_that_are_no_ints(value: Any) -> None:
    with pytest.raises(GeometryError, match="int"):
        per_axis(value, 2, "stride", least=1)


@pytest.mark.parametrize(
    "padding, expected",
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ((3,), ((3, 3), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 2), (1, 1))),
    ],
)
def test_every_spelling_of_padding(padding: Any, expected: Any) -> None:
    assert padding_pairs(padding, (4, 3), (1, 1), (1, 1)) == expected


@pytest.mark.parametrize("padding", [((1, 2),), ((1, 2, 3), (1, 2)), ((1, 2), (3, "a")), (1, (2, 3)), (1, 2, 3)])
def test_padding_that_fits_no_axis(padding: Any) -> None:
    with pytest.raises(GeometryError, match="padding"):
        padding_pairs(padding, (4, 3), (1, 1), (1, 1))


def test_an_empty_axis_has_no_border_to_repeat() -> None:
    check_padding((0,), ((0, 0),), "replicate")
    with pytest.raises(GeometryError, match="at most 0"):
        check_padding((0,), ((1, 0),), "replicate")


def test_output_shapes_are_torchs() -> None:
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 3), dilation=(1, 2))
    how = {"stride": (2, 1), "padding": (0, 3), "dilation": (1, 2)}
    assert conv_geometry((6, 4, 3, 2), (4, 5, 5), **how).output_shape == layer(X).shape[1:]
    inverse = nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1), output_padding=(1, 0))
    how = {"stride": (2, 1), "padding": (0, 1), "output_padding": (1, 0)}
    assert conv_transpose_geometry((4, 6, 3, 2), (4, 5, 5), **how).output_shape == inverse(X).shape[1:]


def test_a_weight_without_taps_and_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="the weight is empty"):
        conv_geometry((2, 1, 0), (1, 5))
    with pytest.raises(ShapeError, match="channels do not fit"):
        conv_transpose_geometry((3, 2, 3), (4, 5))
