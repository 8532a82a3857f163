"""Operators of the domain com.microsoft that ONNX Runtime writes into graphs that it optimised: compositions of others.

FusedConv       activation(Conv + sum)
FusedGemm       activation(Gemm)
FusedMatMul     alpha * A B, each transposed or not
Gelu, BiasGelu, FastGelu, QuickGelu
SimplifiedLayerNormalization                       x / sqrt(mean of x^2 + epsilon), scaled
SkipLayerNormalization, SkipSimplified...          these of a sum, which is an output as well

    RUNTIME     operator -> what is made of it
    OWN         operators that it writes into ONNX's own domain, where ONNX does not have them
"""

from __future__ import annotations

import torch

from ..builder import Builder
from ..nodes import Attributes, Node, Reader, attribute
from ..values import Unread, Value
from .boundaries import BOUNDARIES, layer_norm
from .sums import SUMS
from .windows import WINDOWS

_ATEN = torch.ops.aten

#: Of the operators that a fused node names: the last before numbers that say more of them became inputs.
_VERSION = 10


#: The functions that a fused node may name, and the attributes that say more of them, in the order of a FusedConv.
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Clip": ("min", "max"), "Elu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "HardSwish": (),
    "LeakyRelu": ("alpha",), "Relu": (), "Selu": ("alpha", "gamma"), "Sigmoid": (), "Softplus": (), "Softsign": (),
    "Tanh": (), "ThresholdedRelu": ("alpha",),
}  # fmt: skip


def _activated(b: Builder, y: Value, word: str, numbers: dict[str, float]) -> Value:
    """A value through the function that a fused node names: the operator of that name."""
    if not word:
        return y
    if not set(numbers) <= set(_ACTIVATIONS.get(word, ())) or word not in _ACTIVATIONS:
        raise Unread(f"the activation {word}")
    return BOUNDARIES[word](b, Node(word, _VERSION, Attributes(numbers), (y,), 1, b))


def _conv(b: Builder, node: Node) -> Value:
    """activation(Conv(X, W, B) + Z)."""
    word, numbers = node.word("activation", ""), list(map(attribute, node.get("activation_params", [])))
    y = WINDOWS["Conv"](b, node)
    if node.has(3):
        y = b.call(_ATEN.add.Tensor, y, node.x(3))
    names = _ACTIVATIONS.get(word, ())
    if len(names) != len(numbers):
        raise Unread(f"the activation {word}")
    return _activated(b, y, word, dict(zip(names, numbers, strict=True)))


def _gemm(b: Builder, node: Node) -> Value:
    """activation(Gemm(A, B, C)); its parameters are attributes of their own."""
    word = node.word("activation", "")
    names = [name for name in ("alpha", "beta", "gamma") if f"activation_{name}" in node.attributes]
    numbers = {name: node.get(f"activation_{name}") for name in names}
    return _activated(b, SUMS["Gemm"](b, node), word, numbers)


def _matmul(b: Builder, node: Node) -> Value:
    """alpha * A B, the first axis of each taken behind the others of the batch, and its last two swapped, or not."""
    A, B, alpha = node.floating(), node.floating(1), node.get("alpha", 1.0)
    A = b.call(_ATEN.movedim.int, A, 0, -2) if node.get("transBatchA") and A.rank > 2 else A
    B = b.call(_ATEN.movedim.int, B, 0, -2) if node.get("transBatchB") and B.rank > 2 else B
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


def _root_norm(b: Builder, x: Value, scale: Value, node: Node) -> Value:
    square = b.call(_ATEN.mean.dim, b.call(_ATEN.mul.Tensor, x, x), [-1], True)
    root = b.call(_ATEN.sqrt.default, b.call(_ATEN.add.Tensor, square, node.get("epsilon", 1e-5)))
    return b.call(_ATEN.mul.Tensor, b.call(_ATEN.div.Tensor, x, root), scale)


def _simplified(b: Builder, node: Node) -> Value:
    node.only()
    x = node.floating()
    if node.get("axis", -1) % x.rank != x.rank - 1 or node.get("stash_type", 1) != 1:
        raise Unread("a normalisation over several axes, or in another precision")
    return _root_norm(b, x, node.x(1), node)


def _skip(*, mean: bool) -> Reader:
    """The normalised sum of two values and a bias, and that sum; mean and deviation between them are not read."""

    def read(b: Builder, node: Node) -> list[Value | None]:
        total = b.call(_ATEN.add.Tensor, node.floating(), node.floating(1))
        bias = node.optional(4 if mean else 3)
        total = total if bias is None else b.call(_ATEN.add.Tensor, total, bias)
        if mean:
            y = layer_norm(b, total, node.x(2), node.optional(3), node.get("epsilon", 1e-12))
        else:
            y = _root_norm(b, total, node.x(2), node)
        return [y, None, None, total]

    return read


OWN = frozenset(("LayerNormalization", "SimplifiedLayerNormalization"))

RUNTIME: dict[str, Reader] = {
    "BiasGelu": _gelu("none"),
    "FastGelu": _gelu("tanh"),
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu("none"),
    "QuickGelu": _quick,
    "SimplifiedLayerNormalization": _simplified,
    "SkipLayerNormalization": _skip(mean=True),
    "SkipSimplifiedLayerNormalization": _skip(mean=False),
}
