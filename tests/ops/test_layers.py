"""Every affine module of torch.nn is the map that ``affine_map`` says; whatever is not affine is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn.errors import GeometryError, NotAffineError, ShapeError, TrainingModeError
from algebraic_cnn.ops.layers import affine_map


def without_bias(module: nn.Module) -> nn.Module:
    """As newer torch makes a BatchNorm of ``bias=False``."""
    module.register_parameter("bias", None)
    return module


# Weights and inputs are made of small integers, and the weights of pooling and interpolation are dyadic here, so that
# every number that torch computes is exact and equality is meant literally.
MODULES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    (nn.Conv2d(4, 6, (3, 2), padding="same", dilation=2, groups=2), (4, 5, 6)),
    (nn.Conv2d(1, 2, 3, padding=2, padding_mode="reflect", bias=False), (1, 5, 4)),
    (nn.Conv3d(2, 2, 2, padding=1, padding_mode="circular"), (2, 3, 3, 3)),
    (nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1), (2, 4)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 3, 3)),
    (nn.ConvTranspose3d(1, 2, 2, dilation=2), (1, 2, 2, 2)),
    (nn.Linear(5, 3), (5,)),
    (nn.Linear(5, 3, bias=False), (2, 4, 5)),
    (nn.BatchNorm1d(3), (3,)),
    (nn.BatchNorm1d(3), (3, 4)),
    (nn.BatchNorm2d(3, affine=False), (3, 2, 2)),
    (without_bias(nn.BatchNorm2d(3)), (3, 2, 2)),
    (nn.BatchNorm3d(2), (2, 2, 2, 2)),
    (nn.AvgPool1d(2, padding=1), (2, 6)),
    (nn.AvgPool2d(4, stride=2, padding=1), (2, 7, 6)),
    (nn.AvgPool2d(3, divisor_override=4), (2, 7, 6)),
    (nn.AvgPool3d(2), (1, 4, 4, 4)),
    (nn.AdaptiveAvgPool1d(2), (2, 6 + 2)),
    (nn.AdaptiveAvgPool2d((None, 2)), (2, 3, 8)),
    (nn.AdaptiveAvgPool3d(1), (2, 2, 2, 2)),
    (nn.ZeroPad1d((1, 2)), (2, 3)),
    (nn.ZeroPad2d((1, -1, 0, 2)), (2, 3, 3)),
    (nn.ZeroPad3d(1), (1, 2, 2, 2)),
    (nn.ConstantPad1d(2, 3.0), (2, 3)),
    (nn.ConstantPad2d((0, 1, 2, 0), -1.0), (2, 3, 3)),
    (nn.ConstantPad3d(1, 5.0), (1, 2, 2, 2)),
    (nn.ReflectionPad1d(2), (2, 3)),
    (nn.ReflectionPad2d((1, 0, 2, 1)), (2, 3, 3)),
    (nn.ReflectionPad3d(1), (1, 2, 2, 2)),
    (nn.ReplicationPad1d(4), (2, 3)),
    (nn.ReplicationPad2d((1, 0, 2, 1)), (2, 3, 3)),
    (nn.ReplicationPad3d(1), (1, 2, 2, 2)),
    (nn.CircularPad1d(3), (2, 3)),
    (nn.CircularPad2d((1, 0, 2, 1)), (2, 3, 3)),
    (nn.CircularPad3d(1), (1, 2, 2, 2)),
    (nn.Upsample(scale_factor=2), (2, 3, 3)),
    (nn.Upsample(size=(5, 4), mode="nearest-exact"), (2, 3, 3)),
    (nn.Upsample(scale_factor=2, mode="linear"), (2, 5)),
    (nn.Upsample(size=(5, 9), mode="bilinear", align_corners=True), (2, 3, 5)),
    (nn.Upsample(scale_factor=2.0, mode="bicubic"), (2, 4, 5)),
    (nn.Upsample(scale_factor=(2.0, 1.0, 4.0), mode="trilinear"), (1, 2, 2, 2)),
    (nn.Upsample(scale_factor=2.2, mode="bilinear", recompute_scale_factor=True), (1, 4, 4)),
    (nn.UpsamplingNearest2d(scale_factor=3), (2, 2, 2)),
    (nn.UpsamplingBilinear2d(size=(5, 5)), (2, 3, 3)),
    (nn.PixelShuffle(2), (8, 2, 3)),
    (nn.PixelUnshuffle(2), (2, 4, 6)),
    (nn.ChannelShuffle(3), (6, 2, 2)),
    (nn.Unfold(2, dilation=2, padding=1, stride=2), (2, 5, 6)),
    (nn.Fold((5, 6), (2, 3), padding=1), (12, 36)),
    (nn.Flatten(), (2, 3, 4)),
    (nn.Flatten(2), (2, 3, 4)),
    (nn.Unflatten(1, (2, 3)), (6, 4)),
    (nn.Identity(), (2, 3)),
    (nn.Dropout(0.5), (4,)),
    (nn.Dropout2d(0.5), (2, 2, 2)),
    (nn.AlphaDropout(0.5), (4,)),
    (nn.Sequential(), (2, 3)),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)), (1, 6, 6)),
]


def made_of_integers(module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The module in float64 and eval mode, its parameters small integers, its variances powers of four."""
    module = module.double().eval()
    for parameter in module.parameters():
        parameter.data = torch.from_numpy(rng.integers(-4, 5, tuple(parameter.shape)).astype(float))
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eps = 4.0**-2
            part.running_mean.copy_(torch.from_numpy(rng.integers(-4, 5, part.num_features)))
            part.running_var.copy_(torch.from_numpy(4.0 ** rng.integers(-2, 3, part.num_features) - part.eps))
    return module


