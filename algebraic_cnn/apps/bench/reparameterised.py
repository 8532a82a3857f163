"""Real networks of timm (the extra "models"), and timm's own conversion of them for prediction.

    MODELS       name -> convolutions of timm's deploy form, or None where timm has none
    network      random weights, and BatchNorms whose statistics do something
    converted    timm's reparameterize_model, written by hand for each class of blocks
    counts       what a network calls

What is left of them, and how fast they are, is in engines.py.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import MissingExtraError, UnknownNameError
from ...ir.trace import trace
from ...ops.registry import traits
from .patterns import randomised

MODELS: dict[str, int | None] = {
    "resnet34": None,
    "repvgg_a2": 22,
    "mobileone_s0": 43,
    "fastvit_t8": 52,
    "repvit_m0_9": 103,
    "repghostnet_050": 95,
    "ghostnetv3_050": 137,
    "shvit_s1": None,
    "levit_128s": None,
    "efficientvit_m0": None,
    "tiny_vit_5m_224": None,
    "nextvit_small": None,
}


def network(name: str, *, seed: int = 0) -> nn.Module:
    """A network of timm in evaluation mode, float32, all its numbers drawn.

    Whatever begins as zeros, such as biases of attention, is drawn too: a sum with zeros would be no call to keep.

    Raises:
        MissingExtraError: if timm is not installed.
        UnknownNameError: if timm has no such network.
    """
    timm = _timm()
    if name not in timm.list_models():
        raise UnknownNameError("timm has no such network", expected="one of timm.list_models()", got=name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False).eval()
    for place, module in enumerate(model.modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            randomised(module, seed + place)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if not parameter.any():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 10
    return model


def example(*, batch: int = 1, seed: int = 0) -> Tensor:
    """Normal random images, (batch, 3, 224, 224)."""
    return torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def converted(model: nn.Module) -> nn.Module:
    """timm's own conversion of a network for prediction."""
    return importlib.import_module(f"{_timm().__name__}.utils.model").reparameterize_model(copy.deepcopy(model)).eval()


def counts(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """How many convolutions and how many BatchNorms a network calls."""
    called = [traits(call.op) for call in trace(model, x).calls]
    return sum(each.convolves for each in called), sum(each.normalises for each in called)


def _timm() -> Any:
    """timm, also beside a torchvision whose operators were built for another torch."""
    try:
        declare_operators()
        return importlib.import_module("timm")
    except ImportError as error:
        raise MissingExtraError("timm is not installed", expected='pip install "algebraic_cnn[models]"') from error


def declare_operators() -> None:
    """Declare the operators that torchvision registers shapes for, where its own library cannot be loaded.

    A torchvision built for CUDA loads no operators beside a torch without it, and then fails on import, although no
    network needs them.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or _LIBRARIES or hasattr(torch.ops.torchvision, "nms"):
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        text = Path(found.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        library = torch.library.Library("torchvision", "FRAGMENT")
        _LIBRARIES.append(library)
        for name in sorted(set(re.findall(r'register_meta\("(\w+)"|torchvision::(\w+)', text))):
            library.define(f"{name[0] or name[1]}(Tensor x) -> Tensor")


_LIBRARIES: list[Any] = []
