"""``algebraic-cnn bench patterns | collapse | models``: what is left of networks, and how fast, beside others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AsJson, chosen, duration, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench.comparison import Row as PatternRow
    from ..bench.reparameterised import Row as ModelRow

Seconds = Annotated[float, typer.Option(help="Time to spend on each comparison.", min=0)]
Drawn = Annotated[int, typer.Option(help="Of weights and inputs.", min=0)]
Here = Annotated[str, typer.Option(help="The networks run on the cpu.")]


def patterns_bench(
    tools: Annotated[str, typer.Option(help="Comma-separated; all of them if empty.")] = "",
    patterns: Annotated[str, typer.Option(help="Numbers of patterns, comma-separated; all of them if empty.")] = "",
    seed: Drawn = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count what fusing tools leave of small affine networks, and how far their outputs are from float64."""
    chosen("device", device, ["cpu"])
    numbers = [str(number) for number in range(1, 26)]
    wanted = [int(chosen("pattern", number, numbers)) - 1 for number in _words(patterns, numbers)]

    from ..bench.comparison import pattern_rows
    from ..bench.patterns import PATTERNS
    from ..bench.tools import TOOLS

    asked = [chosen("tool", tool, list(TOOLS)) for tool in _words(tools, list(TOOLS))]
    rows = list(pattern_rows([PATTERNS[place] for place in wanted], asked, seed=seed))
    _show(json, seed, rows, patterns_table(rows))


def collapse_bench(
    seconds: Seconds = 1.0,
    batches: Annotated[str, typer.Option(help="Images in a prediction, comma-separated.")] = "1,128",
    seed: Annotated[int, typer.Option(help="Of the timed weights; it changes no time.", min=0)] = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Time the wholly linear ResNet34 before and after its collapse, and the derivation of its map."""
    chosen("device", device, ["cpu"])
    from rich.table import Table

    from ..bench.collapsing import derivation_rows, prediction_rows
    from ..errors import ShapeError

    if not all(word.isdigit() and int(word) for word in batches.split(",")):
        raise ShapeError("batches are written like 1,128", got=batches)
    rows = prediction_rows(tuple(map(int, batches.split(","))), seconds=seconds) + derivation_rows(seconds=seconds)
    table = Table(title="linear ResNet34, 28x28 images, ten classes")
    for heading in ("case", "time", "ratio", "against"):
        table.add_column(heading, justify="right" if heading in ("time", "ratio") else "left")
    for row in rows:
        table.add_row(row.case, duration(row.seconds), f"{row.ratio:.3g}", row.against)
    _show(json, seed, rows, table)


def models_bench(
    models: Annotated[str, typer.Option(help="Networks of timm, comma-separated; twelve of them if empty.")] = "",
    engines: Annotated[str, typer.Option(help="Of eager, frozen, onnx; comma-separated.")] = "eager",
    seconds: Seconds = 5.0,
    measure: Annotated[bool, typer.Option(help="Whether the collapse times doubtful forms.")] = True,
    seed: Drawn = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count and time networks of timm as given, by timm's own conversion, and collapsed."""
    chosen("device", device, ["cpu"])

    from ..bench.contenders import ENGINES
    from ..bench.reparameterised import MODELS, model_rows

    asked = [chosen("engine", engine, list(ENGINES)) for engine in _words(engines, ["eager"])]
    rows = list(model_rows(_words(models, list(MODELS)), asked, seconds=seconds, measure=measure, seed=seed))
    _show(json, seed, rows, models_table(rows, asked))


def patterns_table(rows: Sequence[PatternRow]) -> Table:
    """A line for each pattern, a column for each tool."""
    from rich.table import Table

    tools = list(dict.fromkeys(row.tool for row in rows))
    caption = "convolutions and matrices, BatchNorms, all calls that are left; largest error beside float64"
    table = Table(title="what is left of small affine networks", caption=caption)
    for heading in ("pattern", *tools):
        table.add_column(heading)
    found = {(row.pattern, row.tool): row for row in rows}
    for pattern in dict.fromkeys(row.pattern for row in rows):
        table.add_row(pattern, *(_left(found[pattern, tool]) for tool in tools))
    return table


def _left(row: PatternRow) -> str:
    if row.error is None:
        return row.note
    error = f"{row.error:.0e}"
    return f"{row.products} {row.norms} {row.calls}  " + (f"[red]{error}[/]" if row.error > 1e-3 else error)


def models_table(rows: Sequence[ModelRow], engines: Sequence[str]) -> Table:
    """Three lines for each network: as given, timm's, ours; ratios are to the line as given."""
    from rich.table import Table

    table = Table(title="networks of timm, one image of 224x224")
    for heading in ("network", "form", "convolutions", "BatchNorms", "error", "made in", *engines):
        table.add_column(heading, justify="left" if heading in ("network", "form") else "right")
    given: dict[str, ModelRow] = {row.model: row for row in rows if row.form == "given"}
    for row in rows:
        first = row.form == "given"
        times = [
            f"{duration(row.seconds[engine])}  {row.seconds[engine] / given[row.model].seconds[engine]:.2f} x"
            for engine in engines
        ]
        made = "" if first else duration(row.making)
        numbers = [str(row.convolutions), str(row.norms), f"{row.error:.0e}", made]
        table.add_row(row.model if first else "", row.form, *numbers, *times, end_section=row.form == "ours")
    return table


def _words(text: str, default: Iterable[str]) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else list(default)


def _show(as_json: bool, seed: int, rows: Sequence[Any], table: Table) -> None:
    from ..bench.toeplitz import machine

    if as_json:
        print_json({"machine": machine(), "seed": seed, "rows": [asdict(row) for row in rows]})
        return
    import sys

    from rich.console import Console

    screen = Console(width=None if sys.stdout.isatty() else 160)
    screen.print(table)
    screen.print(", ".join(f"{name} {value}" for name, value in machine().items()))
