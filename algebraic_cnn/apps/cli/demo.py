"""``algebraic-cnn demo``: the theorem on a network that is trained before your eyes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Data, DataRoot, Device, Seed, place_of
from .screen import bars, duration, show, table

if TYPE_CHECKING:
    from rich.table import Table

    from ..experiments.demo import DemoResult


def demo_command(
    data: Data = "digits",
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

    place = place_of(data_root, device, out)
    config = Config(data, place.data_root, model, epochs, seed, place.device)
    with bars(f"finished epochs are kept in {out}") as progress:
        outcome = run(config, out, progress=progress)
    files = [f"{kind:12} {path}" for kind, path in outcome.files.items()]
    show(json, outcome.to_dict(), _table(outcome), outcome.certificate, *files)


def _table(outcome: DemoResult) -> Table:
    before, after = outcome.before, outcome.after
    config, passes = outcome.config, len(outcome.records)
    epochs = "1 epoch" if passes == 1 else f"{passes} epochs"
    fewer = f"{before.parameters / max(after.parameters, 1):,.0f} x fewer"
    right = [f"{100 * side.correct / outcome.images:.2f} %" for side in (before, after)]
    rows = [
        ("convolutions and matrices", str(before.layers), str(after.layers)),
        ("parameters", f"{before.parameters:,}", f"{after.parameters:,}", fewer),
        (f"accuracy, {outcome.images:,} test images", *right, f"{outcome.changed} classes differ"),
    ]
    for batch in before.seconds:
        times = [duration(side.seconds[batch]) for side in (before, after)]
        rows.append((f"per image, batches of {batch}", *times, f"-{outcome.reduction(batch):.2f} %"))
    rows += [
        ("deriving W and B", "", duration(outcome.derivation_seconds)),
        ("certified", "", "yes" if outcome.certified else "no"),
    ]
    title = f"linear {config.model} on {config.data}, {epochs}, {config.device}"
    return table(title, ("", "network", "collapsed", "change"), rows)
