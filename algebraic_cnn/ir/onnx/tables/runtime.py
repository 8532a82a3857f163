"""Operators of the domain com.microsoft that ONNX Runtime writes into graphs that it optimised: compositions of others.

FusedConv       activation(Conv + sum)
FusedGemm       activation(Gemm)
FusedMatMul     alpha * A B, each transposed or not
Gelu, BiasGelu, FastGelu, QuickGelu
SkipLayerNormalization, SimplifiedLayerNormalization are not read: they have more outputs than most files name

    RUNTIME     operator -> what is made of it
"""

from __future__ import annotations

import torch

from ..builder import Builder
from ..nodes import Node, Reader
from ..values import Unread, Value
from .sums import SUMS
from .windows import WINDOWS

_ATEN = torch.ops.aten


def _activated(b: Builder, y: Value, word: str, numbers: list[float]) -> Value:
    """A value through the function that a fused node names."""
    plain = {"Relu": _ATEN.relu, "Sigmoid": _ATEN.sigmoid, "Tanh": _ATEN.tanh}
    if not word:
        return y
    if word in plain and not numbers:
        return b.call(plain[word].default, y)
    if word == "LeakyRelu" and len(numbers) == 1:
        return b.call(_ATEN.leaky_relu.default, y, numbers[0])
    if word == "Clip" and len(numbers) == 2 and numbers[0] <= numbers[1]:
        return b.call(_ATEN.hardtanh.default, y, *numbers)
    if word == "HardSigmoid" and len(numbers) == 2:
        y = b.call(_ATEN.add.Tensor, b.call(_ATEN.mul.Tensor, y, numbers[0]), numbers[1])
        return b.call(_ATEN.clamp.default, y, 0, 1)
    raise Unread(f"the activation {word}")


def _conv(b: Builder, node: Node) -> Value:
    """activation(Conv(X, W, B) + Z)."""
    word, numbers = node.word("activation", ""), list(node.get("activation_params", []))
    y = WINDOWS["Conv"](b, node)
    if node.has(3):
        y = b.call(_ATEN.add.Tensor, y, node.x(3))
    return _activated(b, y, word, numbers)


def _gemm(b: Builder, node: Node) -> Value:
    """activation(Gemm(A, B, C)); its parameters are attributes of their own."""
    word = node.word("activation", "")
    numbers = [node.get(name) for name in ("activation_alpha", "activation_beta") if name in node.attributes]
    node.refuse("activation_gamma")
    return _activated(b, SUMS["Gemm"](b, node), word, numbers)


def _matmul(b: Builder, node: Node) -> Value:
    """alpha * A B, the last two axes of each swapped where it says so."""
    A, B, alpha = node.floating(), node.floating(1), node.get("alpha", 1.0)
    node.refuse("transBatchA", "transBatchB")
    A = b.call(_ATEN.transpose.int, A, -1, -2) if node.get("transA") and A.rank > 1 else A
    B = b.call(_ATEN.transpose.int, B, -1, -2) if node.get("transB") and B.rank > 1 else B
    y = b.call(_ATEN.matmul.default, A, B)
    return y if alpha == 1 else b.call(_ATEN.mul.Tensor, y, alpha)


def _biased(b: Builder, node: Node) -> Value:
    return b.call(_ATEN.add.Tensor, node.floating(), node.x(1)) if node.has(1) else node.floating()


def _gelu(approximate: str) -> Reader:
    def read(b: Builder, node: Node) -> Value:
        return b.call(_ATEN.gelu.default, _biased(b, node), approximate=approximate)

    return read


def _quick(b: Builder, node: Node) -> Value:
    """x sigmoid(alpha x)."""
    x, alpha = node.floating(), node.get("alpha", 1.702)
    scaled = x if alpha == 1 else b.call(_ATEN.mul.Tensor, x, alpha)
    return b.call(_ATEN.mul.Tensor, x, b.call(_ATEN.sigmoid.default, scaled))


RUNTIME: dict[str, Reader] = {
    "BiasGelu": _gelu("none"),
    "FastGelu": _gelu("tanh"),
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu("none"),
    "QuickGelu": _quick,
}
