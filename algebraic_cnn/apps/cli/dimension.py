"""``algebraic-cnn dimension``: how many dimensions the functions have that an architecture can express."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ...errors import ShapeError
from .expand import edges
from .options import AsJson, on_cpu, sizes
from .screen import print_json


def dimension_command(
    kernel_sizes: Annotated[
        str, typer.Argument(help="Along every axis, like 3x3x2 for three layers.", show_default=False)
    ],
    strides: Annotated[str | None, typer.Option(help="Of the layers, like 2x2x1. Default: 1.")] = None,
    channels: Annotated[str | None, typer.Option(help="Of input and layers, like 1x4x4x1. Default: 1.")] = None,
    skips: Annotated[str, typer.Option(help="none, or edges such as 0-2,1-4: from f^(k) into layer i")] = "none",
    strength: Annotated[str, typer.Option(help="Of every skip: a number, or free")] = "1",
    axes: Annotated[int, typer.Option(help="Spatial axes.", min=1, max=3)] = 1,
    bias: Annotated[bool, typer.Option("--bias", help="Layers have biases.")] = False,
    power: Annotated[
        int | None, typer.Option(help="The activation x^r, after every layer but the last.", min=1)
    ] = None,
    primes: Annotated[int, typer.Option(help="Random primes to try.", min=1)] = 2,
    seed: Annotated[
        int | None, typer.Option(help="Seed of primes and points. Default: nobody's choice.", min=0)
    ] = None,
    device: Annotated[str, on_cpu("Ranks are computed on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """The dimension of a chain of convolutions with skips, its symmetries, and which of them each skip breaks."""
    from ...algebra.varieties.architecture import Architecture
    from ...algebra.varieties.dimension import dimension_of
    from ...algebra.varieties.symmetries import symmetries_of

    pairs = edges(skips)
    if pairs is None:
        raise ShapeError("skips of a chain are named", expected="none, or edges k-i", got=skips)
    options: dict[str, Any] = {"dims": axes, "bias": bias, "activation": power}
    options |= {"strides": None if strides is None else sizes(strides, "strides")}
    options |= {"channels": None if channels is None else sizes(channels, "channels")}
    architecture = Architecture.chain(
        sizes(kernel_sizes, "kernel sizes"),
        skips=dict.fromkeys(pairs, 0 if strength == "free" else _number(strength)),
        strengths="free" if strength == "free" else "given",
        **options,
    )
    found, moved = dimension_of(architecture, primes=primes, seed=seed), symmetries_of(architecture)
    facts: dict[str, Any] = asdict(found)
    if json:
        broken = {f"{k}-{i}": [asdict(family) for family in families] for (k, i), families in moved.broken.items()}  # pyright: ignore[reportGeneralTypeIssues]
        print_json({**facts, "families": [asdict(family) for family in moved.families], "broken": broken})
        return
    for name, value in facts.items():
        typer.echo(f"{name:18} {value:g}" if isinstance(value, float) else f"{name:18} {value}")
    for family in moved.families:
        typer.echo(
            f"{'symmetry':18} {family.kind} behind layers {', '.join(map(str, family.behind))}: {family.dimension}"
        )
    for (k, i), families in moved.broken.items():  # pyright: ignore[reportGeneralTypeIssues]
        lost = ", ".join(f"{family.kind} behind {', '.join(map(str, family.behind))}" for family in families)
        typer.echo(f"{'skip ' + f'{k}-{i}':18} breaks {lost or 'nothing'}")


def _number(text: str) -> float:
    """The number of a text.

    Raises:
        ShapeError: if it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ShapeError("a strength is a number", expected="a number, or free", got=text) from None
