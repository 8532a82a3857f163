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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training import Progress
from .figures import said, spread
from .runs import Place, job_of, run_job
from .sweep import sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Level to (kind of the way of t, stages whose activations are faded).
LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ResNet": ("constant", ()),
    "no skips": ("linear", ()),
    "no skips, stage 4 linear": ("linear", ("layer4",)),
    "no skips, stages 3-4 linear": ("linear", ("layer3", "layer4")),
    "no skips, stages 2-4 linear": ("linear", ("layer2", "layer3", "layer4")),
}
ORIGINAL, PLAIN = "ResNet", "no skips"


@dataclass(frozen=True)
class Config:
    """What decides the curve.

    Attributes:
        preset: what the sizes are called.
        trials: seeds 0, 1, ... of every level.
        batches: images at a time.
        seconds: how long to measure at each batch size.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    batches: tuple[int, ...] = (1, 128)
    seconds: float = 20.0
    shared: dict[str, Any] = field(default_factory=dict)

    def job(self, level: str, seed: int) -> dict[str, Any]:
        """The training run of a level."""
        kind, stages = LEVELS[level]
        return job_of(way={"kind": kind, "start": 1.0}, faded=stages, seed=seed, **self.shared)

    def jobs(self) -> list[dict[str, Any]]:
        """Every level with every seed, first seeds first."""
        return [self.job(level, seed) for seed in range(self.trials) for level in LEVELS]


PRESETS = {
    "quick": Config("quick", 3, shared={"images": 10_000, "epochs": 4}),
    "paper": Config("paper", 5, seconds=60.0, shared={"epochs": 10}),
}


def run(
    config: Config,
    place: Place,
    *,
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """The record of every training run; what an earlier call finished is not run again.

    Raises:
        DataError: if images or records are missing or damaged.
        NonFiniteError: if a training diverges.
    """
    path = Path(place.folder, "fading.jsonl")
    return sweep(
        partial(run_job, place=place), config.jobs(), path, workers=workers, cluster=cluster, progress=progress
    )


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
    """Level to the accuracies of its trials, in percent."""
    known = [(record["job"], 100 * record["accuracy"]) for record in records]
    trials = range(config.trials)
    return {level: [right for job, right in known if job in [config.job(level, s) for s in trials]] for level in LEVELS}
