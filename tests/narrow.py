"""Networks of few channels: RepVGG's block, and residual networks as ours, at a hundredth of the numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from algebraic_cnn.models.resnet import BasicBlock, Bottleneck, ResNet


class Block(nn.Module):
    """RepVGG's block as it is trained: 3x3, 1x1 and identity, a BatchNorm each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.three = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.one = nn.Conv2d(channels, channels, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.norms[0](self.three(x)), self.norms[1](self.one(x)), self.norms[2](x)]
        return torch.relu(sum(parts[1:], parts[0]))


class Narrow(ResNet):
    """Stages of 2, 3, 4, 5 channels times the block's expansion; a stage of no blocks does nothing."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        in_channels: int = 1,
        num_classes: int = 10,
        linear: bool = False,
        skip_strength: float = 1.0,
    ) -> None:
        nn.Module.__init__(self)
        channels = 2
        self.conv1, self.bn1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.Identity() if linear else nn.ReLU()
        self.maxpool = nn.AvgPool2d(2) if linear else nn.MaxPool2d(2)
        for stage, depth in enumerate(depths, 1):
            blocks = []
            for number in range(depth):
                stride = 2 if stage > 1 and not number else 1
                blocks.append(block(channels, stage + 1, stride, linear, skip_strength))
                channels = (stage + 1) * block.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(channels, num_classes)
