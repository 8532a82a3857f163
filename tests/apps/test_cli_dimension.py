"""``algebraic-cnn dimension``: what it prints is what the library says, and mistakes are one line."""

from __future__ import annotations

import json

import pytest

from .commands import complains, run


def test_it_prints_the_dimension_and_what_the_skip_breaks() -> None:
    done = run("dimension", "3x3x2", "--strides", "2x2x1", "--skips", "0-3", "--seed", 1, "--json")
    facts = json.loads(done.stdout)
    assert (facts["value"], facts["parameters"], facts["symmetries"], facts["error_probability"]) == (7, 8, 1, 0.0)
    assert facts["broken"] == {"0-3": [{"kind": "scaling", "behind": [2], "dimension": 1}]}
    free = run("dimension", "3x3x2", "--power", 2, "--skips", "0-2,1-3,0-3", "--strength", "free")
    assert "value              9" in free.stdout
    wide = run("dimension", "2x2x2", "--axes", 2, "--channels", "2x2x2x2", "--bias")
    assert "GL behind layers 1: 4" in wide.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["3x", "--skips", "0-2"], ["kernel sizes"]),
        (["3x3", "--skips", "all"], ["edges k-i"]),
        (["3x3", "--skips", "0-5"], ["forward"]),
        (["3x3", "--strength", "much"], ["a number"]),
        (["3x3", "--strides", "1"], ["do not fit"]),
        (["3x3", "--device", "cuda"], ["cpu"]),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: list[str]) -> None:
    complains(run("dimension", *arguments), *words)
