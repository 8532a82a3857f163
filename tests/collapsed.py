"""What the tests of ``collapse`` share: networks that hide nothing, what a module calls, how far two modules differ."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64 with BatchNorm statistics that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor.is_floating_point():
                tensor.data = torch.randn(tensor.shape, generator=generator) * 0.5
                if name == "running_var":
                    tensor.data = tensor.data.abs() + 0.5
    return model.double().eval()


def ops(model: nn.Module) -> Counter[str]:
    """How often the module calls what."""
    targets = [str(node.target) for node in model.graph.nodes if node.op == "call_function"]
    return Counter(target.split(".")[1] for target in targets if target.startswith("aten"))


def relative_error(model: nn.Module, other: nn.Module, *inputs: Tensor) -> float:
    with torch.no_grad():
        expected, got = model(*inputs), other(*inputs)
    return float((expected - got).abs().max() / expected.abs().max())
