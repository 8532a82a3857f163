"""The networks of the paper: linear CNNs with any skip connections, and residual networks with a skip strength.

    LinearCNN               f^(i) = W^(i) P^(i) (sum_k t R f^(k)) + B^(i), any layers, any skips
    SkipSpec                strength t and resizing R of one skip
    resnet18, 34, 50        torchvision's layout and parameter names; ``linear=True`` makes them affine
    resize, data            the resizing R of a skip; the digits of scikit-learn, and MNIST from its files
"""

from __future__ import annotations

from .linear import LinearCNN, SkipSpec
from .resnet import ResNet, resnet18, resnet34, resnet50

__all__ = ["LinearCNN", "ResNet", "SkipSpec", "resnet18", "resnet34", "resnet50"]
