"""The demo, on a small network and few images: what it says is what its files hold, and nothing finished is lost."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.apps.experiments import demo
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.ir.programs import load_program
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.models.data import Dataset, load_digits
from algebraic_cnn.models.resnet import RESNETS
from tests.apps import commands

KINDS = {"checkpoint", "network", "collapsed", "map", "certificate", "picture", "table"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A shallow network with a skip, in the place of ResNet18, and a tenth of the digits."""

    def network(in_channels: int, classes: int, linear: bool) -> nn.Module:
        layers = [nn.Conv2d(in_channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(256, classes)]
        return LinearCNN((1, 8, 8), layers, {(1, 3): 1.0})

    whole = load_digits()
    few = Dataset(
        whole.train_images[:200], whole.train_labels[:200], whole.test_images[:50], whole.test_labels[:50], "few"
    )
    monkeypatch.setitem(RESNETS, "resnet18", network)
    monkeypatch.setattr(demo, "load_dataset", lambda name, root: few)
    monkeypatch.setattr(demo, "interleaved_seconds", lambda functions, seconds: dict.fromkeys(functions, 1.0))
    return few


run = partial(commands.run, "demo", "--model", "resnet18", "--epochs", 3)


def test_what_the_table_says_is_what_the_files_hold(small: Dataset, tmp_path: Path) -> None:
    done = run("--out", tmp_path / "demo", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    files = {kind: Path(path) for kind, path in result["files"].items()}
    assert set(files) == KINDS
    assert sorted(files.values()) == sorted((tmp_path / "demo").iterdir())
    before, after = (load_program(files[kind]).module() for kind in ("network", "collapsed"))
    f = AffineMap.load(files["map"])
    images, labels = small.test_images, small.test_labels
    with torch.no_grad():
        classes = [net(images).argmax(1) for net in (before, after, f.to_module(dtype=torch.float32))]
    assert torch.equal(classes[1], classes[2])
    assert result["changed"] == int((classes[0] != classes[1]).sum()) == 0
    assert [result[side]["correct"] for side in ("before", "after")] == [int((c == labels).sum()) for c in classes[:2]]
    assert result["records"][-1]["accuracy"] == result["before"]["correct"] / 50
    assert (result["before"]["layers"], result["after"]["layers"]) == (3, 1)
    assert result["before"]["parameters"] == 4 * 9 + 4 + 4 * 4 * 9 + 4 + 2560 + 10
    assert result["after"]["parameters"] == f.W.size + f.b.size == 650
    assert Certificate.load(files["certificate"]).ok is result["certified"] is True
    assert json.loads(files["table"].read_text()) == result
    assert files["picture"].read_bytes().startswith(b"\x89PNG")


def test_the_table_is_readable(tmp_path: Path) -> None:
    done = run("--out", tmp_path)
    for words in ("parameters", "accuracy, 50 test images", "0 classes differ", "Yes (modular)", "batches of 128"):
        assert words in " ".join(done.stdout.split())


def test_interrupted_it_keeps_finished_epochs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = commands.interrupted(run, demo, tmp_path, monkeypatch)
    assert [file.name for file in (tmp_path / "part").iterdir()] == ["digits-resnet18.safetensors"]
    again = json.loads(run("--out", tmp_path / "part", "--json").stdout)
    assert again["records"] == whole["records"]
    maps = [AffineMap.load(result["files"]["map"]) for result in (whole, again)]
    assert maps[0].exactly_equals(maps[1])


def test_the_seed_decides_the_network(tmp_path: Path) -> None:
    a, b, c = (
        AffineMap.load(json.loads(run("--out", tmp_path / name, "--seed", seed, "--json").stdout)["files"]["map"])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a.exactly_equals(b)
    assert not a.exactly_equals(c)


def test_real_residual_networks_are_what_is_offered() -> None:
    assert demo.Config().model == "resnet34"
    assert demo.Config(data="digits").recipe.epochs > demo.Config(data="mnist").recipe.epochs >= 1
    recipe = demo.Config(epochs=2, seed=7).recipe
    assert (recipe.epochs, recipe.seed) == (2, 7)


def test_a_reduction_is_never_rounded_up_to_all() -> None:
    sides = [demo.Measured(1, 1, 1, {1: seconds}) for seconds in (1.0, 2e-5)]
    outcome = demo.DemoResult(demo.Config(), [], 1, *sides, 0, 0.0, "", True, {})
    assert outcome.reduction(1) == 99.99
