"""The report of a collapse on the screen: equal regions on one line, the dearest first, then what is not affine.

    regions    how many, where the first and the last of them stand, what they were and became, and what that costs
    costs      of all regions of a line together, by the cost model
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .screen import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ...collapsing.report import RegionReport, Report

GIVEN = "as given"
_LINE = 60


def show_report(report: Report, screen: Console) -> None:
    """Print the table of regions, the table of boundaries, and what it all comes to."""
    screen.print(regions_table(report))
    if report.boundaries:
        screen.print(boundaries_table(report))
    cost, cost_after = report.cost
    screen.print(f"{_cost(cost)} became {_cost(cost_after)} by the cost model.")
    screen.print(report.summary(), highlight=False)
    if report.sizes:
        screen.print(f"It takes {report.sizes}.", highlight=False)
    spans = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report.seconds.items())
    screen.print(f"method {report.method}; {spans}" if spans else f"method {report.method}", highlight=False)


def regions_table(report: Report) -> Table:
    """One line for all regions of the same calls that took the same form for the same reason, the dearest first."""
    groups: dict[Any, list[RegionReport]] = {}
    for region in report.regions:
        why = re.sub(r"[\d,]+", "", region.reason) if region.form == GIVEN else ""
        groups.setdefault((tuple(sorted(region.ops.items())), region.form, why), []).append(region)
    table = _table("affine regions", "regions", "where", "calls", "became", "before", "after")
    for group in sorted(groups.values(), key=lambda group: -sum(region.cost_before for region in group)):
        costs = (_cost(sum(getattr(region, side) for region in group)) for side in ("cost_before", "cost_after"))
        table.add_row(str(len(group)), _where(group), _counted(group[0].ops), _became(group[0]), *costs)
    return table


def boundaries_table(report: Report) -> Table:
    """One line for all calls of one kind that are not affine for the same reason."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for boundary in report.boundaries:
        groups.setdefault((boundary.call, boundary.reason), []).append(boundary)
    table = _table("calls between them", "calls", "where", "what", "why it is not affine")
    for (call, reason), group in groups.items():
        table.add_row(str(len(group)), _where(group), call, reason)
    return table


def _table(title: str, *headings: str) -> Table:
    """An empty table: numbers to the right, as wide as they are; words share the rest of the screen."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, expand=True)
    for heading in headings:
        if heading in ("regions", "before", "after") or heading == headings[0]:
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            share = None if heading == "what" else 4 if heading == "where" else 3
            table.add_column(heading, overflow="fold", ratio=share)
    return table


def _became(region: RegionReport) -> str:
    """The form, and below it the calls that it takes, or why there is no other form."""
    from rich.markup import escape

    if region.form == GIVEN:
        return f"{GIVEN}\n[dim]{escape(region.reason)}[/]" if region.reason else GIVEN
    one = set(region.ops_after.values()) == {1} and len(region.ops_after) == 1
    return region.form if one else f"{region.form}\n[dim]{_counted(region.ops_after)}[/]"


def _where(group: Sequence[Any]) -> str:
    """The modules of a group, and the line of source at which its first member ends."""
    from rich.markup import escape

    modules = list(dict.fromkeys(member.module or "the model itself" for member in group))
    lines = list(dict.fromkeys(member.where for member in group))
    words = modules[0] if len(modules) == 1 else f"{modules[0]} ... {modules[-1]}"
    line = lines[0] if len(lines[0]) <= _LINE else lines[0][: _LINE - 3] + "..."
    more = f" and {len(lines) - 1} other lines" if len(lines) > 1 else ""
    return f"{escape(words)}\n[dim]{escape(line)}{more}[/]"


def _counted(ops: Mapping[str, int]) -> str:
    """Calls by name: "3 conv2d, add"."""
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in ops.items())


def _cost(nanoseconds: float) -> str:
    return duration(nanoseconds * 1e-9) if nanoseconds else "0"
