"""Accuracy against a fixed skip strength t [JV24, Figures 1 and 2]: a network with less of its skips learns worse.

    Config    the values of t, the trials, and what every run shares
    PRESETS   "quick" for two cores, "paper" as in the paper, for a GPU; Figure 2 is the same after fewer epochs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .figures import Panel, draw, said, summary
from .runs import job_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """What decides the figure.

    Attributes:
        name: of the figure, and of its files.
        preset: what the sizes are called.
        strengths: values of t.
        trials: how often each is trained.
        seed: of the first trial; the next ones have the next seeds.
        shared: the other choices of every job.
    """

    name: str
    preset: str
    strengths: tuple[float, ...]
    trials: int
    seed: int = 0
    shared: dict[str, Any] = field(default_factory=dict)

    def jobs(self) -> list[dict[str, Any]]:
        """One job for every t and seed, first seeds first."""
        ways = [{"kind": "constant", "start": t} for t in self.strengths]
        seeds = range(self.seed, self.seed + self.trials)
        return [job_of(way=way, seed=seed, **self.shared) for seed in seeds for way in ways]


_SMALL = {"images": 2000, "tests": 1000, "epochs": 5, "batch_size": 32}
_QUICK = Config("figure1", "quick", (0.0, 0.25, 0.5, 0.75, 1.0), 2, shared=_SMALL)
_PAPER = Config("figure1", "paper", tuple(k / 10 for k in range(11)), 5, shared={"epochs": 10})
PRESETS = {"quick": _QUICK, "paper": _PAPER}
FIGURE2 = {
    "quick": replace(_QUICK, name="figure2", shared={**_SMALL, "epochs": 2}),
    "paper": replace(_PAPER, name="figure2", shared={"epochs": 2}),
}


def picture(config: Config, records: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy after the last epoch against t."""
    job = records[0]["job"]
    points = list(_accuracies(config, records).items())
    panel = Panel(f"Accuracy after {job['epochs']} epochs", "skip strength t", {job["model"]: points})
    return draw([panel], "test accuracy (%)", said(config.preset, job, config.trials))


def table(config: Config, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each t: mean and standard deviation of the accuracy, in percent."""
    return [{"t": t, **summary(values)} for t, values in _accuracies(config, records).items()]


def _accuracies(config: Config, records: Sequence[dict[str, Any]]) -> dict[float, list[float]]:
    return {t: [100 * r["accuracy"] for r in records if r["job"]["way"]["start"] == t] for t in config.strengths}
