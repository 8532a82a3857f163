"""Prediction time of linear and nonlinear ResNet34 with skips, without, and collapsed [JV24, sections 3 and 4].

    Config             the model, batch sizes, and how long to measure
    run                one record for each of the six networks and each batch size: seconds per image, round by round
    table              what the missing skips and the collapse save, in percent, with confidence intervals
    median_interval    of a median, whatever the distribution

Weights are random: they change no time.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom
from torch import nn

from ...certification.certificate import versions
from ...collapsing.measurement import interleaved_rounds
from ...collapsing.pipeline import collapse
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
    """The six networks by name, in evaluation mode; what is collapsed is the one without skips."""
    example = torch.zeros(2, *config.image)
    found: dict[str, nn.Module] = {}
    for kind, linear in (("linear", True), ("nonlinear", False)):
        torch.manual_seed(0)
        network = RESNETS[config.model](config.image[0], 10, linear=linear).eval()
        plain = remove_skips(with_skip_strength(network, example, 0.0), example)
        small = collapse(plain, example, certify=None).model
        sides = {"skips": network, "no skips": plain, "collapsed": small}
        found |= {f"{kind}, {side}": model.to(device) for side, model in sides.items()}
    return found


def run(config: Config, place: Place, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Seconds per image of the six networks, measured in turn, written to ``timing.jsonl``.

    Raises:
        DataError: if the records cannot be written.
    """
    models = networks(config, place.device)
    made_with = {"model": config.model, "device": place.device, "threads": torch.get_num_threads()}
    records = []
    for done, batch in enumerate(config.batches, 1):
        x = torch.zeros(batch, *config.image, device=place.device)
        ready = {name: predictor("eager", model, x) for name, model in models.items()}
        records += [
            {"network": name, "batch": batch, "rounds": [time / batch for time in rounds], **made_with}
            | {"versions": versions()}
            for name, rounds in interleaved_rounds(ready, seconds=config.seconds).items()
        ]
        if progress:
            progress(done, len(config.batches), f"batches of {batch}")
    write_records(Path(place.folder, "timing.jsonl"), records)
    return records


def table(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each kind, batch size and change: median seconds per image before and after, and the percent saved.

    What is saved is the median over the rounds, each a pair of times taken close together; "from" and "to" hold it
    with a probability of at least 95 %.

    >>> rounds = {"skips": [2, 2, 4], "no skips": [1, 1, 1], "collapsed": [1, 1, 2]}
    >>> rows = [{"network": f"linear, {name}", "batch": 1, "rounds": times} for name, times in rounds.items()]
    >>> [(row["change"], row["before"], row["after"], row["saved"], row["from"], row["to"]) for row in table(rows)]
    [('no skips', 2, 1, 50.0, 50.0, 75.0), ('collapsed', 2, 1, 50.0, 50.0, 50.0)]
    """
    found: dict[tuple[str, int], dict[str, Sequence[float]]] = {}
    for record in records:
        kind, _, side = record["network"].partition(", ")
        found.setdefault((kind, record["batch"]), {})[side] = record["rounds"]
    rows = []
    for (kind, batch), sides in found.items():
        before = sides["skips"]
        for change in ("no skips", "collapsed"):
            after = sides[change]
            saved = [100 * (1 - y / x) for x, y in zip(before, after, strict=True)]
            low, high = median_interval(saved)
            times = {"before": statistics.median(before), "after": statistics.median(after)}
            saving = {"saved": statistics.median(saved), "from": low, "to": high}
            rows.append({"network": kind, "batch": batch, "change": change, **times, **saving})
    return rows


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Two of the values that hold the median of their distribution between them with at least that probability.

    Fewer than k of n values lie below the median with probability P(Binomial(n, 1/2) < k): whatever the distribution,
    the values of rank k and n + 1 - k miss it with twice that at most.  Where even the first and the last do, they
    are the answer: five values give 93.75 %.

    References:
        H. A. David, H. N. Nagaraja, Order Statistics, 2003, section 7.1.

    >>> median_interval(range(1, 11))
    (2, 9)
    >>> 1 - 2 * sum([1, 10]) / 2**10 >= 0.95 > 1 - 2 * sum([1, 10, 45]) / 2**10
    True
    """
    ordered = sorted(values)
    rank = max(1, int(binom.ppf((1 - confidence) / 2, len(ordered), 0.5)))
    return ordered[rank - 1], ordered[-rank]
