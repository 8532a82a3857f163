"""Twenty-five small networks, each wholly affine, each of which one convolution or one matrix can compute.

    LayerPattern  its name, the shape of its input, how its layers are made
    PATTERNS      all of them
    randomised    a network whose every number is drawn, the statistics of its BatchNorms included

The first is what every tool that fuses does, a BatchNorm after a convolution.  The others take the algebra of the
layers: kernels composed, branches added, borders kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerPattern:
    """One small affine network.

    Attributes:
        name: what it is called in tables.
        shape: of its input, without the batch axis.
        layers: makes its layers, their numbers not yet drawn.
    """

    name: str
    shape: tuple[int, ...]
    layers: Callable[[], list[nn.Module]]

    def network(self, seed: int = 0) -> nn.Module:
        """The network in float32 and evaluation mode, its numbers drawn."""
        return randomised(nn.Sequential(*self.layers()), seed)

    def example(self, batch: int = 1, seed: int = 0) -> Tensor:
        """Normal random inputs, shape (batch, *shape)."""
        return torch.randn(batch, *self.shape, generator=torch.Generator().manual_seed(seed))


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation mode with every parameter and running statistic drawn anew; changes it in place.

    Weights are normal with the deviation 1 / sqrt(fan in), factors and variances lie between 1/2 and 3/2, all other
    numbers are normal with the deviation 1/10; so values neither vanish nor grow with the depth.

    >>> norm = randomised(nn.BatchNorm2d(3))
    >>> bool((norm.running_var >= 0.5).all()), bool((norm.running_mean != 0).all()), norm.training
    (True, True, False)
    """
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point():
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            drawn = drawn / max(1, tensor[0].numel()) ** 0.5
        elif name.endswith(("running_var", "weight")):
            drawn = 0.5 + torch.rand(tensor.shape, generator=generator)
        else:
            drawn = drawn / 10
        tensor.data.copy_(drawn)
    return model.eval()


class Parallel(nn.Module):
    """The sum, or the concatenation along the channels, of what several modules make of one input."""

    def __init__(self, *branches: nn.Module, joined: str = "sum") -> None:
        super().__init__()
        self.branches, self.joined = nn.ModuleList(branches), joined

    def forward(self, x: Tensor) -> Tensor:
        """The branches, joined."""
        parts = [branch(x) for branch in self.branches]
        return torch.cat(parts, dim=1) if self.joined == "cat" else reduce(torch.add, parts)


class ScaleAndShift(nn.Module):
    """Each channel times a number plus a number, then times a constant."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """0.5 (a x + b)."""
        return 0.5 * (x * self.weight[:, None, None] + self.bias[:, None, None])


class CalledTwice(nn.Module):
    """A convolution called twice, its result normalised once."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """BatchNorm of the convolution, plus the convolution."""
        return self.norm(self.conv(x)) + self.conv(x)


def _conv(inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True, **geometry: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=bias, **geometry)  # pyright: ignore[reportArgumentType]


_IMAGE = (8, 16, 16)
_ROWS: list[tuple[str, tuple[int, ...], Callable[[], list[nn.Module]]]] = [
    ("conv, BN", _IMAGE, lambda: [_conv(8, 8, padding=1), nn.BatchNorm2d(8)]),
    ("BN, padded conv", _IMAGE, lambda: [nn.BatchNorm2d(8), _conv(8, 8, padding=1)]),
    ("1x1, padded 3x3", _IMAGE, lambda: [_conv(8, 16, 1), _conv(16, 8, padding=1)]),
    ("3x3, 1x1", _IMAGE, lambda: [_conv(8, 16, padding=1), _conv(16, 8, 1)]),
    ("3x3, 3x3, no padding", (4, 16, 16), lambda: [_conv(4, 16), _conv(16, 4)]),
    ("3x3, 3x3, both padded", (4, 16, 16), lambda: [_conv(4, 32, padding=1), _conv(32, 4, padding=1)]),
    ("3x3 beside 1x1", _IMAGE, lambda: [Parallel(_conv(8, 8, padding=1), _conv(8, 8, 1))]),
    ("identity skip", _IMAGE, lambda: [Parallel(_conv(8, 8, padding=1), nn.Identity())]),
    ("concatenation", _IMAGE, lambda: [Parallel(_conv(8, 8, padding=1), _conv(8, 8, 1), joined="cat")]),
    ("3x3, average pool", _IMAGE, lambda: [_conv(8, 8, padding=1), nn.AvgPool2d(2)]),
    ("linear, linear", (32,), lambda: [nn.Linear(32, 64), nn.Linear(64, 16)]),
    ("depthwise, pointwise", _IMAGE, lambda: [_conv(8, 8, padding=1, groups=8), _conv(8, 8, 1)]),
    ("1x1, pixel shuffle, 1x1", _IMAGE, lambda: [_conv(8, 16, 1), nn.PixelShuffle(2), _conv(4, 4, 1)]),
    ("upsample, 1x1", _IMAGE, lambda: [nn.Upsample(scale_factor=2), _conv(8, 8, 1)]),
    ("pad, 3x3", _IMAGE, lambda: [nn.ZeroPad2d(1), _conv(8, 8)]),
    ("3x3, scale and shift", _IMAGE, lambda: [_conv(8, 8, padding=1), ScaleAndShift(8)]),
    ("conv1d, BN, conv1d", (8, 64), lambda: [nn.Conv1d(8, 16, 5), nn.BatchNorm1d(16), nn.Conv1d(16, 8, 1)]),
    ("conv3d, BN, conv3d", (4, 8, 8, 8), lambda: [nn.Conv3d(4, 8, 3), nn.BatchNorm3d(8), nn.Conv3d(8, 4, 1)]),
    ("transposed conv, BN", _IMAGE, lambda: [nn.ConvTranspose2d(8, 8, 2, stride=2), nn.BatchNorm2d(8)]),
    ("1x1, dropout, 1x1", _IMAGE, lambda: [_conv(8, 32, 1), nn.Dropout2d(), _conv(32, 8, 1)]),
    ("3x3, flatten, linear", (8, 8, 8), lambda: [_conv(8, 16, padding=1), nn.Flatten(), nn.Linear(1024, 4)]),
    ("grouped, grouped 1x1", _IMAGE, lambda: [_conv(8, 16, padding=1, groups=2), _conv(16, 8, 1, groups=2)]),
    ("dilated, BN, 1x1", _IMAGE, lambda: [_conv(8, 8, dilation=2), nn.BatchNorm2d(8), _conv(8, 8, 1)]),
    ("1x1, strided 3x3", _IMAGE, lambda: [_conv(8, 16, 1, bias=False), _conv(16, 8, stride=2, padding=1)]),
    ("called twice", _IMAGE, lambda: [CalledTwice(8)]),
]

PATTERNS: tuple[LayerPattern, ...] = tuple(LayerPattern(*row) for row in _ROWS)
