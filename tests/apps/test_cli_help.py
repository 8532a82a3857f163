"""What the command line says of itself: its version, examples that it takes, and a GPU that is not there."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import torch
import typer

import algebraic_cnn
from algebraic_cnn.apps.cli import app
from algebraic_cnn.apps.cli.examples import EXAMPLES
from tests.apps.commands import complains, run

GROUP: Any = typer.main.get_command(app)


def commands(group: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    found = {}
    for name, command in group.commands.items():
        found[" ".join((*path, name))] = command
        found |= commands(command, (*path, name)) if hasattr(command, "commands") else {}
    return found


def test_version() -> None:
    done = run("--version")
    assert done.exit_code == 0
    assert done.stdout.split() == ["algebraic-cnn", algebraic_cnn.__version__]


@pytest.mark.parametrize("name", list(commands(GROUP)))
def test_every_help_has_examples(name: str) -> None:
    done = run(*name.split(), "--help")
    assert "Examples:" in done.stdout
    assert f"algebraic-cnn {name} " in " ".join(done.stdout.split())


LINES = [line for text in EXAMPLES.values() for line in text.split("\n\n")[1:]]


WRONG = ["algebraic-cnn collapse model.pt2", "algebraic-cnn toeplitz 1x3x3 --kernal 2"]


@pytest.mark.parametrize("line", [*LINES, *WRONG])
def test_the_examples_are_commands(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "algebraic-cnn"
    name = " ".join(words[:2]) if words[0] == "bench" else words[0]
    command, rest = commands(GROUP)[name], words[len(name.split()) :]
    if line in LINES:
        command.make_context(name, rest)  # parses, runs nothing
    else:
        with pytest.raises(Exception, match=r"Missing|No such option"):
            command.make_context(name, rest)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    done = run("collapse", "model.pt2", "--out", "out.pt2", "--device", "cuda")
    complains(done, "there is no device cuda", "expected --device cpu")


def test_a_small_matrix_is_in_the_json_and_a_large_one_is_not() -> None:
    facts = json.loads(run("toeplitz", "1x3x3", "--kernel", "2", "--json").stdout)
    assert facts["matrix"][0] == [1, 2, 0, 3, 4, 0, 0, 0, 0]  # taps 1 2 / 3 4 at the first place of a 3x3 image
    assert (len(facts["matrix"]), len(facts["matrix"][0])) == (facts["rows"], facts["columns"]) == (4, 9)
    assert "matrix" not in json.loads(run("toeplitz", "1x9x9", "--json").stdout)


def test_words_are_printed() -> None:
    lines = run("expand", "2").stdout.splitlines()
    words = [line.strip() for line in lines[lines.index("words") + 1 :]]
    # f2 = W2 (W1 x + b1 + t x) + b2: by hand
    assert words == ["W^(2) P^(2) W^(1) P^(1) X", "t^(0,1) W^(2) P^(2) R^(0,1) X", "W^(2) P^(2) B^(1)", "B^(2)"]


def test_many_words_are_counted() -> None:
    shown = run("expand", "8").stdout
    lines = shown[shown.index("words") :].splitlines()[1:]
    count = sum(2 ** max(layer - 1, 0) for layer in range(9))  # paths from X and from every bias to layer 8
    assert len(lines) == 65
    assert lines[-1].strip().startswith(f"and {count - 64} more")
