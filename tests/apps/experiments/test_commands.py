"""``algebraic-cnn train`` and ``reproduce``: what they write, what an interruption leaves, what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import Result

from algebraic_cnn.apps.cli.reproduce import NAMES
from algebraic_cnn.apps.experiments import accuracy, curve, race, reproduce, runs, schedules, timing
from algebraic_cnn.files.records import read_records
from algebraic_cnn.ir.programs import load_program
from algebraic_cnn.models.data import Dataset, load_digits
from algebraic_cnn.models.resnet import RESNETS
from tests.apps.commands import complains as says
from tests.apps.commands import in_epoch, interrupted, run


class Small(nn.Module):
    """Two residual blocks of a convolution each; the second has an activation of its own."""

    def __init__(self, in_channels: int = 1, classes: int = 10, linear: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 4, 3, stride=2, bias=False)
        self.layer1, self.layer4 = (nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(2))
        self.fc = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        x = x + self.layer1(x)
        x = x + self.layer4(x)
        return self.fc(x.mean((2, 3)))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("resnet18", "resnet34"):
        monkeypatch.setitem(RESNETS, name, Small)


def train(*words: object) -> Result:
    return run("train", "--images", 40, "--epochs", 3, "--batch-size", 8, *words)


def digits() -> Dataset:
    whole = load_digits()
    return replace(whole, train_images=whole.train_images[:40], train_labels=whole.train_labels[:40])


def test_train_writes_the_network_that_is_left(tmp_path: Path) -> None:
    done = train("--out", tmp_path, "--fade", "layer4", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [epoch["epoch"] for epoch in result["epochs"]] == [1, 2, 3]
    assert result["epochs"][-1]["t"] == 0.0
    lines = read_records(tmp_path / "records.jsonl")
    assert [line["accuracy"] for line in lines] == [epoch["accuracy"] for epoch in result["epochs"]]
    assert set(lines[-1]["more"]["skips"].values()) == {0.0}
    assert set(lines[-1]["more"]["activations"].values()) == {1.0}
    assert result["removal"].startswith("Yes")
    program = load_program(tmp_path / "network.pt2")
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert calls.count(torch.ops.aten.relu.default) == 1
    assert not any("add" in str(call) for call in calls)
    data = digits()
    right = program.module()(data.test_images).argmax(1) == data.test_labels
    assert float(right.double().mean()) == result["accuracy"]


@pytest.mark.parametrize(("words", "left"), [(["--skips", "constant"], {1.0}), (["--fade", "all"], {0.0})])
def test_a_skip_in_use_stays_and_all_activations_can_go(tmp_path: Path, words: list[str], left: set) -> None:
    done = train("--out", tmp_path, *words)
    assert done.exit_code == 0, done.output
    assert "epoch   3" in done.stdout
    assert "Yes (auto)" in done.stdout
    assert set(read_records(tmp_path / "records.jsonl")[-1]["more"]["skips"].values()) == left
    calls = [str(node.target) for node in load_program(tmp_path / "network.pt2").graph.nodes]
    assert any("relu" in call for call in calls) == ("all" not in words)
    assert any("add" in call for call in calls) == ("constant" in words)


def test_an_interrupted_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = interrupted(train, runs, tmp_path, monkeypatch)
    assert len(read_records(tmp_path / "part" / "records.jsonl")) == 2
    again = json.loads(train("--out", tmp_path / "part", "--json").stdout)
    assert again["epochs"] == whole["epochs"]


complains = partial(says, bars=True)

MISTAKES = {
    "model": (["train", "--model", "vgg"], ["resnet18 | resnet34", "vgg"]),
    "way": (["train", "--skips", "sudden"], ["constant | linear", "adaptive", "sudden"]),
    "start": (["train", "--start", "1.5"], ["0 <= strength <= 1", "1.5"]),
    "epochs": (["train", "--epochs", "0"], ["images and epochs", "0 epochs"]),
    "images": (["train", "--images", "1"], ["1 images"]),
    "batch size": (["train", "--batch-size", "1"], ["batch_size >= 2"]),
    "learning rate": (["train", "--learning-rate", "-1"], ["learning_rate > 0", "-1"]),
    "nothing to fade": (["train", "--fade", "layer7"], ["no activation to fade", "layer7"]),
    "train data": (["train", "--data", "letters"], ["digits | mnist", "letters"]),
    "train root": (["train", "--data", "mnist"], ["train-images-idx3-ubyte"]),
    "train device": (["train", "--device", "abacus"], ["cpu", "abacus"]),
    "experiment": (["reproduce", "figure9"], ["figure1 | figure2 | figure3 | timing", "| all", "figure9"]),
    "preset": (["reproduce", "figure1", "--preset", "slow"], ["quick | medium | paper", "slow"]),
    "data": (["reproduce", "figure1", "--data", "letters"], ["digits | mnist", "letters"]),
    "no root": (["reproduce", "figure3"], ["train-images-idx3-ubyte"]),
    "no files": (["reproduce", "race", "--data-root", "nowhere"], ["t10k-labels-idx1", "nowhere"]),
    "device": (["reproduce", "timing", "--device", "abacus"], ["cpu", "abacus"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = MISTAKES[mistake]
    complains(run(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_diverged_training_says_where_and_keeps_the_last_good_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(model: nn.Module) -> None:
        next(model.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(runs, "train", in_epoch(runs.train, 2, poison))
    complains(train("--out", tmp_path), "training diverged", "epoch 2", "last good epoch is in", str(tmp_path))
    assert len(read_records(tmp_path / "records.jsonl")) == 1
    assert [path.suffix for path in (tmp_path / "runs").iterdir()] == [".safetensors"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    assert train("--out", tmp_path).exit_code == 0
    (checkpoint,) = (tmp_path / "runs").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:99])
    complains(train("--out", tmp_path), "not a checkpoint", checkpoint.name)


def test_an_adaptive_way_that_does_not_arrive_complains(tmp_path: Path) -> None:
    few = ("--images", 6, "--epochs", 1, "--batch-size", 2)
    complains(run("train", *few, "--skips", "adaptive", "--out", tmp_path), "training ended before the schedule")


@pytest.fixture
def tiny_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The presets, on 32 digits."""
    few = {"images": 32, "tests": 20, "epochs": 2, "batch_size": 8}
    figures = {1: (2, accuracy.fixed(0.0, 1.0)), 2: (1, accuracy.fixed(0.5)), 3: (1, accuracy.FIGURE3["quick"].ways)}
    for number, (trials, ways) in figures.items():
        config = accuracy.Config("quick", trials, ways, shared=few)
        monkeypatch.setitem(getattr(accuracy, f"FIGURE{number}"), "quick", config)
    monkeypatch.setitem(timing.PRESETS, "quick", timing.Config("quick", "resnet18", (1,), 0.0, (1, 8, 8)))
    levels = {"ResNet": ("constant", ()), "no skips": ("linear", ()), "no skips, stage 4": ("linear", ("layer4",))}
    for module in (curve, race):
        monkeypatch.setattr(module, "LEVELS", levels)
    monkeypatch.setattr(race, "_NAMES", {"eager": "eager"})
    monkeypatch.setattr(race, "through_relu", lambda model: model)
    monkeypatch.setattr(race, "_original", lambda config, trained: trained)
    lines = (schedules.RESNET, "learned", "cheapest first", "searched, TPE")
    longer = few | {"model": "resnet18", "epochs": 3}
    monkeypatch.setitem(schedules.PRESETS, "quick", schedules.Config("quick", 1, 1, lines=lines, shared=longer))
    monkeypatch.setitem(race.PRESETS, "quick", race.Config("quick", 2, 1, batches=(2,), seconds=0.0, shared=few))


