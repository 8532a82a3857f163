"""What commands show: results as JSON or as tables, progress as bars, a user's mistake as one line and exit code 2."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from ...errors import AlgebraicError

if TYPE_CHECKING:
    from rich.progress import TaskID
    from rich.table import Table

INTERRUPTED = 130
Show = Callable[[str, float, int, str], None]
Names = Collection[str] | None
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


class ErrorsAsLines(TyperGroup):
    """A group of commands that reports a user's mistake as a user wants to read it, never as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except AlgebraicError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:  # not a verdict: 1 would say that two networks differ
            _silenced()
            typer.echo(f"error: the answer cannot be written ({error.strerror or error})", err=True)
            raise typer.Exit(2) from None


def _silenced() -> None:
    """What is still on its way to a full disk or a closed pipe goes nowhere, lest Python says so at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def bars(kept: str) -> Iterator[Show]:
    """A function of (stage, done, total, words) that draws bars; Ctrl-C ends with the exit code 130 and no traceback.

    Args:
        kept: what an interruption does not lose, said when there is one.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description:9}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    tasks: dict[str, TaskID] = {}
    try:
        with Progress(*columns, TextColumn("{task.fields[words]}"), console=Console(stderr=True)) as drawn:

            def show(stage: str, done: float, total: int, words: str) -> None:
                if stage not in tasks:
                    tasks[stage] = drawn.add_task(stage, total=total, words="")
                drawn.update(tasks[stage], completed=done, total=total, words=words)

            yield show
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {kept}, the same command goes on from there", err=True)
        raise typer.Exit(INTERRUPTED) from None


def table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: Names = None, caption: str = ""
) -> Table:
    """A table whose columns are aligned to the right, but for those that are named: the first if none is."""
    from rich.table import Table

    made = Table(title=title, caption=caption or None)
    for heading in headings:
        made.add_column(heading, justify="left" if heading in (headings[:1] if left is None else left) else "right")
    for row in rows:
        made.add_row(*row)
    return made


def show(as_json: bool, facts: Any, *parts: Any, width: int | None = None) -> None:
    """Print facts as JSON, or else the parts: tables and lines, that many characters wide where it is no terminal."""
    if as_json:
        print_json(facts)
        return
    from rich.console import Console

    screen = Console(width=None if sys.stdout.isatty() else width)
    for part in parts:
        screen.print(part, highlight=False)


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
