"""How much is faded against how fast and how accurate: the table and the picture of the race.

    accuracies    level to the accuracies of its trials
    lost          level to the points of accuracy that it costs
    table         a row for every contender and batch size
    picture       accuracy against prediction time: a colour for each level, a sign for each way to run it
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..plots import new_figure
from .figures import deviation, said, say, summary
from .race import LEVELS, ORIGINAL, Config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]
#: Way to run a network to its sign in the picture.
SIGNS = {
    "eager": "s",
    "compiled and frozen": "D",
    "ONNX Runtime": "^",
    "exact removal through ReLU": "X",
    "collapsed": "o",
    "collapsed, ONNX Runtime": "v",
}
#: What a level may lose, in points, and what it should save: the dotted lines.
MAY_LOSE, SHOULD_SAVE = 0.5, 0.6


def accuracies(config: Config, records: Records) -> dict[str, list[float]]:
    """Level to the accuracies of its trials, in percent, first seeds first."""
    known = [(record["job"], 100 * record["accuracy"]) for record in records]
    jobs = {level: [config.job(level, seed) for seed in config.seeds(level)] for level in LEVELS}
    return {level: [right for job, right in known if job in jobs[level]] for level in LEVELS}


def lost(config: Config, records: Records) -> dict[str, float]:
    """Level to the points of accuracy that it loses to the ResNet of the same seeds, in the mean."""
    found = accuracies(config, records)
    return {
        level: statistics.fmean(before - after for before, after in zip(found[ORIGINAL], values, strict=False))
        for level, values in found.items()
    }


def table(config: Config, records: Records, times: Records) -> list[dict[str, Any]]:
    """One row for each contender and batch size: milliseconds per image, what it saves, what it loses.

    "saved" is less time in percent than the original in eager mode; "saved of the best", than the original under the
    best of the other engines; "lost" are points of accuracy.
    """
    found, points, rows = accuracies(config, records), lost(config, records), []
    for batch in config.batches:
        here = [time for time in times if time["batch"] == batch]
        engines = {time["contender"]: time["seconds"] for time in here if time["contender"].startswith("original, ")}
        eager = engines.pop("original, eager")
        best = min(engines.values(), default=eager)
        for time in here:
            took, level = time["seconds"], time["level"]
            saved = {"saved": 100 * (1 - took / eager), "saved of the best": 100 * (1 - took / best)}
            known = {"batch": batch, "contender": time["contender"], "ms": 1e3 * took, **saved}
            rows.append(known | summary(found[level]) | {"lost": points[level]})
    return rows


def picture(config: Config, records: Records, times: Records) -> Figure:
    """Accuracy of every level against the prediction time of every contender, one panel for each batch size."""
    from matplotlib.lines import Line2D

    figure = new_figure((5.2 * len(config.batches) + 1, 5.6))
    colours = {level: f"C{number}" for number, level in enumerate(LEVELS)}
    panels = figure.subplots(1, len(config.batches), squeeze=False, sharey=True)[0]
    for axes, batch in zip(panels, config.batches, strict=True):
        _panel(axes, config, records, [time for time in times if time["batch"] == batch], colours)
        axes.set(title=f"batches of {batch}", xlabel="milliseconds per image")
    panels[0].set_ylabel("test accuracy (%)")
    used = [way for way in SIGNS if way in {_way(time) for time in times}]
    shown = [Line2D([], [], color=colour, linewidth=4, label=level) for level, colour in colours.items()]
    shown += [Line2D([], [], color="0.3", linestyle="none", marker=SIGNS[way], label=way) for way in used]
    dotted = f"{MAY_LOSE:g} points less accurate, {100 * SHOULD_SAVE:g} % less time than the original, eager"
    shown.append(Line2D([], [], color="0.5", linestyle=":", label=dotted))
    figure.legend(handles=shown, loc="outside upper center", ncols=3, fontsize="small", frameon=False)
    further = f"; {config.further} where activations are linear" if config.further != config.trials else ""
    say(figure, said(config.preset, records[0]["job"], config.trials) + further)
    return figure


def _panel(axes: Axes, config: Config, records: Records, times: Records, colours: Mapping[str, str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    found = accuracies(config, records)
    for time in times:
        values = found[time["level"]]
        how = {"marker": SIGNS[_way(time)], "color": colours[time["level"]], "capsize": 3, "linestyle": "none"}
        axes.errorbar(1e3 * time["seconds"], statistics.fmean(values), yerr=deviation(values), **how)
        if time["contender"] == "original, eager":
            axes.axvline(1e3 * time["seconds"] * (1 - SHOULD_SAVE), color="0.5", linestyle=":", zorder=0)
    axes.axhline(statistics.fmean(found[ORIGINAL]) - MAY_LOSE, color="0.5", linestyle=":", zorder=0)
    for way in ("collapsed", "collapsed, ONNX Runtime"):
        line = [(1e3 * t["seconds"], statistics.fmean(found[t["level"]])) for t in times if _way(t) == way]
        axes.plot(*zip(*line, strict=True), color="0.75", zorder=0) if line else None
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def _way(time: Mapping[str, Any]) -> str:
    """How a contender runs: its name without that of the network."""
    return time["contender"].removeprefix("original, ").removeprefix(f"{time['level']}, ")
