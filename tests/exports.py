"""Small networks of the kinds that people export, and torch's two exporters to ONNX.

Kind         a network, its example, and the axes that may be left free
KINDS        by name
OPSETS       by exporter: the operator versions that it writes
SINCE        from which version on torch can write a kind, where that is not the first
MERGED       up to which version calls of a kind merge behind a norm
whole        a network whose numbers are whole, so that sums in float32 are exact
real         the same with numbers that are not
exported     a kind as an ONNX file

Behind a softmax, an LSTM or a norm no two calls merge: what comes after it is computed by the same nodes in both files.
Only a norm that an old operator version takes apart ends in a scale and a shift, which may merge with what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn.ir.onnx.writing import quiet

from .idioms import Model


class Kind(NamedTuple):
    """A network, its example, and for every input the axes that may be left free."""

    model: nn.Module
    example: tuple[Tensor, ...]
    free: tuple[tuple[int, ...], ...]


KINDS: dict[str, Callable[[], Kind]] = {}
OPSETS = {"legacy": range(11, 21), "dynamo": range(18, 24)}
SINCE = {"encoder of torch": 14}
MERGED = {"encoder of torch": 16}


def whole(model: nn.Module, example: tuple[Any, ...], *free: tuple[int, ...]) -> Kind:
    """The network with weights of -1, 0 and 1, its norms exact, in evaluation mode."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps = 2.0**-4  # torch 2.11 takes no 0
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor.is_floating_point():
                tensor.data = torch.randint(-1, 2, tensor.shape, generator=generator).to(tensor.dtype)
            if name == "running_var":  # the square root of its sum with eps is exact
                tensor.data = 4.0 ** torch.randint(-1, 2, tensor.shape, generator=generator) - 2.0**-4
    inputs = [torch.randint(-3, 4, x, generator=generator).float() if isinstance(x, tuple) else x for x in example]
    return Kind(model.eval().requires_grad_(False), tuple(inputs), free)


def real(made: Kind) -> Kind:
    """The network with fractions added to all its numbers."""
    generator = torch.Generator().manual_seed(8)
    for name, tensor in [*made.model.named_parameters(), *made.model.named_buffers()]:
        if tensor.is_floating_point():
            noise = 0.25 * torch.rand(tensor.shape, generator=generator)
            tensor.data = tensor * (1 + noise) if name.endswith("running_var") else tensor + noise
    return made


def kind(name: str) -> Callable[[Callable[[], Kind]], Callable[[], Kind]]:
    def added(make: Callable[[], Kind]) -> Callable[[], Kind]:
        KINDS[name] = make
        return make

    return added


def conv(c: int, d: int, k: int = 3, **how: Any) -> nn.Conv2d:
    return nn.Conv2d(c, d, k, **{"padding": k // 2, **how})


IMAGES = (0, 2, 3)


@kind("conv and norm")
def conv_and_norm() -> Kind:
    layers = [conv(3, 4), nn.BatchNorm2d(4), conv(4, 4, 1), nn.ReLU(), conv(4, 6, stride=2), nn.BatchNorm2d(6)]
    return whole(nn.Sequential(*layers, nn.Hardtanh(-3, 3), conv(6, 2, 1)), ((2, 3, 8, 8),), IMAGES)


@kind("depthwise")
def depthwise() -> Kind:
    layers = [conv(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU6(), conv(4, 4, groups=4), nn.BatchNorm2d(4), conv(4, 5, 1)]
    after = [nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)]
    return whole(nn.Sequential(*layers, *after), ((2, 3, 8, 8),), (0,))


@kind("skips")
def skips() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = F.relu(m.stem(x))
        x = F.relu(m.wide(x) + m.narrow(x) + x)
        return m.last(F.relu(m.norm(m.down(x)) + m.short(x)))

    norms = {"wide": nn.Sequential(conv(4, 4), nn.BatchNorm2d(4)), "narrow": conv(4, 4, 1), "norm": nn.BatchNorm2d(6)}
    down = {"down": conv(4, 6, stride=2), "short": conv(4, 6, 1, stride=2), "last": conv(6, 2, 1)}
    return whole(Model(forward, stem=conv(3, 4), **norms, **down), ((2, 3, 8, 8),), IMAGES)


@kind("U-Net")
def unet() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        top = F.relu(m.one(x))
        low = F.relu(m.norm(m.two(F.max_pool2d(top, 2))))
        up = F.interpolate(m.three(low), scale_factor=2.0, mode="nearest")
        return m.head(F.relu(m.four(torch.cat([up, top], 1))))

    layers = {"one": conv(2, 4), "two": conv(4, 6), "norm": nn.BatchNorm2d(6), "three": conv(6, 4, 1)}
    return whole(Model(forward, **layers, four=conv(8, 4), head=conv(4, 1, 1)), ((2, 2, 8, 8),), IMAGES)


@kind("bilinear")
def bilinear() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = F.relu(m.one(x))
        up = F.interpolate(m.two(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return m.three(F.relu(up))[:, 1:, ::2] * 2 - 1

    return whole(Model(forward, one=conv(2, 4), two=conv(4, 4, 1), three=conv(4, 3, 1)), ((2, 2, 6, 6),), (0,))


@kind("attention")
def attention() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2) + m.place
        n, length, _ = x.shape
        q, k, v = (part.reshape(n, length, 2, 4).transpose(1, 2) for part in m.given(m.before(x)).chunk(3, -1))
        y = ((q @ k.transpose(-2, -1)) * 0.5).softmax(-1) @ v
        return m.norm(x + m.out(y.transpose(1, 2).reshape(n, length, 8)))

    place = torch.zeros(1, 4, 8)
    layers = {"patch": conv(3, 8, 4, stride=4, padding=0), "before": nn.Linear(8, 8), "given": nn.Linear(8, 24)}
    model = Model(forward, place=place, **layers, out=nn.Linear(8, 8), norm=nn.LayerNorm(8))
    return whole(model, ((2, 3, 8, 8),), (0,))


@kind("encoder of torch")
def encoder() -> Kind:
    layer = nn.TransformerEncoderLayer(16, 1, 8, batch_first=True)
    return whole(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 16), layer), ((2, 5, 4),), (0,))


@kind("transposed")
def transposed() -> Kind:
    layers = [conv(2, 4, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, stride=2)]
    after = [nn.BatchNorm2d(3), nn.ReLU(), nn.ConvTranspose2d(3, 2, 3, 2, 1, 1), conv(2, 1, 1)]
    return whole(nn.Sequential(*layers, *after), ((2, 2, 8, 8),), IMAGES)


@kind("pools")
def pools() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = F.max_pool2d(m.one(x), 3, 2, 1)
        y = F.avg_pool2d(m.two(x), 2, 2, ceil_mode=False)
        z = F.avg_pool2d(F.relu(y), 2, 1, padding=1, count_include_pad=True)
        peaks = F.adaptive_max_pool2d(z, 1).flatten(1)
        return m.last(torch.cat([peaks, z[..., :2, :2].mean((2, 3)), F.adaptive_avg_pool2d(y, 2).flatten(1)], 1))

    layers = {"one": conv(2, 4), "two": conv(4, 4, 1), "last": nn.Linear(24, 3)}
    return whole(Model(forward, **layers), ((2, 2, 16, 16),), (0,))


class Recurrent(nn.Module):
    """A recurrent layer between linear ones."""

    def __init__(self, layer: type[nn.RNNBase], **how: Any) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4))
        self.layer = layer(4, 6, batch_first=True, **how)
        self.after = nn.Linear(12 if how.get("bidirectional") else 6, 2)

    def forward(self, x: Tensor) -> Any:
        y, state = self.layer(self.before(x))
        return self.after(y[:, -1]), state[0] if isinstance(state, tuple) else state


