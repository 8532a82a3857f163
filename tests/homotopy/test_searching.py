"""Orders and searches: every skip has its stretch, a search goes on where it was killed, and judges without skips."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch
from torch import nn

from algebraic_cnn import HomotopyError, MissingExtraError, UnknownNameError
from algebraic_cnn.homotopy import (
    Linear,
    Way,
    fading_orders,
    in_order,
    search_schedule,
    sensitivity,
    set_skip_strength,
    skip_strengths,
    with_skip_strength,
)
from algebraic_cnn.homotopy.classifier import Recipe
from algebraic_cnn.homotopy.searching import accuracy_at_zero
from algebraic_cnn.homotopy.strengths import SkipStrength

from .networks import basic, built, images
from .runs import bands

RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=0.05)
DATA = bands(3, 8, 40, 32, "thirds")


@functools.cache
def _strengthened() -> nn.Module:
    torch.manual_seed(0)
    return with_skip_strength(built(basic), images(1))


def make() -> nn.Module:
    return copy.deepcopy(_strengthened())


def test_orders_name_every_skip_once() -> None:
    model = make()
    names = list(skip_strengths(model))
    found = fading_orders(model, DATA.test_images, DATA.test_labels)
    assert found.pop("together") == ()
    assert all(sorted(order) == sorted(names) for order in found.values())
    assert found["deepest first"] == tuple(reversed(names))
    lines = sensitivity(model, DATA.test_images, DATA.test_labels, kind=SkipStrength)
    assert found["cheapest first"] == tuple(line.name for line in sorted(lines, key=lambda line: line.loss))
    with pytest.raises(HomotopyError, match="strength"):
        fading_orders(nn.Linear(1, 1))


@pytest.mark.parametrize("steps", [3, 7, 10])
def test_one_skip_fades_after_the_other(steps: int) -> None:
    ways = in_order(Linear, steps, 0.5, ["a", "b", "c"])
    seen = [[way.value for way in ways.values()]]
    for _ in range(steps):
        seen.append([way.step() for way in ways.values()])
    assert seen[0] == [0.5, 0.5, 0.5]
    assert seen[-1] == [0.0, 0.0, 0.0]
    assert all(sum(0 < t < 0.5 for t in now) <= 1 for now in seen)
    assert sum(max(way.length for way in ways.values()) == way.length for way in ways.values()) == 1
    with pytest.raises(HomotopyError, match="too few"):
        in_order(Linear, 2, 1.0, ["a", "b", "c"])


@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential", "step"])
@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_ways_end_within_their_budget(kind: str, names: tuple[str, ...]) -> None:
    plan = Way(kind, 1.0, 0.5, "some", names).plan(9)
    schedules = plan.values() if isinstance(plan, dict) else [plan]
    assert max(schedule.length for schedule in schedules) == round(4.5)


def test_a_network_is_judged_without_its_skips_and_left_alone() -> None:
    model = make().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = accuracy_at_zero(model, DATA)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    set_skip_strength(model, 0.0)
    model.eval()
    with torch.no_grad():
        expected = (model(DATA.test_images).argmax(1) == DATA.test_labels).double().mean()
    assert found == float(expected)


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    path = tmp_path / "search.log"
    first = search_schedule(make, DATA, recipe=RECIPE, trials=2, storage=path, seed=3)
    said: list[tuple[int, int]] = []
    options = {"recipe": RECIPE, "trials": 4, "storage": path, "seed": 3}
    second = search_schedule(make, DATA, **options, progress=lambda done, total, words: said.append((done, total)))
    assert said == [(3, 4), (4, 4)]
    assert [trial["number"] for trial in second.trials] == [0, 1, 2, 3]
    assert second.trials[:2] == first.trials
    assert len({str(trial["way"]) for trial in second.trials}) == 4
    finished = [trial["accuracy"] for trial in second.trials if trial["state"] == "complete"]
    assert second.accuracy == max(finished) >= first.accuracy
    again = search_schedule(make, DATA, recipe=RECIPE, trials=4, storage=path)
    assert again == second


def test_evolution_searches_too() -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("cmaes")
    found = search_schedule(make, DATA, recipe=RECIPE, trials=3, sampler="cmaes", pruning=False)
    starts = [trial["way"]["start"] for trial in found.trials]
    assert len(set(starts)) == 3
    assert all(0.25 <= start <= 1 for start in starts)
    assert found.accuracy == max(trial["accuracy"] for trial in found.trials)


def test_the_best_way_gives_its_accuracy_again() -> None:
    pytest.importorskip("optuna")
    found = search_schedule(
        make, DATA, recipe=RECIPE, trials=2, sampler="random", orders={"together": ()}, pruning=False
    )
    alone = search_schedule(
        make, DATA, recipe=RECIPE, trials=1, sampler="random", orders={"together": ()}, pruning=False
    )
    assert alone.trials[0] == found.trials[0]
    assert found.best.order == "together"


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(UnknownNameError, match="sampler"):
        search_schedule(make, DATA, recipe=RECIPE, sampler="best")
    with pytest.raises(HomotopyError, match="measure"):
        search_schedule(make, DATA, recipe=RECIPE, held_out=0.0)
    with pytest.raises(HomotopyError, match="measure"):
        search_schedule(make, DATA, recipe=RECIPE, trials=0)
    monkeypatch.setitem(__import__("sys").modules, "cmaes", None)
    with pytest.raises(MissingExtraError, match="search"):
        search_schedule(make, DATA, recipe=RECIPE, sampler="cmaes")
