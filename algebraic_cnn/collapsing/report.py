"""What a collapse did, region by region: as text, as a table, as JSON.

RegionReport    one affine region: where, what it became, at what cost, and why not more
Boundary        a call that is not affine: where regions end
Report          all of them, and how long each step took
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..ir.graph import Call, Graph
from .cost import expense
from .measurement import Race
from .passes import PassReport
from .region import Region, regions
from .rewriting import Rewrite
from .sizes import counts, stored
from .validation import changed

#: The form of a region whose calls stay.
GIVEN = "as given"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "call"), counted(1200, "call")
    ('1 call', '1,200 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclass(frozen=True)
class RegionReport:
    """What became of one affine region.

    Attributes:
        where: source line of its last call.
        module: dotted path of the module that made its last call, "" for the model itself.
        calls: how many calls it had.
        calls_after: how many it has.
        form: "dense", the stencils that it became, or `GIVEN`.
        cost_before: nanoseconds by the cost model.
        cost_after: the same afterwards.
        reason: why this form.
        seconds_before: measured, if it was.
        seconds_after: of the form that was tried.
        at: place of its last call among the calls of the network.
        ops: how often it had which call.
        ops_after: how often it has which call.
        modules: dotted paths of the modules that made its calls, in their order.
    """

    where: str
    module: str
    calls: int
    calls_after: int
    form: str
    cost_before: int
    cost_after: int
    reason: str
    seconds_before: float | None = None
    seconds_after: float | None = None
    at: int = 0
    ops: Mapping[str, int] = field(default_factory=dict)
    ops_after: Mapping[str, int] = field(default_factory=dict)
    modules: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Its modules, or the source line of a network that has none."""
        names = [name for name in self.modules if name]
        return (", ".join(names) if len(names) < 4 else f"{names[0]} ... {names[-1]}") or self.where


@dataclass(frozen=True)
class Boundary:
    """A call that is not affine in its arguments, or that stays as it was for another reason.

    Attributes:
        call: its ATen name.
        where: its source line.
        module: dotted path of the module that made it.
        reason: why it is not affine.
        at: place among the calls of the network.
    """

    call: str
    where: str
    module: str
    reason: str
    at: int = 0


@dataclass(frozen=True)
class Report:
    """What a collapse did.

    Attributes:
        regions: what became of every affine region.
        boundaries: the calls between them.
        method: how dense maps were derived.
        seconds: how long tracing, derivation, measurement and certification took.
        sizes: the image sizes that the result takes; "" for the example's alone.
        missed: affine calls that stay as they were, and why.
        passes: what each pass did, in the order in which they ran.
        parameters: how many numbers are parameters, before and after.
        bytes: of parameters and buffers, before and after.
    """

    regions: tuple[RegionReport, ...]
    boundaries: tuple[Boundary, ...]
    method: str
    seconds: dict[str, float] = field(default_factory=dict)
    sizes: str = ""
    missed: tuple[Boundary, ...] = ()
    passes: tuple[PassReport, ...] = ()
    parameters: tuple[int, int] = (0, 0)
    bytes: tuple[int, int] = (0, 0)

    @property
    def calls(self) -> tuple[int, int]:
        """Affine calls before and after."""
        return sum(r.calls for r in self.regions), sum(r.calls_after for r in self.regions)

    @property
    def cost(self) -> tuple[int, int]:
        """Nanoseconds of the affine calls before and after, by the cost model."""
        return sum(r.cost_before for r in self.regions), sum(r.cost_after for r in self.regions)

    def to_json(self) -> str:
        """The report as JSON."""
        totals = {"calls": self.calls, "cost": self.cost}
        return json.dumps(dataclasses.asdict(self) | totals, indent=2)

    def summary(self) -> str:
        """What it came to, in a line."""
        before, after = self.calls
        line = f"{counted(before, 'affine call')} in {counted(len(self.regions), 'region')} became {after:,}"
        if after > before:
            cost, cost_after = (nanoseconds / 1000 for nanoseconds in self.cost)
            line += f", which take {cost_after:,.0f} us against {cost:,.0f} us by the model"
        if self.bytes[0]:
            parameters = f"{counted(self.parameters[0], 'parameter')} became {self.parameters[1]:,}"
            line += f"; {parameters}, {self.bytes[0]:,} bytes {self.bytes[1]:,}"
        return f"{line}."

    def __str__(self) -> str:
        changed = [region for region in self.regions if region.form != GIVEN]
        refused = [r for r in self.regions if r.form == GIVEN and r.reason]
        lines = [*map(_row, _alike(changed)), *map(_row, _alike(refused)), self.summary()]
        if kinds := sorted({b.call for b in self.boundaries}):
            calls = counted(len(self.boundaries), "call")
            lines.append(f"{calls} between them {'is' if calls == '1 call' else 'are'} not affine: {', '.join(kinds)}.")
        for reason, calls in itertools.groupby(sorted(self.missed, key=lambda b: b.reason), lambda b: b.reason):
            lines.append(f"{', '.join(sorted({b.call for b in calls}))}: {GIVEN}, as {reason}.")
        lines += [f"{p.does[0].upper()}{p.does[1:]}." for p in self.passes if p.name == "prune"]
        lines += [f"It takes {self.sizes}."] if self.sizes else []
        return "\n".join(lines)


