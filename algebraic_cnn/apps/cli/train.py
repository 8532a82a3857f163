"""``algebraic-cnn train``: a residual network whose skips and activations fade while it learns, then leave it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ResistedError, chosen
from .options import AsJson, Data, DataRoot, Device, Seed, place_of
from .screen import bars, print_json

if TYPE_CHECKING:
    from ..experiments.runs import Place


def train_command(
    model: Annotated[str, typer.Option(help="resnet18, resnet34 or resnet50.")] = "resnet18",
    data: Data = "digits",
    data_root: DataRoot = None,
    images: Annotated[int | None, typer.Option(help="Train on the first so many. Default: all.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the images.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The largest step size.")] = 0.02,
    skips: Annotated[str, typer.Option(help="How t fades: constant, linear, cosine, exponential, step, adaptive.")] = (
        "linear"
    ),
    start: Annotated[float, typer.Option(help="t at first; a constant t stays there, the others go to 0.")] = 1.0,
    fade: Annotated[str, typer.Option(help="Activations to make linear: layer4, layer3,layer4, ... or all.")] = "",
    amp: Annotated[bool, typer.Option("--amp", help="Compute in bfloat16 where that is safe.")] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Keep the channels of a pixel together in memory.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of checkpoint, records and network.")] = Path("trained"),
    seed: Seed = 0,
    device: Device = "cpu",
    json: AsJson = False,
) -> None:
    """Train a residual network along a homotopy; write it without the skips and activations that have faded.

    Interrupted, it keeps the epochs that were finished; called again with the same options, it goes on from there.
    """
    from ..experiments.runs import KINDS, job_of

    chosen("way", skips, KINDS)
    prefixes = ("",) if fade == "all" else tuple(filter(None, fade.split(",")))
    recipe = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    way = {"kind": skips, "start": start}
    job = job_of(
        data=data, images=images, model=model, **recipe, way=way, faded=prefixes, amp=amp, channels_last=channels_last,
        seed=seed,
    )  # fmt: skip
    place = place_of(data_root, device, out)
    record, removal, files = _trained(job, place, out)
    if json:
        print_json({"job": job, **record, "removal": removal, "files": files})
    else:
        _show(record, removal, files)


def _trained(job: dict[str, Any], place: Place, out: Path) -> tuple[dict[str, Any], str, dict[str, str]]:
    """The record of the training, the certificate of the removal, and the files that were written."""
    from ...ir.programs import save_program
    from ...ir.trace import export
    from ..experiments.race import without
    from ..experiments.runs import network_of, run_job

    with bars(f"finished epochs are kept in {out}") as show:
        record = run_job(job, place, lambda *step: show("training", *step), out / "records.jsonl")
        if record["resisted"]:
            left = ", ".join(f"{name} at {t:.4g}" for name, t in record["resisted"].items())
            raise ResistedError("the training ended before the schedule", expected="skips at 0", got=left, where=out)
        show("removal", 0, 1, "the network without what has faded")
        trained, dataset = network_of(job, place)
        example = dataset.test_images[:2].to(place.device)
        network, certificate = without(trained, example)
        path = save_program(export(network, example), out / "network.pt2")
        show("removal", 1, 1, "")
    return record, str(certificate), {"network": str(path), "records": str(out / "records.jsonl")}


def _show(record: dict[str, Any], removal: str, files: dict[str, str]) -> None:
    for epoch in record["epochs"]:
        facts = f"loss {epoch['loss']:.4f}  t {epoch['t']:.3f}  test accuracy {100 * epoch['accuracy']:.2f} %"
        typer.echo(f"epoch {epoch['epoch']:3}  {facts}")
    typer.echo(f"trained and written network, the same function? {removal}")
    for kind, name in files.items():
        typer.echo(f"{kind:8} {name}")
