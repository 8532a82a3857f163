"""``algebraic-cnn bench compile``: networks through torch.compile, by inductor and by our backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import chosen
from .options import AsJson, on_cpu, words
from .screen import duration, show, table

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench.compiled import Row


def compile_bench(
    networks: Annotated[str, typer.Option(help="Comma-separated; five of them if empty.")] = "",
    records: Annotated[Path, typer.Option(help="File of records; what it has is not run again.")] = Path(
        "compiled.jsonl"
    ),
    seconds: Annotated[float, typer.Option(help="Time to spend on each network and batch.", min=0)] = 10.0,
    threads: Annotated[int, typer.Option(help="Of torch.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of weights and images.", min=0)] = 0,
    device: Annotated[str, on_cpu("The networks run on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Time networks eagerly, by inductor and by our backend, frozen or not: two batch sizes, then another weight."""
    import torch

    from ..bench.compiled import NETWORKS, compiled_rows
    from ..bench.toeplitz import machine

    asked = [chosen("network", name, list(NETWORKS)) for name in words(networks) or NETWORKS]
    torch.set_num_threads(threads)
    said = None if json else lambda text: typer.echo(text, err=True)
    rows = list(compiled_rows(asked, records, seconds=seconds, seed=seed, progress=said))
    facts = {"machine": machine(), "seed": seed, "records": str(records), "rows": [asdict(row) for row in rows]}
    show(json, facts, compiled_table(rows), width=160)


def compiled_table(rows: Sequence[Row]) -> Table:
    """A line for each network and route."""
    loads = [row.load for row in rows] or [0.0]
    caption = "eager / x: for one image and for eight, medians in turn; first calls: with one image, with eight,\n"
    caption += "and with another weight; errors of the outputs beside float64, in that order; load "
    caption += f"{min(loads):.1f} to {max(loads):.1f}"
    headings = ("network", "route", "eager / x", "first calls", "errors")
    eager = {row.network: row.seconds for row in rows if row.route == "eager"}
    lines = (_line(row, eager[row.network]) for row in rows)
    return table("networks through torch.compile", headings, lines, left=("network", "route"), caption=caption)


def _line(row: Row, eager: Sequence[float]) -> tuple[str, ...]:
    ratios = " ".join(f"{usual / own:.2f}" for usual, own in zip(eager, row.seconds, strict=False))
    calls = " ".join(map(duration, row.calls))
    return row.network, row.route, ratios, calls, row.note or " ".join(f"{error:.0e}" for error in row.errors)
