"""The forms in which a stencil runs: each makes the call that names it, and on whole numbers gives torch's outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.borders import EAGER
from tests.collapsed import ops


class Shifted(nn.Module):
    """x plus a constant of its own for every entry."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


def whole(model: nn.Module) -> nn.Module:
    """In float64, every number a small integer, every BatchNorm exact."""
    rng = np.random.default_rng(0)
    for name, tensor in [*model.double().eval().named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not name.endswith("running_var"):
            tensor.data = torch.from_numpy(rng.integers(-2, 3, tuple(tensor.shape)).astype(float))
    for module in model.modules():
        module.eps = 3.0  # 1 + 3 is a square
    return model


IMAGE, LINE = (2, 8, 8), (2, 9)
FORMS = {
    "a scale and numbers": (lambda: [nn.BatchNorm2d(2), nn.BatchNorm2d(2)], IMAGE, "mul"),
    "a scale and an image": (lambda: [nn.BatchNorm2d(2), Shifted(2, 8, 8)], IMAGE, "add"),
    "a matrix": (lambda: [nn.Linear(9, 4), nn.Linear(4, 3)], (9,), "linear"),
    "a matrix, channels last": (lambda: [nn.Linear(9, 4), nn.Linear(4, 3)], LINE, "linear"),
    "a matrix and an image, channels last": (lambda: [nn.Linear(9, 3), Shifted(2, 3), nn.Linear(3, 3)], LINE, "add"),
    "one pixel": (lambda: [nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 1)], (2, 1, 1), "linear"),
    "a convolution": (lambda: [nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 1)], IMAGE, "conv2d"),
    "a convolution and an image": (lambda: [nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 3, padding=1)], IMAGE, "add"),
    "padding on one side": (lambda: [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(2, 2, 3, 2)], IMAGE, "conv2d"),
    "a crop": (lambda: [nn.ZeroPad2d(-1), nn.Conv2d(2, 2, 3)], IMAGE, "conv2d"),
    "transposed": (lambda: [nn.ConvTranspose2d(2, 8, 4, 2, 1), nn.Conv2d(8, 64, 1)], IMAGE, "conv_transpose2d"),
    "transposed, one axis": (lambda: [nn.ConvTranspose1d(2, 8, 3, 2), nn.Conv1d(8, 64, 1)], LINE, "conv_transpose1d"),
    "transposed, three axes": (
        lambda: [nn.ConvTranspose3d(2, 8, 2, 2), nn.Conv3d(8, 64, 1)],
        (2, 3, 3, 3),
        "conv_transpose3d",
    ),
    "phases": (lambda: [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3)], IMAGE, "conv2d"),
    "phases of one axis": (lambda: [nn.ConvTranspose1d(2, 3, 4, 2, 1), nn.Conv1d(3, 2, 3, stride=3)], LINE, "conv1d"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_network(name: str) -> None:
    layers, shape, call = FORMS[name]
    model = whole(nn.Sequential(*layers()))
    x = torch.from_numpy(np.random.default_rng(1).integers(-64, 65, (2, *shape)).astype(float))
    result = collapse(model, x * 64, prices=EAGER, measure=False)
    assert torch.equal(result.model(x * 64), model(x * 64))
    assert ops(result.model)[call] >= 1, ops(result.model)
    assert result.certificate.ok
