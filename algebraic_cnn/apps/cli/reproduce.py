"""``algebraic-cnn reproduce``: the figures and tables of the paper, and the race beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .bars import bars
from .options import AsJson, DataRoot, Device, Seed, chosen, device_of, print_json

if TYPE_CHECKING:
    from rich.table import Table

NAMES = ("figure1", "figure2", "figure3", "timing", "race")


def reproduce_command(
    name: Annotated[str, typer.Argument(help=" | ".join((*NAMES, "all")), show_default=False)],
    preset: Annotated[str, typer.Option(help="quick (a part, on a CPU) or paper (everything, on a GPU).")] = "quick",
    data: Annotated[str, typer.Option(help="Images to learn: mnist or digits (embedded).")] = "mnist",
    data_root: DataRoot = None,
    out: Annotated[Path, typer.Option(help="Folder of records, checkpoints and pictures.")] = Path("reproduced"),
    jobs: Annotated[int, typer.Option(help="Processes that train at a time.", min=1)] = 1,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to train on instead.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Reproduce a figure or table of the paper, or race the faded networks beside what one would use instead.

    Interrupted, it keeps finished trainings and epochs; called again with the same options, it goes on from there.
    """
    chosen("experiment", name, (*NAMES, "all"))

    from ..experiments.reproduce import PRESETS, Setting, reproduce
    from ..experiments.runs import Place, Workers

    chosen("preset", preset, PRESETS)
    place = Place(None if data_root is None else str(data_root), str(device_of(device)), str(out))
    outcomes = []
    with bars(f"finished trainings and epochs are kept in {out}") as show:
        for each in NAMES if name == "all" else [name]:

            def progress(done: float, total: int, words: str, stage: str = each) -> None:
                show(stage, done, total, words)

            setting = Setting(preset, place, Workers(jobs, cluster), data, seed, progress)
            outcomes.append(reproduce(each, setting))
    if json:
        print_json([asdict(outcome) for outcome in outcomes])
        return
    from rich.console import Console

    screen = Console()
    for outcome in outcomes:
        screen.print(_table(f"{outcome.name}, preset {outcome.preset}", outcome.rows))
        for kind, path in outcome.files.items():
            screen.print(f"{kind:8} {path}", highlight=False)


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Rows of the same names as a table."""
    from rich.table import Table

    table = Table(title=title)
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    return table
