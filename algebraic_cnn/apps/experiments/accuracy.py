"""The paper's figures of accuracy [JV24, Figures 1, 2, 3]: against a fixed skip strength t, and over the epochs.

    FIGURE1    after the last epoch against t: a network with less of its skips learns worse
    FIGURE2    the same trainings, looked at after the second epoch
    FIGURE3    over the epochs: (a) fixed t, (b) t scheduled from 1 to 0, (c) t scheduled from 1/2 to 0; and, beyond the
               paper, (d) adaptive, learned, and the curve that a search found (schedules.py)
    presets    of each: "quick" for two cores, "medium" for the same in a night, "paper" as in the paper, for a GPU
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .figures import Panel, by_epoch, draw, said, summary
from .runs import WAYS, job_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Way = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Config:
    """What decides a figure.

    Attributes:
        preset: what the sizes are called.
        trials: how often each way is trained.
        ways: of t.
        seed: of the first trial; the next ones have the next seeds.
        shared: the other choices of every job.
        after: the epoch whose accuracy counts; the last one if absent.
    """

    preset: str
    trials: int
    ways: Sequence[Way]
    seed: int = 0
    shared: dict[str, Any] = field(default_factory=dict)
    after: int | None = None

    def jobs(self) -> list[dict[str, Any]]:
        """One job for every way and seed, first seeds first."""
        seeds = range(self.seed, self.seed + self.trials)
        return [job_of(way=way, seed=seed, **self.shared) for seed in seeds for way in self.ways]


def fixed(*strengths: float) -> list[Way]:
    """A way for each t, which stays."""
    return [{"kind": "constant", "start": t} for t in strengths]


def scheduled(start: float) -> list[Way]:
    """Every way from a start to 0."""
    return [{"kind": kind, "start": start} for kind in WAYS if kind != "constant"]


#: The panels of Figure 3: title to the ways in it.
PANELS = {
    "(a) fixed t": fixed(1.0, 0.5, 0.0),
    "(b) from 1 to 0": scheduled(1.0),
    "(c) from 1/2 to 0": scheduled(0.5),
    "(d) optimised": [
        {"kind": "adaptive", "start": 1.0},
        {"kind": "learned", "start": 1.0},
        {"kind": "cosine", "start": 0.84, "share": 0.52},
    ],
}
_SMALL = {"images": 2000, "tests": 1000, "epochs": 5, "batch_size": 32}
_MEDIUM = {"images": 10_000, "epochs": 10, "channels_last": True}
FIGURE1 = {
    "quick": Config("quick", 2, fixed(0.0, 0.25, 0.5, 0.75, 1.0), shared=_SMALL),
    "medium": Config("medium", 3, fixed(0.0, 0.25, 0.5, 0.75, 1.0), shared=_MEDIUM),
    "paper": Config("paper", 5, fixed(*(k / 10 for k in range(11))), shared={"epochs": 10}),
}
FIGURE2 = {name: replace(config, after=2) for name, config in FIGURE1.items()}
FIGURE3 = {
    name: replace(config, ways=[way for panel in PANELS.values() for way in panel]) for name, config in FIGURE1.items()
}


def against_t(config: Config, records: Records) -> Figure:
    """Accuracy after the epoch that counts against t."""
    job = records[0]["job"]
    points = [(way["start"], _accuracies(records, way, config.after)) for way in config.ways]
    panel = Panel(f"Accuracy after {config.after or job['epochs']} epochs", "skip strength t", {job["model"]: points})
    return draw([panel], "test accuracy (%)", said(config.preset, job, config.trials))


def table_of_t(config: Config, records: Records) -> list[dict[str, Any]]:
    """One row for each t: mean and standard deviation of the accuracy, in percent."""
    return [{"t": way["start"], **summary(_accuracies(records, way, config.after))} for way in config.ways]


def over_epochs(config: Config, records: Records) -> Figure:
    """Accuracy against the epoch, a line for every way of t."""
    panels = [
        Panel(title, "epoch", {_label(way): by_epoch(_trained(records, way)) for way in ways}, whole=True)
        for title, ways in PANELS.items()
    ]
    return draw(panels, "test accuracy (%)", said(config.preset, records[0]["job"], config.trials))


def table_of_ways(config: Config, records: Records) -> list[dict[str, Any]]:
    """One row for each way: mean and standard deviation of the accuracy after the last epoch, in percent."""
    return [
        {"panel": title, "way": _label(way)} | summary(_accuracies(records, way))
        for title, ways in PANELS.items()
        for way in ways
    ]


def _trained(records: Records, way: Way) -> Records:
    return [record for record in records if record["job"]["way"] == way]


def _accuracies(records: Records, way: Way, after: int | None = None) -> list[float]:
    """Of every trial, in percent, after that epoch."""
    return [100 * record["epochs"][(after or 0) - 1]["accuracy"] for record in _trained(records, way)]


def _label(way: Way) -> str:
    if "share" in way:
        return f"{way['kind']} from {way['start']:g}, searched"
    return f"t = {way['start']:g}" if way["kind"] == "constant" else way["kind"]
