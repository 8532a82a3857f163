"""BatchNorm in evaluation mode: a scale and a shift for each channel.

    x scale + (b - mean scale),   scale = w / sqrt(var + eps)

The scale is the one number that is rounded, in the same way in every ring.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from ..algebra.assembly import Combination
from ..algebra.operators.operator import Operator
from ..algebra.stencils.pieces import Array
from ..ir.graph import Call, Graph, Ref, needed
from ..ir.interpreter import interpret
from ..rings.ring import Ring
from . import imaging
from .denominators import Denominator, dyadic
from .op import Arguments, CallSite, Op, Sample, always, not_if
from .reading import Reading, biases
from .source import Numbers, Source
from .traits import always_local


def batch_norm_scale(raw: Arguments) -> Tensor:
    """w / sqrt(var + eps) per channel in float64: what a BatchNorm multiplies by, in every ring.

    NumPy takes the root: torch's may be off by an ulp, differently on every device.
    """
    variance = raw["running_var"]
    deviation = np.sqrt(variance.detach().double().cpu().numpy() + raw["eps"])
    weight = 1.0 if raw["weight"] is None else raw["weight"].detach().double().cpu().numpy()
    return torch.from_numpy(weight / deviation).to(variance.device)


def _evaluate(site: CallSite) -> Tensor:
    """x scale + (b - mean scale), where the scale is the one number that is rounded."""
    raw, ring, x = site.raw, site.ring, site["input"]
    scale = ring.embed(batch_norm_scale(raw))
    axes = [1] * (x.ndim - 2)
    if site.linear:
        return ring.reduce(x * scale.reshape(-1, *axes))
    shift = ring.negate(ring.reduce(site["running_mean"] * scale))
    shift = shift if raw["bias"] is None else ring.reduce(shift + site["bias"])
    return ring.reduce(torch.addcmul(shift.reshape(-1, *axes), x, scale.reshape(-1, *axes)))


def _first_of_three(site: CallSite) -> tuple[Tensor, None, None]:
    return _evaluate(site), None, None


def _numbers(source: Source, call: Call, a: Arguments) -> tuple[Array, Numbers] | None:
    """The scale, and the shift over a ring; None where the network does not know them."""
    raw = {name: source.tensor(a[name], call) for name in ("weight", "bias", "running_mean", "running_var")}
    if raw["running_var"] is None or raw["running_mean"] is None or a.get("training"):
        return None
    scale = batch_norm_scale({**raw, "eps": a["eps"]}).numpy()
    mean, bias = source.numbers(a["running_mean"], call), source.numbers(a["bias"], call)

    def offset(ring: Ring) -> Array:
        shift = ring.negate(ring.reduce(mean(ring) * ring.embed(scale)))
        return shift if raw["bias"] is None else ring.reduce(shift + bias(ring))

    return scale, offset


def _operator(source: Source, call: Call, a: Arguments) -> Operator | None:
    found = _numbers(source, call, a)
    return None if found is None else imaging.scaled_by(*found, a)


def _layer(reading: Reading, call: Call, a: Arguments) -> Combination:
    x = a["input"]
    scale = sp.diags_array(biases(batch_norm_scale(a), x.shape), format="csr")
    minus_mean, b = biases(-a["running_mean"], x.shape), biases(a["bias"], x.shape)
    return reading.assembly.layer(x, x.shape, scale, b=b, r=minus_mean)


def _known(call: Call, graph: Graph, dependent: frozenset[str]) -> dict[str, Any]:
    """The arguments that are known; those that an instance norm repeats for each sample are the same at every size."""
    known = {name: v for name, v in call.bound().items() if not isinstance(v, Ref) or v.name not in dependent}
    computed = [v.name for v in known.values() if isinstance(v, Ref) and v.name not in graph.constants]
    calls, _ = needed(graph.calls, computed, graph.constants.keys())
    least = graph.least
    shapes = zip(graph.inputs, graph.input_shapes, strict=True) if calls else ()
    given = {name: torch.zeros([n or least for n in shape], device=graph.device) for name, shape in shapes}
    values = interpret(replace(graph, calls=calls), given)
    return {name: values[v.name] if isinstance(v, Ref) else v for name, v in known.items()}


def _denominators(call: Call, graph: Graph, dependent: frozenset[str]) -> tuple[Denominator, Denominator]:
    raw = _known(call, graph, dependent)
    scale = dyadic(batch_norm_scale(raw))
    return scale, dyadic(raw["bias"]).common(dyadic(raw["running_mean"]) * scale)


OPS: dict[str, Op] = {
    "batch_norm": Op(
        _evaluate,
        ("input",),
        accepts=not_if("training", "batch statistics depend on the input"),
        operator=_operator,
        layer=_layer,
        apart=always,
        roundings=14,  # of its scale and shift as well, as its reference does
        denominators=_denominators,
        placed=lambda kernel, shape, a: np.diag(kernel.repeat(math.prod(shape[1:]))),
        normalises=True,
        local=always_local,
        start=lambda prices: prices.norm,
    ),
    "_native_batch_norm_legit_no_training": Op(
        _first_of_three,
        ("input",),
        layer=lambda reading, call, a: [_layer(reading, call, a)],
        apart=always,
        roundings=14,
        denominators=_denominators,
        normalises=True,
    ),
}

SAMPLES: dict[str, Sample] = {
    "batch_norm": (
        lambda x, w, b, m, v: F.batch_norm(x, m, 4 ** v.abs() - 1, w, b, eps=1.0),
        (4, 6, 6),
        [(4,), (4,), (4,), (4,)],
    ),
    "batch_norm bare": (lambda x, m, v: F.batch_norm(x, m, 4 ** v.abs() - 1, eps=1.0), (4, 3), [(4,), (4,)]),
    "_native_batch_norm_legit_no_training": (
        lambda x, w, b, m: torch.ops.aten._native_batch_norm_legit_no_training(
            x, w, b, m, torch.ones(4).double(), 0.1, 3.0
        )[0],
        (4, 6, 6),
        [(4,), (4,), (4,)],
    ),
}
