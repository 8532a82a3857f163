"""The options that the commands share, and how their words become values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import GeometryError, UnknownNameError, chosen

if TYPE_CHECKING:
    import torch

    from ..experiments.runs import Place

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0)]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of MNIST's four IDX files.")]
Data = Annotated[str, typer.Option(help="Images to learn: digits (embedded) or mnist.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, ...")]
MemoryBudget = Annotated[float, typer.Option(help="Gigabytes that an explicit array may take.", min=0)]

LEVELS = ("auto", "sampled", "bounded", "modular", "rational")


def on_cpu(help: str) -> Any:
    """The option of a device, of a command that knows one alone."""
    return typer.Option(help=help, callback=lambda name: chosen("device", name, ["cpu"]))


def words(text: str) -> list[str]:
    """The words of a text such as "a, b"; none of an empty one."""
    return [word.strip() for word in text.split(",")] if text else []


def device_of(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        UnknownNameError: if torch knows no such device, or it is not there.
    """
    import torch

    found = torch.cuda.device_count()
    if re.fullmatch(r"cuda(:\d+)?", name) and not found:
        why = "torch sees no GPU here" if torch.version.cuda else "this torch was built without CUDA"
        raise UnknownNameError(f"there is no device {name}, as {why}", expected="--device cpu")
    here = ["cpu", *(f"cuda:{i}" for i in range(found))]
    here += ["cuda"] * (len(here) > 1)
    return torch.device(chosen("device", name, here))


def place_of(data_root: Path | None, device: str, out: Path, workers: int = 1, cluster: str | None = None) -> Place:
    """Where experiments run.

    Raises:
        UnknownNameError: if there is no such device.
    """
    from ..experiments.runs import Place

    return Place(None if data_root is None else str(data_root), str(device_of(device)), str(out), workers, cluster)


def bytes_of(gigabytes: float) -> int:
    """Gigabytes as a number of bytes."""
    return int(gigabytes * 2**30)


def sizes(text: str, what: str) -> tuple[int, ...]:
    """The numbers of a text such as "1x28x28".

    Raises:
        GeometryError: if the text is anything else.

    >>> sizes("1x28x28", "shape")
    (1, 28, 28)
    """
    if not re.fullmatch(r"\d+(x\d+)*", text) or 0 in (numbers := tuple(map(int, text.split("x")))):
        raise GeometryError(f"{what} is written like 1x28x28", got=text)
    return numbers


def per_axis(text: str, axes: int, what: str) -> int | tuple[int, ...]:
    """One number for all axes, or one for each, of a text such as "2" or "2x1".

    Raises:
        GeometryError: if the text is anything else.

    >>> per_axis("2", 2, "stride"), per_axis("2x1", 2, "stride")
    (2, (2, 1))
    """
    if not re.fullmatch(r"\d+(x\d+)*", text) or text.count("x") not in (0, axes - 1):
        raise GeometryError(f"{what} is one number, or {axes} like " + "x".join("2" * axes), got=text)
    numbers = tuple(map(int, text.split("x")))
    return numbers[0] if len(numbers) == 1 else numbers
