"""``algebraic-cnn bench patterns | models``: tables and JSON; what is not installed says so."""

from __future__ import annotations

import importlib.util
import json

import pytest

from algebraic_cnn.apps.bench.engines import Row as ModelRow
from algebraic_cnn.apps.bench.tools import Row as PatternRow
from algebraic_cnn.apps.cli.bench import models_table, patterns_table, speed_table
from tests.apps.commands import cells, run


def test_patterns_as_json_and_as_a_table() -> None:
    rows = json.loads(run("bench", "patterns", "--patterns", "4,7", "--tools", "given,ours", "--json").stdout)["rows"]
    assert [(row["pattern"], row["tool"], row["products"]) for row in rows] == [
        ("3x3, 1x1", "given", 2),
        ("3x3, 1x1", "ours", 1),
        ("3x3 beside 1x1", "given", 2),
        ("3x3 beside 1x1", "ours", 1),
    ]
    done = run("bench", "patterns", "--patterns", "4", "--tools", "ours")
    assert done.exit_code == 0, done.output
    assert "1 0 1" in done.stdout


def test_a_wrong_result_is_marked_and_a_missing_tool_says_so() -> None:
    rows = [PatternRow("a", "x", 1, 0, 1, 1e-7), PatternRow("a", "y", 1, 0, 2, 0.4), PatternRow("a", "z", note="gone")]
    assert cells(patterns_table(rows)) == [["a", "1 0 1  1e-07", "1 0 2  [red]4e-01[/]", "gone"]]


def test_what_is_kept_because_it_is_cheaper_says_so() -> None:
    given, ours = (
        PatternRow("a", tool, 2, 0, 2, 1e-7, kept=kept) for tool, kept in (("given", ""), ("ours", "9 < 10"))
    )
    table = patterns_table([given, ours])
    assert cells(table) == [["a", "2 0 2  1e-07", "2 0 2  1e-07  kept: cheaper"]]
    assert str(table.caption).endswith("a, kept by ours: 9 < 10")


def test_models_stand_beside_each_other_with_ratios_to_what_was_given_and_to_the_conversion_by_hand() -> None:
    rows = [
        ModelRow("net", form, n, 0, 1e-7, 2.0, {"eager": s, "onnx": 2 * s}, load=n)
        for form, n, s in (("given", 9, 0.4), ("timm", 5, 0.2), ("ours", 4, 0.1))
    ]
    assert cells(models_table(rows)) == [["net", "9 + 0", "5 + 0", "4 + 0", "1e-07", "1e-07", "2 s"]]
    table = speed_table(rows, ["eager", "onnx"])
    assert "load 4.0 to 9.0" in str(table.caption)
    assert cells(table) == [
        ["net", "eager", "400 ms", "200 ms", "100 ms", "0.25", "0.50"],
        ["", "onnx", "800 ms", "400 ms", "200 ms", "0.25", "0.50"],
    ]


def test_an_engine_that_cannot_take_a_form_says_why_in_its_cell() -> None:
    spans = {"given": {"frozen": 0.4}, "timm": {}, "ours": {"frozen": 0.1}}
    notes = {"given": {}, "timm": {"frozen": "no compiler"}, "ours": {}}
    rows = [ModelRow("net", form, 1, 0, 0.0, 0.0, spans[form], notes[form]) for form in spans]
    assert cells(speed_table(rows, ["frozen"])) == [["net", "frozen", "400 ms", "no compiler", "100 ms", "0.25", ""]]


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_extra_is_named() -> None:
    done = run("bench", "models", "--models", "resnet34")
    assert done.exit_code == 2
    assert "algebraic_cnn[models]" in done.stderr
