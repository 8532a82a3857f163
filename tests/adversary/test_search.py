"""The search works: it catches what says yes or no to everything, crashes cost one trial, it goes on where it was."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from algebraic_cnn.errors import ShapeError
from algebraic_cnn.files.records import read_records

from . import search
from .corpus import SNIPPETS, fill
from .search import chosen, in_a_child
from .trials import Subject, asked, collapsed, judged, verdict

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
fill()


def certificate(said: str) -> SimpleNamespace:
    return SimpleNamespace(ok=said != "different", verdict=said)


SUBJECT = Subject(SNIPPETS["clamps"], "exported")
CHANGE = next(change for change in SUBJECT.all_changes if change.kind == "inserted relu")
CLONE = next(change for change in SUBJECT.all_changes if change.kind == "same: clone")


def test_a_certify_that_always_says_yes_is_caught() -> None:
    assert judged(SUBJECT, CHANGE, lambda *given, **options: certificate("equal"))["verdict"] == "wrong yes"
    assert judged(SUBJECT, CHANGE, lambda *given, **options: certificate("rounding"))["verdict"] == "wrong yes"
    assert judged(SUBJECT, CHANGE, lambda *given, **options: certificate("different"))["verdict"] == "right"
    assert judged(SUBJECT, CHANGE, lambda *given, **options: SimpleNamespace(ok=True))["verdict"] == "wrong yes"


def test_a_certify_that_always_says_no_is_caught() -> None:
    assert judged(SUBJECT, CLONE, lambda *given, **options: certificate("different"))["verdict"] == "false alarm"
    assert judged(SUBJECT, CLONE, lambda *given, **options: certificate("equal"))["verdict"] == "right"


def test_errors_are_told_apart() -> None:
    def refuses(*given, **options):
        raise ShapeError("not these")

    def falls_over(*given, **options):
        raise KeyError("true_graph_0")

    assert judged(SUBJECT, CHANGE, refuses)["verdict"] == "refused"
    record = judged(SUBJECT, CHANGE, falls_over)
    assert (record["verdict"], record["error"]) == ("raw", "KeyError: 'true_graph_0'")


def test_a_yes_but_for_rounding_is_wrong_beyond_rounding_only() -> None:
    assert verdict("different", "rounding", False) == "right"
    assert verdict("different", "rounding", True) == "wrong yes"
    assert verdict("different", "equal", False) == "wrong yes"
    assert verdict("same", "rounding", False) == "right"
    assert verdict("undecided", "equal", False) == "not counted"
    assert verdict("same", "undecided", False) == "refused"


def test_a_collapse_that_is_another_network_is_caught() -> None:
    def careless(net, example, **options):
        return SimpleNamespace(model=CHANGE.edit(SUBJECT.fresh()), certificate=certificate("equal"))

    def right(net, example, **options):
        return SimpleNamespace(model=SUBJECT.module, certificate=certificate("equal"))

    assert collapsed(SUBJECT, None, careless)["verdict"] == "wrong collapse"
    assert collapsed(SUBJECT, None, right)["verdict"] == "right"
    detached = next(change for change in SUBJECT.all_changes if change.kind == "inserted a detach")
    assert collapsed(SUBJECT, detached, right)["verdict"] == "other gradient"


def test_a_crash_and_a_hang_cost_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ALARM", 2)

    def trials():
        yield "first", lambda: {"number": 0}
        yield "second", lambda: asked(os.abort)
        yield "third", lambda: {"number": 2}
        yield "fourth", lambda: [None for _ in iter(int, 1)]

    crash = in_a_child(trials, 0)
    assert (crash.records, crash.begun, crash.asked) == ([{"number": 0}], ["first", "second"], True)
    assert os.WTERMSIG(crash.status) == 6
    hang = in_a_child(trials, 2)
    assert (hang.records, hang.begun, hang.asked) == ([{"number": 2}], ["third", "fourth"], False)
    assert os.WTERMSIG(hang.status) == signal.SIGPROF


def test_the_search_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("DRAWN", 1), ("PAIRS", 3), ("COLLAPSES", 1)):
        monkeypatch.setattr(search, name, count)
    path = str(tmp_path / "records.jsonl")
    first = search.search(path, seconds=0.01, only=["clamps"])
    assert {record["visit"] for record in first} == {0}
    again = search.search(path, seconds=0.01, only=["clamps"])
    assert again == read_records(path)
    assert again[: len(first)] == first
    assert {record["visit"] for record in again} == {0, 1}
    known = [record for record in again if record["task"] == "certify"]
    assert len({record["what"] for record in known}) == len(known)
    assert search.again(known[0])["truth"] == known[0]["truth"]


def test_what_was_tried_least_is_tried_next() -> None:
    rng = random.Random(0)
    first = chosen(SUBJECT, Counter(), 12, rng)
    tried = Counter((change.kind, change.op) for change in first)
    second = chosen(SUBJECT, tried, 12, rng)
    assert not {(change.kind, change.op) for change in first} & {(change.kind, change.op) for change in second}
    assert len({change.kind for change in first}) > 4
