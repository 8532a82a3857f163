"""The residual networks: torchvision's names and sizes, and what the skip strength and ``linear`` change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from algebraic_cnn.models import resnet18, resnet34, resnet50

DEPTHS = {resnet18: (2, 2, 2, 2), resnet34: (3, 4, 6, 3), resnet50: (3, 4, 6, 3)}
# the counts that torchvision's documentation gives for 3 channels and 1000 classes
PARAMETERS = {resnet18: 11_689_512, resnet34: 21_797_672, resnet50: 25_557_032}


def published_names(make) -> list[str]:
    """The keys of torchvision's state dict, written down from its layout."""
    bottleneck = make is resnet50
    statistics = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["conv1.weight", *(f"bn1.{s}" for s in statistics)]
    for stage, depth in enumerate(DEPTHS[make], start=1):
        for block in range(depth):
            for part in range(1, 4 if bottleneck else 3):
                names += [f"layer{stage}.{block}.conv{part}.weight"]
                names += [f"layer{stage}.{block}.bn{part}.{s}" for s in statistics]
            if block == 0 and (stage > 1 or bottleneck):
                names += [f"layer{stage}.0.downsample.0.weight"]
                names += [f"layer{stage}.0.downsample.1.{s}" for s in statistics]
    return [*names, "fc.weight", "fc.bias"]


@pytest.mark.parametrize("make", DEPTHS)
@pytest.mark.parametrize("linear", [False, True])
def test_names_and_sizes_are_torchvisions(make, linear: bool) -> None:
    net = make(in_channels=3, num_classes=1000, linear=linear, skip_strength=0.5)
    assert list(net.state_dict()) == published_names(make)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[make]


@pytest.mark.parametrize(("make", "wide"), [(resnet18, 1), (resnet50, 4)])
def test_shapes_are_torchvisions(make, wide: int) -> None:
    shapes = {name: tuple(value.shape) for name, value in make(3, 1000).state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer2.0.downsample.0.weight"] == (128 * wide, 64 * wide, 1, 1)
    assert shapes["layer3.0.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.1.conv1.weight"] == ((512, 512, 3, 3) if wide == 1 else (512, 2048, 1, 1))
    assert shapes["fc.weight"] == (1000, 512 * wide)


@pytest.mark.parametrize(("make", "strided"), [(resnet18, "conv1"), (resnet50, "conv2")])
def test_strides_sit_where_torchvision_has_them(make, strided: str) -> None:
    net = make(3, 1000)
    found = [name for name, part in net.named_modules() if isinstance(part, nn.Conv2d) and part.stride == (2, 2)]
    stages = [f"layer{stage}.0.{part}" for stage in (2, 3, 4) for part in (strided, "downsample.0")]
    assert found == ["conv1", *stages]


def test_eight_by_eight_images_train_and_predict() -> None:
    net = resnet18(linear=True)
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert net.eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def with_exact_weights(net: nn.Module) -> nn.Module:
    """One tap of 1 or -1 for each output channel, and BatchNorms that divide by 1: sums of few integers everywhere."""
    for part in net.double().eval().modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            rows = part.weight.data.zero_().flatten(1)
            for o, row in enumerate(rows):
                row[o * 7 % len(row)] = (-1) ** o
        if isinstance(part, nn.Linear):
            part.bias.data.fill_(5)
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1.0
            part.running_var.zero_()
            part.bias.data.copy_(torch.arange(part.num_features) % 3 * 9)
    return net


@pytest.mark.parametrize("make", [resnet18, resnet50])
def test_linear_means_affine_and_the_plain_one_is_not(make) -> None:
    numbers = torch.arange(2 * 3 * 32 * 32, dtype=torch.float64) * 37 % 101 - 50
    x, y = 9 * numbers.reshape(2, 1, 3, 32, 32)

    def is_affine(net: nn.Module) -> bool:
        f = with_exact_weights(net)
        with torch.no_grad():
            return torch.equal(f(x) + f(y), f(x + y) + f(torch.zeros_like(x)))

    assert is_affine(make(3, 5, linear=True))
    assert not is_affine(make(3, 5))


def test_linear_exchanges_the_two_parts_that_are_not_affine() -> None:
    pool = resnet18(linear=True).maxpool
    assert (pool.kernel_size, pool.stride, pool.padding, pool.count_include_pad) == (3, 2, 1, True)
    leaves = {type(part) for part in resnet34(linear=True).modules() if not any(part.children())}
    assert leaves == {nn.Conv2d, nn.BatchNorm2d, nn.Identity, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Linear}


@pytest.mark.parametrize("make", [resnet18, resnet50])
def test_the_skip_strength_scales_every_shortcut(make) -> None:
    half = make(1, 3, linear=True, skip_strength=0.5).double().eval()
    plain = make(1, 3, linear=True, skip_strength=0.0).double().eval()
    block_half, block_plain = half.layer1[1], plain.layer1[1]
    block_plain.load_state_dict(block_half.state_dict())
    x = torch.ones(1, half.layer1[1].conv1.in_channels, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(block_half(x), block_plain(x) + 0.5 * x)
    strengths = [part.skip_strength for part in half.modules() if hasattr(part, "skip_strength")]
    assert strengths == [0.5] * sum(DEPTHS[make])