@pytest.mark.thorough
@pytest.mark.usefixtures("tiny_presets")
@pytest.mark.filterwarnings("ignore")
def test_everything_is_reproduced_and_nothing_is_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("reproduce", "all", "--data", "digits", "--out", tmp_path, "--seed", 5, "--json")
    assert done.exit_code == 0, done.output
    outcomes = {outcome["name"]: outcome for outcome in json.loads(done.stdout)}
    assert tuple(outcomes) == NAMES == tuple(reproduce.EXPERIMENTS)
    for name, outcome in outcomes.items():
        assert all(Path(path).is_file() for path in outcome["files"].values())
        assert set(outcome["files"]) >= ({"picture"} if name != "timing" else set())
    records = read_records(tmp_path / "figures.jsonl")[:4]
    assert [record["job"]["seed"] for record in records] == [5, 5, 6, 6]
    assert len(read_records(tmp_path / "figures.jsonl")) == 4 + 1 + 14 - 3, "what two figures need is run once"
    assert [row["t"] for row in outcomes["figure1"]["rows"]] == [0.0, 1.0]
    assert outcomes["figure1"]["rows"][0]["accuracy"] == 50 * sum(records[i]["accuracy"] for i in (0, 2))
    assert [row["way"] for row in outcomes["figure3"]["rows"]][:3] == ["t = 1", "t = 0.5", "t = 0"]
    assert [row["network"] for row in outcomes["timing"]["rows"]] == ["linear"] * 2 + ["nonlinear"] * 2
    by_name = {row["contender"]: row for row in outcomes["race"]["rows"]}
    assert by_name["original, eager"]["saved"] == by_name["original, eager"]["lost"] == 0.0
    assert [by_name[f"{level}, collapsed"]["trials"] for level in ("no skips", "no skips, stage 4")] == [2, 1]
    compared = {row["way"]: row for row in outcomes["schedules"]["rows"]}
    assert list(compared)[0::3] == [schedules.RESNET, "searched, TPE"]
    _, *faded = read_records(tmp_path / "schedules" / "schedules.jsonl")
    assert [record["epochs"][-1]["t"] for record in faded] == [0.0] * 3, "every way ends without skips"
    kept = [len(list((tmp_path / folder).iterdir())) for folder in ("runs", "race/runs")]
    assert kept == [0, 5], "only the race needs its networks"
    monkeypatch.setattr(runs, "train", None)
    again = run("reproduce", "figure1", "--data", "digits", "--out", tmp_path, "--seed", 5)
    assert again.exit_code == 0, again.output
    assert "figure1, preset quick" in again.stdout
    assert "picture" in again.stdout


@pytest.mark.usefixtures("tiny_presets")
def test_an_interrupted_figure_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = runs.train, [0]

    def interrupted(*arguments, **options):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(runs, "train", interrupted)
    words = ("reproduce", "figure1", "--data", "digits", "--out", tmp_path)
    done = run(*words)
    assert (done.exit_code, len(read_records(tmp_path / "figures.jsonl"))) == (130, 2)
    assert "finished trainings" in done.stderr
    assert run(*words).exit_code == 0
    assert count[0] == 5
    path = tmp_path / "figures.jsonl"
    path.write_text("damaged\n" + path.read_text())
    complains(run(*words), "damaged record", "figures.jsonl:1")


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_help_names_the_options(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert all(option in done.output for option in ("--json", "--seed", "--device", "--out", "--data", "--data-root"))
