"""Numbers that a model reads out of its weights are its constants; those of inputs and of what changes are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import certify, collapse
from algebraic_cnn.errors import TraceError
from algebraic_cnn.ir.exporting import export

Read = Callable[[Any, Tensor], Any]


class _Reading(nn.Module):
    def __init__(self, read: Read, kind: str = "buffer", first: float = 2.0) -> None:
        super().__init__()
        self.read = read
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        numbers = torch.tensor([first, 3.0])
        if kind == "buffer":
            self.register_buffer("scale", numbers)
        else:
            self.scale = nn.Parameter(numbers) if kind == "parameter" else numbers

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x)) * self.read(self, x)


READS: dict[str, Read] = {
    "float": lambda m, x: float(m.scale[0]),
    "branch": lambda m, x: 2 if m.scale[0] > 1 else 3,
    "loop": lambda m, x: sum(range(int(m.scale[1]))),
    "list": lambda m, x: m.scale.tolist()[0],
    "maximum": lambda m, x: int(m.scale.max()),
    "array": lambda m, x: float(m.scale.detach().numpy()[1]),
    "after a write elsewhere": lambda m, x: (torch.relu_(x + 1), float(m.scale[0]))[1],
    "made in forward": lambda m, x: float((torch.tensor([4.0]) * m.scale)[1]),
}


@pytest.mark.parametrize("name", READS)
def test_a_number_of_a_weight_is_a_constant(name: str) -> None:
    kind = ("parameter", "buffer")[len(name) % 2]
    net, x = _Reading(READS[name], kind).eval(), torch.randn(3, 4)
    assert torch.equal(export(net, x).module()(x), net(x))


def test_the_network_is_collapsed_and_certified() -> None:
    net, x = _Reading(READS["float"]).eval(), torch.randn(3, 4)
    result = collapse(net, x, measure=False)
    torch.testing.assert_close(result.model(x), net(x))
    assert certify(net, result.model, x).ok
    assert certify(net, _Reading(READS["float"], first=2.0000002).eval(), x).verdict != "equal"


@pytest.mark.parametrize(
    "read",
    [
        lambda m, x: float(x[0, 0]),
        lambda m, x: 2 if m.scale[0] * x.sum() > 0 else 3,
        lambda m, x: 1 if float(torch.rand_like(m.scale)[0]) > 0.5 else 2,
        lambda m, x: 1 if torch.rand(1).item() > 0.5 else 2,
        lambda m, x: (float(m.scale[0]), m.scale.add_(1))[0],
        lambda m, x: (m.scale.mul_(2), 1 if m.scale[0] > 100 else 2)[1],
        lambda m, x: 1 if m.scale.index_put((torch.tensor([0]),), x[0, :1])[0] > 0 else 2,
    ],
    ids=["input", "of both", "random", "drawn", "read, then written", "written, then read", "put into a copy"],
)  # fmt: skip
def test_what_may_be_another_number_is_refused(read: Read) -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(TraceError):
        export(_Reading(read).eval(), torch.randn(3, 4))
    torch.random.set_rng_state(state)
