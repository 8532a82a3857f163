"""Networks in three forms side by side, on a small network that stands in for timm's; drawn numbers and counts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.apps.bench import engines, reparameterised
from algebraic_cnn.apps.bench.contenders import ENGINES
from algebraic_cnn.apps.bench.engines import model_rows
from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.apps.bench.reparameterised import counts, network
from algebraic_cnn.errors import MissingExtraError, UnknownNameError


class Block(nn.Module):
    """A convolution and a BatchNorm beside a 1x1 convolution, then a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.three, self.norm, self.one = nn.Conv2d(3, 3, 3, 4, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1, 4)
        nn.init.zeros_(self.one.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.three(x)) + self.one(x))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timm with one network, whose own conversion does nothing."""
    stand_in = SimpleNamespace(
        list_models=lambda: ["small"], create_model=lambda name, pretrained: nn.Sequential(Block(), Block())
    )
    monkeypatch.setattr(reparameterised, "_timm", lambda: stand_in)
    monkeypatch.setattr(engines, "converted", lambda model: model)


@pytest.mark.usefixtures("small")
def test_three_forms_are_counted_compared_and_timed() -> None:
    rows = list(model_rows(["small"], ["eager"], seconds=0.0, measure=False))
    assert [(row.form, row.convolutions, row.norms) for row in rows] == [
        ("given", 4, 2),
        ("timm", 4, 2),
        ("ours", 2, 0),
    ]
    assert all(row.seconds["eager"] > 0 for row in rows)
    assert all(0 <= row.error < 1e-5 for row in rows)


@pytest.mark.usefixtures("small")
def test_a_run_goes_on_where_it_stopped_and_adds_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, said = tmp_path / "models.jsonl", []
    how = {"seconds": 0.0, "measure": False, "progress": said.append}
    first = list(model_rows(["small"], ["eager"], records, **how))
    assert said == ["small: timm is made", "small: ours is made", "small: eager"]
    assert list(model_rows(["small"], ["eager"], records, **how)) == first
    assert len(said) == 3
    monkeypatch.setitem(ENGINES, "frozen", ENGINES["eager"])
    both = list(model_rows(["small"], ["eager", "frozen"], records, **how))
    assert said[-1] == "small: frozen"
    assert [row.seconds["eager"] for row in both] == [row.seconds["eager"] for row in first]
    assert all(row.seconds["frozen"] > 0 for row in both)
    assert len(records.read_text().splitlines()) == 2


@pytest.mark.usefixtures("small")
def test_what_an_engine_cannot_take_is_a_note_and_the_other_forms_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def particular(model: nn.Module, batch: Tensor) -> object:
        if counts(model, batch) == (2, 0):
            raise RuntimeError("too few BatchNorms\nfor me")
        return ENGINES["eager"](model, batch)

    monkeypatch.setitem(ENGINES, "onnx", particular)
    given, by_hand, ours = model_rows(["small"], ["onnx"], seconds=0.0, measure=False)
    assert ours.notes == {"onnx": "too few BatchNorms"}
    assert (set(ours.seconds), set(given.seconds), set(by_hand.seconds)) == (set(), {"onnx"}, {"onnx"})


@pytest.mark.usefixtures("small")
def test_a_network_is_the_same_for_the_same_seed_and_its_statistics_do_something() -> None:
    before = torch.get_rng_state()
    first, again, other = (network("small", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    states = [list(model.state_dict().values()) for model in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))
    assert not torch.equal(first[0].norm.running_mean, first[1].norm.running_mean)
    assert first[0].one.bias.all()
    assert not first.training


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("names", "engines"), [(["large"], ["eager"]), (["small"], ["steam"])])
def test_unknown_names_are_refused(names: Sequence[str], engines: Sequence[str]) -> None:
    with pytest.raises(UnknownNameError):
        next(model_rows(names, engines))


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match="models"):
        network("resnet34")


def test_calls_are_counted_not_modules() -> None:
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = randomised(nn.Sequential(shared, nn.BatchNorm2d(3), shared))
    assert counts(model, torch.zeros(1, 3, 8, 8)) == (2, 1)
