"""``algebraic-cnn demo``: the theorem on a network that is trained before your eyes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .bars import bars
from .options import AsJson, DataRoot, Device, Seed, device_of, duration, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ..experiments.demo import Outcome


def demo_command(
    data: Annotated[str, typer.Option(help="Images to learn: digits (embedded) or mnist.")] = "digits",
    data_root: DataRoot = None,
    model: Annotated[str, typer.Option(help="resnet18, resnet34 or resnet50, made linear.")] = "resnet34",
    epochs: Annotated[int | None, typer.Option(help="Passes over the images. Default: what the data needs.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Train a linear residual network, collapse it to one matrix, prove it, and compare.

    Interrupted, it keeps the epochs that were finished; called again with the same options, it goes on from there.
    """
    from ..experiments.demo import Config, run

    root = None if data_root is None else str(data_root)
    config = Config(data, root, model, epochs, seed, str(device_of(device)))
    with bars(f"finished epochs are kept in {out}") as show:
        outcome = run(config, out, progress=show)
    if json:
        print_json(outcome.to_dict())
        return
    from rich.console import Console

    screen = Console()
    screen.print(_table(outcome))
    screen.print(outcome.certificate)
    for kind, path in outcome.files.items():
        screen.print(f"{kind:12} {path}", highlight=False)


def _table(outcome: Outcome) -> Table:
    from rich.table import Table

    before, after = outcome.before, outcome.after
    config, passes = outcome.config, len(outcome.records)
    epochs = "1 epoch" if passes == 1 else f"{passes} epochs"
    table = Table(title=f"linear {config.model} on {config.data}, {epochs}, {config.device}")
    for heading in ("", "network", "collapsed", "change"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("convolutions and matrices", str(before.layers), str(after.layers))
    fewer = f"{before.parameters / max(after.parameters, 1):,.0f} x fewer"
    table.add_row("parameters", f"{before.parameters:,}", f"{after.parameters:,}", fewer)
    right = [f"{100 * side.correct / outcome.images:.2f} %" for side in (before, after)]
    table.add_row(f"accuracy, {outcome.images:,} test images", *right, f"{outcome.changed} classes differ")
    for batch in before.seconds:
        times = [duration(side.seconds[batch]) for side in (before, after)]
        table.add_row(f"per image, batches of {batch}", *times, f"-{outcome.reduction(batch):.2f} %")
    table.add_row("deriving W and B", "", duration(outcome.derivation_seconds))
    table.add_row("certified", "", "yes" if outcome.certified else "no")
    return table
