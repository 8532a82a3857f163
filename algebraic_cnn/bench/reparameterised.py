"""Real networks of timm (the extra "models"): as given, by timm's own conversion, and collapsed, side by side.

    MODELS        name -> convolutions of timm's deploy form, or None where timm has none
    network       random weights, and BatchNorms whose statistics do something
    conversions   what a user can predict with: given, timm's reparameterize_model, ours
    model_rows    what is left of convolutions and BatchNorms, how far rounding took the outputs, how fast it is

timm's conversion is written by hand for each class of blocks; ours knows no architecture.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..collapsing import Collapse, collapse
from ..errors import MissingExtraError, UnknownNameError
from ..trace import trace
from .contenders import ENGINES, predictor
from .patterns import randomised
from .timing import interleaved_seconds

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


@dataclass(frozen=True)
class Row:
    """One network in one form.

    Attributes:
        model: its name.
        form: "given", "timm" or "ours".
        convolutions: how many it calls.
        norms: how many BatchNorms it calls.
        error: largest difference of its float32 outputs from those of the given network in float64, over their largest.
        making: seconds that the conversion took, certificate included.
        seconds: median per prediction, by engine.
    """

    model: str
    form: str
    convolutions: int
    norms: int
    error: float
    making: float
    seconds: Mapping[str, float] = field(default_factory=dict)


def network(name: str, *, seed: int = 0) -> nn.Module:
    """A network of timm in evaluation mode, float32, its weights and the statistics of its BatchNorms drawn.

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
    return model


def example(*, batch: int = 1, seed: int = 0) -> Tensor:
    """Normal random images, (batch, 3, 224, 224)."""
    return torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def converted(model: nn.Module) -> nn.Module:
    """timm's own conversion of a network for prediction."""
    return importlib.import_module(f"{_timm().__name__}.utils.model").reparameterize_model(copy.deepcopy(model)).eval()


def counts(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """How many convolutions and how many BatchNorms a network calls."""
    called = [call.op for call in trace(model, x).calls]
    return sum(op.startswith("conv") for op in called), sum("batch_norm" in op for op in called)


def model_rows(
    names: Sequence[str] = tuple(MODELS),
    engines: Sequence[str] = ("eager",),
    *,
    batch: int = 1,
    seconds: float = 5.0,
    measure: bool = True,
    seed: int = 0,
) -> Iterator[Row]:
    """Every network as given, converted by timm, and collapsed; timed in turn by each engine.

    Args:
        names: of networks.
        engines: of ``contenders.ENGINES``.
        batch: images in a prediction.
        seconds: time to spend on each network with each engine.
        measure: whether the collapse measures.
        seed: of weights and images.

    Raises:
        MissingExtraError: if timm, or what an engine needs, is not installed.
        UnknownNameError: if there is no such network or engine.
    """
    for engine in engines:
        if engine not in ENGINES:
            raise UnknownNameError("unknown engine", expected=" | ".join(ENGINES), got=engine)
    for name in names:
        given, x = network(name, seed=seed), example(batch=batch, seed=seed)
        with torch.no_grad():
            exact = copy.deepcopy(given).double()(x.double())
        forms: dict[str, nn.Module] = {"given": given}
        making = {"given": 0.0}
        for form, make in {"timm": converted, "ours": lambda m, x=x: _collapsed(m, x, measure).model}.items():
            start = time.perf_counter()
            forms[form] = make(given)
            making[form] = time.perf_counter() - start
        times = {engine: _seconds(engine, forms, x, seconds) for engine in engines}
        for form, model in forms.items():
            with torch.no_grad():
                error = float((model(x).double() - exact).abs().max() / exact.abs().max())
            spans = {engine: times[engine][form] for engine in engines}
            yield Row(name, form, *counts(model, x), error, making[form], spans)


def _collapsed(model: nn.Module, x: Tensor, measure: bool) -> Collapse:
    return collapse(model, x, measure=measure)


def _seconds(engine: str, forms: Mapping[str, nn.Module], x: Tensor, seconds: float) -> dict[str, float]:
    torch._dynamo.reset()  # before all of them: what is compiled already would be forgotten, and timed uncompiled
    ready = {form: predictor(engine, model, x) for form, model in forms.items()}
    return interleaved_seconds(ready, seconds=seconds)


def _timm() -> Any:
    """timm, also beside a torchvision whose operators were built for another torch."""
    try:
        _declare_operators()
        return importlib.import_module("timm")
    except ImportError as error:
        raise MissingExtraError("timm is not installed", expected='pip install "algebraic_cnn[models]"') from error


def _declare_operators() -> None:
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
