"""The comparison of schedules: what resists is recorded, and what is counted is the network without its skips."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from algebraic_cnn import GeometryError, HomotopyError
from algebraic_cnn.apps.experiments import runs, schedules
from algebraic_cnn.apps.experiments.reproduce import PRESETS
from algebraic_cnn.apps.experiments.runs import Place, images_of, job_of, network_of, run_job
from algebraic_cnn.homotopy import Adaptive, Learned, Linear, set_skip_strength
from algebraic_cnn.models.resnet import RESNETS, BasicBlock
from tests.narrow import Narrow

FEW = {"data": "digits", "images": 64, "tests": 40, "epochs": 2, "batch_size": 16, "model": "tiny"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RESNETS, "tiny", partial(Narrow, BasicBlock, (2, 1, 1, 1)))


class GivesUp(Adaptive):
    """Its second strength is never good enough."""

    def step(self, loss: float | None = None) -> float:
        return super().step(1.0 if self.last_step == 0 else math.inf)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Learned(rate=1e-4, penalty=1e-4), lambda t: 0.9 < t < 1),
        (GivesUp(smallest=0.1), lambda t: t == 1.0),
    ],
)
def test_skips_that_resist_are_an_outcome(
    plan: Any, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_plan", lambda way, steps, total: plan)
    monkeypatch.setattr(runs, "PER_EPOCH", 2)
    job = job_of(**FEW | {"model": "resnet34-narrow"}, way={"kind": "linear", "start": 1.0})
    place = Place(folder=str(tmp_path))
    record = run_job(job, place)
    assert len(record["resisted"]) == 16, "all skips of a ResNet34"
    assert all(map(expected, record["resisted"].values()))
    assert len(record["epochs"]) == (1 if isinstance(plan, GivesUp) else 2)
    rows = schedules.table({"some": [record, record | {"resisted": {}}]})
    assert rows[0]["resisted"] == 1
    assert rows[0]["accuracy"] == pytest.approx(100 * record["at_zero"])


def test_at_zero_is_the_network_without_its_skips(tmp_path: Path) -> None:
    job, place = job_of(**FEW, way={"kind": "constant", "start": 1.0}), Place(folder=str(tmp_path))
    record = run_job(job, place)
    model, data = network_of(job, place)
    found = {}
    for t in (0.0, 1.0):
        set_skip_strength(model, t)
        with torch.no_grad():
            found[t] = float((model(data.test_images).argmax(1) == data.test_labels).double().mean())
    assert (record["at_zero"], record["accuracy"]) == (found[0.0], found[1.0])
    assert record["resisted"] == {}, "a constant strength is where it ought to be"


def test_a_mistake_is_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_plan", lambda way, steps, total: Linear(1000))
    with pytest.raises(HomotopyError, match="ends only after the training"):
        run_job(job_of(**FEW), Place(folder=str(tmp_path)))
    with pytest.raises(GeometryError, match="images and epochs"):
        job_of(epochs=0)


def test_every_preset_of_the_other_figures_is_here() -> None:
    assert tuple(schedules.PRESETS) == PRESETS
    assert all(config.preset == name for name, config in schedules.PRESETS.items())


def test_the_picture_shows_every_line_and_trial() -> None:
    """The loss along t is the mean of the epochs that all trials have; one of these was given up after its first."""
    epochs = [{"epoch": e, "loss": loss, "t": t} for e, loss, t in ((1, 2.0, 1.0), (2, 1.0, 0.5))]
    job = job_of(**FEW)
    one = {"job": job, "epochs": epochs, "at_zero": 0.5, "accuracy": 0.75}
    other = {"job": job, "epochs": [{"epoch": 1, "loss": 4.0, "t": 0.5}], "at_zero": 0.25, "accuracy": 0.25}
    config = schedules.Config("tiny", 2, 1)
    trained = {schedules.RESNET: [one, one], "linear": [one, one], "adaptive": [one, other]}
    again = schedules.by_line(schedules.records_of(trained))
    assert {line: len(records) for line, records in again.items()} == dict.fromkeys(trained, 2)
    figure = schedules.picture(config, again)
    ends, along = figure.axes
    assert [note.get_text() for note in ends.texts] == ["with its skips; 50 % without"]
    assert [label.get_text() for label in ends.get_yticklabels()] == ["adaptive", "linear", schedules.RESNET]
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in along.lines}
    assert drawn == {"linear": ([1.0, 0.5], [2.0, 1.0]), "adaptive": ([0.75], [3.0])}


def test_digits_are_fewer_and_get_more_epochs() -> None:
    config = schedules.PRESETS["quick"]
    jobs = [
        schedules.Config("quick", 1, 1, shared=config.shared | {"data": data}, digits=config.digits).jobs()[0]
        for data in ("mnist", "digits")
    ]
    assert [job["images"] for job in jobs] == [10_000, None]
    assert jobs[0]["epochs"] < jobs[1]["epochs"]
    assert len(images_of("digits", None, jobs[1]["images"]).train_labels) == 1437
