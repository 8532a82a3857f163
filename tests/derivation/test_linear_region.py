"""The affine map of a piecewise-linear network at an input: against autograd, and against the network on its region."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import exact_map, exact_outputs, local_affine_map
from algebraic_cnn.errors import NotAffineError, ShapeError, UnknownNameError


def drawn(model: nn.Module, seed: int = 0, dtype: torch.dtype = torch.float64, integers: bool = True) -> nn.Module:
    """Small integers, so that float64 does not round; or normal numbers."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            values = rng.integers(-3, 4, parameter.shape) if integers else rng.standard_normal(parameter.shape)
            parameter.copy_(torch.from_numpy(values))
    return model.to(dtype).eval()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu(self.first(x))
        y = nn.functional.leaky_relu(self.second(y) + y, 0.25)
        y = nn.functional.max_pool2d(y, 3, stride=2, padding=1, ceil_mode=True)
        return self.head(y.mean((2, 3)) * 9)


MODELS = {
    "mlp": (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.LeakyReLU(0.5), nn.Linear(4, 2)), (3,)),
    "residual": (Residual(), (2, 5, 5)),
    "pool1d": (nn.Sequential(nn.Conv1d(1, 2, 2), nn.MaxPool1d(2, stride=1), nn.Flatten(), nn.Linear(8, 2)), (1, 6)),
    "dilated": (nn.Sequential(nn.MaxPool2d(2, dilation=2, stride=1, padding=1), nn.ReLU(), nn.Flatten()), (2, 4, 4)),
    "pool3d": (nn.Sequential(nn.Conv3d(1, 2, 2), nn.MaxPool3d((1, 2, 2)), nn.Flatten(), nn.ReLU()), (1, 2, 5, 5)),
    "affine": (nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), (3,)),
}


def inputs(shape: tuple[int, ...], count: int, seed: int = 5) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-4, 5, (count, *shape)).astype(np.float64))


@pytest.mark.parametrize("name", MODELS)
def test_the_map_is_the_network_and_its_jacobian(name: str) -> None:
    """Bit for bit, on integers; at points where no two values tie, the Jacobian is torch's."""
    model, shape = MODELS[name]
    model = drawn(model)
    for seed in range(3):
        x = inputs(shape, 1, seed)
        region = local_affine_map(model, x)
        with torch.no_grad():
            assert np.array_equal(region.affine(x[0].numpy()), model(x)[0].numpy())
        A, c = region.halfspaces()
        margins = A @ x.numpy().ravel() + c
        assert (margins >= 0).all()
        if (margins > 0).all():
            jacobian = torch.autograd.functional.jacobian(lambda z: model(z).sum(0), x)
            assert np.array_equal(region.affine.W, jacobian.reshape(region.affine.W.shape).numpy())


@pytest.mark.parametrize("name", MODELS)
def test_inside_the_region_the_map_is_the_network_and_the_signs_decide(name: str) -> None:
    model, shape = MODELS[name]
    model = drawn(model)
    x = inputs(shape, 1)
    region = local_affine_map(model, x)
    A, c = region.halfspaces()
    inside = 0
    for z in torch.cat([x, inputs(shape, 7), x + 0.125 * inputs(shape, 7, 6) / 16]):
        held = bool((A @ z.numpy().ravel() + c >= 0).all())
        assert region.contains(z) == held
        assert inside or region.contains(z[None]) == held
        if held:
            inside += 1
            with torch.no_grad():
                assert np.array_equal(region.affine(z.numpy()), model(z[None])[0].numpy())
    assert inside >= 1


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("name", ["mlp", "residual", "pool1d"])
def test_the_ball_is_inside_and_touches(name: str, norm: str) -> None:
    """The nearest point of the nearest face is at the radius; just inside it the region goes on, beyond it it ends."""
    model, shape = MODELS[name]
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, *shape)))         # no ties
    region = local_affine_map(drawn(model, 3, integers=False), x)
    radius = region.radius(norm)
    A, c = region.halfspaces()
    margins = A @ x.numpy().ravel() + c
    lengths = np.linalg.norm(A, 2 if norm == "l2" else 1, axis=1)
    nearest = int(np.argmin(np.where(lengths > 0, margins / np.maximum(lengths, 1e-300), np.inf)))
    row = A[nearest]
    direction = row / np.linalg.norm(row) if norm == "l2" else np.sign(row)
    face = torch.from_numpy(radius * direction.reshape(shape))
    assert radius > 0
    assert region.contains(x[0] - face * (1 - 2.0**-40))
    assert not region.contains(x[0] - face * (1 + 2.0**-40))


def test_an_affine_network_is_one_region() -> None:
    region = local_affine_map(drawn(MODELS["affine"][0]), inputs((3,), 1))
    assert region.pattern == ()
    assert region.radius() == math.inf
    assert region.halfspaces()[0].shape == (0, 3)
    assert region.contains(torch.ones(3))


def test_the_exact_map_is_that_of_the_floats() -> None:
    """At x the exact map is the exact network, ReLU by ReLU in fractions."""
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = drawn(nn.Sequential(first, nn.ReLU(), second), 2, torch.float32, integers=False)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3))).float()
    region = local_affine_map(model, x)
    z = [max(value, Fraction(0)) for value in exact_outputs(first, x)[0]]
    layer = exact_map(second, torch.zeros(1, 4))
    f = region.exact()
    at_x = np.array([Fraction(v) for v in x[0].double().tolist()], dtype=object)
    assert np.array_equal(f.W @ at_x + f.b, layer.W @ np.array(z, dtype=object) + layer.b)


def test_a_sign_that_float64_gets_wrong_is_corrected() -> None:
    """1 + 2^-60 - 1 is positive; float64 says 0, and would close the unit and all after it."""
    model = nn.Sequential(nn.Linear(3, 1, bias=False), nn.ReLU(), nn.Linear(1, 1), nn.ReLU()).double().eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0**-60, -1.0]]))
        model[2].weight.fill_(1.0)
        model[2].bias.zero_()
    x = torch.ones(1, 3).double()
    region = local_affine_map(model, x)
    assert [bool(pattern.states.all()) for pattern in region.pattern] == [True, True]
    assert region.contains(x)
    exact = region.exact()
    assert exact.W.ravel().tolist() == [1, Fraction(1, 2**60), -1]


def test_a_value_of_zero_counts_as_closed_and_lies_on_the_face() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU()).double().eval()
    nn.init.ones_(model[0].weight)
    region = local_affine_map(model, torch.zeros(1, 1).double())
    assert not region.pattern[0].states.any()
    assert (region.radius(), region.affine.W.item()) == (0.0, 0.0)
    assert region.contains(torch.zeros(1, 1))
    assert not region.contains(torch.full((1, 1), 2.0**-1000, dtype=torch.float64))


def test_what_has_no_region_is_refused() -> None:
    with pytest.raises(NotAffineError, match=r"gelu is no ReLU"):
        local_affine_map(nn.Sequential(nn.Linear(2, 2), nn.GELU()).eval(), torch.zeros(1, 2))
    region = local_affine_map(drawn(MODELS["mlp"][0]), torch.zeros(1, 3).double())
    with pytest.raises(ShapeError, match="not one input"):
        region.contains(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="not one input"):
        local_affine_map(drawn(MODELS["mlp"][0]), torch.zeros(2, 3).double())
    with pytest.raises(UnknownNameError, match="no such norm"):
        region.radius("l7")
