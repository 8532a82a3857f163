"""The module that a collapse gives is an ordinary one: it pickles, trains on, keeps buffers, and owns its numbers."""

from __future__ import annotations

import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.ir.emission import emit
from algebraic_cnn.ir.trace import trace

from ..collapsed import randomised


class Taken(nn.Module):
    """A network whose constants have the names of what a module has for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.tensor([1, 2, 3]))
        self.mul, self.code = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.code(self.mul(x).relu()) * self.counts.to(x.dtype)
        return {"y": y.sigmoid() * (self.counts * 2).double()}


@pytest.fixture
def block() -> tuple[nn.Module, Tensor]:
    model = randomised(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)))
    return model, torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_it_pickles(block) -> None:
    model, x = block
    new = collapse(model, x, measure=False).model
    again = pickle.loads(pickle.dumps(new))  # noqa: S301
    assert torch.equal(again(x), new(x))
    with pytest.raises(ValueError, match="another shape"):
        again(x[:, :2])


def test_torch_saves_and_loads_it(block) -> None:
    model, x = block
    new = collapse(model, x, measure=False).model
    file = io.BytesIO()
    torch.save(new, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), new(x))


def test_statistics_stay_buffers(block) -> None:
    model, x = block
    new = collapse(model, x, measure=False).model
    given = {name for name, _ in model.named_buffers()}
    assert {"3.running_mean", "3.running_var"} <= {name for name, _ in new.named_buffers()} <= given
    assert {"3.weight", "3.bias"} <= {name for name, _ in new.named_parameters()}


def test_frozen_parts_stay_frozen(block) -> None:
    model, x = block
    model = nn.Sequential(model, nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)).double().eval()
    model[0].requires_grad_(False)
    new = collapse(model, x, measure=False).model
    trained = {name: parameter.requires_grad for name, parameter in new.named_parameters()}
    assert trained == {"0.0.W": False, "0.0.b": False, "1.W": True, "1.b": True}


def test_a_step_of_training_lessens_the_loss_and_leaves_the_model_alone(block) -> None:
    model, x = block
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = collapse(model, x, measure=False).model
    optimiser = torch.optim.SGD(new.parameters(), 1e-6)
    losses = []
    for _ in range(2):
        loss = new(x).square().sum()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[1] < losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_gradients_of_inputs_are_the_models(block) -> None:
    model, x = block
    new = collapse(model, x, measure=False).model
    grads = []
    for each in (model, new):
        z = x.clone().requires_grad_()
        grads.append(torch.autograd.grad(each(z).square().sum(), z)[0])
    assert torch.equal(grads[0].float(), grads[1].float())


def test_names_of_a_modules_own_are_given_to_no_number() -> None:
    model = randomised(Taken())
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    new = collapse(model, x, measure=False).model
    assert torch.equal(new(x)["y"].float(), model(x)["y"].float())
    assert callable(new.to)


def test_tied_weights_stay_tied() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, nn.ReLU(), second, nn.Tanh()).eval()
    new = emit(trace(model, torch.zeros(1, 3)))
    assert len(list(new.parameters())) == len(list(model.parameters())) == 1
    assert next(new.parameters()).data_ptr() != first.weight.data_ptr()


def test_a_result_is_written_in_few_lines(block) -> None:
    model, x = block
    text = repr(collapse(model, x, measure=False))
    assert text.startswith("Collapse: ")
    assert "became" in text
    assert len(text.splitlines()) < 10
    assert "tensor(" not in text
