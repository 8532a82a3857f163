"""``algebraic-cnn bench``: speed as ratios, measured in turn in one run, beside what one would use instead."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .options import AsJson, chosen, duration, print_json

bench = typer.Typer(no_args_is_help=True, help="Measure speed, as ratios to what one would use instead.")


@bench.command("toeplitz")
def toeplitz_bench(
    cases: Annotated[str, typer.Option(help="Which convolutions, by letter, from small to large.")] = "abcd",
    seconds: Annotated[float, typer.Option(help="Time to spend on each comparison.", min=0)] = 4.0,
    seed: Annotated[int, typer.Option(help="Of the timed weights; it changes no time.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="Matrices are built on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Time the writing of explicit matrices beside writing memory, a COO recipe, probing and jacrev."""
    chosen("device", device, ["cpu"])

    from ..bench.toeplitz import CASES, machine, toeplitz_rows

    for case in cases:
        chosen("case", case, list(CASES))
    rows = toeplitz_rows(cases, seconds=seconds)
    if json:
        print_json({"machine": machine(), "seed": seed, "rows": [asdict(row) for row in rows]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="explicit matrices of convolutions")
    for heading in ("case", "what", "nonzeros", "time", "ratio", "against"):
        table.add_column(heading, justify="right" if heading in ("nonzeros", "time", "ratio") else "left")
    for row in rows:
        time = duration(row.seconds) + (" (scaled)" if row.scaled else "")
        table.add_row(row.case, row.what, f"{row.nonzeros:,}", time, f"{row.ratio:.3g}", row.against)
    screen = Console()
    screen.print(table)
    screen.print(", ".join(f"{name} {value}" for name, value in machine().items()))
