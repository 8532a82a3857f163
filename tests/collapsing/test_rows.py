"""The first axis is the batch or it is not: samples taken together, windows, tokens, and heads that lose an axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.collapsing import cut
from algebraic_cnn.collapsing.realisation import Work
from algebraic_cnn.errors import ShapeError, UncertifiedError
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.graph import Rows
from algebraic_cnn.ir.trace import trace

from ..collapsed import randomised
from ..torches import but_for


class Calls(nn.Module):
    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function, self.names = function, list(parts)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, name) for name in self.names))


def head(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    """A mean over one token, whose axis goes, and a matrix."""
    return b(a(x).mean(1))


def flat_norm(x: Tensor, a: nn.Module, n: nn.Module) -> Tensor:
    """LeViT: a BatchNorm on all tokens of all samples."""
    y = a(x)
    return n(y.flatten(0, 1)).reshape_as(y)


def windows(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    """Swin: 2 x 2 windows of 4 x 4 pixels as samples, and back."""
    y = x.view(-1, 2, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, 3)
    y = b(a(y)).view(-1, 2, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5)
    return y.contiguous().view(-1, 4, 4, 3)


def pairs(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    """Every second sample is taken from the one before."""
    y = b(a(x)).reshape(-1, 2, 1, 3)
    return y[:, 0] - y[:, 1]


def reversed_rows(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    return b(a(x).flip(0))


def tokens_twice(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    """Tokens joined to tokens, each with channels last: not along the channels."""
    return torch.cat([a(x) * 2, b(x)], 1) + 1


LINEAR = {"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)}
CASES = {
    "a token's axis goes": (head, (1, 3), LINEAR),
    "BatchNorm on tokens": (flat_norm, (4, 3), {"a": nn.Linear(3, 3), "n": nn.BatchNorm1d(3)}),
    "windows": (windows, (4, 4, 3), LINEAR),
    "pairs of samples": (pairs, (1, 3), LINEAR),
    "tokens joined": (tokens_twice, (2, 4, 3), LINEAR),
    "samples reversed": (reversed_rows, (3,), LINEAR),
}


def drawn(name: str, batch: int) -> tuple[nn.Module, Tensor]:
    function, shape, parts = CASES[name]
    x = torch.randn(batch, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(batch))
    return randomised(Calls(function, **parts)).requires_grad_(False), x


@pytest.mark.parametrize("name", but_for({"pairs of samples": "takes half of two samples for one"}, CASES))
def test_every_batch_gives_what_the_model_gives(name: str) -> None:
    model, x = drawn(name, 2)
    new = collapse(model, x, measure=False).model
    for batch in (2, 4, 6):
        _, x = drawn(name, batch)
        expected, got = model(x), new(x)
        assert got.shape == expected.shape
        assert torch.equal(got.float(), expected.float())


def test_a_first_axis_that_is_not_the_batch_is_known() -> None:
    model, x = drawn("windows", 2)
    graph = trace(model, x)
    shapes = {call.shape for call in graph.calls}
    assert (Rows.of(8, 12), 4, 3) in shapes
    assert (None, 4, 4, 3) in shapes
    assert (Rows.of(8, 12), 3) != (4, 3)


def test_a_form_that_keeps_an_axis_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = drawn("a token's axis goes", 1)
    monkeypatch.setattr(Work, "shaped", lambda self, x, shape: x)
    with pytest.raises(UncertifiedError, match="rank"):
        collapse(model, x, measure=False)


def test_a_matrix_of_samples_that_mix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x).flip(0)).relu()

    model, x = randomised(Doubled()), torch.zeros(2, 3, dtype=torch.float64)
    assert collapse(model, x, measure=False).certificate.ok
    monkeypatch.setattr(cut, "apart", lambda graph, device: True)
    monkeypatch.setattr("algebraic_cnn.derivation.methods.require_samples_apart", lambda graph, device: None)
    with pytest.raises(UncertifiedError, match="not what replaces it"):
        collapse(model, x, measure=False)


def test_two_names_of_one_value_both_come_back() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.n = nn.Linear(8, 8), nn.BatchNorm1d(8)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.n(self.a(x) / 3).flatten(1)
            return y, y.reshape(-1, 8).view_as(y)

    model, x = randomised(Twice()).requires_grad_(False), torch.ones(3, 8, dtype=torch.float64)
    for expected, got in zip(model(x), collapse(model, x, measure=False).model(x), strict=True):
        assert torch.equal(expected.float(), got.float())


@pytest.mark.parametrize("after", ["nothing", "linear"])
def test_a_sum_that_drops_an_axis_and_is_repeated_is_no_map_of_channels(after: str) -> None:
    def repeated(x: Tensor, linear: nn.Module) -> Tensor:
        y = x.relu().sum(1).unsqueeze(1).repeat(1, 4, 1)
        return linear(y) if after == "linear" else y

    model, x = randomised(Calls(repeated, linear=nn.Linear(3, 3))).requires_grad_(False), torch.arange(24.0).double()
    x = x.reshape(2, 4, 3)
    assert torch.equal(collapse(model, x, measure=False).model(x), model(x))


def test_a_part_of_a_network_takes_as_many_rows_as_it_is_given() -> None:
    graph = trace(nn.Linear(3, 2).eval(), torch.zeros(2, 3))
    part = emit(replace(graph, input_shapes=((Rows.of(8, 12), 3),)))
    assert part(torch.zeros(8, 3)).shape == (8, 2)
    with pytest.raises(ShapeError, match="another shape"):
        part(torch.zeros(8, 4))
