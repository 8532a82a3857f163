"""Training: a run that was interrupted ends bit for bit where the uninterrupted one does."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn.errors import DataError, GeometryError, NonFiniteError
from algebraic_cnn.homotopy.classifier import Recipe, accuracy, predictions, train
from algebraic_cnn.models.data import Dataset

from .runs import at, bands, goes_on, same


@pytest.fixture
def data() -> Dataset:
    """Images of two classes, bright above or bright below, 13 to train on (a last batch of one) and 6 to test on."""
    return bands(2, 4, 19, 13, "halves")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))


RECIPE = Recipe(epochs=4, batch_size=4, learning_rate=0.1)


def test_training_learns(model: nn.Module, data: Dataset) -> None:
    seen = []
    records = train(model, data, recipe=RECIPE, progress=lambda done, steps, words: seen.append((done, steps)))
    assert records[-1].loss < records[0].loss
    assert records[-1].accuracy == accuracy(model, data.test_images, data.test_labels) == 1.0
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert seen[-1] == (12, 12)
    assert not model.training


@pytest.mark.parametrize("stop_at", [1, 5, 9, 11])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    model: nn.Module, data: Dataset, tmp_path: Path, stop_at: int
) -> None:
    goes_on(model, partial(train, data=data, recipe=RECIPE), tmp_path / "run.safetensors", stop_at)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_finished_run_is_loaded_not_repeated(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path, fresh, steps = tmp_path / "run.safetensors", copy.deepcopy(model), []
    expected = train(model, data, recipe=RECIPE, checkpoint=path)
    again = train(fresh, data, recipe=RECIPE, checkpoint=path, progress=lambda *step: steps.append(step))
    assert (again, steps) == (expected, [])
    assert same(model, fresh)


def test_another_recipe_starts_anew(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path, fresh, untouched = tmp_path / "run.safetensors", copy.deepcopy(model), copy.deepcopy(model)
    train(model, data, recipe=RECIPE, checkpoint=path)
    other = Recipe(epochs=4, batch_size=4, learning_rate=0.1, seed=1)
    assert train(fresh, data, recipe=other, checkpoint=path) == train(untouched, data, recipe=other)
    assert same(fresh, untouched)
    assert not same(fresh, model)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other model"])
def test_a_damaged_checkpoint_is_refused(model: nn.Module, data: Dataset, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run.safetensors"
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)) if damage == "other model" else copy.deepcopy(model)
    train(other, data, recipe=RECIPE, checkpoint=path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[:-9], "text": b"hello, hello"}.get(damage, content))
    with pytest.raises(DataError, match="not a checkpoint of this model"):
        train(model, data, recipe=RECIPE, checkpoint=path)


def test_divergence_keeps_the_last_good_epoch(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    poison = at(4, lambda: model[3].weight.data.fill_(float("nan")))
    with pytest.raises(NonFiniteError, match="epoch 2"):
        train(model, data, recipe=RECIPE, checkpoint=path, progress=poison)
    fresh = copy.deepcopy(model)
    assert len(train(fresh, data, recipe=RECIPE, checkpoint=path)) == 4
    assert all(torch.isfinite(value).all() for value in fresh.state_dict().values())


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("batch_size", 1), ("learning_rate", 0.0), ("learning_rate", float("nan"))]
)
def test_a_recipe_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(GeometryError, match="cannot be followed"):
        Recipe(**{name: value})


def test_predictions_are_the_largest_scores(data: Dataset) -> None:
    scores = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    scores[1].weight.data = torch.stack([torch.arange(16.0) < 8, torch.arange(16.0) >= 8]).float()
    assert predictions(scores.train(), data.test_images, batch_size=4).tolist() == data.test_labels.tolist()
    assert accuracy(scores, data.test_images, 1 - data.test_labels) == 0.0
