"""Every call that is read as a stencil is that stencil and offset, in every pixel; what is none is not taken for one.

Weights and inputs are small integers and divisors powers of two, so equality is meant literally.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn.algebra.stencils.folding import linear, offset
from algebraic_cnn.algebra.stencils.pieces import Atom, Move, Other, Piece, settled
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.registry import piece_of
from algebraic_cnn.ops.source import Source
from algebraic_cnn.rings.ring import Float, PrimeField


class Body(nn.Module):
    def __init__(self, body: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = body
        self.scale = nn.Parameter(torch.tensor([2.0, -1.0, 3.0, 4.0]).double())
        self.image = nn.Parameter(torch.arange(16.0).reshape(4, 4).double())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


def integers(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            values = torch.randint(-3, 4, tensor.shape, generator=generator).double()
            tensor.data = (values.abs() + 1) ** 2 * 4 if name == "running_var" else values
        if hasattr(module, "eps"):
            module.eps = 0.25
        if hasattr(module, "running_var"):
            module.running_var.data = (
                4.0 ** torch.randint(-1, 2, module.running_var.shape, generator=generator).double() - 0.25
            )
    return model.double().eval()


STENCILS = [
    nn.Conv1d(4, 3, 3, stride=2, padding=1),
    nn.Conv2d(4, 6, (3, 2), padding="same", dilation=2, groups=2),
    nn.Conv3d(4, 2, 2, bias=False),
    nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    nn.Linear(4, 3),
    nn.Linear(4, 3, bias=False),
    nn.BatchNorm2d(4),
    nn.BatchNorm2d(4, affine=False),
    nn.AvgPool1d(2, padding=1),
    nn.CircularPad2d((1, 2, 0, 1)),
    nn.AvgPool2d(4, stride=2, padding=1),
    nn.AvgPool2d(2, padding=1, count_include_pad=False),
    nn.AvgPool2d(2, stride=3, ceil_mode=True, padding=1),
    nn.AvgPool2d(2, divisor_override=8),
    nn.AdaptiveAvgPool2d((2, 1)),
    nn.AdaptiveAvgPool2d(3),
    nn.UpsamplingNearest2d(size=(6, 5)),
    lambda m, x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact"),
    lambda m, x: F.pad(x, (1, 2, 2, 0), mode="circular"),
    lambda m, x: F.pad(x, (2, -1, 0, 1), mode="replicate"),
    nn.ZeroPad2d((1, -1, 0, 2)),
    nn.ConstantPad2d((0, 1, 2, 0), -1.0),
    nn.ReflectionPad2d((1, 0, 2, 1)),
    nn.ReplicationPad2d((1, 0, 2, 3)),
    nn.Upsample(scale_factor=2),
    nn.Upsample(size=(12, 4)),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.Upsample(scale_factor=(4, 2), mode="bilinear"),
    nn.Upsample(scale_factor=0.5, mode="bilinear"),
    nn.Upsample(scale_factor=1.7, mode="nearest"),
    nn.Upsample(scale_factor=2, mode="bicubic"),
    nn.Upsample(size=(7, 5), mode="bilinear", align_corners=True),
    nn.PixelShuffle(2),
    nn.PixelUnshuffle(2),
    nn.Flatten(),
    lambda m, x: x * m.scale.reshape(4, 1, 1),
    lambda m, x: x * m.scale,
    lambda m, x: m.scale * x,
    lambda m, x: x * -3,
    lambda m, x: x / 4,
    lambda m, x: x / (2 * m.scale.abs() // 2 * 0 + 8),
    lambda m, x: -x,
    lambda m, x: x + m.scale.reshape(4, 1, 1),
    lambda m, x: x - m.scale,
    lambda m, x: m.scale - x,
    lambda m, x: 1 - x,
    lambda m, x: torch.sub(x, m.scale, alpha=2),
    lambda m, x: x + m.image,
    lambda m, x: x + 0,
    lambda m, x: x.matmul(m.image),
    lambda m, x: x.mean((2, 3)),
    lambda m, x: x.mean((-1, -2), keepdim=True),
    lambda m, x: x.sum((1, 2)) if x.ndim == 4 else x.sum(1),
    lambda m, x: x[:, 1:3],
    lambda m, x: x[:, :, 1:, ::2],
    lambda m, x: x[:, :, -3:3, 1:-1],
    lambda m, x: x.sum(1, keepdim=True),
    lambda m, x: torch.ops.aten.channel_shuffle(x, 2),
    lambda m, x: F.dropout(x, training=False),
]
OTHERS = [
    lambda m, x: x.transpose(2, 3),
    lambda m, x: x * m.image,
    lambda m, x: x.flip(2),
    lambda m, x: x.mean(1),
    lambda m, x: x.mean(3),
    lambda m, x: x.mean((1, 3)),
]


def read(module, shape: tuple[int, ...]) -> tuple[nn.Module, Piece]:
    model = integers(module) if isinstance(module, nn.Module) else Body(module).eval()
    source = Source.of(trace(model, torch.zeros(2, *shape).double()))
    (call,) = source.graph.calls or [None]
    return model, piece_of(source, call)


def shapes_for(module) -> list[tuple[int, ...]]:
    if isinstance(module, nn.Linear):
        return [(4,), (3, 4)]
    if isinstance(module, nn.Flatten):
        return [(4, 1, 1)]
    name = type(module).__name__
    return [(4, 6)] if "1d" in name else [(4, 3, 2, 4)] if "3d" in name else [(4, 4, 4)]


@pytest.mark.parametrize("module", STENCILS)
@pytest.mark.parametrize("ring", [Float(), PrimeField(1000003)], ids=["float", "prime"])
def test_a_stencil_is_the_call_in_every_pixel(module, ring) -> None:
    for shape in shapes_for(module):
        model = integers(module) if isinstance(module, nn.Module) else Body(module).eval()
        source = Source.of(trace(model, torch.zeros(2, *shape).double()))
        x = torch.randint(-4, 5, (1, *shape), generator=torch.Generator().manual_seed(1)).double()
        image = x[0].numpy()
        for call in source.graph.calls:
            piece = settled(piece_of(source, call))
            assert isinstance(piece, Atom)
            last = piece.form.last
            value = linear(piece, np.moveaxis(image, -1, 0) if last else image, ring)
            shift = offset(piece, ring)
            assert (shift is not None) == bool(piece.form.offset)
            if shift is not None:
                value = ring.reduce(value + shift.reshape(*shift.shape, *[1] * (value.ndim - shift.ndim)))
            image = np.moveaxis(value, 0, -1) if last else value
        y = model(x)[0].detach().numpy()
        assert np.array_equal(image.reshape(y.shape), ring.embed(y))


@pytest.mark.parametrize("module", OTHERS)
def test_what_is_no_stencil_is_none(module) -> None:
    _, piece = read(module, (4, 4, 4))
    assert isinstance(piece, Other | Move)


def test_a_constant_along_the_last_axis_is_not_one_along_channels() -> None:
    for shape, last in (((4, 1, 1), False), ((1, 1, 4), True), ((4,), True)):
        _, piece = read(lambda m, x, shape=shape: x * m.scale.reshape(shape), (4, 4, 4))
        assert piece.form.last == last
