"""The options that the commands share, and how their words become values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import GeometryError, UnknownNameError

if TYPE_CHECKING:
    import torch

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0)]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of MNIST's four IDX files.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, ...")]
MemoryBudget = Annotated[float, typer.Option(help="Gigabytes that an explicit array may take.", min=0)]

LEVELS = ("auto", "sampled", "bounded", "modular", "rational")
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def chosen(what: str, name: str, names: Sequence[str]) -> str:
    """The name, if it is one of the names.

    Raises:
        UnknownNameError: if it is not; the message lists them.
    """
    if name not in names:
        raise UnknownNameError(f"unknown {what}", expected=" | ".join(names), got=name)
    return name


def device_of(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        UnknownNameError: if torch knows no such device, or it is not there.
    """
    import torch

    here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    here += ["cuda"] * (len(here) > 1)
    return torch.device(chosen("device", name, here))


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


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    typer.echo(json.dumps(value, indent=2))


def duration(seconds: float) -> str:
    """A time with three figures and the unit that fits.

    >>> duration(0.01234), duration(4.5e-7), duration(75.0)
    ('12.3 ms', '450 ns', '75 s')
    """
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    return f"{float(f'{seconds / size:.3g}'):g} {unit}"