def _alike(found: Sequence[RegionReport]) -> list[list[RegionReport]]:
    """Regions of the same calls that became the same form, together, in the order of the first of each."""
    groups: dict[Any, list[RegionReport]] = {}
    for r in found:
        why = re.sub(r"[\d,.]+", "", r.reason)
        groups.setdefault((tuple(sorted(r.ops.items())), r.form, why), []).append(r)
    return list(groups.values())


def _row(group: Sequence[RegionReport]) -> str:
    """What became of one region, or of some that are alike."""
    first, more = group[0], len(group) - 1
    calls = counted(first.calls, "call") + (" each" if more else "")
    alike = f", and {more:,} more to {group[-1].place}" if more else ""
    verb = "stay" if first.form == GIVEN else "became"
    why = f" ({first.reason})" if not more else f" (the first: {first.reason})"
    return f"{first.place}{alike}: {calls} {verb} {first.form}{why}"


Times = Mapping[frozenset[str], Race]


def report_of(
    written: Rewrite, times: Times, method: str, seconds: dict[str, float], original: Graph | None = None
) -> Report:
    """The report of a rewritten network.

    Args:
        written: the network and what it became.
        times: the races that were run, by the names of a region's values.
        method: how dense maps were derived.
        seconds: how long each step took.
        original: the network before dead channels went, if any did.
    """
    network = written.network
    pairs = {pair.region.names: pair for pair in changed(written)}
    shell = written.rewritten.shell()
    places = {call.name: place for place, call in enumerate(network.graph.calls)}
    found = []
    for region in regions(network):
        pair, race = pairs.get(region.names), times.get(region.names)
        new = [call for call in pair.new(shell).calls if call.shape] if pair else region.calls
        form, reason = _verdict(written, region, race)
        last = region.calls[-1]
        row = RegionReport(
            where=last.where,
            module=last.module,
            calls=len(region.calls),
            calls_after=len(new),
            form=form,
            cost_before=_cost(network.graph, region.calls),
            cost_after=_cost(shell, new),
            reason=reason,
            seconds_before=race.before if race else None,
            seconds_after=race.after if race else None,
            at=places[last.name],
            ops=dict(Counter(call.op for call in region.calls)),
            ops_after=dict(Counter(call.op for call in new)),
            modules=tuple(dict.fromkeys(call.module for call in region.calls)),
        )
        found.append(row)
    boundaries, missed = (
        tuple(Boundary(call.op, call.where, call.module, reason, places[call.name]) for call, reason in calls)
        for calls in (network.boundaries, network.missed)
    )
    report = Report(tuple(found), boundaries, method, seconds, missed=missed, passes=written.passes)
    return replace(report, parameters=counts(written, original), bytes=stored(written, original))


def _cost(graph: Graph, calls: Sequence[Call]) -> int:
    return round(expense(calls, graph.shapes(), batch=graph.batch or 1, item=graph.dtype.itemsize).total)


def _verdict(written: Rewrite, region: Region, race: Race | None) -> tuple[str, str]:
    """The form of a region and why."""
    plans = [plan for call in region.calls for plan in written.plans.get(call.name, ())]
    mergers = [merger for plan in plans for merger in plan.mergers]
    refused = [reason for plan in plans for reason in plan.refusals]
    if race is not None and race.lost:
        refused = [f"a form that measured {1e6 * race.after:,.0f} us against {1e6 * race.before:,.0f} us was put back"]
    if any(None in call.shape[1:] for call in region.calls):
        refused.append("a free size beside the batch: forms are for fixed sizes, export again with those")
    if not mergers:
        return GIVEN, "; ".join(refused)
    forms = Counter(merger.form for merger in mergers)
    text = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in forms.items())
    before, after = (sum(getattr(merger, side) for merger in mergers) / 1000 for side in ("before", "after"))
    gain = f"{after:,.0f} us against {before:,.0f} us by the model"
    return text, "; ".join([gain, *(refused if race is not None and race.lost else ())])
