"""How much each call of a network can enlarge what enters it.

F_ij      the linear map of call i in its argument j
norm      an upper bound of ||F_ij||_2: close for convolutions and matrices (norms.py), else the modulus
modulus   an upper bound of || |F_ij| ||_2, by Schur's test ||F||^2 <= ||F||_1 ||F||_inf over the magnitudes
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...ir.graph import Call, Graph, Ref
from ...ops.registry import OPS
from ...ops.watched import Values, Watched
from ...rings.ring import Float, Majorant
from .norms import conv_norm, matrix_norm


@dataclass(frozen=True)
class Gain:
    """Bounds of ||F_ij||_2 and of || |F_ij| ||_2."""

    norm: float
    modulus: float


def gains(graph: Graph, device: Any = "cpu") -> dict[str, dict[str, Gain]]:
    """For every call that depends on the input, by name: its gain in each value that it uses, by name.

    >>> from algebraic_cnn.ir.trace import trace
    >>> layer = torch.nn.Linear(2, 1, bias=False).eval()
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> gains(trace(layer, torch.zeros(1, 2)))
    {'linear': {'input': Gain(norm=5.0..., modulus=5.2...)}}
    """
    dependent = graph.dependent()
    magnitudes = Watched(graph, Majorant(), device)
    found: dict[str, dict[str, Gain]] = {}

    def watch(call: Call, values: Values, value: Any) -> None:
        if call.name in dependent:
            names = [name for name in dict.fromkeys(call.refs()) if name in dependent]
            found[call.name] = {name: _gain(call, values, name, names, magnitudes, graph) for name in names}

    x = torch.zeros(graph.least, *graph.single()[0], dtype=torch.float64, device=device)
    with torch.no_grad():
        Watched(graph, Float(), device, watch=watch).run([x], linear=True)
    return found


def _gain(call: Call, values: Values, name: str, names: list[str], magnitudes: Watched, graph: Graph) -> Gain:
    if call.op == "operator.getitem":
        return Gain(1.0, 1.0)
    modulus = _schur(call, values, name, names, magnitudes)
    weight = call.bound().get("weight")
    if not isinstance(weight, Ref) or OPS[call.op].contraction != "weight":
        return Gain(modulus, modulus)
    numbers = graph.constants[weight.name]
    close = matrix_norm(numbers) if numbers.ndim == 2 else _conv(call, numbers, values[name])
    return Gain(min(close, modulus), modulus)


def _schur(call: Call, values: Values, name: str, names: list[str], magnitudes: Watched) -> float:
    """sqrt(largest row sum x largest column sum) of |F|: one step forwards and one backwards, on ones."""
    local = values | {other: pytree.tree_map(torch.zeros_like, values[other]) for other in names}
    if not values[name].numel():
        return 0.0
    with torch.enable_grad():
        ones = torch.ones_like(values[name], requires_grad=True)
        leaves = pytree.tree_leaves(magnitudes.step(call, local | {name: ones}, linear=True))
        rows = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.numel()]
        total = sum((leaf.sum() for leaf in rows), torch.zeros((), dtype=torch.float64))
    if not rows:
        return 0.0
    (columns,) = torch.autograd.grad(total, ones)
    return math.sqrt(max(float(leaf.detach().max()) for leaf in rows) * float(columns.max())) * (1 + 2.0**-20)


def _conv(call: Call, weight: Tensor, x: Tensor) -> float:
    """The symbol's bound; taps that only ever meet padding do not count, and 0 if all do."""
    arguments = call.bound()
    spatial = weight.ndim - 2
    transposed = arguments.get("transposed", "output_padding" in arguments)
    dilation = _each(arguments["dilation"], spatial)
    if transposed:
        return conv_norm(weight, arguments["groups"], [n or 1 for n in call.shape[-spatial:]], dilation)
    image = list(x.shape[-spatial:])
    if not isinstance(arguments["padding"], str):
        stride, padding = _each(arguments["stride"], spatial), _each(arguments["padding"], spatial)
        for axis, (n, o, s, p, d) in enumerate(
            zip(image, call.shape[-spatial:], stride, padding, dilation, strict=True)
        ):
            met = [t for t in range(weight.shape[2 + axis]) if any(0 <= i * s + t * d - p < n for i in range(o or 1))]
            if not met:
                return 0.0
            weight = weight.index_select(2 + axis, torch.tensor(met, device=weight.device))
    return conv_norm(weight, arguments["groups"], image, dilation)


def _each(value: list[int], spatial: int) -> list[int]:
    return [*value] * (spatial // len(value))
