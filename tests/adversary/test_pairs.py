"""The search finds no wrong yes, no wrong collapse and no raw error.

In the profile ``ci`` 100 pairs, in ``dev`` 40, in ``deep`` ten thousand pairs and as many programs.
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
#: Pairs whose truth is known, by how many examples a profile gives to a property.
PAIRS = {25: 40, 100: 100}.get(settings.default.max_examples, 10_000)


def test_no_wrong_yes_and_no_raw_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs and programs are the same each time; the command searches on, with other seeds."""
    monkeypatch.setattr(search, "COLLAPSES", max(search.COLLAPSES, PAIRS // 1000))
    records = search.search(str(tmp_path / "pairs.jsonl"), seconds=math.inf, seed=13, pairs=PAIRS)
    console = Console(width=180)
    with console.capture() as text:
        console.print(table(records))
    bad = [record for record in records if record["verdict"] in BAD]
    assert not bad, f"{text.get()}\n{bad[:3]}"
    assert counted(records) >= PAIRS
    assert {record["truth"] for record in records if record["task"] == "certify"} >= {"different", "same"}
    assert any(record["task"] == "collapse" and record["verdict"] == "right" for record in records)
