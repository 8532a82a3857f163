"""Small networks in the manner of the libraries that people use, each with its skips and activations told by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)


class Basic(nn.Module):
    """torchvision's way: one ReLU module called twice, in place, and ``+=``."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, c_out, stride=stride), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = conv(c_out, c_out), nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        fits = c_in == c_out and stride == 1
        self.downsample = None if fits else nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class NormAct(nn.BatchNorm2d):
    """timm's way: a BatchNorm whose own forward also drops and activates."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        mean, var, factor = self.running_mean, self.running_var, self.momentum or 0.0
        return self.act(F.batch_norm(x, mean, var, self.weight, self.bias, self.training, factor, self.eps))


class DropPath(nn.Module):
    """Drops whole samples in training; in evaluation it does nothing, and an exported program does not show it."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(0.5).div_(0.5)


class PreAct(nn.Module):
    """He et al. 2016 (2), timm's way: the shortcut starts after the activation where it is projected."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.conv1 = NormAct(c_in), conv(c_in, c_out, 1)
        self.norm2, self.conv2 = NormAct(c_out), conv(c_out, c_out, 3, stride)
        self.norm3, self.conv3 = NormAct(c_out), conv(c_out, c_out, 1)
        fits = c_in == c_out and stride == 1
        self.downsample = None if fits else nn.Sequential(nn.AvgPool2d(stride), conv(c_in, c_out, 1))
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x)
        shortcut = x if self.downsample is None else self.downsample(active)
        out = self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(active)))))
        return self.drop_path(out) + shortcut


class Gated(nn.Module):
    """Functions instead of modules, squeeze-and-excite with its gate, and a scaled skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels), conv(channels, channels)
        self.squeeze = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.leaky_relu(F.dropout(self.conv1(x), 0.5, self.training), 0.25))
        out = out * torch.sigmoid(self.squeeze(out.mean((2, 3), keepdim=True)))
        return F.relu(torch.add(out, x, alpha=0.5), inplace=True)


class Shared(nn.Module):
    """One block called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Basic(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.block(x))


class Branches(nn.Module):
    """RepVGG's three ways, of which only the identity is a skip; then two dense connections that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.norm = conv(4, 4), conv(4, 4, 1), nn.BatchNorm2d(4)
        self.last = conv(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.wide(x) + self.narrow(x) + self.norm(x))
        y = self.last(torch.cat([y, x], dim=1))
        return y + y + 1.0


class Nested(nn.Module):
    """A dictionary of results, a module with two of them, and a plain parameter."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(4, 4)

        def forward(self, x: Tensor, *, factor: float) -> tuple[Tensor, dict[str, Tensor]]:
            y = self.conv(x)
            return y, {"scaled": factor * y}

    def __init__(self) -> None:
        super().__init__()
        self.both = self.Both()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        y, more = self.both(x, factor=2.0)
        return {"sum": x + y * self.gain, "list": [more["scaled"], torch.tanh(y)]}


def network(*blocks: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv(1, 4), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))


def basic() -> nn.Module:
    return network(Basic(4, 4), Basic(4, 6, 2))


def preact() -> nn.Module:
    return network(PreAct(4, 4), PreAct(4, 6, 2))


def gated() -> nn.Module:
    return network(Gated(4))


def shared() -> nn.Module:
    return network(Shared())


def branches() -> nn.Module:
    return network(Branches())


def nested() -> nn.Module:
    return nn.Sequential(conv(1, 4), Nested())


#: network: its skips as (name, strength, kind, layers), its activations as (name, function)
SKIPS = {
    basic: [("1", 1.0, "identity", 2), ("2", 1.0, "projected", 2)],
    preact: [("1", 1.0, "identity", 3), ("2", 1.0, "projected", 3)],
    gated: [("1", 0.5, "identity", 3)],
    shared: [("1.block", 1.0, "identity", 2), ("1.block@1", 1.0, "identity", 2)],
    branches: [("1.wide", 1.0, "projected", 1)],
    nested: [("1.both.conv", 1.0, "identity", 1)],
}
ACTIVATIONS = {
    basic: [(f"{block}.relu{again}", "relu") for block in "12" for again in ("", "@1")],
    preact: [(f"{block}.norm{n}.act", "gelu") for block in "12" for n in "123"],
    gated: [("1.leaky_relu", "leaky_relu"), ("1.relu", "relu")],
    shared: [(f"1.block.relu{again}", "relu") for again in ("", "@1", "@2", "@3")],
    branches: [("1.relu", "relu")],
    nested: [("1.tanh", "tanh")],
}


def built(make: object, seed: int = 0) -> nn.Module:
    """The network with weights, and statistics that no batch norm starts with, in evaluation mode."""
    torch.manual_seed(seed)
    model: nn.Module = make()  # type: ignore[operator]
    with torch.no_grad():
        model(images(4, seed))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.25)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
