"""``algebraic-cnn bench``: speed as ratios, measured in turn in one run, and what is left, beside what others do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import chosen
from .compiled import compile_bench
from .examples import EXAMPLES
from .options import AsJson, on_cpu, words
from .screen import duration, show, table
from .zoo import zoo_bench

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench.engines import Row as ModelRow
    from ..bench.tools import Row as PatternRow

Seconds = Annotated[float, typer.Option(help="Time to spend on each comparison.", min=0)]
TimedSeed = Annotated[int, typer.Option(help="Of the timed weights; it changes no time.", min=0)]
Drawn = Annotated[int, typer.Option(help="Of weights and inputs.", min=0)]
Here = Annotated[str, on_cpu("The networks run on the cpu.")]
Records = Annotated[Path, typer.Option(help="File of records; what it has is not run again.")]
_WIDE = 160
_FORMS = ("given", "timm", "ours")

bench = typer.Typer(no_args_is_help=True, help="Measure speed, as ratios to what one would use instead.")
bench.command("zoo")(zoo_bench)
bench.command("compile", epilog=EXAMPLES["bench compile"])(compile_bench)


@bench.command("patterns", epilog=EXAMPLES["bench patterns"])
def patterns_bench(
    tools: Annotated[str, typer.Option(help="Comma-separated; all of them if empty.")] = "",
    patterns: Annotated[str, typer.Option(help="Numbers of patterns, comma-separated; all of them if empty.")] = "",
    seed: Drawn = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count what fusing tools leave of small affine networks, and how far their outputs are from float64."""
    numbers = [str(number) for number in range(1, 26)]
    wanted = [int(chosen("pattern", number, numbers)) - 1 for number in words(patterns) or numbers]

    from ..bench.patterns import PATTERNS
    from ..bench.tools import TOOLS, pattern_rows

    asked = [chosen("tool", tool, list(TOOLS)) for tool in words(tools) or TOOLS]
    rows = list(pattern_rows([PATTERNS[place] for place in wanted], asked, seed=seed))
    _show(json, seed, rows, patterns_table(rows), width=_WIDE)


