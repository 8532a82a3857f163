"""A network before and after its collapse, drawn along its depth.

    block       an affine region, as wide as its calls cost by the cost model, coloured by the form that it took
    band        from a block above to the same region below: what narrows is what was won
    boundary    a dark line: calls that are not affine, where regions end

Both rows have one scale, so the lower one is as much shorter as the network is cheaper.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..collapsing.report import GIVEN
from .plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..collapsing.report import RegionReport, Report

_SEVERAL, _OTHER = "several forms", "other forms"
_GREY = "#b8b8b8"
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44aa99")
_LOWER, _UPPER, _HEIGHT = 0.0, 1.7, 0.62

#: Shares of the upper row that a boundary, and all of them, may take, so that lines of neighbours stay apart.
_LINE, _LINES = 0.003, 0.03


@dataclass(frozen=True)
class _Block:
    """Where a region, or a boundary (``region`` None), is drawn: from left to right in both rows."""

    region: RegionReport | None
    upper: tuple[float, float]
    lower: tuple[float, float]


def report_figure(report: Report, *, title: str = "") -> Figure:
    """The regions of a network before and after, side by side along its depth, in microseconds of the cost model.

    Args:
        report: of ``collapse``.
        title: of the figure.

    >>> from algebraic_cnn.collapsing.report import RegionReport, Report
    >>> region = RegionReport("a.py:1", "stem", 3, 1, "conv2d 3x3", 9000, 4000, "4 us against 9 us by the model")
    >>> figure = report_figure(Report((region,), (), "auto"))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['conv2d 3x3 (1)']
    """
    figure = new_figure((12.0, 4.2))
    axes = figure.subplots()
    names = _named(report)
    blocks = _placed(report)
    colours = {GIVEN: _GREY, **dict(zip([name for name in names if name != GIVEN], _COLOURS, strict=False))}
    for block in blocks:
        if block.region is None:
            _draw_line(axes, block)
        else:
            _draw_region(axes, block, colours[_kind(block.region, names)])
    _label(axes, report, blocks)
    handles: list[Any] = [axes.bar(0, 0, color=colours[name], label=f"{name} ({n})") for name, n in names.items()]
    if report.boundaries:
        handles += axes.plot([], [], color="0.15", linewidth=1.5, label=f"not affine ({len(report.boundaries)})")
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5, frameon=False, fontsize=9)
    axes.set_title(title or "affine regions before and after")
    return figure


def _kind(region: RegionReport, names: Counter[str]) -> str:
    """The name under which the legend has a region."""
    form = _form(region)
    return form if form in names else _OTHER


def _form(region: RegionReport) -> str:
    """The form of a region without counts, or that it has several."""
    return _SEVERAL if ", " in region.form else re.sub(r"^\d+ x ", "", region.form)


def _named(report: Report) -> Counter[str]:
    """How many regions took which form, the most frequent first; rare ones together where colours run out."""
    found = Counter(map(_form, report.regions))
    forms = [name for name, _ in found.most_common() if name != GIVEN]
    few = forms if len(forms) <= len(_COLOURS) else forms[: len(_COLOURS) - 1]
    names = Counter({name: found[name] for name in few})
    if len(few) < len(forms):
        names[_OTHER] = sum(found[name] for name in forms[len(few) :])
    if found[GIVEN]:
        names[GIVEN] = found[GIVEN]
    return names


def _placed(report: Report) -> list[_Block]:
    """Regions and boundaries in order of execution, one after the other in both rows."""
    parts = [*((r.at, r) for r in report.regions), *((b.at, None) for b in report.boundaries)]
    line = min(_LINE, _LINES / max(len(report.boundaries), 1)) * max(report.cost[0], 1) / 1000
    above = below = 0.0
    blocks = []
    for _, region in sorted(parts, key=lambda part: part[0]):
        before, after = (region.cost_before / 1000, region.cost_after / 1000) if region else (line, line)
        blocks.append(_Block(region, (above, above + before), (below, below + after)))
        above, below = above + before, below + after
    return blocks


def _draw_region(axes: Axes, block: _Block, colour: str) -> None:
    edge = {"edgecolor": "white", "linewidth": 0.4}
    for level, (left, right) in ((_UPPER, block.upper), (_LOWER, block.lower)):
        axes.broken_barh([(left, right - left)], (level, _HEIGHT), facecolor=colour, **edge)
    (a, b), (c, d) = block.upper, block.lower
    axes.fill([a, b, d, c], [_UPPER, _UPPER, _HEIGHT, _HEIGHT], color=colour, alpha=0.25, linewidth=0)


def _draw_line(axes: Axes, block: _Block) -> None:
    for level, (left, right) in ((_UPPER, block.upper), (_LOWER, block.lower)):
        axes.plot([(left + right) / 2] * 2, [level, level + _HEIGHT], color="0.15", linewidth=0.7)


def _label(axes: Axes, report: Report, blocks: list[_Block]) -> None:
    """Calls and costs beside the rows, and the number of calls in each block that has room for it."""
    width = max((block.upper[1] for block in blocks), default=1.0) or 1.0
    for block in blocks:
        if block.region is None:
            continue
        sides = (_UPPER, block.upper, block.region.calls), (_LOWER, block.lower, block.region.calls_after)
        for level, (left, right), count in sides:
            if right - left > 0.012 * width * len(str(count)):
                axes.text((left + right) / 2, level + _HEIGHT / 2, str(count), ha="center", va="center", fontsize=8)
    totals = zip(("before", "after"), report.calls, report.cost, strict=True)
    rows = [f"{name}\n{calls:,} calls\n{nanoseconds / 1000:,.0f} us" for name, calls, nanoseconds in totals]
    axes.set_yticks([_UPPER + _HEIGHT / 2, _LOWER + _HEIGHT / 2], rows)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(-0.005 * width, 1.005 * width)
    axes.set_ylim(_LOWER - 0.12, _UPPER + _HEIGHT + 0.12)
    axes.set_xlabel("microseconds by the cost model; numbers count calls")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
