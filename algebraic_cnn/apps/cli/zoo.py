"""``algebraic-cnn bench zoo``: public networks of installed packages, collapsed one after the other."""

from __future__ import annotations

import contextlib
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
    limit: Annotated[float, typer.Option(help="Seconds that one network may take.", min=1)] = 300.0,
    memory: Annotated[float, typer.Option(help="GiB that one network may take.", min=1)] = 5.0,
    seed: Annotated[int, typer.Option(help="Of weights and inputs.", min=0)] = 0,
    device: Annotated[str, on_cpu("The networks run on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Collapse public networks with random weights, each in a process of its own, and compare them in float64.

    Examples: algebraic-cnn bench zoo --packages timm --only resnet
              algebraic-cnn bench zoo --packages torchvision,monai --records mine.jsonl
    """
    from ..bench.toeplitz import machine
    from ..bench.zoo.keeper import Limits, swept
    from ..bench.zoo.shelf import PACKAGES

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


def packages_table(trials: Sequence[Trial]) -> Table:
    """A line for each package, and one for all of them."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.package, []).append(trial)
    lines = [_line(name, group) for name, group in groups.items()]
    headings = ("package", "worked", "kernels", "BatchNorms", "error", "collapse", "certified", "memory", "latency")
    caption = "worked: of those that torch.export takes; kernels: of all, before and after; error: largest, over the\n"
    caption += (
        "network's own in float32; collapse, certified: processor time over torch.export's, median and largest;\n"
    )
    caption += "memory: peak over the model's and its export's, median and largest; latency: median ratio at batch 1"
    return table(
        "public networks", headings, [*lines, *([_line("all", trials)] if len(lines) > 1 else [])], caption=caption
    )


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


def _line(name: str, trials: Sequence[Trial]) -> tuple[str, ...]:
    taken = [t for t in trials if t.stage not in ("build", "run", "export")]
    done = [t for t in taken if not t.stage]
    kernels, norms = (f"{sum(x[0] for x in xs)} -> {sum(x[1] for x in xs)}" for xs in
                      ([t.kernels for t in done], [t.norms for t in done]))  # fmt: skip
    floor = 2.0**-23
    errors = [t.error / max(t.own_error, floor) for t in done if t.error is not None and t.own_error is not None]
    return (
        name,
        f"{sum(t.worked for t in taken)} of {len(taken)}",
        kernels,
        norms,
        f"{max(errors):.1f}" if errors else "",
        *(_middle([getattr(t, field) for t in done]) for field in ("collapse", "certificate", "memory")),
        f"{statistics.median(ratios):.2f}" if (ratios := [t.latency for t in done if t.latency]) else "",
    )


def _middle(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}, {max(values):.1f}" if values else ""
