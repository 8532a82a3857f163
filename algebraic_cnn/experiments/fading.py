"""Beyond the paper: skips faded to 0, activations of late stages faded to linear, then collapse.

    level       how much is faded: nothing, the skips, and then the activations of more and more stages
    run         trains every level with every seed
    picture     the curve: accuracy against prediction time, which race.py measures

Every level is trained equally long from the same initial weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import said, spread, summary
from .runs import HERE, Place, Progress, Workers, job_of, run_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    "quick": Config("quick", 3, 1, shared={"images": 10_000, "epochs": 3, "batch_size": 64}),
    "paper": Config("paper", 5, 5, seconds=60.0, shared={"epochs": 10}),
}


def run(
    config: Config, place: Place, *, workers: Workers = HERE, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """The record of every training run; what an earlier call finished is not run again.

    Raises:
        DataError: if images or records are missing or damaged.
        NonFiniteError: if a training diverges.
    """
    return run_jobs(config.jobs(), Path(place.folder, "race.jsonl"), place, workers, progress, keep=True)


def picture(config: Config, records: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy of every level against the prediction time of every contender, one panel for each batch size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0 * len(config.batches), 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, batch in zip(figure.subplots(1, len(config.batches), squeeze=False)[0], config.batches, strict=True):
        for time in (record for record in times if record["batch"] == batch):
            found = accuracies(config, records)[time["level"]]
            ours = "collapsed" in time["contender"]
            axes.errorbar(
                1e3 * time["seconds"],
                statistics.fmean(found),
                yerr=spread(found),
                marker="o" if ours else "s",
                fillstyle="none" if "ONNX" in time["contender"] else "full",
                capsize=3,
                linestyle="none",
                label=time["contender"],
            )
        axes.set(title=f"batches of {batch}", xlabel="milliseconds per image", ylabel="test accuracy (%)", xscale="log")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    figure.suptitle(said(config.preset, records[0]["job"], config.trials), fontsize="small", color="0.35")
    return figure


def accuracies(config: Config, records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Level to the accuracies of its trials, in percent, first seeds first."""
    known = [(record["job"], 100 * record["accuracy"]) for record in records]
    jobs = {level: [config.job(level, seed) for seed in config.seeds(level)] for level in LEVELS}
    return {level: [right for job, right in known if job in jobs[level]] for level in LEVELS}


def lost(config: Config, records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Level to the points of accuracy that it loses to the ResNet of the same seeds, in the mean."""
    found = accuracies(config, records)
    return {
        level: statistics.fmean(before - after for before, after in zip(found[ORIGINAL], values, strict=False))
        for level, values in found.items()
    }


def table(
    config: Config, records: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """One row for each contender and batch size: milliseconds per image, what it saves, what it loses.

    "saved" is less time in percent than the original in eager mode; "saved of the best", than the original under the
    best of the other engines; "lost" are points of accuracy.
    """
    rows = []
    for batch in config.batches:
        seconds = {time["contender"]: time["seconds"] for time in times if time["batch"] == batch}
        engines = {name: second for name, second in seconds.items() if name.startswith("original, ")}
        eager = engines.pop("original, eager")
        best = min(engines.values(), default=eager)
        for time in (time for time in times if time["batch"] == batch):
            took, found = time["seconds"], accuracies(config, records)[time["level"]]
            saved = {"saved": 100 * (1 - took / eager), "saved of the best": 100 * (1 - took / best)}
            known = {"batch": batch, "contender": time["contender"], "ms": 1e3 * took, **saved, **summary(found)}
            rows.append(known | {"lost": lost(config, records)[time["level"]]})
    return rows
