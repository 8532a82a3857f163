"""``algebraic-cnn``: every command, lazily, so that ``--help`` does not wait for torch.

    exit code 0     done, and what was to be certified is certified
    exit code 1     a certificate that says no, or a claim that the checker finds false
    exit code 2     a mistake in the input: one line on the standard error says what, expected, got, where
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from ... import __version__
from .bench import bench
from .collapse import certify_command, collapse_command
from .demo import demo_command
from .dimension import dimension_command
from .examples import EXAMPLES
from .expand import expand_command
from .matrix import toeplitz_command
from .recheck import recheck_command
from .reproduce import reproduce_command
from .screen import ErrorsAsLines
from .train import train_command

app = typer.Typer(
    cls=ErrorsAsLines,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="The algebra of convolutional networks, executable, exact and checked.",
)
COMMANDS = (
    demo_command, collapse_command, certify_command, recheck_command, toeplitz_command, expand_command,
    dimension_command, train_command, reproduce_command,
)  # fmt: skip
for command in COMMANDS:
    name = command.__name__.removesuffix("_command")
    app.command(name, epilog=EXAMPLES[name])(command)
app.add_typer(bench, name="bench", epilog=EXAMPLES["bench"])


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"algebraic-cnn {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """What every command takes before its name."""


def main() -> None:
    """The console script."""
    # Threads spin for a moment, then wait asleep.  The usual long spinning makes small networks train more than ten
    # times slower on a busy machine; none at all makes an idle one wake a thread for every call, at twice the time.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    app()
