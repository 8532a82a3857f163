"""The check of the checks: what it counts, and that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from algebraic_cnn.apps.bench import certification
from algebraic_cnn.apps.bench.certification import CHECKS, DEFECTS, run, tallies
from algebraic_cnn.apps.bench.defects import IN_COLLAPSE, IN_NETWORK, collapsed, network
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.files.records import read_records
from algebraic_cnn.ir.graph import Graph
from tests.apps.commands import run as command


@pytest.fixture(scope="module")
def pair() -> tuple[Graph, Graph]:
    graph = network(4, 0)
    return graph, collapsed(graph)


@pytest.mark.parametrize("kind", [*IN_NETWORK, *IN_COLLAPSE])
def test_every_defect_makes_another_function(pair: tuple[Graph, Graph], kind: str) -> None:
    """Decided in exact fractions, not by any of the checks that are checked."""
    side, mutate = (0, IN_NETWORK[kind]) if kind in IN_NETWORK else (1, IN_COLLAPSE[kind])
    first, second = (exact_map(graph) for graph in (pair[side], mutate(pair[side], np.random.default_rng(0))))
    assert (first.W != second.W).any() or (first.b != second.b).any()


def test_the_table_counts_what_was_seen_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cases.jsonl"
    done = command(*f"bench certify --records {path} --networks 1 --repeats 1 --depths 4 --seed 1 --json".split())
    rows = {row["check"]: row for row in json.loads(done.stdout)["rows"]}
    assert list(rows) == list(CHECKS)
    assert {name: row["wrong"] for name, row in rows.items()} == {
        name: 0 if name in certification.EVERY else DEFECTS for name in CHECKS
    }
    assert (rows["modular"]["alarms"], rows["modular"]["misses"]) == (0, 0)
    loose = rows["torch.allclose, loose"]
    assert loose["misses"] == sum(loose["missed"].values()) > 0
    assert "weight 1 ulp" in loose["missed"]
    monkeypatch.setattr(certification, "case", None)
    assert run(path, networks=1, repeats=1, depths=[4], seed=1) == read_records(path)


@pytest.mark.parametrize(
    ("accepts", "alarms", "misses"), [(lambda y, z: True, 0, DEFECTS), (lambda y, z: False, 1, 0)], ids=["all", "none"]
)
def test_a_check_that_is_always_wrong_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepts: Callable[..., bool], alarms: int, misses: int
) -> None:
    monkeypatch.setattr(certification, "CHECKS", ("torch.allclose",))
    monkeypatch.setitem(certification.TOLERANCES, "torch.allclose", accepts)
    (row,) = tallies(run(tmp_path / "cases.jsonl", networks=1, repeats=1, depths=[4]))
    assert (row.right, row.alarms, row.wrong, row.misses) == (1, alarms, DEFECTS, misses)
    assert torch.is_grad_enabled()
