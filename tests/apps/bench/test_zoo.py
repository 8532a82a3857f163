"""``bench zoo``: a trial says what failed and why, wrong results are noticed, records are gone on from."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.apps.bench.zoo import keeper, trial
from algebraic_cnn.apps.bench.zoo.keeper import swept
from algebraic_cnn.apps.bench.zoo.shelf import PACKAGES, opened
from algebraic_cnn.apps.bench.zoo.trial import Trial, peak, tried
from algebraic_cnn.apps.cli.zoo import failures_table, packages_table
from algebraic_cnn.errors import UnknownNameError
from algebraic_cnn.files.records import append_record, read_records
from tests.apps.commands import cells, run

ABOUT = {"package": "own", "name": "net", "seed": 0}


def network() -> nn.Module:
    return randomised(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten()))


def test_a_trial_counts_what_is_left_and_compares_in_float64() -> None:
    found = tried(network(), [torch.rand(1, 1, 32, 32)], ABOUT, peak(), seconds=0.01)
    assert found.worked
    assert (found.norms, found.numbers) == ((1, 0), (18 + 4 + 4 + 1, 18 + 2))
    assert found.kernels == (3, 2)  # flatten looks at a value otherwise, and computes nothing
    assert found.error is not None
    assert found.own_error is not None
    assert found.latency is not None


def test_a_network_that_collapses_wrongly_does_not_count_as_working(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + 1e-4

    def wrongly(model: nn.Module, inputs: tuple[Tensor, ...]) -> object:
        result = collapse(model, inputs)
        return replace(result, model=Wrong(result.model))

    collapse = trial.collapse
    monkeypatch.setattr(trial, "collapse", wrongly)
    found = tried(network(), [torch.rand(1, 1, 6, 6)], ABOUT, peak())
    assert (found.stage, found.certified, found.worked) == ("", True, False)


class Counting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * len(x.nonzero().tolist())


@pytest.mark.parametrize(("model", "stage"), [(nn.Linear(3, 2), "run"), (Counting(), "export")])
def test_what_fails_before_the_collapse_is_not_held_against_it(model: nn.Module, stage: str) -> None:
    found = tried(model.eval(), [torch.rand(1, 4)], ABOUT, peak())
    assert found.stage == stage
    assert found.cause
    assert cells(packages_table([found]))[0][:5] == ["own", "1", "0" if stage == "run" else "1", "0", "0"]


def test_tables_say_what_worked_and_what_failed() -> None:
    good = Trial("own", "a", 0, error=1e-7, own_error=1e-7, certified=True, collapse=2.0, certificate=3.0, memory=1.5,
                 kernels=(4, 2), norms=(1, 0), latency=0.5)  # fmt: skip
    bad = Trial("own", "b", 0, "collapse", "TraceError: no")
    times = [", ".join([number] * 3) for number in ("2.00", "3.00", "1.50", "0.50")]
    assert cells(packages_table([good, bad])) == [["own", "2", "2", "2", "1", "4 -> 2", "1 -> 0", "0.8", *times]]
    assert cells(failures_table([good, bad])) == [["own", "b", "collapse", "TraceError: no"]]


def test_the_spread_is_the_median_the_value_that_one_in_ten_is_above_and_the_worst() -> None:
    trials = [Trial("own", str(n), 0, certified=True, collapse=float(n)) for n in range(1, 21)]
    (line,) = cells(packages_table(trials))
    assert line[8] == "10.50, 18.00, 20.00"


def test_records_are_shown_in_markdown_and_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    for found in (Trial("lpips", "vgg", 0, "collapse", "no | such"), Trial("timm", "a", 0, certified=True)):
        append_record(path, asdict(found))
    done = run("bench", "zoo", "--records", path, "--table")
    assert done.exit_code == 0
    counts, costs, failed = (block.splitlines() for block in done.output.strip().split("\n\n"))
    assert [line.split(" | ")[:5] for line in counts[2:]] == [
        ["| timm", "1", "1", "1", "1"], ["| lpips", "1", "1", "1", "0"], ["| all", "2", "2", "2", "1"]
    ]  # fmt: skip
    assert len(costs) == len(counts)
    assert failed[2:] == ["| lpips | vgg | collapse | no / such |"]
    assert not run("bench", "zoo", "--records", tmp_path / "none.jsonl", "--table").exit_code


def test_packages_take_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def served(package: str, names: list[str], *_: object) -> list[dict[str, object]]:
        return [asdict(Trial(package, name, 0)) for name in names]

    monkeypatch.setattr(keeper, "_package", served)
    monkeypatch.setattr(keeper, "_TURN", 2)
    found = [trial.package for trial in swept(["lpips", "open_clip"], tmp_path / "zoo.jsonl")]
    assert found == ["lpips"] * 2 + ["open_clip"] * 2 + ["lpips"] + ["open_clip"] * 2


def test_what_has_a_record_is_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    for name in PACKAGES["lpips"].names:
        append_record(path, asdict(Trial("lpips", name, 0, certified=True)))
    assert [found.name for found in swept(["lpips"], path)] == list(PACKAGES["lpips"].names)
    assert len(read_records(path)) == len(PACKAGES["lpips"].names)


def test_unknown_packages_are_named() -> None:
    with pytest.raises(UnknownNameError, match="no such package"):
        opened("none")
    done = run("bench", "zoo", "--packages", "none")
    assert done.exit_code == 2
    assert "timm" in done.output


def test_a_network_of_timm_in_a_process_of_its_own(tmp_path: Path) -> None:

    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    (found,) = swept(["timm"], tmp_path / "zoo.jsonl", only="lcnet_050")
    assert found.worked
    assert found.norms[1] == 0


def test_a_limit_is_of_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*asked: object, **more: object) -> None:
        while True:
            pass

    def waiting(*asked: object, **more: object) -> None:
        time.sleep(1.5)
        raise ValueError("awake")

    found = {}
    for made in (busy, waiting):
        monkeypatch.setattr(keeper, "subject", made)
        record = keeper._watched("own", "net", 0, 0.0, keeper.Limits(1.0))
        found[made.__name__] = (record["stage"], record["cause"])
    assert found == {"busy": ("limit", "more than 1 s"), "waiting": ("build", "ValueError: awake")}
