"""LinearCNN against the skip recursion written out by hand in NumPy, on integers, where equality means equality."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from algebraic_cnn.errors import (
    AlgebraicError,
    GeometryError,
    NonFiniteError,
    NotAffineError,
    ShapeError,
    UnknownNameError,
)
from algebraic_cnn.models import LinearCNN, SkipSpec
from algebraic_cnn.models.resize import resizing

PAD_WORD = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def correlate(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    """The definition of a 2-D cross-correlation, one output entry after another; x of shape (C, H, W)."""
    weight, stride, spread = conv.weight.detach().numpy(), conv.stride, conv.dilation
    before_after = [(0, 0), *((int(p), int(p)) for p in conv.padding)]
    x = np.pad(x, before_after, mode=PAD_WORD[conv.padding_mode])  # pyright: ignore
    c_out, c_group, kh, kw = weight.shape
    rows = (x.shape[1] - spread[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (x.shape[2] - spread[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((c_out, rows, columns))
    for o, r, c in np.ndindex(*y.shape):
        first = o // (c_out // conv.groups) * c_group
        for i, u, v in np.ndindex(c_group, kh, kw):
            at = (first + i, r * stride[0] + u * spread[0], c * stride[1] + v * spread[1])
            y[o, r, c] += weight[o, i, u, v] * x[at]
    return y + (conv.bias.detach().numpy()[:, None, None] if conv.bias is not None else 0.0)


def normalise(x: np.ndarray, bn: nn.Module) -> np.ndarray:
    """BatchNorm with its running statistics, whose variances, with eps, are squares."""
    names = ("running_mean", "running_var", "weight", "bias")
    mean, var, scale, shift = (getattr(bn, name).detach().numpy()[:, None, None] for name in names)
    return (x - mean) / np.sqrt(var + bn.eps) * scale + shift


def apply(module: nn.Module, x: np.ndarray) -> np.ndarray:
    if isinstance(module, nn.Sequential):
        for part in module:
            x = apply(part, x)
        return x
    if isinstance(module, nn.Conv2d):
        return correlate(x, module)
    if isinstance(module, nn.BatchNorm2d):
        return normalise(x, module)
    if isinstance(module, nn.Linear):
        return module.weight.detach().numpy() @ x.ravel() + module.bias.detach().numpy()
    return x.ravel() if isinstance(module, nn.Flatten) else x


def resize_by_hand(kind: str, module: nn.Module, x: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    if kind == "conv":
        return apply(module, x)
    y = np.zeros(target)
    sh, sw = (-(-n // m) for n, m in zip(x.shape[1:], target[1:], strict=True))
    for c, r, col in np.ndindex(x.shape[0], *target[1:]):
        window = x[c, r * sh : (r + 1) * sh, col * sw : (col + 1) * sw]
        y[c, r, col] = window.mean() if kind == "pool" else window[0, 0]
    return y


def by_hand(net: LinearCNN, kinds: dict[tuple[int, int], str], x: np.ndarray) -> np.ndarray:
    """f^(L)(x) as the paper writes it, x of shape (C, H, W)."""
    features = [x]
    for i in range(1, len(net.layers) + 1):
        total = np.zeros(features[-1].shape)
        for k in range(i):
            if (k, i) in kinds:
                R = net.resizings[f"{k}_{i}"]
                total = total + net.strengths[k, i] * resize_by_hand(kinds[k, i], R, features[k], total.shape)
            elif k == i - 1:
                total = total + features[k]
        features.append(apply(net.layers[i - 1], total))
    return features[-1]


def fill(module: nn.Module, integers: list[int]) -> None:
    """Give every parameter small integers, every BatchNorm statistics that divide exactly."""
    supply = itertools.cycle(integers)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1.0
            part.running_mean.copy_(torch.tensor([next(supply) for _ in part.running_mean]))  # pyright: ignore
            part.running_var.copy_(torch.tensor([4.0 ** abs(next(supply)) - 1 for _ in part.running_var]))  # pyright: ignore
    with torch.no_grad():
        for parameter in module.parameters():
            values = [next(supply) for _ in range(parameter.numel())]
            parameter.copy_(torch.tensor(values).reshape(parameter.shape))


@st.composite
def networks(draw: st.DrawFn) -> tuple[LinearCNN, dict[tuple[int, int], str]]:
    """A network with any convolutions and any skips, and the word for the resizing of each skip."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    shapes, layers = [shape], []
    for _ in range(draw(st.integers(1, 4))):
        channels, *sizes = shapes[-1]
        groups = draw(st.sampled_from([g for g in (1, 2, 3) if channels % g == 0]))
        kernel, stride, spread = (tuple(draw(st.integers(1, m)) for _ in sizes) for m in (3, 2, 2))
        reach = [s * (k - 1) for s, k in zip(spread, kernel, strict=True)]
        padding = tuple(draw(st.integers(max(0, -(-(r + 1 - n) // 2)), 2)) for r, n in zip(reach, sizes, strict=True))
        narrow = all(p < n for p, n in zip(padding, sizes, strict=True))
        modes = ["zeros", "replicate"] + ["reflect", "circular"] * narrow
        conv = nn.Conv2d(
            channels, groups * draw(st.integers(1, 2)), kernel, stride=stride, padding=padding, dilation=spread,
            groups=groups, bias=draw(st.booleans()), padding_mode=draw(st.sampled_from(modes)),
        )  # fmt: skip
        layers.append(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)) if draw(st.booleans()) else conv)
        left = [n + 2 * p - r - 1 for n, p, r in zip(sizes, padding, reach, strict=True)]
        shapes.append((conv.out_channels, *(n // s + 1 for n, s in zip(left, stride, strict=True))))
    if draw(st.booleans()):
        layers.append(nn.Linear(math.prod(shapes[-1]), draw(st.integers(1, 3))))
    skips, kinds = {}, {}
    for k, i in itertools.combinations(range(len(layers) + 1), 2):
        kind = draw(st.sampled_from(["absent", "identity", "stride", "pool", "conv"]))
        halved = all(n <= 2 * m for n, m in zip(shapes[k][1:], shapes[i - 1][1:], strict=True))
        if kind == "absent" or (kind == "pool" and not halved):
            continue
        batch_norm = kind == "conv" and draw(st.booleans())
        try:
            resizing(kind, shapes[k], shapes[i - 1], batch_norm=batch_norm)
        except ShapeError:
            continue
        skips[k, i] = SkipSpec(draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])), kind, batch_norm)
        kinds[k, i] = kind
    net = LinearCNN(shapes[0], layers, skips).double().eval()
    fill(net, draw(st.lists(st.integers(-2, 2), min_size=16, max_size=16)))
    return net, kinds


def output(net: LinearCNN, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(x)[None])[0].numpy()


@given(networks(), st.lists(st.integers(-3, 3), min_size=7, max_size=7))
def test_forward_is_the_recursion(drawn: tuple[LinearCNN, dict], values: list[int]) -> None:
    net, kinds = drawn
    x = np.resize(np.array(values, dtype=float), net.in_shape)
    y = output(net, x)
    np.testing.assert_array_equal(y, by_hand(net, kinds, x))
    assert y.shape == net.out_shape == net.shapes[-1]


def example() -> tuple[LinearCNN, dict[tuple[int, int], str], np.ndarray]:
    layers = [nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Conv2d(3, 3, 1)]
    kinds = {(0, 2): "conv", (1, 3): "pool", (0, 3): "stride", (2, 3): "identity"}
    net = LinearCNN((1, 5, 5), layers, {edge: SkipSpec(0.5, kind) for edge, kind in kinds.items()}).double().eval()
    fill(net, [1, -2, 3, 1, 2, -1, 1])
    return net, kinds, np.arange(25.0).reshape(1, 5, 5)


MUTATIONS = {
    "flipped kernel": lambda net: net.layers[0].weight.data.copy_(net.layers[0].weight.data.flip(-1)),
    "dropped bias": lambda net: net.layers[1].bias.data.zero_(),
    "one ulp": lambda net: net.layers[2].weight.data.view(-1)[:1].mul_(1 + 2**-52),
    "padding": lambda net: setattr(net.layers[0], "padding_mode", "replicate"),
    "strength": lambda net: net.strengths.update({(0, 2): 0.25}),
    "dropped skip": lambda net: net.strengths.update({(1, 3): 0.0}),
    "dropped feed": lambda net: net.strengths.update({(2, 3): 0.0}),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_comparison_catches_every_mutant(mutation: str) -> None:
    net, kinds, x = example()
    expected = by_hand(net, kinds, x)
    np.testing.assert_array_equal(output(net, x), expected)
    mutant = copy.deepcopy(net)
    if mutation == "padding":
        mutant.layers[0] = nn.Conv2d(1, 2, 3, padding=1, padding_mode="replicate").double()
        mutant.layers[0].load_state_dict(net.layers[0].state_dict())
    else:
        MUTATIONS[mutation](mutant)
    assert not np.array_equal(output(mutant, x), expected)


def test_a_feed_may_have_its_own_strength_and_resizing() -> None:
    skips = {(1, 2): SkipSpec(3.0, nn.AvgPool1d(2)), (0, 2): SkipSpec(1.0, "stride")}
    net = LinearCNN((1, 4), [nn.Identity(), nn.Identity()], skips)
    assert net(torch.tensor([[[1.0, 3.0, 5.0, 7.0]]])).tolist() == [[[3 * 2.0 + 1, 3 * 6.0 + 5]]]
    assert net.shapes == ((1, 4), (1, 4), (1, 2))


@pytest.mark.parametrize(
    ("shape", "target", "kind", "expected"),
    [
        ((1, 5), (1, 3), "stride", [[0.0, 2.0, 4.0]]),
        ((1, 5), (1, 3), "pool", [[0.5, 2.5, 4.0]]),
        ((1, 5), (2, 5), "stride", [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0] * 5]),
        ((3,), (4,), "pool", [0.0, 1.0, 2.0, 0.0]),
        ((1, 2, 2, 2), (1, 1, 1, 1), "pool", [[[[3.5]]]]),
    ],
)
def test_resizings_by_hand(shape: tuple, target: tuple, kind: str, expected: list) -> None:
    x = torch.arange(float(math.prod(shape))).reshape(1, *shape)
    assert resizing(kind, shape, target)(x)[0].tolist() == expected


@pytest.mark.parametrize("target", [(4,), (4, 3), (4, 3, 3), (4, 3, 3, 3)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_projection_exists_for_any_number_of_axes(target: tuple, batch_norm: bool) -> None:
    source = (2, *(5 for _ in target[1:]))
    module = resizing("conv", source, target, batch_norm=batch_norm).eval()
    assert module(torch.zeros(2, *source)).shape == (2, *target)


CONV = nn.Conv2d(1, 2, 3)
BAD: list[tuple[type[AlgebraicError], tuple, list, dict, str]] = [
    (GeometryError, (1, 5, 5), [], {}, "needs a layer"),
    (ShapeError, (2, 5, 5), [CONV], {}, "layer 1"),
    (ShapeError, (1, 2, 2), [CONV], {}, "layer 1"),
    (ShapeError, (1, 5, 5), [CONV, nn.Linear(17, 3)], {}, "layer 2"),
    (ShapeError, (1, 5, 5), [nn.Conv2d(1, 1, 3, padding=5, padding_mode="reflect")], {}, "layer 1"),
    (NotAffineError, (1, 5, 5), [nn.Sequential(CONV, nn.ReLU())], {}, "ReLU"),
    (NotAffineError, (1, 6, 6), [nn.MaxPool2d(2)], {}, "MaxPool2d"),
    (GeometryError, (1, 5, 5), [CONV, nn.Identity()], {(1, 1): 1.0}, "forward"),
    (GeometryError, (1, 5, 5), [CONV, nn.Identity()], {(0, 3): 1.0}, "forward"),
    (GeometryError, (1, 5, 5), [CONV, nn.Identity()], {(-1, 1): 1.0}, "forward"),
    (GeometryError, (1, 5, 5), [CONV, nn.Identity()], {(0, 2): SkipSpec(1.0, "stride", batch_norm=True)}, "BatchNorm"),
    (ShapeError, (1, 5, 5), [CONV, nn.Identity()], {(0, 2): 1.0}, "skip (0, 2)"),
    (ShapeError, (1, 7, 7), [CONV, CONV], {}, "layer 2"),
    (ShapeError, (1, 8, 8), [CONV, nn.Identity()], {(0, 2): SkipSpec(1.0, "stride")}, "no stride"),
    (ShapeError, (1, 3, 3), [nn.Flatten(), nn.Linear(9, 9), nn.Identity()], {(0, 3): SkipSpec(1.0, "conv")}, "axes"),
    (ShapeError, (2, 3, 3), [nn.Conv2d(2, 1, 1), nn.Identity()], {(0, 2): SkipSpec(1.0, "pool")}, "drops none"),
    (ShapeError, (1, 5, 5), [CONV, nn.Identity()], {(0, 2): SkipSpec(1.0, nn.Identity())}, "skip (0, 2)"),
    (UnknownNameError, (1, 5, 5), [CONV, nn.Identity()], {(0, 2): SkipSpec(1.0, "bilinear")}, "identity | stride"),
    (NonFiniteError, (1, 5, 5), [nn.Identity(), nn.Identity()], {(0, 2): math.nan}, "finite"),
    (NonFiniteError, (1, 5, 5), [nn.Identity(), nn.Identity()], {(0, 2): SkipSpec(math.inf)}, "finite"),
]


@pytest.mark.parametrize(("error", "in_shape", "layers", "skips", "words"), BAD)
def test_a_network_that_does_not_fit_together_is_refused(
    error: type[AlgebraicError], in_shape: tuple, layers: list, skips: dict, words: str
) -> None:
    with pytest.raises(error) as caught:
        LinearCNN(in_shape, layers, skips)
    assert words in str(caught.value)


def test_an_input_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(N, 1, 5, 5\), got \(2, 1, 5, 6\)"):
        LinearCNN((1, 5, 5), [CONV])(torch.zeros(2, 1, 5, 6))


def test_a_state_dict_carries_layers_and_resizings() -> None:
    net, kinds, x = example()
    other = example()[0]
    fill(other, [2, 0, 1])
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(output(other, x), output(net, x))
    assert {key.split(".")[0] for key in net.state_dict()} == {"layers", "resizings"}
    assert set(kinds) == set(net.strengths)
