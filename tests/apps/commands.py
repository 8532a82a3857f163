"""What the tests of the command line share: a run of it, what it says of a mistake, and the cells of its tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn
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


def in_epoch(train: Callable, number: int, act: Callable[[nn.Module], None]) -> Callable:
    """A training in whose epoch of that number something is done after each step."""

    def disturbed(model: nn.Module, *arguments: Any, progress: object, **options: Any) -> Any:
        def step(done: int, steps: int, words: str) -> None:
            if words.startswith(f"epoch {number}"):
                act(model)

        return train(model, *arguments, progress=step, **options)

    return disturbed


def interrupted(
    command: Callable[..., Result], module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Interrupt a command that trains in its third epoch, in the folder "part"; the result of one that is not."""

    def stop(model: nn.Module) -> None:
        raise KeyboardInterrupt

    whole = json.loads(command("--out", folder / "whole", "--json").stdout)
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", in_epoch(module.train, 3, stop))
        done = command("--out", folder / "part")
    assert done.exit_code == 130
    assert "goes on from there" in done.stderr
    return whole
