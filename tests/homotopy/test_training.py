"""Training along a homotopy: the strengths move as planned, runs resume bit for bit, and nothing fails in silence."""

from __future__ import annotations

import copy
import functools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from algebraic_cnn import DataError, HomotopyError, NonFiniteError, UnknownNameError
from algebraic_cnn.homotopy import (
    Adaptive,
    Constant,
    Follower,
    Linear,
    SkipStrength,
    Step,
    activation_strengths,
    remove_skips,
    sensitivity,
    set_skip_strength,
    skip_strengths,
    train,
    with_activation_strength,
    with_skip_strength,
)
from algebraic_cnn.homotopy.checkpoint import momenta
from algebraic_cnn.homotopy.classifier import EpochRecord, Recipe
from algebraic_cnn.models.data import Dataset

from .networks import basic, built, images
from .runs import at, bands, goes_on, same

RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=0.05)


@pytest.fixture
def data() -> Dataset:
    """Images of three classes, bright in a third of their rows; 3 steps an epoch."""
    return bands(3, 8, 18, 12, "thirds")


@functools.cache
def _faded() -> nn.Module:
    return with_activation_strength(with_skip_strength(built(basic), images(1)), images(1), {"2.relu@1": 0.0})


@pytest.fixture
def model() -> nn.Module:
    return copy.deepcopy(_faded())


def test_strengths_follow_their_schedules(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    plan = {"1": Linear(2), "2": Constant(0.5)}
    found = train(model, data, plan, activations=Linear(1, 0.0, 1.0, wait=1), recipe=RECIPE, records=path)
    assert [record.more["skips"] for record in found] == [{"1": t, "2": 0.5} for t in (1.0, 0.5, 0.0)]
    assert [record.more["activations"] for record in found] == [{"2.relu@1": s} for s in (0.0, 0.0, 1.0)]
    assert (skip_strengths(model), activation_strengths(model)) == ({"1": 0.0, "2": 0.5}, {"2.relu@1": 1.0})
    assert not model.training
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["loss"] for line in lines] == [record.loss for record in found]
    assert lines[0]["seed"] == 0
    assert lines[0]["versions"]["torch"] == torch.__version__
    plain = remove_skips(model, images(1), only=["1"])
    assert torch.equal(plain(data.test_images), model(data.test_images))


def test_training_learns_while_the_skips_fade(model: nn.Module, data: Dataset) -> None:
    recipe = Recipe(epochs=12, batch_size=4, learning_rate=0.05)
    found = train(model, data, Step(6, stairs=3), recipe=recipe)
    assert found[-1].more["skips"] == {"1": 0.0, "2": 0.0}
    assert found[-1].loss < found[0].loss


def test_without_a_schedule_it_is_plain_training(model: nn.Module, data: Dataset) -> None:
    other = built(basic)
    records = [train(net, data, recipe=RECIPE) for net in (model, other)]
    assert [record.loss for record in records[0]] == [record.loss for record in records[1]]
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in other.state_dict().items())


@pytest.mark.parametrize("stop_at", [2, 4, 8])
@pytest.mark.parametrize("interval", [None, 2])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    model: nn.Module, data: Dataset, tmp_path: Path, stop_at: int, interval: int | None
) -> None:
    recipe = Recipe(epochs=8, batch_size=4, learning_rate=0.05)
    records = tmp_path / "run.jsonl"

    def go(net: nn.Module, **options: Any) -> list[EpochRecord]:
        plan = Adaptive(size=0.5, corrections=2, factor=1.25)
        return train(net, data, plan, recipe=recipe, interval=interval, **options)

    goes_on(model, go, tmp_path / "run.safetensors", stop_at, records=records)
    assert len(records.read_text().splitlines()) == recipe.epochs


