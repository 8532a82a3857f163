"""A network as one map of images of every size: what torch computes there, and what has none says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import derive, operator
from algebraic_cnn.errors import NotAffineError, ShapeError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.registry import OPS, SAMPLES
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.ring import Rationals


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x) * 2


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1, padding_mode="replicate"), nn.Conv2d(2, 2, 1)

    def forward(self, x):
        first, second = self.one(x).chunk(2, 1)
        return torch.cat([first - 3, self.two(x)[:, 1:], -second], 1) / 4


NETWORKS = {
    "reflect": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.Conv2d(3, 2, 3, 2, 1)),
    "replicate": lambda: nn.Sequential(nn.ReplicationPad2d(2), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1)),
    "circular": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.Conv2d(2, 2, 5, padding=2, padding_mode="circular")
    ),
    "bilinear": lambda: nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 1, 3, padding=1)
    ),
    "bicubic": lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic"), nn.Conv2d(2, 1, 3, padding=1)),
    "residual": lambda: nn.Sequential(
        Residual(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")), nn.ConstantPad2d((1, 2, 0, 1), 1.0)
    ),
    "branches": Branches,
    "transposed, shuffled": lambda: nn.Sequential(
        nn.ConvTranspose2d(2, 8, 3, 2, 1), nn.PixelShuffle(2), nn.ChannelShuffle(2), nn.PixelUnshuffle(2)
    ),
    "pools": lambda: nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(2, 2, 3, padding=1), nn.Dropout()),
}


def whole(name: str) -> nn.Module:
    """The network with small whole numbers, so that sums of products are exact."""
    model, generator = NETWORKS[name](), torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        tensor.data = 4 * torch.randint(-3, 4, tensor.shape, generator=generator).double()
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_at_every_size(name: str) -> None:
    model = whole(name)
    f = operator(model, torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    for sizes in ((8, 8), (4, 6), (11, 17)):
        x = torch.randint(-3, 4, (2, 2, *sizes)).double()
        try:
            y = model(x)
        except RuntimeError:  # torch refuses a size
            continue
        assert torch.equal(f(x), y)
        assert torch.equal(f.at(*sizes)(x), y)
    assert f.channels[0] == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_w_is_the_probed_one_in_floats_and_modulo_p(name: str) -> None:
    model, example = whole(name), torch.zeros(1, 2, 8, 6, dtype=torch.float64)
    for ring in (None, PrimeField(10007)):
        expected, got = (derive(model, example, method=method, ring=ring) for method in ("forward", "operator"))
        assert got.exactly_equals(expected)
        assert derive(model, example, method="stencil", ring=ring).exactly_equals(got)


def test_reshapes_at_the_end_change_nothing() -> None:
    model = nn.Sequential(whole("circular"), nn.Flatten()).eval()
    example = torch.zeros(1, 2, 6, 5, dtype=torch.float64)
    found = derive(model, example, method="operator")
    assert found.out_shape == (60,)
    assert found.exactly_equals(derive(model, example, method="forward"))


@pytest.mark.thorough
def test_what_torch_chose_is_compared_with_the_registry() -> None:
    """Every entry that has an operator computes what its evaluation computes; the others are refused by name."""
    counted = {True: 0, False: 0}
    for name, (function, shape, constants) in SAMPLES.items():
        model = _Sample(function, constants)
        x = torch.randint(-3, 4, (1, *shape)).double()
        graph = trace(model.eval(), x)
        has = all(
            OPS[call.op].operator is not None
            for call in graph.calls
            if call.name in graph.dependent() and not call.op.startswith("operator.")
        )
        if not has:
            with pytest.raises(ShapeError, match="no map of images"):
                operator(graph)
            counted[False] += 1
            continue
        try:
            f = operator(graph)
        except ShapeError:  # along axes, or with constants, that are none of an image
            counted[False] += 1
            continue
        counted[True] += 1
        assert float((f(x) - model(x)).abs().max()) <= 1e-12 * max(1.0, float(model(x).abs().max())), name
    assert counted[True] > 30


class _Sample(nn.Module):
    def __init__(self, function, constants):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.function = function
        self.count = len(constants)
        for i, shape in enumerate(constants):
            self.register_buffer(f"c{i}", torch.randint(-3, 4, shape, generator=generator).double())

    def forward(self, x):
        return self.function(x, *(getattr(self, f"c{i}") for i in range(self.count)))


def test_what_has_no_operator_says_so() -> None:
    with pytest.raises(ShapeError, match="transpose is no map of images of every size"):
        operator(_Sample(lambda x: x.transpose(2, 3), ()).eval(), torch.zeros(1, 1, 4, 4))
    with pytest.raises(ShapeError, match="no convolution"):
        operator(nn.AvgPool2d(2).eval())
    with pytest.raises(NotAffineError):
        operator(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()).eval())
    f = operator(nn.Conv1d(1, 2, 3, padding=1, padding_mode="reflect").eval())
    assert f.matrix([7], ring=Rationals()).shape == (14, 7)
    assert np.array_equal(f.period, [(1, 1)])


class Sliced(nn.Module):
    def __init__(self, *ends: int | None):
        super().__init__()
        self.place = slice(*ends)

    def forward(self, x):
        return x[:, :, self.place]


@pytest.mark.parametrize("ends", [(None, 5), (0, 5), (-5, None), (1, -1), (None, None, 2), (None, 9, 3)], ids=str)
def test_slices_end_where_they_end(ends: tuple[int | None, ...]) -> None:
    f = operator(Sliced(*ends).eval(), torch.zeros(1, 1, 12))
    for n in range(3, 15):
        assert np.array_equal(f.matrix([n], format="dense"), np.eye(n)[slice(*ends)])
