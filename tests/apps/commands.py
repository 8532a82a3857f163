"""What the tests of the command line share: a run of it, what it says of a mistake, and the cells of its tables."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from algebraic_cnn.apps.cli import app


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def complains(done: Result, *words: str, bars: bool = False) -> None:
    """One line on the standard error, beside bars if there are any; exit code 2, nothing on the standard output."""
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")] if bars else lines
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    assert "Traceback" not in done.output


def cells(table: object) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]  # type: ignore[attr-defined]
