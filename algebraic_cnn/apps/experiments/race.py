"""Beyond the paper: skips faded to 0, late activations to linear, collapsed, beside what one would use instead.

    level         how much is faded: nothing, the skips, and then the activations of more and more stages; each is
                  trained equally long from the same initial weights
    Config        every level with every seed; curve.py draws what comes of it
    contenders    the networks of one seed: the original under three engines, its skips removed exactly through the
                  ReLUs, its skips faded, and every level of fading collapsed
    measure       seconds per image of all of them, in turn
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...certification.certificate import Certificate, versions
from ...collapsing.certifying import certify
from ...collapsing.measurement import interleaved_seconds
from ...collapsing.pipeline import collapse
from ...errors import MissingExtraError
from ...files.records import write_records
from ...homotopy import activation_strengths, remove_activations, remove_skips, skip_strengths
from ...homotopy.classifier import accuracy
from ...models.resnet import RESNETS, ResNet
from ..bench.contenders import Predictor, predictor
from .runs import Place, Progress, job_of, network_of
from .through_relu import through_relu

#: Level to (kind of the way of t, stages whose activations are faded).
LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ResNet": ("constant", ()),
    "no skips": ("exponential", ()),
    "no skips, stage 4 linear": ("exponential", ("layer4",)),
    "no skips, stages 3-4 linear": ("exponential", ("layer3", "layer4")),
    "no skips, stages 2-4 linear": ("exponential", ("layer2", "layer3", "layer4")),
}
ORIGINAL, PLAIN = "ResNet", "no skips"


@dataclass(frozen=True)
class Config:
    """What decides the curve.

    Attributes:
        preset: what the sizes are called.
        trials: how often the ResNet and the network without skips are trained.
        further: how often the levels whose activations are faded too.
        seed: of the first trial; the next ones have the next seeds.
        batches: images at a time.
        seconds: how long to measure at each batch size.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    further: int
    seed: int = 0
    batches: tuple[int, ...] = (1, 128)
    seconds: float = 20.0
    shared: dict[str, Any] = field(default_factory=dict)

    def job(self, level: str, seed: int) -> dict[str, Any]:
        """The training run of a level."""
        kind, stages = LEVELS[level]
        return job_of(way={"kind": kind, "start": 1.0}, faded=stages, seed=seed, **self.shared)

    def seeds(self, level: str) -> range:
        """The seeds with which a level is trained."""
        return range(self.seed, self.seed + (self.further if LEVELS[level][1] else self.trials))

    def jobs(self) -> list[dict[str, Any]]:
        """Every level with every seed, first seeds first."""
        pairs = [(seed, level) for level in LEVELS for seed in self.seeds(level)]
        return [self.job(level, seed) for seed, level in sorted(pairs, key=lambda pair: pair[0])]


PRESETS = {
    "quick": Config("quick", 3, 1, shared={"images": 10_000, "epochs": 5, "batch_size": 64}),
    "medium": Config("medium", 3, 3, seconds=30.0, shared={"images": 10_000, "epochs": 10, "channels_last": True}),
    "paper": Config("paper", 5, 5, seconds=60.0, shared={"epochs": 10}),
}


@dataclass(frozen=True, eq=False)
class Contender:
    """Something that predicts.

    Attributes:
        name: what it is called.
        level: of fading.
        engine: "eager", "frozen" or "onnx".
        model: in evaluation mode.
        facts: what is known of it: accuracy on the test images, what was certified.
    """

    name: str
    level: str
    engine: str
    model: nn.Module
    facts: Mapping[str, Any]


def without(model: nn.Module, example: Tensor) -> tuple[nn.Module, Certificate]:
    """A trained network without activations of strength 1 and skips of strength 0, and the proof for the skips."""
    linear = [name for name, s in activation_strengths(model).items() if s == 1]
    model = remove_activations(model, example, only=linear) if linear else model
    absent = [name for name, t in skip_strengths(model).items() if t == 0]
    plain = remove_skips(model, example, only=absent) if absent else model
    return plain, certify(model, plain, example)


