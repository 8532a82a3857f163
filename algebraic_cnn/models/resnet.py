"""Residual networks with a skip strength t: every residual add is ``main + t * shortcut``.

    t = 1           the ResNet of He et al. (2016), layout and parameter names as in torchvision
    t = 0           a plain network: its skips need not be computed
    linear=True     ReLU becomes the identity and the max-pool an average pool: an affine map [JV24, section 3]

References:
    K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    [JV24, section 4]: the skip strength.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the image size at stride 1; a BatchNorm follows."""
    return nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Module | None:
    """The projection of a block that changes the shape; None where the identity fits."""
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(_conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))


class BasicBlock(nn.Module):
    """x to act(main(x) + t * shortcut(x)), main two 3x3 convolutions (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int, linear: bool, skip_strength: float) -> None:
        super().__init__()
        self.skip_strength = skip_strength
        self.conv1 = _conv(c_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.Identity() if linear else nn.ReLU()
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(c_in, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output, shape (N, width, ceil(H / stride), ceil(W / stride))."""
        main = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(_join(main, x if self.downsample is None else self.downsample(x), self.skip_strength))


class Bottleneck(nn.Module):
    """x to act(main(x) + t * shortcut(x)), main 1x1, 3x3 (strided), 1x1 (He et al. 2016, figure 5 right)."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int, linear: bool, skip_strength: float) -> None:
        super().__init__()
        c_out = self.expansion * width
        self.skip_strength = skip_strength
        self.conv1 = _conv(c_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, c_out, 1)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.Identity() if linear else nn.ReLU()
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output, shape (N, 4 width, ceil(H / stride), ceil(W / stride))."""
        main = self.relu(self.bn1(self.conv1(x)))
        main = self.relu(self.bn2(self.conv2(main)))
        main = self.bn3(self.conv3(main))
        return self.relu(_join(main, x if self.downsample is None else self.downsample(x), self.skip_strength))


def _join(main: torch.Tensor, shortcut: torch.Tensor, t: float) -> torch.Tensor:
    return main + shortcut if t == 1 else main + t * shortcut


class ResNet(nn.Module):
    """Images (N, in_channels, H, W) to class scores (N, num_classes): a stem, four stages of blocks, a mean, a matrix.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: number of blocks in each of the four stages.
        in_channels: channels of the images (1 for grey, 3 for colour).
        num_classes: number of scores.
        linear: leave out what is not affine.
        skip_strength: t of every residual add.
        width: channels of the first stage; each of the next has twice as many as the one before.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        in_channels: int = 1,
        num_classes: int = 10,
        linear: bool = False,
        skip_strength: float = 1.0,
        width: int = 64,
    ) -> None:
        super().__init__()

        def stage(c_in: int, inner: int, depth: int, stride: int) -> nn.Sequential:
            c_out = inner * block.expansion
            shapes = [(c_in, stride)] + [(c_out, 1)] * (depth - 1)
            return nn.Sequential(*(block(c, inner, s, linear, skip_strength) for c, s in shapes))

        wide = width * block.expansion
        self.conv1 = _conv(in_channels, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.Identity() if linear else nn.ReLU()
        self.maxpool = nn.AvgPool2d(3, 2, padding=1) if linear else nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = stage(width, width, depths[0], 1)
        self.layer2 = stage(wide, 2 * width, depths[1], 2)
        self.layer3 = stage(2 * wide, 4 * width, depths[2], 2)
        self.layer4 = stage(4 * wide, 8 * width, depths[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * wide, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The scores, shape (N, num_classes); entry [n, c] is larger the more image n looks like class c."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(
    in_channels: int = 1, num_classes: int = 10, linear: bool = False, skip_strength: float = 1.0, width: int = 64
) -> ResNet:
    """The residual network of 18 layers; torchvision's state dicts load into it.

    Args:
        in_channels: channels of the images (1 for grey, 3 for colour).
        num_classes: number of scores.
        linear: leave out the ReLUs, and average where a maximum was taken: the paper's linear CNN.
        skip_strength: t of every residual add.
        width: channels of the first stage; each of the next has twice as many as the one before.

    Returns:
        Module from images (N, in_channels, H, W) to scores (N, num_classes).

    References:
        K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016, table 1.

    >>> sum(p.numel() for p in resnet18(in_channels=3, num_classes=1000).parameters())
    11689512
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), in_channels, num_classes, linear, skip_strength, width)


def resnet34(
    in_channels: int = 1, num_classes: int = 10, linear: bool = False, skip_strength: float = 1.0, width: int = 64
) -> ResNet:
    """The residual network of 34 layers, the paper's example; torchvision's state dicts load into it.

    Args:
        in_channels: channels of the images (1 for grey, 3 for colour).
        num_classes: number of scores.
        linear: leave out the ReLUs, and average where a maximum was taken: the paper's linear CNN.
        skip_strength: t of every residual add.
        width: channels of the first stage; each of the next has twice as many as the one before.

    Returns:
        Module from images (N, in_channels, H, W) to scores (N, num_classes).

    References:
        K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016, table 1.

    >>> resnet34(linear=True).eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    return ResNet(BasicBlock, (3, 4, 6, 3), in_channels, num_classes, linear, skip_strength, width)


def resnet50(
    in_channels: int = 1, num_classes: int = 10, linear: bool = False, skip_strength: float = 1.0, width: int = 64
) -> ResNet:
    """The residual network of 50 layers, of bottleneck blocks; torchvision's state dicts load into it.

    Args:
        in_channels: channels of the images (1 for grey, 3 for colour).
        num_classes: number of scores.
        linear: leave out the ReLUs, and average where a maximum was taken: the paper's linear CNN.
        skip_strength: t of every residual add.
        width: channels of the first stage; each of the next has twice as many as the one before.

    Returns:
        Module from images (N, in_channels, H, W) to scores (N, num_classes).

    References:
        K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016, table 1.

    >>> sum(p.numel() for p in resnet50(in_channels=3, num_classes=1000).parameters())
    25557032
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), in_channels, num_classes, linear, skip_strength, width)


RESNETS: dict[str, Callable[..., ResNet]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet34-narrow": partial(resnet34, width=8),
}
"""The residual networks by name; the narrow one has an eighth of the channels, for many trainings on a processor."""
