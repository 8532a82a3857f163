"""Calls that are not affine, of which something is known all the same: each word of ``Traits``, and whose it is.

An affine call says its traits in its own entry; of a call that is in neither place nothing is known.  All are asked for
in one way, ``registry.traits``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .traits import Traits

#: What is known -> of which calls.
_FACTS = {
    "casts": "to _to_copy type_as float double half bfloat16",
    "copies": "lift_fresh",
    "bijective": "numpy_T mT",
    "unit": "relu leaky_relu",
    "largest": "max_pool1d max_pool2d max_pool3d",
    "idle": "sym_size",
    "normalises": "_native_batch_norm_legit _batch_norm_no_update",
    "activation": (
        "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu log_sigmoid mish prelu relu relu6 selu sigmoid silu "
        "softplus tanh threshold"
    ),
    "poles": (
        "exp exp2 expm1 special_expm1 special_exp2 log log2 log10 log1p special_log1p logit special_logit reciprocal "
        "rsqrt pow float_power tan cosh sinh atanh arctanh erfinv special_erfinv lgamma digamma xlogy special_xlogy "
        "logaddexp logcumsumexp cumprod prod true_divide divide"
    ),
    "tame": "sigmoid tanh erf atan arctan sign softmax _softmax",
    "channelwise": (
        "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu log_sigmoid mish relu relu6 selu sigmoid silu "
        "softplus tanh threshold clamp clamp_min max_pool1d max_pool2d max_pool3d"
    ),
    "along": "softmax _softmax log_softmax _log_softmax",
    "reduces": "amax amin argmax argmin logsumexp prod any all",
    "innermost": "layer_norm",
    "quantises": "onnx::QuantizeLinear",
    "dequantises": "onnx::DequantizeLinear",
    "guards": "isnan isinf isfinite isposinf isneginf nan_to_num nansum nanmean nanmedian nanquantile",
}

#: Which calls give one number for all that are below it, and the argument that is this number; "" for 0.
_FLOORS = {"relu": "", "relu6": "", "hardtanh": "min_val", "clamp": "min", "clamp_min": "min"}

#: Which calls take every entry between two numbers: these, or the arguments that say them.
_BOUNDS: dict[str, tuple[Any, Any]] = {
    "relu": (0.0, None), "relu6": (0.0, 6.0), "hardtanh": ("min_val", "max_val"), "clamp": ("min", "max"),
    "clamp_min": ("min", None), "clamp_max": (None, "max"),
}  # fmt: skip


def _known(name: str) -> Traits:
    facts: dict[str, Any] = {fact: True for fact, names in _FACTS.items() if name in names.split()}
    facts |= {"floor": _floor(_FLOORS[name])} if name in _FLOORS else {}
    facts |= {"bounds": _bounds(*_BOUNDS[name])} if name in _BOUNDS else {}
    return Traits(**facts)


def _bounds(low: Any, high: Any) -> Callable[[Mapping[str, Any]], tuple[Any, Any] | None]:
    def bounds(a: Mapping[str, Any]) -> tuple[Any, Any] | None:
        one, other = (a.get(end) if isinstance(end, str) else end for end in (low, high))
        return (one, other) if all(end is None or isinstance(end, int | float) for end in (one, other)) else None

    return bounds


def _floor(least: str) -> Callable[[Mapping[str, Any]], float | None]:
    def floor(a: Mapping[str, Any]) -> float | None:
        low = a[least] if least else 0.0
        high = a.get("max", a.get("max_val"))
        ordered = isinstance(low, int | float) and (high is None or (isinstance(high, int | float) and low <= high))
        return float(low) if ordered else None

    return floor


OTHERS: dict[str, Traits] = {
    name: _known(name) for name in (*(name for names in _FACTS.values() for name in names.split()), *_BOUNDS)
}
OTHERS["square"] = Traits(power=lambda a: 2)
OTHERS["pow"] = replace(OTHERS["pow"], power=lambda a: a["exponent"] if isinstance(a["exponent"], int) else 0)
