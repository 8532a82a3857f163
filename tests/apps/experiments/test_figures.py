"""The paper's figures and the race, on networks small enough to watch."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from algebraic_cnn import DataError, GeometryError, UnknownNameError
from algebraic_cnn.apps.experiments import accuracy, curve, race, timing
from algebraic_cnn.apps.experiments.forecast import forecast
from algebraic_cnn.apps.experiments.reproduce import Setting
from algebraic_cnn.apps.experiments.runs import Place, images_of, job_of, network_of, run_job, run_jobs
from algebraic_cnn.apps.experiments.through_relu import through_relu
from algebraic_cnn.apps.plots import save_figure
from algebraic_cnn.files.records import read_records
from algebraic_cnn.models import resnet18
from algebraic_cnn.models.resnet import RESNETS, BasicBlock, Bottleneck, ResNet
from tests.narrow import Narrow

SHARED = {"data": "digits", "images": 48, "model": "tiny", "epochs": 2, "batch_size": 16}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(RESNETS, "tiny", partial(Narrow, BasicBlock, (1, 0, 0, 1)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experiments")


@pytest.mark.thorough
def test_a_job_says_everything_and_a_run_answers(folder: Path) -> None:
    place = Place(folder=str(folder))
    job = job_of(**SHARED, way={"kind": "linear", "start": 0.5}, faded=("layer4",), seed=3)
    record = run_job(json.loads(json.dumps(job)), place)
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert record["epochs"][-1]["t"] == 0.0
    assert record["accuracy"] == record["epochs"][-1]["accuracy"]
    network, data = network_of(job, place)
    assert len(data.train_labels) == 48
    assert float((network(data.test_images).argmax(1) == data.test_labels).double().mean()) == record["accuracy"]
    assert run_job(job, place)["epochs"] == record["epochs"]
    with pytest.raises(DataError):
        network_of({**job, "seed": 4}, place)


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"model": "resnet35"}, UnknownNameError),
        ({"way": {"kind": "sudden", "start": 1.0}}, UnknownNameError),
        ({"epochs": 0}, GeometryError),
        ({"images": 1}, GeometryError),
        ({"tests": 0}, GeometryError),
    ],
)
def test_a_job_that_cannot_be_run_is_refused(choices: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        job_of(**choices)


def test_a_missing_data_set_names_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        images_of("mnist", str(tmp_path))


def test_figure_1_and_2(folder: Path, tmp_path: Path) -> None:
    config = accuracy.Config("tiny", 2, accuracy.fixed(0.0, 1.0), shared=SHARED)
    path, place = folder / "figures.jsonl", Place(folder=str(folder))
    records = run_jobs(config.jobs(), path, place)
    assert [(r["job"]["seed"], r["job"]["way"]["start"]) for r in records] == [(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)]
    assert run_jobs(config.jobs(), path, place) == records
    figure = accuracy.against_t(config, records)
    (bars,) = figure.axes[0].containers
    found = [[100 * r["accuracy"] for r in records if r["job"]["way"]["start"] == t] for t in (0.0, 1.0)]
    assert list(bars.lines[0].get_ydata()) == [statistics.fmean(values) for values in found]
    assert "48 training and all test images" in figure.get_supxlabel()
    assert save_figure(figure, tmp_path / "figure1.png").stat().st_size > 0


def test_figure_3_has_every_way() -> None:
    config = accuracy.FIGURE3["quick"]
    jobs = config.jobs()
    assert len(jobs) == 14 * config.trials
    epochs = [{"epoch": e, "loss": 1.0, "accuracy": e / 8, "t": 0.0} for e in (1, 2)]
    figure = accuracy.over_epochs(config, [{"job": job, "epochs": epochs} for job in jobs])
    assert [len(axes.containers) for axes in figure.axes] == [3, 4, 4, 3]
    assert [list(axes.containers[0].lines[0].get_ydata()) for axes in figure.axes] == [[12.5, 25.0]] * 4
    assert {job["way"]["start"] for job in jobs if job["way"]["kind"] in ("linear", "step")} == {1.0, 0.5}
    assert figure.axes[3].get_legend_handles_labels()[1] == ["adaptive", "learned", "cosine from 0.84, searched"]


def test_another_network_may_stand_in_for_the_presets() -> None:
    jobs = Setting("medium", model="resnet34-narrow").of(accuracy.FIGURE1).jobs()
    assert {job["model"] for job in jobs} == {"resnet34-narrow"}
    assert {job["model"] for job in Setting("medium").of(accuracy.FIGURE1).jobs()} == {"resnet34"}


FIGURES = [accuracy.FIGURE1, accuracy.FIGURE2, accuracy.FIGURE3]


@pytest.mark.parametrize("presets", [*FIGURES, race.PRESETS, timing.PRESETS])
def test_presets(presets: dict) -> None:
    assert list(presets) == ["quick", "medium", "paper"]
    assert all(config.preset == name for name, config in presets.items())
    if presets is not timing.PRESETS:
        assert presets["paper"].jobs()[0]["images"] is None
        assert presets["quick"].jobs()[0]["model"] == "resnet34"


@pytest.mark.thorough
def test_timing_measures_networks_with_and_without_skips_and_collapsed(tmp_path: Path) -> None:
    config = timing.Config("tiny", "tiny", (1, 2), 0.01, (1, 8, 8))
    nets = timing.networks(config, "cpu")
    sides = ("skips", "no skips", "collapsed")
    assert list(nets) == [f"{kind}, {side}" for kind in ("linear", "nonlinear") for side in sides]
    shortcuts = [sum("downsample" in name for name in net.state_dict()) > 0 for net in nets.values()]
    assert shortcuts == [True, False, False] * 2
    records = timing.run(config, Place(folder=str(tmp_path)))
    rows = timing.table(records)
    changes = [(batch, kind, side) for batch in (1, 2) for kind in ("linear", "nonlinear") for side in sides[1:]]
    assert [(row["batch"], row["network"], row["change"]) for row in rows] == changes
    assert all(row["from"] <= row["saved"] <= row["to"] for row in rows)
    assert [record["rounds"] for record in read_records(tmp_path / "timing.jsonl")] == [r["rounds"] for r in records]


@pytest.mark.parametrize("count", [6, 9, 10, 40, 101])
def test_the_interval_of_a_median_is_the_shortest_that_is_sure(count: int) -> None:
    """Counted with whole numbers: of all 2^n ways to lie below or above the median."""
    low, _ = timing.median_interval(range(1, count + 1))
    missed = [2 * sum(math.comb(count, below) for below in range(rank)) for rank in (low, low + 1)]
    assert 20 * missed[0] <= 2**count < 20 * missed[1]


def test_skips_leave_through_the_relus_exactly() -> None:
    """Weights are small integers and BatchNorm's roots are exact, so both sides are equal bit for bit."""
    torch.manual_seed(0)
    model = resnet18().double().eval()
    for name, value in model.named_parameters():
        kept = torch.rand_like(value) < (0.02 if "conv" in name else 1)
        value.data = torch.randint(-1, 2, value.shape).double() * kept
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.0
            module.running_var.zero_()
    images = torch.randint(0, 3, (2, 1, 28, 28)).double()
    plain = through_relu(model)
    expected = model(images)
    assert torch.isfinite(expected).all()
    assert expected.abs().max() < 2**53
    assert torch.equal(plain(images), expected)
    assert not any("downsample" in name for name in plain.state_dict())
    with pytest.raises(Exception, match="ReLU of a basic block"):
        through_relu(ResNet(Bottleneck, (1, 1, 1, 1)))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_the_race(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = race.Config("tiny", 1, 1, batches=(2,), seconds=0.01, shared=SHARED)
    place = Place(folder=str(folder))
    levels = dict(list(race.LEVELS.items())[:2])
    for module in (curve, race):
        monkeypatch.setattr(module, "LEVELS", levels)
    monkeypatch.setattr(race, "_NAMES", {"eager": "eager"})
    records = run_jobs(config.jobs(), folder / "race.jsonl", place, keep=True)
    assert [len(values) for values in curve.accuracies(config, records).values()] == [1, 1]
    times = race.measure(config, place)
    ours = [time for time in times if "removal" in time]
    assert all(time["removal_exact"] for time in ours)
    assert {time["contender"] for time in times} >= {"original, eager", "exact removal through ReLU", "no skips, eager"}
    of_level = {record["job"]["way"]["kind"]: record["accuracy"] for record in records}
    assert next(t["test_accuracy"] for t in times if t["contender"] == "no skips, collapsed") == of_level["exponential"]
    figure = curve.picture(replace(config, batches=(2,)), records, times)
    assert len(figure.axes[0].containers) == len(times)


def test_the_second_figure_looks_at_an_earlier_epoch_of_the_same_trainings(folder: Path) -> None:
    config = accuracy.Config("tiny", 2, accuracy.fixed(0.0, 1.0), shared=SHARED)
    records = run_jobs(config.jobs(), folder / "figures.jsonl", Place(folder=str(folder)))
    for after in (1, 2):
        rows = accuracy.table_of_t(replace(config, after=after), records)
        means = [
            statistics.fmean(100 * r["epochs"][after - 1]["accuracy"] for r in records if r["job"]["way"]["start"] == t)
            for t in (0.0, 1.0)
        ]
        assert [row["accuracy"] for row in rows] == means
    for presets in (accuracy.FIGURE1, accuracy.FIGURE2):
        assert presets["medium"].jobs() == accuracy.FIGURE1["medium"].jobs()


def test_a_forecast_counts_what_is_missing_and_grows_with_it(folder: Path) -> None:
    config = accuracy.Config("tiny", 2, accuracy.fixed(0.0, 1.0), shared=SHARED)
    path, place = folder / "figures.jsonl", Place(folder=str(folder))
    run_jobs(config.jobs(), path, place)
    assert forecast(config.jobs(), path, place) == (0, 0.0)
    longer = replace(config, trials=3).jobs()
    left, seconds = forecast(longer, path, place)
    assert (left, seconds > 0) == (2, True)
