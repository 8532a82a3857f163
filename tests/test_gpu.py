"""The script for a machine with a GPU, rehearsed on the CPU with the smallest network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from . import gpu


def tiny(device: str, small: bool) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU()
    return {"tiny": (nn.Sequential(*layers).to(device).eval(), (1, 6, 6))}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_part_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "networks", tiny)
    monkeypatch.setattr(gpu, "PARTS", {name: gpu.PARTS[name] for name in ("certificates", "latency")})
    assert gpu.main(["--device", "cpu", "--small", "--out", str(tmp_path / "out.jsonl")]) == 0
    certified, *timed = lines(tmp_path / "out.jsonl")
    assert (certified["collapse certified"], certified["itself"], certified["one ulp away"]) == (True, True, False)
    assert [row["batch"] for row in timed] == [1, 128]
    assert all(row[f"{name}, ms"] > 0 for row in timed for name in ("network, eager", "collapsed", "backend"))


def test_a_part_that_fails_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: str, small: bool) -> gpu.Lines:
        raise ValueError("no such device")
        yield {}

    monkeypatch.setattr(
        gpu, "PARTS", {"first": broken, "second": lambda device, small: iter([{"said": "all is well"}])}
    )
    assert gpu.main(["--device", "cpu", "--out", str(tmp_path / "out.jsonl")]) == 1
    assert [row.get("failed", row.get("said")) for row in lines(tmp_path / "out.jsonl")] == [
        "ValueError: no such device",
        "all is well",
    ]


def test_nothing_is_begun_after_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--seconds", "0", "--out", str(tmp_path / "out.jsonl")]) == 0
    assert lines(tmp_path / "out.jsonl") == []
    assert capsys.readouterr().out.count("the time is up") == len(gpu.PARTS)
