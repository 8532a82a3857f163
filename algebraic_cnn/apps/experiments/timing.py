"""Prediction time of linear and nonlinear ResNet34 with and without skips [JV24, sections 3 and 4].

    Config    the model, batch sizes, and how long to measure
    run       one record for each of the four networks and each batch size: seconds per image
    table     what the missing skips save, in percent

Weights are random: they change no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...certification.certificate import versions
from ...collapsing.measurement import interleaved_seconds
from ...files.records import write_records
from ...homotopy import remove_skips, with_skip_strength
from ...models.resnet import RESNETS
from ..bench.contenders import predictor
from .runs import Place, Progress


@dataclass(frozen=True)
class Config:
    """What is measured.

    Attributes:
        preset: what the sizes are called.
        model: "resnet18", "resnet34" or "resnet50".
        batches: images at a time.
        seconds: how long to measure at each batch size.
        image: shape of an image.
    """

    preset: str
    model: str = "resnet34"
    batches: tuple[int, ...] = (1, 128)
    seconds: float = 5.0
    image: tuple[int, int, int] = (1, 28, 28)


PRESETS = {"quick": Config("quick"), "medium": Config("medium", seconds=30.0), "paper": Config("paper", seconds=60.0)}


def networks(config: Config, device: str) -> dict[str, nn.Module]:
    """The four networks by name, in evaluation mode."""
    example = torch.zeros(2, *config.image)
    found: dict[str, nn.Module] = {}
    for kind, linear in (("linear", True), ("nonlinear", False)):
        torch.manual_seed(0)
        network = RESNETS[config.model](config.image[0], 10, linear=linear).eval()
        plain = remove_skips(with_skip_strength(network, example, 0.0), example)
        found |= {f"{kind}, skips": network.to(device), f"{kind}, no skips": plain.to(device)}
    return found


def run(config: Config, place: Place, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Median seconds per image of the four networks, measured in turn, written to ``timing.jsonl``.

    Raises:
        DataError: if the records cannot be written.
    """
    models = networks(config, place.device)
    made_with = {"model": config.model, "device": place.device, "threads": torch.get_num_threads()}
    records = []
    for done, batch in enumerate(config.batches, 1):
        x = torch.zeros(batch, *config.image, device=place.device)
        times = interleaved_seconds(
            {name: predictor("eager", model, x) for name, model in models.items()}, seconds=config.seconds
        )
        records += [
            {"network": name, "batch": batch, "seconds": time / batch, **made_with, "versions": versions()}
            for name, time in times.items()
        ]
        if progress:
            progress(done, len(config.batches), f"batches of {batch}")
    write_records(Path(place.folder, "timing.jsonl"), records)
    return records


def table(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each kind and batch size: seconds per image with skips and without, and the percent saved.

    >>> rows = [{"network": f"linear, {name}", "batch": 1, "seconds": s} for name, s in (("skips", 2), ("no skips", 1))]
    >>> table(rows)
    [{'network': 'linear', 'batch': 1, 'skips': 2, 'no skips': 1, 'saved': 50.0}]
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for record in records:
        kind, _, skips = record["network"].partition(", ")
        found.setdefault((kind, record["batch"]), {})[skips] = record["seconds"]
    return [
        {"network": kind, "batch": batch, **sides, "saved": 100 * (1 - sides["no skips"] / sides["skips"])}
        for (kind, batch), sides in found.items()
    ]