def contenders(config: Config, place: Place, seed: int = 0, progress: Progress | None = None) -> list[Contender]:
    """All that run against each other, from the finished runs of one seed.

    Raises:
        DataError: if a run is not finished.
    """
    found = []
    for done, level in enumerate(LEVELS, 1):
        trained, data = network_of(config.job(level, seed), place)
        images, labels = data.test_images, data.test_labels
        if level == ORIGINAL:
            original = _original(config, trained).to(place.device)
            fact = {"test_accuracy": accuracy(original, images, labels)}
            found += [Contender(f"original, {name}", level, engine, original, fact) for engine, name in _NAMES.items()]
            found.append(Contender("exact removal through ReLU", level, "eager", through_relu(original), fact))
        else:
            example = images[:2].to(place.device)
            plain, removal = without(trained, example)
            collapsed = collapse(plain, example)
            fact = {
                "test_accuracy": accuracy(collapsed.model, images, labels),
                "removal": str(removal),
                "removal_exact": removal.ok and _same(trained, plain, images.to(place.device)),
                "certificate": str(collapsed.certificate),
            }
            if level == PLAIN:
                found.append(Contender(f"{level}, eager", level, "eager", plain, fact))
            found.append(Contender(f"{level}, collapsed", level, "eager", collapsed.model, fact))
            found.append(Contender(f"{level}, collapsed, ONNX Runtime", level, "onnx", collapsed.model, fact))
        if progress:
            progress(done, len(LEVELS), level)
    return found


def measure(config: Config, place: Place, *, seed: int = 0, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Median seconds per image of every contender, measured in turn, written to ``race-times.jsonl``.

    Raises:
        DataError: if a run is not finished, or the records cannot be written.
    """
    entered = contenders(config, place, seed, progress)
    _, data = network_of(config.job(ORIGINAL, seed), place)
    records = []
    for size in config.batches:
        batch = data.test_images[:size].to(place.device)
        ready = {contender.name: predict for contender in entered if (predict := _ready(contender, batch))}
        times = _times(ready, entered, config.seconds)
        made_with = {"batch": size, "device": place.device, "threads": torch.get_num_threads(), "versions": versions()}
        for contender in entered:
            if contender.name in times:
                known = {"contender": contender.name, "level": contender.level, **made_with, **contender.facts}
                records.append(known | {"seconds": times[contender.name] / size})
    write_records(Path(place.folder, "race-times.jsonl"), records)
    return records


_NAMES = {"eager": "eager", "frozen": "compiled and frozen", "onnx": "ONNX Runtime"}


def _times(ready: Mapping[str, Predictor], field: Sequence[Contender], seconds: float) -> dict[str, float]:
    """Seconds per call, in turn; those of ONNX Runtime by themselves, for its threads spin on after a call."""
    groups = [[c.name for c in field if c.name in ready and (c.engine == "onnx") is own] for own in (False, True)]
    times: dict[str, float] = {}
    for names in filter(None, groups):
        part = seconds * len(names) / len(ready)
        times |= interleaved_seconds({name: ready[name] for name in names}, seconds=part)
    return times


def _original(config: Config, trained: nn.Module) -> ResNet:
    """The network as a user has it, without strengths."""
    model = RESNETS[config.shared.get("model", "resnet34")](trained.get_parameter("conv1.weight").shape[1], 10)
    model.load_state_dict({name: value for name, value in trained.state_dict().items() if name in model.state_dict()})
    return model.eval()


def _same(one: nn.Module, other: nn.Module, images: Tensor) -> bool:
    """Whether both give the same scores for all images, bit for bit."""
    with torch.no_grad():
        return all(torch.equal(one(part), other(part)) for part in images.split(250))


def _ready(contender: Contender, batch: Tensor) -> Predictor | None:
    """The contender, ready to run; None where the extra that it needs is not installed."""
    try:
        return predictor(contender.engine, contender.model, batch)
    except MissingExtraError:
        return None
