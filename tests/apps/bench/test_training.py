"""The training loop beside the plain one: the same bits at the end, and a difference is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from algebraic_cnn.apps.bench import training
from algebraic_cnn.errors import DataError
from algebraic_cnn.homotopy.classifier import Recipe
from algebraic_cnn.models.resnet import RESNETS

SMALL = {name: (build, 8, 66) for name, (build, side, _) in training.CASES.items() if side == 8}


@pytest.mark.thorough
def test_both_loops_do_the_same_work() -> None:
    layer, resnet = training.training_rows(SMALL, seconds=0.0)
    assert (layer.case, layer.images, layer.steps) == ("one linear layer, 8x8", 66, 2)
    assert layer.fading is None
    assert resnet.fading is not None
    assert min(layer.plain, layer.ratio, resnet.plain, resnet.ratio, resnet.fading) > 0


def test_a_loop_that_does_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = RESNETS["resnet34-narrow"](1, 10)
    data, recipe = training.drawn_images(66, 8), Recipe(epochs=1)
    training.require_same_ends(model, data, recipe)
    honest = training.train
    monkeypatch.setattr(training, "train", lambda m, d, recipe: honest(m, d, recipe=replace(recipe, seed=1)))
    with pytest.raises(DataError, match="other weights"):
        training.require_same_ends(model, data, recipe)
