"""Accuracy over the epochs [JV24, Figure 3]: (a) fixed t, (b) t scheduled from 1 to 0, (c) t scheduled from 1/2 to 0.

    Config    the ways of t in each panel, the trials, and what every run shares
    PRESETS   "quick" for two cores, "paper" for a GPU
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training import Progress
from .figures import Panel, by_epoch, draw, said
from .runs import WAYS, Place, job_of, run_job
from .sweep import sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The panels: title to the ways in it.
PANELS = {
    "(a) fixed t": [{"kind": "constant", "start": t} for t in (1.0, 0.5, 0.0)],
    "(b) from 1 to 0": [{"kind": kind, "start": 1.0} for kind in WAYS if kind != "constant"],
    "(c) from 1/2 to 0": [{"kind": kind, "start": 0.5} for kind in WAYS if kind != "constant"],
}


@dataclass(frozen=True)
class Config:
    """What decides the figure.

    Attributes:
        preset: what the sizes are called.
        trials: seeds 0, 1, ... of each way.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    shared: dict[str, Any] = field(default_factory=dict)

    def jobs(self) -> list[dict[str, Any]]:
        """One job for every way and seed, first seeds first."""
        ways = [way for panel in PANELS.values() for way in panel]
        return [job_of(way=way, seed=seed, **self.shared) for seed in range(self.trials) for way in ways]


PRESETS = {
    "quick": Config("quick", 3, {"images": 2000, "epochs": 5, "batch_size": 64}),
    "paper": Config("paper", 5, {"epochs": 10}),
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
    path = Path(place.folder, "figure3.jsonl")
    return sweep(
        partial(run_job, place=place), config.jobs(), path, workers=workers, cluster=cluster, progress=progress
    )


def picture(config: Config, records: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy against the epoch, a line for every way of t."""
    panels = []
    for title, ways in PANELS.items():
        lines = {}
        for way in ways:
            label = f"t = {way['start']:g}" if way["kind"] == "constant" else way["kind"]
            lines[label] = by_epoch([record for record in records if record["job"]["way"] == way])
        panels.append(Panel(title, "epoch", lines))
    return draw(panels, "test accuracy (%)", said(config.preset, records[0]["job"], config.trials))
