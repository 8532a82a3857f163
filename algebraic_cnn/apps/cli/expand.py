"""``algebraic-cnn expand``: W and B of a recursion with skips, written out word by word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import ShapeError, chosen
from .options import AsJson, on_cpu
from .screen import print_json

PARTS = ("f", "W", "B")

#: So many words are printed.
_LINES = 64


def expand_command(
    depth: Annotated[int, typer.Argument(help="The number of layers L.", show_default=False)],
    skips: Annotated[str, typer.Option(help="all, none, or edges such as 0-2,1-4: from f^(k) into layer i")] = "all",
    part: Annotated[str, typer.Option(help="W, B, or f for W X + B")] = "f",
    one_strength: Annotated[
        bool, typer.Option("--one-strength", help="Write t for the strength of every skip.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Where to draw it (.png, .svg or .pdf).")] = None,
    seed: Annotated[int, typer.Option(help="Taken as by every command; a formula has nothing random.", min=0)] = 0,
    device: Annotated[str, on_cpu("A formula is written on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Expand the recursion of a linear network with skips: a word for each path."""
    from ...algebra.symbolic import Skeleton, expansion_table, save_formula, to_latex

    which: Any = chosen("part", part, PARTS)
    skeleton = Skeleton.full(depth, edges(skips))
    formula = to_latex(skeleton, which, one_strength=one_strength)
    facts: dict[str, Any] = {"paths": skeleton.count_paths(), "latex": formula}
    if picture is not None:
        facts["picture"] = str(save_formula(skeleton, picture, parts=(which,), one_strength=one_strength))
    table = expansion_table(depth, edges(skips), which)
    if json:
        print_json({**facts, "words": table})
        return
    for name, value in facts.items():
        typer.echo(f"{name:8} {value}")
    typer.echo("words")
    for row in table[:_LINES]:
        typer.echo(f"  {_said(row)}")
    if len(table) > _LINES:
        typer.echo(f"  and {len(table) - _LINES:,} more; --json has them all")


def _said(row: Mapping[str, Any]) -> str:
    """A word with its strength and what it is applied to: "t^(0,2) W^(2) P^(2) X"."""
    return " ".join(part for part in (row["strength"], row["word"], row["start"]) if part != "1")


def edges(text: str) -> list[tuple[int, int]] | None:
    """The edges of a text such as "0-2,1-4"; None for all of them.

    Raises:
        ShapeError: if the text is anything else.

    >>> edges("0-2,1-4"), edges("none"), edges("all")
    ([(0, 2), (1, 4)], [], None)
    """
    if text in ("all", "none"):
        return None if text == "all" else []
    if not re.fullmatch(r"\d+-\d+(,\d+-\d+)*", text):
        raise ShapeError("skips are written like 0-2,1-4", expected="all, none, or edges k-i", got=text)
    pairs = (edge.split("-") for edge in text.split(","))
    return [(int(k), int(i)) for k, i in pairs]
