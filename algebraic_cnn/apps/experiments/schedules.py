"""All schedules at one budget: accuracy at t = 0 beside the ResNet and the network that never had skips.

line        what a network is trained along: a fixed t, a curve from 1 to 0, adaptive, learned, an order, searched
budget      epochs, images and seeds are the same for all; the search is told the same epochs for each of its trials
orders      "deepest first" and "cheapest first", by what each skip is worth to the ResNet of the same seed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...homotopy import fading_orders, search_schedule
from ...homotopy.classifier import Recipe
from ..plots import new_figure
from .figures import by_epoch, said, say, summary
from .runs import Place, Progress, images_of, job_of, network_of, start_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]
RESNET, NEVER, SEARCHED = "ResNet, t = 1", "never skips, t = 0", "searched"
ORDERS = ("deepest first", "cheapest first")
CURVES = ("linear", "cosine", "exponential", "step", "adaptive", "learned")
LINES = (RESNET, NEVER, *CURVES, *ORDERS, SEARCHED)
#: Images by which skips are judged for their order.
_JUDGES = 1000


@dataclass(frozen=True)
class Config:
    """What decides the comparison.

    Attributes:
        preset: what the sizes are called.
        trials: how often each line is trained.
        searches: trials of the search.
        seed: of the first trial; the next ones have the next seeds.
        lines: what is compared.
        shared: the other choices of every job.
    """

    preset: str
    trials: int
    searches: int
    seed: int = 0
    lines: tuple[str, ...] = LINES
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """Of the trials."""
        return range(self.seed, self.seed + self.trials)

    def job(self, way: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """The training along a way."""
        return job_of(way=way, seed=seed, **self.shared)

    def jobs(self) -> list[dict[str, Any]]:
        """The ResNets, which the orders need first."""
        return [self.job({"kind": "constant", "start": 1.0}, seed) for seed in self.seeds]


PRESETS = {
    "quick": Config(
        "quick", 3, 12, shared={"model": "resnet18", "images": 2000, "tests": 1000, "epochs": 5, "batch_size": 32}
    ),
    "paper": Config("paper", 3, 40, shared={"model": "resnet34", "images": 10_000, "epochs": 10}),
}


def ways(config: Config, place: Place, searched: Mapping[str, Any] | None) -> dict[tuple[str, int], Mapping[str, Any]]:
    """(line, seed) to the way of t; the ResNets are trained already.

    Raises:
        DataError: if they are not.
    """
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for seed in config.seeds:
        orders = _orders(config, place, seed) if set(ORDERS) & set(config.lines) else {}
        for line in config.lines:
            if line in ORDERS:
                found[line, seed] = {"kind": "linear", "start": 1.0, "names": list(orders[line])}
            elif line == SEARCHED and searched is not None:
                found[line, seed] = searched
            elif line != SEARCHED:
                kind = "constant" if line in (RESNET, NEVER) else line
                found[line, seed] = {"kind": kind, "start": 0.0 if line == NEVER else 1.0}
    return found


def _orders(config: Config, place: Place, seed: int) -> dict[str, tuple[str, ...]]:
    network, data = network_of(config.job({"kind": "constant", "start": 1.0}, seed), place)
    return fading_orders(network, data.train_images[:_JUDGES], data.train_labels[:_JUDGES])


def search(config: Config, place: Place, progress: Progress | None = None) -> dict[str, Any]:
    """The way that a search finds, at the same number of epochs; what is in its file goes on.

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
        storage=Path(place.folder, f"search-{config.preset}-{job['data']}.log"),
        seed=config.seed,
        progress=progress,
    )
    best = found.best
    return {"kind": best.kind, "start": best.start, "share": best.share, "names": list(best.names)}


def table(config: Config, trained: Mapping[str, Records]) -> list[dict[str, Any]]:
    """One row for each line: mean and standard deviation of the accuracy after the last epoch, in percent."""
    return [
        {"way": line} | summary([100 * record["accuracy"] for record in records]) for line, records in trained.items()
    ]


def picture(config: Config, trained: Mapping[str, Records]) -> Figure:
    """Accuracy over the epochs, and the loss of training along t."""
    figure = new_figure((12, 4.6))
    over, along = figure.subplots(1, 2)
    for line, records in trained.items():
        points = by_epoch(records)
        over.plot([x for x, _ in points], [sum(values) / len(values) for _, values in points], marker="o", label=line)
        if line not in (RESNET, NEVER):
            for record in records[:1]:
                epochs = record["epochs"]
                along.plot(
                    [epoch["t"] for epoch in epochs], [epoch["loss"] for epoch in epochs], marker="o", label=line
                )
    over.set(title="Accuracy", xlabel="epoch", ylabel="test accuracy (%)")
    along.set(title="Loss along t, first seed", xlabel="mean skip strength t", ylabel="training loss")
    along.invert_xaxis()
    for axes in (over, along):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    first = next(iter(trained.values()))[0]["job"]
    say(figure, said(config.preset, first, config.trials))
    return figure
