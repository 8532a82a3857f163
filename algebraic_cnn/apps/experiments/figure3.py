"""Accuracy over the epochs [JV24, Figure 3]: (a) fixed t, (b) t scheduled from 1 to 0, (c) t scheduled from 1/2 to 0.

    Config    the ways of t in each panel, the trials, and what every run shares
    PRESETS   "quick" for two cores, "paper" for a GPU
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .figures import Panel, Points, by_epoch, draw, said, summary
from .runs import WAYS, job_of

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
        trials: how often each way is trained.
        seed: of the first trial; the next ones have the next seeds.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    seed: int = 0
    shared: dict[str, Any] = field(default_factory=dict)

    def jobs(self) -> list[dict[str, Any]]:
        """One job for every way and seed, first seeds first."""
        ways = [way for panel in PANELS.values() for way in panel]
        seeds = range(self.seed, self.seed + self.trials)
        return [job_of(way=way, seed=seed, **self.shared) for seed in seeds for way in ways]


PRESETS = {
    "quick": Config("quick", 2, shared={"images": 2000, "tests": 1000, "epochs": 5, "batch_size": 32}),
    "paper": Config("paper", 5, shared={"epochs": 10}),
}


def picture(config: Config, records: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy against the epoch, a line for every way of t."""
    panels = [
        Panel(title, "epoch", {_label(way): _line(records, way) for way in ways}, whole=True)
        for title, ways in PANELS.items()
    ]
    return draw(panels, "test accuracy (%)", said(config.preset, records[0]["job"], config.trials))


def table(config: Config, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each way: mean and standard deviation of the accuracy after the last epoch, in percent."""
    return [
        {"panel": title, "way": _label(way)}
        | summary([100 * record["accuracy"] for record in records if record["job"]["way"] == way])
        for title, ways in PANELS.items()
        for way in ways
    ]


def _line(records: Sequence[dict[str, Any]], way: Mapping[str, Any]) -> Points:
    return by_epoch([record for record in records if record["job"]["way"] == way])


def _label(way: Mapping[str, Any]) -> str:
    return f"t = {way['start']:g}" if way["kind"] == "constant" else way["kind"]
