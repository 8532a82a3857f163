"""What a collapse wins on the paper's network: prediction before and after, and what deriving it costs.

    prediction    linear ResNet34 on 28x28 images, 10 classes: the network, its collapse, a bare ``torch.addmm``
    derivation    the adjoint derivation in forward passes of a batch of ten (tracing apart)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...collapsing.measurement import interleaved_seconds
from ...collapsing.pipeline import collapse
from ...derivation.methods import derive_graph
from ...ir.trace import trace
from ...models import resnet34
from ...rings.ring import Float


@dataclass(frozen=True)
class Row:
    """One measured case.

    Attributes:
        case: what ran.
        seconds: median seconds per call.
        against: what it is compared with.
        ratio: its seconds over those of ``against``, measured in turn.
    """

    case: str
    seconds: float
    against: str
    ratio: float


def linear_resnet34(seed: int = 0) -> nn.Module:
    """ResNet34 without nonlinearities for grey images and ten classes, its BatchNorms with statistics of their own."""
    torch.manual_seed(seed)
    model = resnet34(linear=True).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, low, high in (("running_var", 0.5, 1.5), ("running_mean", -0.5, 0.5)):
                statistics = module.get_buffer(name)
                statistics.copy_(torch.rand(statistics.shape, generator=generator) * (high - low) + low)
    return model


def prediction_rows(batches: tuple[int, ...] = (1, 128), *, size: int = 28, seconds: float = 1.0) -> list[Row]:
    """The collapsed network beside the original and beside a bare ``torch.addmm`` of its size, per batch size."""
    model = linear_resnet34()
    collapsed = collapse(model, torch.zeros(1, 1, size, size), certify=None).model
    weight, bias = collapsed.get_parameter("weight").T.contiguous(), collapsed.get_parameter("bias")
    rows = []
    for batch in batches:
        x = torch.randn(batch, 1, size, size, generator=torch.Generator().manual_seed(batch))
        flat = x.flatten(1)
        with torch.no_grad():
            times = interleaved_seconds(
                {
                    "network": lambda x=x: model(x),
                    "collapsed": lambda x=x: collapsed(x),
                    "torch.addmm": lambda flat=flat: torch.addmm(bias, flat, weight),
                },
                seconds=seconds,
            )
        for against in ("network", "torch.addmm"):
            ratio = times["collapsed"] / times[against]
            rows.append(Row(f"collapsed, batch {batch}", times["collapsed"], against, ratio))
    return rows


def derivation_rows(*, size: int = 28, seconds: float = 2.0) -> list[Row]:
    """The adjoint derivation of W and B in float64 and float32, in forward passes of a batch of ten."""
    model = linear_resnet34()
    x = torch.randn(10, 1, size, size, generator=torch.Generator().manual_seed(10))
    graph = trace(model, x)

    def forward() -> None:
        with torch.no_grad():
            model(x)

    derivations = {
        f"adjoint derivation, {dtype}": lambda dtype=dtype: derive_graph(graph, Float(dtype), "adjoint")
        for dtype in ("float64", "float32")
    }
    times = interleaved_seconds({"forward": forward, **derivations}, seconds=seconds)
    return [Row(name, times[name], "a forward pass of ten", times[name] / times["forward"]) for name in derivations]
