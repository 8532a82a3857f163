"""Accuracy against a fixed skip strength t [JV24, Figures 1 and 2]: a network with less of its skips learns worse.

    Config    the values of t, the trials, and what every run shares
    PRESETS   "quick" for two cores, "paper" as in the paper, for a GPU; Figure 2 is the same after fewer epochs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training import Progress
from .figures import Panel, draw, said
from .runs import Place, job_of, run_job
from .sweep import sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """What decides the figure.

    Attributes:
        name: of the figure, and of its files.
        preset: what the sizes are called.
        strengths: values of t.
        trials: seeds 0, 1, ... of each.
        shared: the other choices of every job.
    """

    name: str
    preset: str
    strengths: tuple[float, ...]
    trials: int
    shared: dict[str, Any] = field(default_factory=dict)

    def jobs(self) -> list[dict[str, Any]]:
        """One job for every t and seed, first seeds first."""
        ways = [{"kind": "constant", "start": t} for t in self.strengths]
        return [job_of(way=way, seed=seed, **self.shared) for seed in range(self.trials) for way in ways]


_QUICK = Config("figure1", "quick", (0.0, 0.25, 0.5, 0.75, 1.0), 3, {"images": 2000, "epochs": 3, "batch_size": 64})
_PAPER = Config("figure1", "paper", tuple(k / 10 for k in range(11)), 5, {"epochs": 10})
PRESETS = {"quick": _QUICK, "paper": _PAPER}
FIGURE2 = {
    "quick": replace(_QUICK, name="figure2", shared={**_QUICK.shared, "epochs": 1}),
    "paper": replace(_PAPER, name="figure2", shared={"epochs": 2}),
}


def run(
    config: Config,
    place: Place,
    *,
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """The records of every run; what an earlier call finished is not run again.

    Raises:
        DataError: if images or records are missing or damaged.
        NonFiniteError: if a training diverges.
    """
    path = Path(place.folder, f"{config.name}.jsonl")
    return sweep(
        partial(run_job, place=place), config.jobs(), path, workers=workers, cluster=cluster, progress=progress
    )


def picture(config: Config, records: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy after the last epoch against t."""
    accuracies = {t: [100 * r["accuracy"] for r in records if r["job"]["way"]["start"] == t] for t in config.strengths}
    job = records[0]["job"]
    panel = Panel(f"Accuracy after {job['epochs']} epochs", "skip strength t", {job["model"]: list(accuracies.items())})
    return draw([panel], "test accuracy (%)", said(config.preset, job, config.trials))
