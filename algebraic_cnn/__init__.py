"""The algebra of convolutional networks, executable, exact and checked.

A network of convolutions with any skip connections is one affine map f(X) = W X + B.  This package derives W and B,
says how it knows, and gives back a network that computes the same function faster.  Names are loaded on first use, so
that ``import algebraic_cnn`` does not import torch.

References:
    [JV24] J. Joyce and J. Verschelde, Algebraic Representations for Faster Predictions in Convolutional Neural
    Networks, CASC 2024, LNCS 14938, arXiv:2408.07815.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "errors": (
        "AlgebraicError ShapeError GeometryError NotAffineError TrainingModeError TraceError TooLargeError "
        "NonFiniteError DataError UnknownNameError HomotopyError ResistedError UncertifiedError "
        "MissingExtraError"
    ),
    "rings.ring": "Float PrimeField Rationals",
    "toeplitz": (
        "conv_matrix conv_transpose_matrix avg_pool_matrix adaptive_avg_pool_matrix pad_matrix interpolate_matrix "
        "pixel_shuffle_matrix pixel_unshuffle_matrix channel_shuffle_matrix unfold_matrix fold_matrix bias_vector "
        "conv_operator dot_test"
    ),
    "algebra.affine": "AffineMap",
    "ops.layers": "affine_map",
    "algebra.recursion": "Layer Skip SkipRecursion",
    "derivation.methods": "derive",
    "derivation.bordering": "border_classes",
    "derivation.images": "operator",
    "algebra.operators.operator": "Operator",
    "derivation.function_space": "function_space_dimension symmetries",
    "algebra.varieties.architecture": "Architecture",
    "algebra.varieties.factoring": "factor_filter is_realisable",
    "algebra.varieties.polynomial_map": "PolynomialMap",
    "derivation.exact": "exact_map exact_outputs",
    "certification.certificate": "Certificate Witness",
    "derivation.linear_region": "LinearRegion local_affine_map",
    "collapsing.certifying": "certify",
    "collapsing.pipeline": "collapse",
    "collapsing.onnx_files": "OnnxCollapse collapse_onnx",
    "collapsing.backend": "backend",
    "algebra.forms": "Dense",
    "ir.onnx.writing": "save_onnx",
    "ir.onnx.reading": "load_onnx",
    "models": "LinearCNN SkipSpec resnet18 resnet34 resnet50",
    "models.data": "load_digits load_mnist",
    "homotopy": (
        "find_skips with_skip_strength set_skip_strength skip_strengths remove_skips find_activations "
        "with_activation_strength set_activation_strength activation_strengths remove_activations "
        "Constant Linear Cosine Exponential Step Adaptive Learned train sensitivity search_schedule"
    ),
    "testing": ("geometries kernels linear_cnns residual_networks affine_modules assert_collapse_is_exact"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        what = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(what, name=name, obj=sys.modules[__name__])  # so Python can say what was meant
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
