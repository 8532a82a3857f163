"""Routes through torch.compile side by side, with backends that compile at once in place of inductor."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn.apps.bench import compiled
from algebraic_cnn.apps.bench.compiled import EAGER, Route, Row, compiled_rows
from algebraic_cnn.apps.cli.compiled import compiled_table
from algebraic_cnn.collapsing.backend import Backend
from algebraic_cnn.errors import UnknownNameError
from tests.apps.commands import cells


def small(seed: int) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU()
    return nn.Sequential(*layers).eval(), torch.randn(1, 1, 6, 6)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler: one route by torch's "eager", one by ours, one that remembers old weights, one that fails."""

    def stale(graph: torch.fx.GraphModule, arguments: list) -> object:
        kept = [x.clone() if isinstance(x, nn.Parameter) else None for x in arguments]
        return lambda *given: graph(*(x if old is None else old for x, old in zip(given, kept, strict=True)))

    def broken(graph: torch.fx.GraphModule, arguments: list) -> object:
        raise ValueError("no compiler\nat all")

    backends = {
        "inductor": "eager",
        "inductor, frozen": stale,
        "ours": Backend("eager", certify=None, measure=False),
        "ours, frozen": broken,
    }
    monkeypatch.setattr(compiled, "route", lambda n, model: Route(model, contextlib.nullcontext, backends[n]))
    monkeypatch.setattr(compiled, "NETWORKS", {"small": small})
    monkeypatch.setattr(compiled, "_warm", lambda: None)


@pytest.mark.usefixtures("ready")
def test_every_route_is_timed_and_a_stale_weight_is_seen(tmp_path: Path) -> None:
    records = tmp_path / "compiled.jsonl"
    rows = list(compiled_rows(["small"], records, seconds=0.0))
    found = {row.route: row for row in rows}
    for name in (EAGER, "inductor", "ours"):
        assert len(found[name].calls) == len(found[name].errors) == 3
        assert max(found[name].errors) < 1e-6
        assert all(taken > 0 for taken in found[name].seconds)
    assert max(found["inductor, frozen"].errors[:2]) < 1e-6
    assert found["inductor, frozen"].errors[2] > 1e-3
    assert "no compiler" in found["ours, frozen"].note
    assert found["ours, frozen"].calls == ()
    again = list(compiled_rows(["small"], records, seconds=0.0, progress=lambda said: pytest.fail(said)))
    assert again == rows


def test_a_network_that_there_is_not() -> None:
    with pytest.raises(UnknownNameError, match="network"):
        list(compiled_rows(["resnet"]))


def test_a_line_for_every_route() -> None:
    rows = [
        Row("net", EAGER, (0.4, 0.8, 0.4), (0.4, 0.8), (1e-7, 1e-7, 1e-7), 3.0),
        Row("net", "ours", (2.0, 3.0, 4.0), (0.2, 0.2), (2e-7, 2e-7, 0.5), 5.0),
        Row("net", "inductor", note="ValueError: no compiler"),
    ]
    assert cells(compiled_table(rows)) == [
        ["net", "eager", "1.00 1.00", "400 ms 800 ms 400 ms", "1e-07 1e-07 1e-07"],
        ["net", "ours", "2.00 4.00", "2 s 3 s 4 s", "2e-07 2e-07 5e-01"],
        ["net", "inductor", "", "", "ValueError: no compiler"],
    ]
    assert "load 0.0 to 5.0" in str(compiled_table(rows).caption)