@kind("LSTM")
def lstm() -> Kind:
    return whole(Recurrent(nn.LSTM), ((2, 5, 3),), (0,))


@kind("two LSTMs, both ways")
def lstms() -> Kind:
    return whole(Recurrent(nn.LSTM, num_layers=2, bidirectional=True), ((2, 5, 3),), (0,))


@kind("GRU")
def gru() -> Kind:
    return whole(Recurrent(nn.GRU), ((2, 5, 3),), (0,))


@kind("shuffled groups")
def shuffled() -> Kind:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = F.relu(m.one(x))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        left, right = m.norm(m.two(x)).chunk(2, 1)
        return F.pixel_shuffle(m.three(torch.cat([left, F.relu(right)], 1)), 2)

    layers = {"one": conv(4, 8, groups=2), "two": conv(8, 8, groups=4), "norm": nn.BatchNorm2d(8)}
    return whole(Model(forward, **layers, three=conv(8, 4, 1)), ((2, 4, 6, 6),), (0,))


@kind("many in, many out")
def many() -> Kind:
    def forward(m: Any, image: Tensor, extra: Tensor, mask: Tensor) -> Any:
        x = F.relu(m.two(m.one(image)))
        y = m.join(m.first(x.mean((2, 3))) + m.second(extra))
        where = torch.where(mask, y, torch.zeros_like(y))
        return {"maps": m.head(x), "numbers": (where.clamp(-4, 4), y.argmax(1)), "sum": y - extra[:, :3]}

    mask = torch.tensor([[True, False, True], [False, True, True]])
    layers = {"one": conv(2, 4), "two": conv(4, 4, 1), "head": conv(4, 2, 1), "first": nn.Linear(4, 3)}
    model = Model(forward, **layers, second=nn.Linear(5, 3), join=nn.Linear(3, 3))
    return whole(model, ((2, 2, 8, 8), (2, 5), mask), (0,), (0,), (0,))


@kind("embedding")
def embedding() -> Kind:
    def forward(m: Any, tokens: Tensor) -> Tensor:
        x = m.words(tokens) + m.places(torch.arange(6))
        x = F.relu(m.one(x.transpose(1, 2)))
        return m.last(m.two(x).amax(-1))

    layers = {"words": nn.Embedding(9, 4), "places": nn.Embedding(6, 4), "one": nn.Conv1d(4, 5, 3, padding=1)}
    tokens = torch.tensor([[0, 8, 3, 1, 2, 7], [4, 4, 5, 6, 0, 1]])
    return whole(Model(forward, **layers, two=nn.Conv1d(5, 5, 1), last=nn.Linear(5, 2)), (tokens,), (0,))


def exported(made: Kind, path: Path, exporter: str, opset: int, *, free: bool) -> Path:
    """The network as an ONNX file, its axes free or those of the example."""
    names = [f"in{i}" for i in range(len(made.example))]
    free = free and any(made.free)
    sizes = [{axis: ("batch", "", "height", "width")[axis] for axis in axes} for axes in made.free]
    with quiet():
        if exporter == "legacy":
            axes = dict(zip(names, sizes, strict=True)) if free else None
            how: dict[str, Any] = {"dynamic_axes": axes, "dynamo": False}
        else:
            axes = tuple(dict.fromkeys(each, torch.export.Dim.AUTO) for each in made.free)
            axes = (axes,) if isinstance(made.model, Model) else axes  # its forward takes *inputs
            how = {"dynamic_shapes": axes if free else None, "dynamo": True, "verbose": False}
        torch.onnx.export(made.model, made.example, path, input_names=names, opset_version=opset, **how)
    return path
