"""The search finds no wrong yes, no wrong collapse and no raw error.

In the profile ``brief`` 12 pairs, in ``dev`` 20, in ``ci`` 160 from four seeds, in ``deep`` ten thousand pairs and as
many programs.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from . import search
from .search import BAD, counted, table

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
#: By how many examples a profile gives to a property: seeds, pairs of each whose truth is known, networks drawn for
#: each beside the snippets, programs of each visit that are collapsed.
_PROFILES = {5: (1, 12, 2, 2), 10: (1, 20, 2, 2), 40: (4, 40, 20, 2)}
SEEDS, PAIRS, DRAWN, COLLAPSES = _PROFILES.get(settings.default.max_examples, (10, 1000, 20, 12))


@pytest.mark.parametrize("seed", range(13, 13 + SEEDS))
def test_no_wrong_yes_and_no_raw_error(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs and programs are the same each time; the command searches on, with other seeds."""
    monkeypatch.setattr(search, "DRAWN", DRAWN)
    monkeypatch.setattr(search, "COLLAPSES", COLLAPSES)
    records = search.search(str(tmp_path / "pairs.jsonl"), seconds=math.inf, seed=seed, pairs=PAIRS)
    console = Console(width=180)
    with console.capture() as text:
        console.print(table(records))
    bad = [record for record in records if record["verdict"] in BAD]
    assert not bad, f"{text.get()}\n{bad[:3]}"
    assert counted(records) >= PAIRS
    assert {record["truth"] for record in records if record["task"] == "certify"} >= {"different", "same"}
    assert any(record["task"] == "collapse" and record["verdict"] == "right" for record in records)
