"""``algebraic-cnn bench zoo``: public networks of installed packages, collapsed one after the other."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import chosen
from .options import AsJson, on_cpu, words
from .screen import bars, show, table

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench.zoo.keeper import Progress
    from ..bench.zoo.trial import Trial


def zoo_bench(
    packages: Annotated[str, typer.Option(help="Comma-separated; all that are known if empty.")] = "",
    only: Annotated[str, typer.Option(help="Only architectures whose names hold this text.")] = "",
    records: Annotated[Path, typer.Option(help="File of records; what it has is not run again.")] = Path("zoo.jsonl"),
    seconds: Annotated[float, typer.Option(help="For the latency of each network; 0 for none.", min=0)] = 0.5,
    limit: Annotated[float, typer.Option(help="Seconds of processor time that one network may take.", min=1)] = 300.0,
    memory: Annotated[float, typer.Option(help="GiB that one network may take.", min=1)] = 5.0,
    seed: Annotated[int, typer.Option(help="Of weights and inputs.", min=0)] = 0,
    device: Annotated[str, on_cpu("The networks run on the cpu.")] = "cpu",
    only_table: Annotated[bool, typer.Option("--table", help="Run nothing: records as tables in Markdown.")] = False,
    json: AsJson = False,
) -> None:
    """Collapse public networks with random weights, each in a process of its own, and compare them in float64.

    Examples: algebraic-cnn bench zoo --packages timm --only resnet
              algebraic-cnn bench zoo --packages torchvision,monai --records mine.jsonl
              algebraic-cnn bench zoo --records mine.jsonl --table
    """
    from ..bench.toeplitz import machine
    from ..bench.zoo.keeper import Limits, recorded, swept
    from ..bench.zoo.shelf import PACKAGES

    if only_table:
        typer.echo("\n".join(in_markdown(recorded(records))))
        return
    asked = [chosen("package", package, list(PACKAGES)) for package in words(packages) or PACKAGES]
    limits = Limits(limit, int(memory * 2**30))
    with _progress(quiet=json) as progress:
        options = {"only": only, "seed": seed, "seconds": seconds, "limits": limits, "progress": progress}
        trials = list(swept(asked, records, **options))
    facts = {"machine": machine(), "records": str(records), "rows": [asdict(trial) for trial in trials]}
    show(json, facts, packages_table(trials), failures_table(trials), width=160)


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    if quiet:
        yield None
        return
    with bars("networks that are done are kept") as drawn:
        yield lambda name, done, total: drawn("networks", done, total, name)


#: Of the tables, and what the columns of the second are.
_COUNTS = ("package", "tried", "run here", "torch.export takes", "work", "calls", "BatchNorms", "error")
_COSTS = {
    "package": "",
    "collapse": "collapse",
    "with certificate": "certificate",
    "memory": "memory",
    "latency": "latency",
}
_CAPTION = """error: largest, over the network's own in float32; the rest: median, 90 %, worst;
collapse, with certificate: processor time over torch.export's; memory: peak over that of the model and its export;
latency: of a prediction at batch 1, after over before"""


def packages_table(trials: Sequence[Trial]) -> Table:
    """A line for each package, and one for all of them."""
    lines = [(*counts, *costs[1:]) for counts, costs in _lines(trials)]
    return table("public networks", (*_COUNTS, *tuple(_COSTS)[1:]), lines, caption=_CAPTION)


def in_markdown(trials: Sequence[Trial]) -> list[str]:
    """The lines of three tables: what works, what it costs, what does not work."""
    counts, costs = ([line[place] for line in _lines(trials)] for place in (0, 1))
    failed = [(t.package, t.name, t.stage or "compare", _cause(t)) for t in trials if not t.worked]
    tables = [(_COUNTS, counts), (tuple(_COSTS), costs), (("package", "network", "stage", "cause"), failed)]
    found = []
    for headings, lines in tables:
        rule = "|".join("---" if place == 0 or len(headings) == 4 else "---:" for place in range(len(headings)))
        rows = (" | ".join(cell.replace("|", "/") for cell in line) for line in (headings, *lines))
        head, *body = (f"| {row} |" for row in rows)
        found += [head, f"|{rule}|", *body, ""]
    return found[:-1]


def failures_table(trials: Sequence[Trial]) -> Table:
    """A line for each network that did not work, and why."""
    lines = [(t.package, t.name, t.stage or "compare", _cause(t)) for t in trials if not t.worked]
    return table(
        "what did not work",
        ("package", "network", "stage", "cause"),
        lines,
        left=("package", "network", "stage", "cause"),
    )


def _cause(trial: Trial) -> str:
    if trial.stage:
        return trial.cause[:160]
    return "not certified" if not trial.certified else f"error {trial.error:.1e}, its own {trial.own_error:.1e}"


def _lines(trials: Sequence[Trial]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Of every package, and of all together: how many work, and what it costs."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.package, []).append(trial)
    groups |= {"all": list(trials)} if len(groups) > 1 else {}
    return [(_counts(name, group), _costs(name, group)) for name, group in groups.items()]


def _counts(name: str, trials: Sequence[Trial]) -> tuple[str, ...]:
    run = [t for t in trials if t.stage not in ("build", "run")]
    taken = [t for t in run if t.stage != "export"]
    done = [t for t in taken if not t.stage]
    kernels, norms = (f"{sum(x[0] for x in xs)} -> {sum(x[1] for x in xs)}" for xs in
                      ([t.kernels for t in done], [t.norms for t in done]))  # fmt: skip
    floor = 2.0**-23
    errors = [t.error / max(t.own_error, floor) for t in done if t.error is not None and t.own_error is not None]
    numbers = (len(trials), len(run), len(taken), sum(t.worked for t in taken))
    return (name, *map(str, numbers), kernels, norms, f"{max(errors):.1f}" if errors else "")


def _costs(name: str, trials: Sequence[Trial]) -> tuple[str, ...]:
    done = [t for t in trials if not t.stage]
    return (name, *(_spread([getattr(t, field) for t in done]) for field in _COSTS.values() if field))


def _spread(values: Sequence[float | None]) -> str:
    """The median, the value that one in ten is above, and the worst."""
    found = sorted(value for value in values if value)
    if not found:
        return ""
    tenth = found[math.ceil(0.9 * len(found)) - 1]
    return f"{statistics.median(found):.2f}, {tenth:.2f}, {found[-1]:.2f}"
