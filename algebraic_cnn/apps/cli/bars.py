"""Progress on the standard error: one bar for each stage of a command, and what an interruption leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

INTERRUPTED = 130
Show = Callable[[str, float, int, str], None]


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
