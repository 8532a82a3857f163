"""All schedules at one budget: accuracy at t = 0 beside the ResNet and the network that never had skips.

line        what a network is trained along: a fixed t, a curve from 1 to 0, adaptive, learned, an order, searched
at zero     the accuracy with all skips at 0 after the training, whether they are there or resisted
budget      epochs, images and seeds are the same for all; the search is told the same epochs for each of its trials
orders      "deepest first" and "cheapest first", by what each skip is worth to the ResNet of the same seed
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...homotopy import fading_orders, search_schedule
from ...homotopy.classifier import Recipe
from ..plots import new_figure
from .figures import deviation, said, say, summary
from .runs import Place, Progress, images_of, job_of, network_of, start_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]
RESNET, NEVER = "ResNet, t = 1", "never skips, t = 0"
#: Line to the sampler of its search.
SEARCHED = {"searched, TPE": "tpe", "searched, CMA-ES": "cmaes"}
ORDERS = ("deepest first", "cheapest first")
CURVES = ("linear", "cosine", "exponential", "step", "adaptive", "learned")
LINES = (RESNET, NEVER, *CURVES, *ORDERS, *SEARCHED)
#: Images by which skips are judged for their order.
_JUDGES = 1000


@dataclass(frozen=True)
class Config:
    """What decides the comparison.

    Attributes:
        preset: what the sizes are called.
        trials: how often each line is trained.
        searches: trials of each search.
        seed: of the first trial; the next ones have the next seeds.
        lines: what is compared.
        shared: the other choices of every job.
        digits: what is chosen otherwise on the digits, which are fewer.
    """

    preset: str
    trials: int
    searches: int
    seed: int = 0
    lines: tuple[str, ...] = LINES
    shared: dict[str, Any] = field(default_factory=dict)
    digits: dict[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """Of the trials."""
        return range(self.seed, self.seed + self.trials)

    def job(self, way: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """The training along a way."""
        return job_of(way=way, seed=seed, **self.shared | (self.digits if self.shared.get("data") == "digits" else {}))

    def jobs(self) -> list[dict[str, Any]]:
        """The ResNets, which the orders need first."""
        return [self.job({"kind": "constant", "start": 1.0}, seed) for seed in self.seeds]


_NARROW = {"model": "resnet34-narrow", "images": 10_000, "epochs": 4, "batch_size": 64}
_DIGITS = {"images": None, "tests": None, "epochs": 12}
PRESETS = {
    "quick": Config("quick", 3, 8, shared=_NARROW, digits=_DIGITS),
    "medium": Config("medium", 3, 12, shared=_NARROW | {"epochs": 10}, digits=_DIGITS | {"epochs": 25}),
    "paper": Config("paper", 3, 40, shared={"model": "resnet34", "images": 10_000, "epochs": 10}, digits=_DIGITS),
}


def ways(
    config: Config, place: Place, searched: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """(line, seed) to the way of t; the ResNets are trained already, the searches done.

    Raises:
        DataError: if they are not.
    """
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for seed in config.seeds:
        orders = _orders(config, place, seed) if set(ORDERS) & set(config.lines) else {}
        for line in config.lines:
            if line in ORDERS:
                found[line, seed] = {"kind": "linear", "start": 1.0, "names": list(orders[line])}
            elif line in SEARCHED:
                found[line, seed] = searched[line]
            else:
                kind = "constant" if line in (RESNET, NEVER) else line
                found[line, seed] = {"kind": kind, "start": 0.0 if line == NEVER else 1.0}
    return found


def _orders(config: Config, place: Place, seed: int) -> dict[str, tuple[str, ...]]:
    network, data = network_of(config.job({"kind": "constant", "start": 1.0}, seed), place)
    return fading_orders(network, data.train_images[:_JUDGES], data.train_labels[:_JUDGES])


def search(config: Config, place: Place, line: str, progress: Progress | None = None) -> dict[str, Any]:
    """The way that the search of a line finds, at the same number of epochs; what is in its file goes on.

    Raises:
        MissingExtraError: if the extra "search" is not installed.
        DataError: if images are missing or damaged.
    """
    job = config.job({"kind": "linear", "start": 1.0}, config.seed)
    data = images_of(job["data"], place.data_root, job["images"], job["tests"])
    recipe = Recipe(job["epochs"], job["batch_size"], job["learning_rate"], seed=job["seed"])
    found = search_schedule(
        lambda: start_of(job, data).to(place.device),
        data,
        recipe=recipe,
        trials=config.searches,
        sampler=SEARCHED[line],
        storage=Path(place.folder, f"search-{SEARCHED[line]}-{config.preset}-{job['data']}.log"),
        seed=config.seed,
        progress=progress,
    )
    best = found.best
    return {"kind": best.kind, "start": best.start, "share": best.share, "names": list(best.names)}


def records_of(trained: Mapping[str, Records]) -> list[dict[str, Any]]:
    """The records of a comparison, each with the name of its line: all that the table and the picture are made of."""
    return [{"line": line, **record} for line, records in trained.items() for record in records]


def by_line(records: Records) -> dict[str, Records]:
    """Those records again, line by line."""
    return {line: list(group) for line, group in groupby(records, itemgetter("line"))}


def table(trained: Mapping[str, Records]) -> list[dict[str, Any]]:
    """One row for each line: its accuracy at t = 0 after the last epoch, mean and standard deviation in percent.

    "as trained" is the mean accuracy with the strengths that the training ended with; "resisted" counts the trials in
    which a skip was not at 0 then.
    """
    rows = []
    for line, records in trained.items():
        known = summary([100 * record["at_zero"] for record in records])
        known["as trained"] = 100 * statistics.fmean(record["accuracy"] for record in records)
        rows.append({"way": line} | known | {"resisted": sum(bool(record["resisted"]) for record in records)})
    return rows


def picture(config: Config, trained: Mapping[str, Records]) -> Figure:
    """The accuracy at t = 0 of every line and trial, and the loss of training along t, mean of the trials."""
    figure = new_figure((13, 4.8))
    ends, along = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _ends(ends, trained)
    for line, records in trained.items():
        if line not in (RESNET, NEVER):
            epochs = list(zip(*(record["epochs"] for record in records), strict=False))
            means = ([statistics.fmean(trial[name] for trial in each) for each in epochs] for name in ("t", "loss"))
            along.plot(*means, marker="o", label=line)
    along.set(title="Loss along t, epoch by epoch", xlabel="mean skip strength t", ylabel="training loss", yscale="log")
    along.invert_xaxis()
    along.legend(fontsize="x-small")
    for axes in (ends, along):
        axes.grid(alpha=0.3)
    say(figure, said(config.preset, next(iter(trained.values()))[0]["job"], config.trials))
    return figure


def _ends(axes: Axes, trained: Mapping[str, Records]) -> None:
    """The accuracy at t = 0; the residual network keeps its skips: without them it is near chance, told in words."""
    names = list(trained)[::-1]
    for row, line in enumerate(names):
        kept = line == RESNET
        values = [100 * record["accuracy" if kept else "at_zero"] for record in trained[line]]
        axes.plot(values, [row] * len(values), "o", color="0.6", markersize=4, markerfacecolor="none" if kept else None)
        axes.errorbar(statistics.fmean(values), row, xerr=deviation(values), marker="|", color="C0", capsize=3)
        if kept:
            lost = statistics.fmean(100 * record["at_zero"] for record in trained[line])
            note = f"with its skips; {lost:.3g} % without"
            axes.annotate(note, (min(values), row), (-8, 0), textcoords="offset points", ha="right", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set(title="Accuracy at t = 0 after the training", xlabel="test accuracy (%)")