def test_another_schedule_starts_anew(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path, fresh, untouched = tmp_path / "run.safetensors", copy.deepcopy(model), copy.deepcopy(model)
    train(model, data, Linear(2), recipe=RECIPE, checkpoint=path)
    again = train(fresh, data, Linear(1), recipe=RECIPE, checkpoint=path)
    assert again == train(untouched, data, Linear(1), recipe=RECIPE)
    assert same(fresh, untouched)


def test_a_step_too_far_is_taken_back(model: nn.Module) -> None:
    """Parameters, buffers and momenta after a rejected step are those before it."""
    fade = Adaptive(size=0.5, corrections=1, grow=1.0)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    follower = Follower({SkipStrength: fade}, interval=1)

    def step(loss: float) -> dict[str, torch.Tensor]:
        model.train()(images(4)).square().sum().backward()
        optimizer.step()
        follower.after_step(loss)
        follower.before_step()
        state = model.state_dict() | {f"m {name}": value for name, value in momenta(model, optimizer).items()}
        return {name: value.clone() for name, value in state.items() if not name.startswith("skip_strengths")}

    follower.begin(model, optimizer, 1, 9)
    accepted, rejected, corrected = step(1.0), step(99.0), step(1.0)
    assert skip_strengths(model)["1"] == fade.value == 0.5
    assert fade.accepted == 0.75
    assert all(torch.equal(value, rejected[name]) for name, value in accepted.items())
    assert not torch.equal(corrected["1.conv1.weight"], accepted["1.conv1.weight"])


def test_divergence_at_a_new_strength_is_taken_back_too(model: nn.Module, data: Dataset) -> None:
    fade = Adaptive(size=0.5, corrections=1, grow=1.0, factor=50.0)
    poison = at(4, lambda: model.get_parameter("1.conv1.weight").data.fill_(math.nan))
    recipe = Recipe(epochs=9, batch_size=4, learning_rate=0.01)
    found = train(model, data, fade, recipe=recipe, interval=3, progress=poison)
    assert fade.size == 0.25
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert found[-1].more["skips"] == {"1": 0.0, "2": 0.0}


def test_divergence_stops_and_says_where(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path, good = tmp_path / "run.safetensors", []

    def poison(done: int, steps: int, words: str) -> None:
        if done == 4:
            good.append(path.read_bytes())
            model.get_parameter("1.conv1.weight").data.fill_(math.nan)

    with pytest.raises(NonFiniteError, match=r"epoch 2, step 5; the last good epoch is in .*run.safetensors"):
        train(model, data, Linear(2), recipe=RECIPE, checkpoint=path, progress=poison)
    assert path.read_bytes() == good[0]


def test_a_plan_that_cannot_be_kept_is_refused(model: nn.Module, data: Dataset) -> None:
    before = copy.deepcopy(model)
    with pytest.raises(HomotopyError, match="ends only after the training: expected at most 2 steps, got 3"):
        train(model, data, Linear(3), recipe=RECIPE)
    with pytest.raises(HomotopyError, match="expected at most one, got 2"):
        train(model, data, Adaptive(), activations=Adaptive(0.0, 1.0), recipe=RECIPE)
    with pytest.raises(HomotopyError, match="interval >= 1"):
        train(model, data, Linear(1), recipe=RECIPE, interval=0)
    with pytest.raises(UnknownNameError, match=r"no such skip: expected 1 \| 2, got layer9"):
        train(model, data, {"layer9": Linear(1)}, recipe=RECIPE)
    with pytest.raises(HomotopyError, match="no skip of this model carries a strength"):
        train(built(basic), data, Linear(1), recipe=RECIPE)
    assert same(model, before)


def test_an_adaptive_way_without_time_complains(model: nn.Module, data: Dataset) -> None:
    with pytest.raises(HomotopyError, match=r"the training ended before the schedule: expected 0.0, got 0.8"):
        train(model, data, Adaptive(size=0.1, grow=1.0, factor=100.0), recipe=RECIPE)


def test_a_damaged_checkpoint_is_refused(model: nn.Module, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    train(copy.deepcopy(model), data, Linear(2), recipe=RECIPE, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a checkpoint of this model"):
        train(model, data, Linear(2), recipe=RECIPE, checkpoint=path)


@pytest.mark.parametrize("option", ["amp", "channels_last"])
def test_options_of_the_recipe(model: nn.Module, data: Dataset, option: str) -> None:
    recipe = Recipe(epochs=2, batch_size=4, learning_rate=0.05, **{option: True})
    plain, found = copy.deepcopy(model), train(model, data, Linear(1), recipe=recipe)
    assert all(math.isfinite(record.loss) for record in found)
    assert all(value.dtype == torch.float32 for value in model.parameters())
    weight = model.get_parameter("1.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) == (option == "channels_last")
    if option == "amp":
        assert train(plain, data, Linear(1), recipe=Recipe(epochs=2, batch_size=4, learning_rate=0.05)) != found


def test_sensitivity_is_what_each_strength_alone_costs(model: nn.Module, data: Dataset) -> None:
    train(model, data, recipe=RECIPE)
    state = copy.deepcopy(model.state_dict())
    lines = sensitivity(model.train(), data.test_images, data.test_labels, kind=SkipStrength)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [line.loss for line in lines] == sorted(line.loss for line in lines)
    for line in lines:
        set_skip_strength(model, {"1": 1.0, "2": 1.0, line.name: 0.0})
        scores = model.eval()(data.test_images).detach()
        assert line.accuracy == float((scores.argmax(1) == data.test_labels).double().mean())
        assert line.loss == float(nn.functional.cross_entropy(scores.double(), data.test_labels))
