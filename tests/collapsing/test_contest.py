"""The whole result against the model as it was given: what does not pay is not handed over."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.patterns import randomised
from algebraic_cnn.collapsing import contest
from algebraic_cnn.collapsing.contest import comparable, slower
from algebraic_cnn.ir.trace import trace


class Late(nn.Module):
    """The same network, and a wait of some milliseconds from so many samples on."""

    def __init__(self, network: nn.Module, least: int) -> None:
        super().__init__()
        self.network, self.least = network, least

    def forward(self, x: Tensor) -> Tensor:
        if len(x) >= self.least:
            time.sleep(0.01)
        return self.network(x)


def folding() -> tuple[nn.Module, Tensor]:
    layers = nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    return randomised(nn.Sequential(*layers)), torch.zeros(1, 2, 9, 9)


@pytest.mark.parametrize(("least", "said"), [(1, "for 1 sample"), (8, "for 8 samples"), (9, "")])
def test_a_network_that_is_slower_at_one_sample_or_at_eight_loses(least: int, said: str) -> None:
    model, x = folding()
    given, graph = Late(model, 10**9).eval(), trace(model, x)
    why = slower(given, Late(model, least).eval(), graph)
    assert why.endswith(said)
    assert bool(why) == bool(said)


def test_what_loses_as_a_whole_is_the_model_as_it_was_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algebraic_cnn.collapsing.pipeline.slower", lambda *_, **__: "the whole network is slower")
    model, x = folding()
    result = collapse(model, x)
    assert type(result.model) is nn.Sequential
    assert result.model is not model
    assert result.certificate is not None
    assert result.certificate.statement.startswith("every call is as it was.")
    assert "the whole network is slower" in str(result.report)
    images = torch.randn(3, 2, 9, 9)
    assert torch.equal(result.model(images), model(images))


def test_what_is_to_be_small_stands_no_race_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algebraic_cnn.collapsing.pipeline.slower", lambda *_, **__: "the whole network is slower")
    model, x = folding()
    given, kept = (collapse(model, x, prefer=prefer).report.bytes for prefer in ("speed", "size"))
    assert given[0] == given[1] == kept[0] > kept[1]


def test_a_network_without_anything_to_gain_is_a_copy_of_the_model_with_numbers_of_its_own() -> None:
    model = randomised(nn.Sequential(nn.ReLU(), nn.Conv2d(2, 4, 3), nn.ReLU()))
    result = collapse(model, torch.zeros(1, 2, 9, 9))
    assert type(result.model) is nn.Sequential
    before, after = (next(network.parameters()) for network in (model, result.model))
    assert torch.equal(before, after)
    assert before.data_ptr() != after.data_ptr()


def test_without_the_clock_the_result_is_the_calls_of_the_graph() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(2, 4, 3)).eval()
    assert isinstance(collapse(model, torch.zeros(1, 2, 9, 9), measure=False).model, torch.fx.GraphModule)


def test_a_model_that_writes_its_buffers_is_not_raced() -> None:
    class Counter(nn.Module):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.seen.add_(1)
            return self.layer(x)

    model, x = Counter().eval(), torch.zeros(1, 2)
    assert not comparable(model, trace(model, x))
    collapse(model, x)
    assert model.seen == 0


def test_a_model_that_cannot_be_copied_is_written_out_as_calls() -> None:
    model = nn.Linear(2, 2).eval()
    model.scaled = model.weight * 2  # a tensor with a history: torch copies none
    assert contest.as_given(model) is None


def test_a_matrix_on_few_pixels_must_pay_for_the_numbers_that_it_adds() -> None:
    layers = nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()
    model, x = randomised(nn.Sequential(*layers)), torch.zeros(1, 128, 2, 2)
    result = collapse(model, x, measure=False)
    assert [region.form for region in result.report.regions] == ["conv2d 3x3"]
    numbers = [sum(p.numel() for p in network.parameters()) for network in (model, result.model)]
    assert numbers[1] <= numbers[0]
