"""``algebraic-cnn bench patterns | collapse | models``: what is left of networks, and how fast, beside others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AsJson, chosen, duration, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench.comparison import Row as PatternRow
    from ..bench.engines import Row as ModelRow

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

    from ...errors import ShapeError
    from ..bench.collapsing import derivation_rows, prediction_rows

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
    engines: Annotated[str, typer.Option(help="Of eager, frozen, onnx; comma-separated.")] = "eager,frozen,onnx",
    records: Annotated[Path, typer.Option(help="File of records; what it has is not run again.")] = Path(
        "models.jsonl"
    ),
    seconds: Seconds = 5.0,
    threads: Annotated[int, typer.Option(help="Of every engine.", min=1)] = 1,
    measure: Annotated[bool, typer.Option(help="Whether the collapse times doubtful forms.")] = True,
    seed: Drawn = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count and time networks of timm as given, by timm's own conversion, and collapsed, in every engine."""
    chosen("device", device, ["cpu"])

    import torch

    from ..bench.contenders import ENGINES
    from ..bench.engines import model_rows
    from ..bench.reparameterised import MODELS

    asked = [chosen("engine", engine, list(ENGINES)) for engine in _words(engines, [])]
    torch.set_num_threads(threads)
    how = {"seconds": seconds, "measure": measure, "seed": seed, "progress": lambda words: typer.echo(words, err=True)}
    rows = list(model_rows(_words(models, list(MODELS)), asked, records, **how))
    _show(json, seed, rows, models_table(rows), speed_table(rows, asked))


def patterns_table(rows: Sequence[PatternRow]) -> Table:
    """A line for each pattern, a column for each tool."""
    from rich.table import Table

    tools = list(dict.fromkeys(row.tool for row in rows))
    caption = "convolutions and matrices, BatchNorms, all calls that are left; largest error beside float64"
    caption += "".join(f"\n{row.pattern}, kept by {row.tool}: {row.kept}" for row in rows if row.kept)
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
    text = f"{row.products} {row.norms} {row.calls}  " + (f"[red]{error}[/]" if row.error > 1e-3 else error)
    return f"{text}  kept: cheaper" if row.kept else text


def models_table(rows: Sequence[ModelRow]) -> Table:
    """A line for each network: convolutions and BatchNorms that are left, errors, and the time that ours took."""
    from rich.table import Table

    table = Table(title="what is left of networks of timm", caption="convolutions + BatchNorms; error beside float64")
    for heading in ("network", *_FORMS, "error, timm's", "error, ours", "made in"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, forms in _by_network(rows).items():
        left = [f"{forms[form].convolutions} + {forms[form].norms}" for form in _FORMS]
        errors = [f"{forms[form].error:.0e}" for form in ("timm", "ours")]
        table.add_row(name, *left, *errors, duration(forms["ours"].making))
    return table


def speed_table(rows: Sequence[ModelRow], engines: Sequence[str]) -> Table:
    """A line for each network and engine: medians of its three forms, and the ratios of ours to the other two."""
    from rich.table import Table

    loads = [row.load for row in rows] or [0.0]
    caption = "medians of one image of 224x224, in turn; processor time if one thread; load "
    caption += f"{min(loads):.1f} to {max(loads):.1f}"
    table = Table(title="time of a prediction", caption=caption)
    for heading in ("network", "engine", *_FORMS, "ours / given", "ours / timm's"):
        table.add_column(heading, justify="left" if heading in ("network", "engine") else "right")
    for name, forms in _by_network(rows).items():
        for engine in engines:
            spans = [forms[form].seconds.get(engine) for form in _FORMS]
            pairs = zip(_FORMS, spans, strict=True)
            cells = [duration(span) if span else forms[form].notes.get(engine, "") for form, span in pairs]
            ratios = [f"{spans[2] / span:.2f}" if span and spans[2] else "" for span in spans[:2]]
            first, last = engine == engines[0], engine == engines[-1]
            table.add_row(name if first else "", engine, *cells, *ratios, end_section=last)
    return table


_FORMS = ("given", "timm", "ours")


def _by_network(rows: Sequence[ModelRow]) -> dict[str, dict[str, ModelRow]]:
    found: dict[str, dict[str, ModelRow]] = {}
    for row in rows:
        found.setdefault(row.model, {})[row.form] = row
    return found


def _words(text: str, default: Iterable[str]) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else list(default)


def _show(as_json: bool, seed: int, rows: Sequence[Any], *tables: Table) -> None:
    from ..bench.toeplitz import machine

    if as_json:
        print_json({"machine": machine(), "seed": seed, "rows": [asdict(row) for row in rows]})
        return
    import sys

    from rich.console import Console

    screen = Console(width=None if sys.stdout.isatty() else 160)
    for table in tables:
        screen.print(table)
    screen.print(", ".join(f"{name} {value}" for name, value in machine().items()))