@bench.command("collapse", epilog=EXAMPLES["bench collapse"])
def collapse_bench(
    seconds: Seconds = 1.0,
    batches: Annotated[str, typer.Option(help="Images in a prediction, comma-separated.")] = "1,128",
    seed: TimedSeed = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Time the wholly linear ResNet34 before and after its collapse, and the derivation of its map."""
    from ...errors import ShapeError
    from ..bench.collapsing import derivation_rows, prediction_rows

    if not all(word.isdigit() and int(word) for word in batches.split(",")):
        raise ShapeError("batches are written like 1,128", got=batches)
    rows = prediction_rows(tuple(map(int, batches.split(","))), seconds=seconds) + derivation_rows(seconds=seconds)
    headings = ("case", "time", "ratio", "against")
    lines = ((row.case, duration(row.seconds), f"{row.ratio:.3g}", row.against) for row in rows)
    found = table("linear ResNet34, 28x28 images, ten classes", headings, lines, left=["case", "against"])
    _show(json, seed, rows, found, width=_WIDE)


@bench.command("models", epilog=EXAMPLES["bench models"])
def models_bench(
    models: Annotated[str, typer.Option(help="Networks of timm, comma-separated; twelve of them if empty.")] = "",
    engines: Annotated[str, typer.Option(help="Of eager, frozen, onnx; comma-separated.")] = "eager,frozen,onnx",
    records: Records = Path("models.jsonl"),
    seconds: Seconds = 5.0,
    threads: Annotated[int, typer.Option(help="Of every engine.", min=1)] = 1,
    measure: Annotated[bool, typer.Option(help="Whether the collapse times doubtful forms.")] = True,
    seed: Drawn = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count and time networks of timm as given, by timm's own conversion, and collapsed, in every engine."""
    import torch

    from ..bench.contenders import ENGINES
    from ..bench.engines import model_rows
    from ..bench.reparameterised import MODELS

    asked = [chosen("engine", engine, list(ENGINES)) for engine in words(engines)]
    torch.set_num_threads(threads)
    how = {"seconds": seconds, "measure": measure, "seed": seed, "progress": lambda said: typer.echo(said, err=True)}
    rows = list(model_rows(words(models) or list(MODELS), asked, records, **how))
    _show(json, seed, rows, models_table(rows), speed_table(rows, asked), width=_WIDE)


@bench.command("training", epilog=EXAMPLES["bench training"])
def training_bench(
    seconds: Seconds = 20.0,
    seed: TimedSeed = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Time an epoch of the training loop beside the plain loop of torch, and one whose skips fade."""
    from ..bench.training import training_rows

    rows = list(training_rows(seconds=seconds))
    headings = ("network", "steps", "plain loop", "ours", "added to a step", "ours, fading")
    lines = (
        (
            row.case,
            f"{row.steps:,}",
            duration(row.plain),
            f"{row.ratio:.3f}",
            duration(row.added) if row.added > 0 else "nothing",
            f"{row.fading:.3f}" if row.fading else "",
        )
        for row in rows
    )
    found = table("an epoch, its evaluation included: processor time, ratios to the plain loop", headings, lines)
    _show(json, seed, rows, found, width=_WIDE)


@bench.command("toeplitz", epilog=EXAMPLES["bench toeplitz"])
def toeplitz_bench(
    cases: Annotated[str, typer.Option(help="Which convolutions, by letter, from small to large.")] = "abcd",
    seconds: Seconds = 4.0,
    seed: TimedSeed = 0,
    device: Annotated[str, on_cpu("Matrices are built on the cpu.")] = "cpu",
    json: AsJson = False,
) -> None:
    """Time the writing of explicit matrices beside writing memory, a COO recipe, probing and jacrev."""
    from ..bench.toeplitz import CASES, toeplitz_rows

    for case in cases:
        chosen("case", case, list(CASES))
    rows = toeplitz_rows(cases, seconds=seconds)
    times = [duration(row.seconds) + (" (scaled)" if row.scaled else "") for row in rows]
    lines = (
        (row.case, row.what, f"{row.nonzeros:,}", time, f"{row.ratio:.3g}", row.against)
        for row, time in zip(rows, times, strict=True)
    )
    headings = ("case", "what", "nonzeros", "time", "ratio", "against")
    left = ("case", "what", "against")
    _show(json, seed, rows, table("explicit matrices of convolutions", headings, lines, left=left))


@bench.command("certify", epilog=EXAMPLES["bench certify"])
def certify_bench(
    records: Records = Path("certify.jsonl"),
    networks: Annotated[int, typer.Option(help="Right pairs at each depth.", min=1)] = 20,
    repeats: Annotated[int, typer.Option(help="How often each defect is planted in each.", min=1)] = 7,
    depths: Annotated[str, typer.Option(help="Layers of the networks.")] = "4,8,16,34",
    seed: Annotated[int, typer.Option(help="Of the first network.", min=0)] = 0,
    device: Here = "cpu",
    json: AsJson = False,
) -> None:
    """Count the false alarms and misses of tolerances and of our levels, on pairs whose truth is known."""
    import torch

    from ..bench.certification import run, tallies

    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    layers = [int(chosen("depth", depth, [str(n) for n in range(2, 100)])) for depth in depths.split(",")]
    rows = tallies(run(records, networks=networks, repeats=repeats, depths=layers, seed=seed))
    lines = (
        (row.check, str(row.depth), f"{row.alarms} / {row.right}", f"{row.misses:,} / {row.wrong:,}") for row in rows
    )
    headings = ("check", "layers", "alarms / right", "misses / wrong")
    facts = {"records": str(records), "rows": [asdict(row) for row in rows]}
    show(json, facts, table("false alarms and misses", headings, lines))


def patterns_table(rows: Sequence[PatternRow]) -> Table:
    """A line for each pattern, a column for each tool."""
    tools = list(dict.fromkeys(row.tool for row in rows))
    caption = "convolutions and matrices, BatchNorms, all calls that are left; largest error beside float64"
    caption += "".join(f"\n{row.pattern}, kept by {row.tool}: {row.kept}" for row in rows if row.kept)
    found = {(row.pattern, row.tool): row for row in rows}
    names, headings = dict.fromkeys(row.pattern for row in rows), ("pattern", *tools)
    lines = ((name, *(_left(found[name, tool]) for tool in tools)) for name in names)
    return table("what is left of small affine networks", headings, lines, left=headings, caption=caption)


def _left(row: PatternRow) -> str:
    if row.error is None:
        return row.note
    error = f"{row.error:.0e}"
    text = f"{row.products} {row.norms} {row.calls}  " + (f"[red]{error}[/]" if row.error > 1e-3 else error)
    return f"{text}  kept: cheaper" if row.kept else text


def models_table(rows: Sequence[ModelRow]) -> Table:
    """A line for each network: convolutions and BatchNorms that are left, errors, and the time that ours took."""
    lines = []
    for name, forms in _by_network(rows).items():
        left = [f"{forms[form].convolutions} + {forms[form].norms}" for form in _FORMS]
        errors = [f"{forms[form].error:.0e}" for form in ("timm", "ours")]
        lines.append((name, *left, *errors, duration(forms["ours"].making)))
    headings = ("network", *_FORMS, "error, timm's", "error, ours", "made in")
    caption = "convolutions + BatchNorms; error beside float64"
    return table("what is left of networks of timm", headings, lines, caption=caption)


def speed_table(rows: Sequence[ModelRow], engines: Sequence[str]) -> Table:
    """A line for each network and engine: medians of its three forms, and the ratios of ours to the other two."""
    loads = [row.load for row in rows] or [0.0]
    caption = "medians of one image of 224x224, in turn; processor time if one thread; load "
    caption += f"{min(loads):.1f} to {max(loads):.1f}"
    headings = ("network", "engine", *_FORMS, "ours / given", "ours / timm's")
    made = table("time of a prediction", headings, [], left=["network", "engine"], caption=caption)
    for name, forms in _by_network(rows).items():
        for engine in engines:
            spans = [forms[form].seconds.get(engine) for form in _FORMS]
            pairs = zip(_FORMS, spans, strict=True)
            cells = [duration(span) if span else forms[form].notes.get(engine, "") for form, span in pairs]
            ratios = [f"{spans[2] / span:.2f}" if span and spans[2] else "" for span in spans[:2]]
            first, last = engine == engines[0], engine == engines[-1]
            made.add_row(name if first else "", engine, *cells, *ratios, end_section=last)
    return made


def _by_network(rows: Sequence[ModelRow]) -> dict[str, dict[str, ModelRow]]:
    found: dict[str, dict[str, ModelRow]] = {}
    for row in rows:
        found.setdefault(row.model, {})[row.form] = row
    return found


def _show(as_json: bool, seed: int, rows: Sequence[Any], *tables: Table, width: int | None = None) -> None:
    """Measured rows, and the machine that they were measured on."""
    from ..bench.toeplitz import machine

    facts = {"machine": machine(), "seed": seed, "rows": [asdict(row) for row in rows]}
    show(as_json, facts, *tables, ", ".join(f"{name} {value}" for name, value in machine().items()), width=width)
