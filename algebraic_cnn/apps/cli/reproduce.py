"""``algebraic-cnn reproduce``: the figures and tables of the paper, the race beyond it, and all schedules compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import chosen
from .options import AsJson, DataRoot, Device, Seed, place_of
from .screen import bars, show, table

if TYPE_CHECKING:
    from rich.table import Table

NAMES = ("figure1", "figure2", "figure3", "timing", "race", "schedules")


def reproduce_command(
    name: Annotated[str, typer.Argument(help=" | ".join((*NAMES, "all")), show_default=False)],
    preset: Annotated[str, typer.Option(help="quick, medium (a night on a CPU) or paper (for a GPU).")] = "quick",
    data: Annotated[str, typer.Option(help="Images to learn: mnist or digits (embedded).")] = "mnist",
    data_root: DataRoot = None,
    model: Annotated[str | None, typer.Option(help="To train instead of the preset's: resnet34-narrow ...")] = None,
    out: Annotated[Path, typer.Option(help="Folder of records, checkpoints and pictures.")] = Path("reproduced"),
    jobs: Annotated[int, typer.Option(help="Processes that train at a time.", min=1)] = 1,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to train on instead.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Reproduce a figure or table of the paper, race the faded networks, or compare all schedules at one budget.

    Interrupted, it keeps finished trainings and epochs; called again with the same options, it goes on from there.
    """
    chosen("experiment", name, (*NAMES, "all"))

    from ..experiments.reproduce import PRESETS, Setting, reproduce

    chosen("preset", preset, PRESETS)
    place = place_of(data_root, device, out, jobs, cluster)
    outcomes = []
    announce = partial(typer.echo, err=True)
    setting = Setting(preset, place, data, seed, model, announce=announce)
    with bars(f"finished trainings and epochs are kept in {out}") as progress:
        for each in NAMES if name == "all" else [name]:
            outcomes.append(reproduce(each, replace(setting, progress=partial(progress, each))))
    parts = []
    for outcome in outcomes:
        parts.append(_table(f"{outcome.name}, preset {outcome.preset}", outcome.rows))
        parts += [f"{kind:8} {path}" for kind, path in outcome.files.items()]
    show(json, [asdict(outcome) for outcome in outcomes], *parts)


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Rows of the same names as a table."""
    left = [name for name, value in rows[0].items() if isinstance(value, str)]
    cells = ([f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows)
    return table(title, list(rows[0]), cells, left=left)
