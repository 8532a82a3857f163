"""``algebraic-cnn bench``: speed as ratios, measured in turn in one run, beside what one would use instead."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .bench_networks import collapse_bench, models_bench, patterns_bench
from .options import AsJson, chosen, duration, print_json

bench = typer.Typer(no_args_is_help=True, help="Measure speed, as ratios to what one would use instead.")
bench.command("patterns")(patterns_bench)
bench.command("collapse")(collapse_bench)
bench.command("models")(models_bench)


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


@bench.command("certify")
def certify_bench(
    records: Annotated[Path, typer.Option(help="File of records; what it has is not run again.")] = Path(
        "certify.jsonl"
    ),
    networks: Annotated[int, typer.Option(help="Right pairs at each depth.", min=1)] = 20,
    repeats: Annotated[int, typer.Option(help="How often each defect is planted in each.", min=1)] = 7,
    depths: Annotated[str, typer.Option(help="Layers of the networks.")] = "4,8,16,34",
    seed: Annotated[int, typer.Option(help="Of the first network.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="The networks run on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Count the false alarms and misses of tolerances and of our levels, on pairs whose truth is known."""
    chosen("device", device, ["cpu"])

    import torch

    from ..bench.certification import run, tallies

    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    layers = [int(chosen("depth", depth, [str(n) for n in range(2, 100)])) for depth in depths.split(",")]
    rows = tallies(run(records, networks=networks, repeats=repeats, depths=layers, seed=seed))
    if json:
        print_json({"records": str(records), "rows": [asdict(row) for row in rows]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="false alarms and misses")
    for heading in ("check", "layers", "alarms / right", "misses / wrong"):
        table.add_column(heading, justify="left" if heading == "check" else "right")
    for row in rows:
        table.add_row(row.check, str(row.depth), f"{row.alarms} / {row.right}", f"{row.misses:,} / {row.wrong:,}")
    Console().print(table)
