"""Exact removal of the skips of a trained ResNet through its ReLUs, as RMNet does it: nothing is faded, work is added.

A block relu(conv2(relu(conv1(x))) + R(x)) whose x is at least 0 carries x through its own layers: conv1 gets channels
that copy x, relu leaves them alone, and conv2 adds R(x) from them, R the identity or the 1x1 projection.

References:
    F. Meng et al., RMNet: Equivalently Removing Residual Connection from Networks, arXiv:2111.00687, 2021.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ...errors import NotAffineError
from ...models import ResNet
from ...models.resnet import BasicBlock


def through_relu(model: ResNet) -> nn.Module:
    """The same function without skips, wider inside its blocks.

    Args:
        model: one of our ResNets of basic blocks, in evaluation mode, skips of strength 1.

    Raises:
        NotAffineError: if it has other blocks, strengths or no ReLU.
    """
    twin = copy.deepcopy(model)
    for stage in (twin.layer1, twin.layer2, twin.layer3, twin.layer4):
        for name, block in stage.named_children():
            if not (isinstance(block, BasicBlock) and block.skip_strength == 1 and isinstance(block.relu, nn.ReLU)):
                what = "x is only carried through the ReLU of a basic block"
                raise NotAffineError(what, got=type(block).__name__, where=name)
            stage.register_module(name, _widened(block))
    return twin.eval()


def _widened(block: BasicBlock) -> nn.Sequential:
    """conv1 beside copies of x, ReLU, conv2 plus R of the copies, ReLU."""
    conv1, bn1, conv2, bn2 = block.conv1, block.bn1, block.conv2, block.bn2
    first, first_bias = _folded(conv1, bn1)
    second, second_bias = _folded(conv2, bn2)
    channels = first.shape[1]
    copies = torch.zeros(channels, channels, 3, 3, dtype=first.dtype)
    copies[range(channels), range(channels), 1, 1] = 1
    projection = torch.eye(len(second), dtype=first.dtype)
    if isinstance(block.downsample, nn.Sequential):
        weight, bias = _folded(*block.downsample)
        projection, second_bias = weight[:, :, 0, 0], second_bias + bias
    skipped = torch.zeros(len(second), channels, 3, 3, dtype=first.dtype)
    skipped[:, :, 1, 1] = projection
    layers = (
        _conv(torch.cat([first, copies]), torch.cat([first_bias, first_bias.new_zeros(channels)]), conv1.stride[0]),
        _conv(torch.cat([second, skipped], 1), second_bias, 1),
    )
    return nn.Sequential(layers[0], nn.ReLU(inplace=True), layers[1], nn.ReLU(inplace=True))


def _folded(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm after it."""
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    weight, bias = fuse_conv_bn_weights(conv.weight, None, *statistics)  # pyright: ignore[reportArgumentType]
    return weight.detach(), bias.detach()


def _conv(weight: Tensor, bias: Tensor, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride=stride, padding=1)
    conv.weight.data, conv.bias.data = weight, bias  # pyright: ignore[reportOptionalMemberAccess]
    return conv
