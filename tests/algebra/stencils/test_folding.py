"""The numbers of pieces: f(0), and the linear part on an image, against torch on whole numbers, bit for bit.

piece_of     the piece that a module is, from its input to its output
whole        a module in float64 whose every number is a small integer: no sum is rounded
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.algebra.stencils.folding import linear, offset, sure_form
from algebraic_cnn.algebra.stencils.pieces import Piece, settled
from algebraic_cnn.derivation.definitions import joined, network_of
from algebraic_cnn.errors import ShapeError
from algebraic_cnn.ir.spelling import plain
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.rings.ring import Float
from tests.algebra.stencils.test_stencil import convolved

F = Float()


class Joined(nn.Module):
    """Modules on one input, added or concatenated."""

    def __init__(self, *parts: nn.Module, cat: bool = False) -> None:
        super().__init__()
        self.parts, self.cat = nn.ModuleList(parts), cat

    def forward(self, x: Tensor) -> Tensor:
        values = [part(x) for part in self.parts]
        return torch.cat(values, 1) if self.cat else sum(values[1:], values[0])


def whole(model: nn.Module) -> nn.Module:
    rng = np.random.default_rng(0)
    for tensor in model.double().eval().parameters():
        tensor.data = torch.from_numpy(rng.integers(-2, 3, tuple(tensor.shape)).astype(float))
    return model


def piece_of(model: nn.Module, x: Tensor) -> Piece:
    (definition,) = joined(network_of(plain(trace(model, x)))).definitions.values()
    ((_, piece),) = definition.operands
    return settled(piece)


def conv(c_in: int = 2, c_out: int = 2, kernel: int | tuple[int, int] = 3, **options) -> nn.Module:
    padding = kernel // 2 if isinstance(kernel, int) else 0
    return nn.Conv2d(c_in, c_out, kernel, **{"padding": padding, **options})


MODELS = {
    "one layer": lambda: conv(),
    "a bias that meets padding": lambda: nn.Sequential(conv(), conv()),
    "no bias": lambda: nn.Sequential(conv(bias=False), conv(bias=False)),
    "a sum, one bias": lambda: Joined(conv(), conv(kernel=1, bias=False)),
    "a sum of chains": lambda: Joined(nn.Sequential(conv(), conv()), conv(), nn.Identity()),
    "a concatenation, no bias": lambda: Joined(conv(bias=False), conv(kernel=1, bias=False), cat=True),
    "a concatenation, one bias": lambda: Joined(conv(), conv(kernel=1, bias=False), cat=True),
    "a concatenation of an image and numbers": lambda: Joined(nn.Sequential(conv(), conv()), conv(), cat=True),
    "a concatenation, then a layer": lambda: nn.Sequential(Joined(conv(), nn.Identity(), cat=True), conv(4)),
    "numbers through a pool": lambda: nn.Sequential(conv(padding=0), nn.AvgPool2d(2), conv(kernel=1)),
    "a pool that does not count padding": lambda: nn.Sequential(
        conv(), nn.AvgPool2d(2, 2, 1, count_include_pad=False), conv(kernel=1)
    ),
    "an average over all": lambda: nn.Sequential(conv(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)),
    "reflection": lambda: conv(padding_mode="reflect"),
    "a value outside": lambda: nn.Sequential(nn.ConstantPad2d(1, 3.0), conv(padding=0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_offset_and_linear_part_are_those_of_the_network(name: str) -> None:
    model = whole(MODELS[name]())
    x = torch.from_numpy(np.random.default_rng(1).integers(-4, 5, (1, 2, 8, 8)).astype(float))
    piece = piece_of(model, x)
    zero, y = (model(value)[0].detach().numpy() for value in (torch.zeros_like(x), x))
    found = offset(piece, F)
    found = np.zeros(len(zero)) if found is None else found
    found = found.reshape(found.shape if found.ndim == zero.ndim else (-1, *[1] * (zero.ndim - 1)))
    assert np.array_equal(np.broadcast_to(found, zero.shape), zero)
    assert np.array_equal(linear(piece, x[0].numpy(), F).reshape(y.shape), y - zero)


def test_what_is_no_map_of_images_has_no_taps_and_no_linear_part() -> None:
    piece = piece_of(nn.Flatten().double().eval(), torch.zeros(1, 2, 3, 3, dtype=torch.float64))
    with pytest.raises(ShapeError, match="no map of images"):
        sure_form(piece)
    with pytest.raises(ShapeError, match="no map of images"):
        linear(piece, np.zeros((2, 3, 3)), F)
    assert offset(piece, F) is None
    moved = nn.Sequential(conv(), nn.Flatten(), nn.Linear(18, 1)).double().eval()
    with pytest.raises(ShapeError, match="no map of images"):
        offset(piece_of(moved, torch.zeros(1, 2, 3, 3, dtype=torch.float64)), F)


def circle(c_in: int = 2, c_out: int = 2, kernel: int | tuple[int, int] = 3, **options) -> nn.Module:
    return conv(c_in, c_out, kernel, **{"padding_mode": "circular", **options})


CIRCLES = {
    "two layers": (lambda: [circle(), circle()], [(2, 2), (2, 2)]),
    "kernels of two sizes": (lambda: [circle(kernel=5), circle(kernel=1), circle()], [(3, 3), (3, 3)]),
    "a stride before a circle": (lambda: [circle(stride=2), circle()], [(3, 2), (3, 2)]),
    "a stride at the end": (lambda: [circle(), circle(stride=2)], [(2, 1), (2, 1)]),
    "upsampling between": (lambda: [circle(), nn.Upsample(scale_factor=2), circle()], [(2, 2), (2, 2)]),
    "zeros inside": (lambda: [circle(), conv(), circle()], None),
    "zeros along one axis": (lambda: [circle(kernel=(3, 1), padding=(1, 0)), conv(kernel=(1, 3), padding=(0, 1))],
                             [(1, 1), (0, 0)]),
    "a crop inside": (lambda: [circle(), conv(padding=0), circle()], None),
    "further than once round": (lambda: [circle(kernel=7), circle(kernel=7)], [(6, 6), (6, 6)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CIRCLES)
def test_chains_around_a_circle_are_one_convolution_around_it(name: str) -> None:
    """A circle read further, and then one convolution without any, gives what torch gives; else it is none."""
    make, expected = CIRCLES[name]
    model = whole(nn.Sequential(*make()))
    x = torch.from_numpy(np.random.default_rng(2).integers(-4, 5, (1, 2, 4, 4)).astype(float))
    piece = piece_of(model, x)
    found = sure_form(piece)
    assert ([axis.around for axis in found.axes] if found.exact else None) == expected
    if expected is not None:
        longer = np.pad(x[0].numpy(), [(0, 0), *expected], mode="wrap")
        y, shift = convolved(found, longer, [axis.unrolled for axis in found.axes]), offset(piece, F)
        if shift is not None:
            y = y + shift.reshape(len(shift), *(shift.shape[1:] or (1, 1)))
        assert np.array_equal(y, model(x)[0].detach().numpy())
