"""Drawings of records: means of the trials with bars of one standard deviation, and what was run written below.

    Panel     one pair of axes: label to points, a point being x and the values of its trials
    draw      panels side by side
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, Sequence[float]]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what it shows.
        across: name of the x axis.
        lines: label to points (x, the values of the trials there).
        whole: whether x is a whole number.
    """

    title: str
    across: str
    lines: Mapping[str, Points]
    whole: bool = False


def draw(panels: Sequence[Panel], up: str, note: str) -> Figure:
    """Panels side by side, four of them in two rows, with one y axis; a note below that says what was run.

    >>> panel = Panel("accuracy", "t", {"ResNet34": [(0.0, [0.9, 1.0]), (1.0, [1.0])]})
    >>> figure = draw([panel], "accuracy", "quick: 2 trials")
    >>> [line.get_label() for line in figure.axes[0].containers]
    ['ResNet34']
    """
    columns = 2 if len(panels) == 4 else len(panels)
    rows = len(panels) // columns
    figure = new_figure((4.6 * columns + 1, 4.2 * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        for label, points in panel.lines.items():
            xs = [x for x, _ in points]
            means = [statistics.fmean(values) for _, values in points]
            deviations = [deviation(values) for _, values in points]
            axes.errorbar(xs, means, yerr=deviations, marker="o", capsize=3, label=label)
        axes.set(title=panel.title, xlabel=panel.across)
        axes.xaxis.get_major_locator().set_params(integer=panel.whole)  # pyright: ignore[reportAttributeAccessIssue]
        axes.grid(alpha=0.3)
        if len(panel.lines) > 1:
            axes.legend()
    for axes in grid[:, 0]:
        axes.set_ylabel(up)
    say(figure, note)
    return figure


def say(figure: Figure, note: str) -> None:
    """Write a note below a figure, in as many lines as it needs."""
    per_inch = 13
    figure.supxlabel(textwrap.fill(note, int(per_inch * figure.get_figwidth())), fontsize="small", color="0.35")


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of the trials; 0 for a single one.

    >>> deviation([1.0, 2.0, 3.0]), deviation([1.0])
    (1.0, 0.0)
    """
    return statistics.stdev(values) if len(values) > 1 else 0.0


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and deviation of the trials, and how many there are.

    >>> summary([97.0, 99.0])
    {'accuracy': 98.0, 'spread': 1.4142135623730951, 'trials': 2}
    """
    return {"accuracy": statistics.fmean(values), "spread": deviation(values), "trials": len(values)}


def by_epoch(records: Sequence[Mapping[str, Any]]) -> Points:
    """(epoch, accuracies of the trials in percent) of records of the same job but for the seed.

    Only epochs that all of them have: a training may have been given up.
    """
    epochs = zip(*(record["epochs"] for record in records), strict=False)
    return [(trials[0]["epoch"], [100 * trial["accuracy"] for trial in trials]) for trials in epochs]


def said(preset: str, job: Mapping[str, Any], trials: int) -> str:
    """What was run, in one line.

    >>> said("quick", {"model": "resnet34", "data": "mnist", "images": 2000, "tests": None, "epochs": 3}, 2)
    'preset quick: resnet34, mnist, 2,000 training and all test images, 3 epochs, mean and deviation of 2 trials'
    """
    train, test = ("all" if job[name] is None else f"{job[name]:,}" for name in ("images", "tests"))
    images = "all images" if train == test == "all" else f"{train} training and {test} test images"
    epochs = f"{job['epochs']} epoch{'s' * (job['epochs'] > 1)}"
    often = f"mean and deviation of {trials} trials" if trials > 1 else "one trial"
    return f"preset {preset}: {job['model']}, {job['data']}, {images}, {epochs}, {often}"
