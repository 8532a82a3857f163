"""Errors of the family become one line on the standard error and the exit code 2, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from ...errors import AlgebraicError


class ErrorsAsLines(TyperGroup):
    """A group of commands that reports a user's mistake as a user wants to read it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except AlgebraicError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from None
