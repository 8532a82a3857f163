"""A graph becomes a module again: same signature, same outputs to the last bit, and a file that torch reads."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.errors import ShapeError
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.trace import trace


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.register_buffer("order", torch.tensor([2, 0, 1, 3]))

    def forward(self, x: Tensor, y: Tensor) -> dict[str, object]:
        z = self.bn(self.conv(x)).relu_() + self.conv(y)
        return {"flat": z[:, self.order].reshape(x.shape[0], -1), "rest": [(z.mean((2, 3)), y), 3]}


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    model = Nested().eval()
    return model, emit(trace(model, (torch.zeros(2, 3, 5, 5), torch.zeros(2, 3, 5, 5))))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_outputs_nest_and_equal_the_models(pair, batch: int) -> None:
    x, y = torch.randn(2, batch, 3, 5, 5, generator=torch.Generator().manual_seed(batch))
    expected, got = (model(x, y=y) for model in pair)
    assert expected.keys() == got.keys()
    assert torch.equal(expected["flat"], got["flat"])
    assert torch.equal(expected["rest"][0][0], got["rest"][0][0])
    assert got["rest"][1] == 3


def test_parameters_keep_their_names(pair) -> None:
    names = set(pair[1].state_dict())
    assert names == {name for name in pair[0].state_dict() if "num_batches" not in name}


def test_another_size_is_refused(pair) -> None:
    x = torch.zeros(1, 3, 5, 5)
    with pytest.raises(ShapeError, match="any"):
        pair[1](torch.zeros(1, 3, 5, 6), x)


def test_it_exports_and_saves(pair, tmp_path) -> None:
    x = torch.ones(2, 3, 5, 5)
    program = torch.export.export(pair[1], (x, x))
    torch.export.save(program, tmp_path / "nested.pt2")
    again = torch.export.load(tmp_path / "nested.pt2").module()
    assert torch.equal(again(x, x)["flat"], pair[0](x, x)["flat"])


def test_a_dtype_rounds_floats_once_and_leaves_integers(pair) -> None:
    x = torch.zeros(2, 3, 5, 5)
    model = emit(trace(pair[0], (x, x)), dtype=torch.bfloat16)
    assert torch.equal(model.conv.weight, pair[0].conv.weight.bfloat16())
    assert model.order.dtype == torch.int64


class Exchanged(nn.Module):
    """A buffer that multiplies the input, and is overwritten in the same call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((3,), 2.0))

    def forward(self, x):
        y = x * self.scale.clone()
        self.scale.mul_(0.5)
        return y


def test_what_an_overwritten_buffer_multiplied_can_be_differentiated() -> None:
    model, x = Exchanged().eval(), torch.ones(2, 3, requires_grad=True)
    again = emit(trace(model, torch.zeros(2, 3)))
    for factor in (2.0, 1.0, 0.5):
        (gradient,) = torch.autograd.grad(again(x).sum(), x)
        assert torch.equal(gradient, torch.full((2, 3), factor))
    copied = copy.deepcopy(again)
    assert torch.equal(torch.autograd.grad(copied(x).sum(), x)[0], torch.full((2, 3), 0.25))
    with torch.no_grad():
        assert torch.equal(again(x), torch.full((2, 3), 0.25))