@pytest.mark.parametrize("module, shape", MODULES, ids=lambda value: str(value).replace("\n", " "))
def test_affine_map_is_the_module(module: nn.Module, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    module = made_of_integers(module, rng)
    x = torch.from_numpy(rng.integers(-9, 10, (3, *shape)).astype(float))
    with torch.no_grad():
        expected = module(x).numpy()
    f = affine_map(module, shape)
    assert np.array_equal(f(x.numpy()), expected)
    exact = affine_map(module, shape, dtype=object)
    assert np.array_equal(exact(x.numpy().astype(int).astype(object)), expected)


def test_weights_are_rounded_to_the_dtype_asked_for() -> None:
    f = affine_map(nn.Conv2d(1, 1, 3), (1, 4, 4), dtype=np.float32)
    assert (f.W.dtype, f.b.dtype) == (np.float32, np.float32)


def test_parametrized_modules_are_read_through_their_parametrization() -> None:
    module = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2).double()).eval()
    assert np.array_equal(affine_map(module, (3,)).W, module.weight.detach().numpy())


class Doubled(nn.Conv2d):
    """A convolution that is none."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def hooked() -> nn.Module:
    """A module whose hook changes what it computes."""
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, x, y: y * y)
    return module


@pytest.mark.parametrize(
    "module, shape, error",
    [
        (nn.ReLU(), (2,), NotAffineError),
        (nn.MaxPool2d(2), (1, 4, 4), NotAffineError),
        (nn.InstanceNorm2d(2), (2, 4, 4), NotAffineError),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), (2,), NotAffineError),
        (Doubled(1, 1, 1), (1, 2, 2), NotAffineError),
        (hooked(), (2,), NotAffineError),
        (nn.BatchNorm2d(2, track_running_stats=False).eval(), (2, 2, 2), NotAffineError),
        (nn.BatchNorm2d(2), (2, 2, 2), TrainingModeError),
        (nn.Dropout(0.5), (2,), TrainingModeError),
        (torch.nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)), (2,), TrainingModeError),
        (nn.Linear(2, 2, dtype=torch.complex64), (2,), ShapeError),
        (nn.Flatten(0), (2, 2), GeometryError),
        (nn.Conv2d(3, 1, 1), (2, 4, 4), ShapeError),
        (nn.Linear(3, 1), (2,), ShapeError),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_what_is_not_affine_is_refused(module: nn.Module, shape: tuple[int, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        affine_map(module, shape)
