"""The theorem on a trained network: train a linear ResNet, collapse it, certify it, compare [JV24, section 3].

    Config    what to train, on which images
    DemoResult   the table: network against collapsed network, and how we know that they are the same
    run       Config -> DemoResult; every artefact is written as soon as it exists, training after each epoch
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...collapsing.measurement import interleaved_seconds
from ...collapsing.pipeline import collapse
from ...errors import chosen
from ...files.plain_json import write_json
from ...homotopy.classifier import EpochRecord, Recipe, predictions, train
from ...ir.programs import save_program
from ...ir.trace import export
from ...models.data import DATASETS, Dataset, load_dataset
from ...models.resnet import RESNETS
from ..bench.contenders import predictor
from ..plots import rows_figure, save_figure

RECIPES = {"digits": Recipe(epochs=15, batch_size=64), "mnist": Recipe(epochs=1, batch_size=128)}
BATCHES = (1, 128)

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Config:
    """What decides the outcome, times apart.

    Attributes:
        data: "digits" or "mnist".
        data_root: folder of MNIST's files.
        model: "resnet18", "resnet34" or "resnet50".
        epochs: passes over the training images; None for as many as the recipe of the data says.
        seed: of the initial weights and of the order of the images.
        device: where everything runs.

    Raises:
        UnknownNameError: if there is no such data or model.
    """

    data: str = "digits"
    data_root: str | None = None
    model: str = "resnet34"
    epochs: int | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for what, name, names in (("data", self.data, DATASETS), ("model", self.model, RESNETS)):
            chosen(what, name, names)

    @property
    def recipe(self) -> Recipe:
        """How to train."""
        recipe = replace(RECIPES[self.data], seed=self.seed)
        return recipe if self.epochs is None else replace(recipe, epochs=self.epochs)


@dataclass(frozen=True)
class Measured:
    """One column of the table: a network's size, how many test images it gets right, and its seconds per image.

    Attributes:
        layers: convolutions and matrices.
        parameters: numbers to be learnt or stored.
        correct: test images classified rightly.
        seconds: batch size to seconds per image.
    """

    layers: int
    parameters: int
    correct: int
    seconds: dict[int, float]


@dataclass(frozen=True)
class DemoResult:
    """The table.

    Attributes:
        config: what was run.
        records: one per epoch of training.
        images: number of test images.
        before: the trained network.
        after: the collapsed one.
        changed: test images that the two classify differently.
        derivation_seconds: of W and B, tracing apart.
        certificate: how we know, as a sentence.
        certified: its verdict.
        files: what was written.
    """

    config: Config
    records: list[EpochRecord]
    images: int
    before: Measured
    after: Measured
    changed: int
    derivation_seconds: float
    certificate: str
    certified: bool
    files: dict[str, str]

    def reduction(self, batch: int) -> float:
        """By how many percent the prediction time per image fell, at that batch size; cut off, not rounded up."""
        return math.floor(1e4 * (1 - self.after.seconds[batch] / self.before.seconds[batch])) / 100

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON takes it."""
        return asdict(self) | {"reduction_percent": {batch: self.reduction(batch) for batch in self.before.seconds}}


def run(config: Config, out: Path, *, progress: Progress | None = None) -> DemoResult:
    """Train, collapse, certify, compare; write everything into the folder `out`.

    Args:
        config: what to run.
        out: folder for the checkpoint, both programs, the map, the certificate, the picture and the table.
        progress: called with (stage, steps done, steps in all, words).

    Raises:
        DataError: if the images are missing or damaged, or a file cannot be written.
        NonFiniteError: if training diverges.
        UncertifiedError: if the collapsed network is not the network.
    """
    say = progress or (lambda stage, done, steps, words: None)
    data = load_dataset(config.data, config.data_root)
    name = f"{config.data}-{config.model}"
    files = {kind: str(out / f"{name}{ending}") for kind, ending in _ENDINGS.items()}
    model, records = _trained(config, data, Path(files["checkpoint"]), say)
    example = data.test_images[:2].to(config.device).clone()

    say("collapse", 0, 4, "save the network")
    save_program(export(model, example), files["network"])
    say("collapse", 1, 4, "derive W and B")
    result = collapse(model, example)
    say("collapse", 2, 4, "save what was found")
    save_program(export(result.model.eval(), example), files["collapsed"])
    if result.affine is not None:
        result.affine.save(files["map"])
        title = f"The rows of W: linear {config.model}, {config.data}"
        save_figure(rows_figure(result.affine, title=title), files["picture"])
    if result.certificate is not None:
        result.certificate.save(files["certificate"])
    say("collapse", 3, 4, "measure")
    outcome = _compared(config, data, model, result, records, files)
    write_json(files["table"], outcome.to_dict())
    say("collapse", 4, 4, "done")
    return outcome


_ENDINGS = {
    "checkpoint": ".safetensors",
    "network": ".pt2",
    "collapsed": "-collapsed.pt2",
    "map": "-map.npz",
    "certificate": "-certificate.json",
    "picture": "-rows.png",
    "table": "-table.json",
}


def _trained(config: Config, data: Dataset, checkpoint: Path, say: Progress) -> tuple[nn.Module, list[EpochRecord]]:
    torch.manual_seed(config.seed)
    model = RESNETS[config.model](data.image_shape[0], 10, linear=True).to(config.device)
    report = lambda done, steps, words: say("train", done, steps, words)  # noqa: E731
    with _full_precision():
        return model, train(model, data, recipe=config.recipe, checkpoint=checkpoint, progress=report)


def _full_precision() -> contextlib.AbstractContextManager[None]:
    """TF32 would change the class of an image now and then, and with it the comparison."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _compared(
    config: Config, data: Dataset, model: nn.Module, result: Any, records: list[EpochRecord], files: dict[str, str]
) -> DemoResult:
    with _full_precision():
        found = [predictions(net, data.test_images) for net in (model, result.model)]
    seconds = _seconds_per_image(model, result.model, data.test_images, config.device)
    sides = [
        Measured(_layers(net), _parameters(net), int((classes == data.test_labels).sum()), times)
        for net, classes, times in zip((model, result.model), found, seconds, strict=True)
    ]
    return DemoResult(
        config=config,
        records=records,
        images=len(data.test_labels),
        before=sides[0],
        after=sides[1],
        changed=int((found[0] != found[1]).sum()),
        derivation_seconds=result.report.seconds["derive"],
        certificate=str(result.certificate),
        certified=bool(result.certificate and result.certificate.ok),
        files=files,
    )


def _seconds_per_image(
    before: nn.Module, after: nn.Module, images: torch.Tensor, device: str
) -> list[dict[int, float]]:
    times: list[dict[int, float]] = [{}, {}]
    for size in BATCHES:
        batch = images[:size].to(device)
        both = {name: predictor("eager", net, batch) for name, net in (("before", before), ("after", after))}
        found = interleaved_seconds(both, seconds=2.0)
        for side, name in zip(times, both, strict=True):
            side[size] = found[name] / len(batch)
    return times


def _layers(model: nn.Module) -> int:
    """Convolutions and matrices; a module with parameters of its own that holds no other module counts as one."""
    weighty = (part for part in model.modules() if not any(part.children()) and any(True for _ in part.parameters()))
    return sum(not isinstance(part, nn.BatchNorm2d) for part in weighty)


def _parameters(model: nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in model.parameters())
