"""Whole networks: linear CNNs with any skips, residual networks, and the assertion that their collapse is exact."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..collapsing.certifying import certify
from ..collapsing.pipeline import collapse
from ..errors import ShapeError, UncertifiedError
from ..models import LinearCNN, SkipSpec
from ..models.resize import resizing
from ..models.resnet import BasicBlock, Bottleneck
from .modules import avg_pool, conv, conv_norm, conv_transpose, norm, shapes
from .weights import Network, Numbers, Shape, filled, kernels, st


@st.composite
def linear_cnns(
    draw: st.DrawFn,
    *,
    numbers: Numbers = "integers",
    dtype: Any = torch.float64,
    max_layers: int = 4,
    max_axes: int = 2,
) -> Network:
    """The paper's networks: convolutions, BatchNorm, pools, perhaps a matrix at the end; any skips, resized in any way.

    Args:
        draw: given by Hypothesis.
        numbers: "integers" or "floats".
        dtype: torch.float32 or torch.float64.
        max_layers: most layers.
        max_axes: most spatial axes.

    Returns:
        Strategy for ``Network`` with a ``LinearCNN``.

    >>> from hypothesis import find
    >>> found = find(linear_cnns(max_layers=2, max_axes=1), lambda network: 0.5 in network.model.strengths.values())
    >>> list(found.model.strengths.values())                                                 # no other skip is left
    [0.5]
    """
    features = [draw(shapes(1, max_axes, max_channels=3))]
    layers: list[nn.Module] = []
    skips: dict[tuple[int, int], SkipSpec] = {}
    for i in range(1, max_layers + 1):
        layer, into = draw(_layers(features, max_layers, numbers, dtype))
        layers.append(layer)
        skips |= {(k, i): spec for k, spec in into.items()}
        if isinstance(layer, nn.Linear) or draw(st.integers(0, 5)) == 0:  # mostly go on; shrink to an end
            break
        with torch.no_grad():
            features.append(tuple(layer.eval()(torch.zeros(1, *features[-1])).shape[1:]))
    return draw(filled(LinearCNN(features[0], layers, skips), features[0], numbers, dtype))


@st.composite
def _layers(
    draw: st.DrawFn, features: list[Shape], max_layers: int, numbers: Numbers, dtype: Any
) -> tuple[nn.Module, dict[int, SkipSpec]]:
    """A layer for the last of the features, and the skips into it, by the number of the feature that they come from.

    Skips are drawn by how far back they reach, whether or not there is such a feature: then a layer can shrink away.
    """
    entering, into = features[-1], {}
    strengths = st.sampled_from([1.0, 0.5, 2.0, -1.0, 0.0])
    if numbers == "floats":
        strengths = kernels((), numbers=numbers, dtype=dtype).map(float)
    for back in range(1, max_layers + 1):
        choice, k = draw(st.integers(0, 5)), len(features) - back
        fitting = _resizings(features[k], entering, numbers) if back > 1 and k >= 0 else ["identity"]
        if choice > 1 and k >= 0 and fitting:
            resize = fitting[(choice - 2) % len(fitting)]
            normed = resize == "conv" and draw(st.booleans())
            into[k] = SkipSpec(draw(strengths), resize, normed)
    kind = draw(st.sampled_from([conv, conv_norm, conv, conv_norm, avg_pool, norm, conv_transpose, None]))
    if kind is None:
        return nn.Linear(math.prod(entering), draw(st.integers(1, 3))), into
    return kind(draw, entering, numbers), into


@st.composite
def residual_networks(
    draw: st.DrawFn,
    *,
    numbers: Numbers = "integers",
    dtype: Any = torch.float64,
    max_blocks: int = 2,
    linear: bool = True,
) -> Network:
    """Small residual networks: a stem, basic and bottleneck blocks with skip strengths, a mean, a matrix.

    Args:
        draw: given by Hypothesis.
        numbers: "integers" or "floats".
        dtype: torch.float32 or torch.float64.
        max_blocks: most residual blocks.
        linear: without the ReLUs.

    Returns:
        Strategy for ``Network``.

    >>> from hypothesis import find
    >>> [type(part).__name__ for part in find(residual_networks(), lambda network: len(network.model) > 5).model]
    ['Conv2d', 'BatchNorm2d', 'BasicBlock', 'AdaptiveAvgPool2d', 'Flatten', 'Linear']
    """
    side = draw(st.sampled_from([4, 8] if numbers == "integers" else [4, 5, 6, 7]))
    shape, channels = (draw(st.integers(1, 2)), side, side), draw(st.integers(1, 2))
    parts: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    for _ in range(draw(st.integers(0, max_blocks))):
        block = draw(st.sampled_from([BasicBlock, Bottleneck]))
        width, stride = draw(st.integers(1, 2)), draw(st.integers(1, 2))
        parts.append(block(channels, width, stride, linear, draw(st.sampled_from([1.0, 0.5, 0.0]))))
        channels = width * block.expansion
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, draw(st.integers(1, 3)))]
    return draw(filled(nn.Sequential(*parts), shape, numbers, dtype))


def assert_collapse_is_exact(model: nn.Module, example: Tensor, *, points: int = 8, seed: int = 0) -> None:
    """Fail unless ``collapse`` gives the function of an affine model.

    Its recipes are decided modulo random primes, and its outputs differ by no more than rounding explains.

    Args:
        model: an affine network in evaluation mode.
        example: an input tensor (N, *in_shape).
        points: how many random inputs outputs are compared at.
        seed: of their choice.

    Raises:
        AssertionError: if it does not; the message is the certificate with its witness.
        AlgebraicError: as ``collapse`` raises it.

    >>> assert_collapse_is_exact(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).eval(), torch.zeros(1, 1, 5, 5))
    """
    try:
        result = collapse(model, example, measure=False)
    except UncertifiedError as error:
        raise AssertionError(str(error)) from error
    certificate = certify(model, result.model, example, level="bounded", points=points, seed=seed)
    if not certificate.ok:
        raise AssertionError(str(certificate))


def _resizings(source: Shape, target: Shape, numbers: Numbers) -> list[str]:
    """The kinds of resizing that fit; with integers no mean over windows of three or more."""
    fitting = []
    for kind in ("identity", "conv", "stride", "pool"):
        with contextlib.suppress(ShapeError):
            resizing(kind, source, target)
            if kind != "pool" or numbers == "floats" or all(n <= 2 * m for n, m in zip(source, target, strict=True)):
                fitting.append(kind)
    return fitting
