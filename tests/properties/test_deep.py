"""The deep profile goes on where it was, and a portion that fails says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algebraic_cnn.files.records import read_records
from algebraic_cnn.testing import Network, linear_cnns

from . import deep

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "deep.jsonl")
    first = deep.run(path, {"recursion": 20}, 10)
    again = deep.run(path, {"recursion": 25, "integers": 2}, 10)
    assert again[:2] == first
    assert read_records(path) == again
    assert [(record["property"], record["portion"]) for record in again[2:]] == [("recursion", 2), ("integers", 0)]
    assert sum(record["networks"] for record in again) == 40
    assert all(0 < record["different"] <= record["networks"] for record in again)
    assert "30 networks" in deep.summary(again)
    assert "failed: none" in deep.summary(again)
    assert [record["size"] for record in deep.run(path, {"recursion": 5}, 5)] == [5]  # portion 0 again, of another size
    monkeypatch.setattr(deep, "portion", None)
    assert deep.run(path, {"recursion": 25}, 10) == again[:3]


def test_a_property_that_fails_is_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @given(linear_cnns())
    def no_skip_is_drawn(network: Network) -> None:
        assert not network.model.strengths

    monkeypatch.setitem(deep.PROPERTIES, "recursion", (no_skip_is_drawn, {"network": linear_cnns()}))
    records = deep.run(str(tmp_path / "deep.jsonl"), {"recursion": 60}, 60)
    assert "AssertionError" in records[0]["failure"]
    assert "portions that failed: [0]" in deep.summary(records)
    assert isinstance(deep.PROPERTIES["integers"][1]["device"], st.SearchStrategy)
