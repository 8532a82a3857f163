"""What fusing tools leave of patterns and of real networks: the tables are printed, the counts of ours are checked."""

from __future__ import annotations

import pytest
from rich.console import Console

from algebraic_cnn.apps.bench.contenders import ENGINES
from algebraic_cnn.apps.bench.engines import model_rows
from algebraic_cnn.apps.bench.patterns import PATTERNS
from algebraic_cnn.apps.bench.tools import pattern_rows
from algebraic_cnn.apps.cli.bench import models_table, patterns_table, speed_table
from algebraic_cnn.errors import MissingExtraError


def test_patterns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(pattern_rows())
    with capsys.disabled():
        Console(width=160).print(patterns_table(rows))
    ours = [row for row in rows if row.tool == "ours"]
    assert len(ours) == len(PATTERNS)
    for row in ours:
        others = [other for other in rows if other.pattern == row.pattern and other.products is not None]
        assert row.products == min(other.products for other in others)
        assert row.error is not None
        assert row.error < 1e-5


@pytest.mark.parametrize("name", ["resnet34", "mobileone_s0"])
def test_real_networks_in_every_engine(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        rows = list(model_rows([name], list(ENGINES), seconds=10.0))
    except MissingExtraError as error:
        pytest.skip(str(error))
    with capsys.disabled():
        Console(width=160).print(models_table(rows))
        Console(width=160).print(speed_table(rows, list(ENGINES)))
    given, by_hand, ours = rows
    assert ours.convolutions <= by_hand.convolutions <= given.convolutions
    assert ours.norms == 0
