"""Layers drawn by Hypothesis, each as torch's own function and as an operator, and chains of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from algebraic_cnn.algebra.operators import layers
from algebraic_cnn.algebra.operators.operator import Operator

MODES = ("zeros", "zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Drawn:
    """One layer.

    Attributes:
        text: what it is.
        torch: images (1, c, *n) -> images; raises where torch refuses.
        operator: the same.
    """

    text: str
    torch: Callable[[Any], Any]
    operator: Operator


def image(draw: Any, *shape: int) -> np.ndarray:
    """An array of small whole numbers."""
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(float)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def each(draw: Any, d: int, least: int, most: int) -> list[int]:
    return [draw(st.integers(least, most)) for _ in range(d)]


def divisor_of(draw: Any, n: int) -> int:
    return draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))


def convolution(draw: Any, d: int, c: int) -> Drawn:
    k, s, w = each(draw, d, 1, 3), each(draw, d, 1, 3), each(draw, d, 1, 2)
    pairs = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(d)]
    g, mode = divisor_of(draw, c), draw(st.sampled_from(MODES))
    out = g * draw(st.integers(1, 2))
    weight = image(draw, out, c // g, *k)
    bias = image(draw, out) if draw(st.booleans()) else None
    flat = [n for pair in pairs[::-1] for n in pair]
    function = (F.conv1d, F.conv2d)[d - 1]

    def torch_s(x: Any) -> Any:
        padded = F.pad(x, flat, "constant" if mode == "zeros" else mode)
        return function(padded, tensor(weight), None if bias is None else tensor(bias), s, 0, w, g)

    more = {"stride": s, "padding": pairs, "dilation": w, "groups": g, "padding_mode": mode}
    return Drawn(f"conv k{k} {more}", torch_s, layers.conv(weight, bias, **more))


def transposed(draw: Any, d: int, c: int) -> Drawn:
    k, s, w = each(draw, d, 1, 3), each(draw, d, 1, 3), each(draw, d, 1, 2)
    p = [draw(st.integers(0, v * (u - 1))) for u, v in zip(k, w, strict=True)]
    e = [draw(st.integers(0, max(u, v) - 1)) for u, v in zip(s, w, strict=True)]
    g = divisor_of(draw, c)
    weight = image(draw, c, draw(st.integers(1, 2)), *k)
    bias = image(draw, weight.shape[1] * g)
    function = (F.conv_transpose1d, F.conv_transpose2d)[d - 1]
    more = {"stride": s, "padding": p, "output_padding": e, "dilation": w, "groups": g}
    torch_s = lambda x: function(x, tensor(weight), tensor(bias), **more)  # noqa: E731
    return Drawn(f"transposed k{k} {more}", torch_s, layers.conv_transpose(weight, bias, **more))


def padding(draw: Any, d: int, c: int) -> Drawn:
    pairs = [(draw(st.integers(-2, 2)), draw(st.integers(-2, 2))) for _ in range(d)]
    mode, value = draw(st.sampled_from(MODES)), draw(st.sampled_from([0, 0, 3]))
    flat = [n for pair in pairs[::-1] for n in pair]
    value = value if mode == "zeros" else 0

    def torch_s(x: Any) -> Any:
        cropped = [n + min(a, 0) + min(b, 0) for n, (a, b) in zip(x.shape[2:], pairs, strict=True)]
        beyond = mode == "circular" and any(max(pair) > n for pair, n in zip(pairs, cropped, strict=True))
        if min(cropped) < 1 or beyond:
            raise RuntimeError("too little is left: torch makes a circle of numbers that nobody wrote")
        return F.pad(x, flat, "constant" if mode == "zeros" else mode, value or None)

    return Drawn(f"pad {pairs} {mode} {value}", torch_s, layers.pad(c, pairs, mode, value))


def resized(draw: Any, d: int, c: int) -> Drawn:
    up = draw(st.sampled_from([2, 4]))
    mode = draw(st.sampled_from(["nearest", ("linear", "bilinear")[d - 1], *(["bicubic"] if d == 2 else [])]))
    torch_s = lambda x: F.interpolate(x, scale_factor=up, mode=mode)  # noqa: E731
    return Drawn(f"{mode} by {up}", torch_s, layers.interpolate(c, [up] * d, mode))


def residual(draw: Any, d: int, c: int) -> Drawn:
    """x + conv(x), of the padding that keeps the size, or two strided branches."""
    k, s = 2 * draw(st.integers(0, 2)) + 1, draw(st.integers(1, 2))
    first, second = image(draw, c, c, *[k] * d), image(draw, c, c, *[1] * d)
    function = (F.conv1d, F.conv2d)[d - 1]

    def torch_s(x: Any) -> Any:
        branch = x if s == 1 else function(x, tensor(second), None, s)
        return branch + function(x, tensor(first), None, s, k // 2)

    branch = Operator.identity(c, d) if s == 1 else layers.conv(second, stride=s)
    return Drawn(f"residual k{k} s{s}", torch_s, branch + layers.conv(first, stride=s, padding=k // 2))


def channels(draw: Any, d: int, c: int) -> Drawn:
    """Channels scaled, chosen, or beside one another."""
    kind = draw(st.sampled_from(["scale", "pick", "cat"]))
    one = Operator.identity(c, d)
    if kind == "pick":
        chosen = draw(st.lists(st.integers(0, c - 1), min_size=1, max_size=3))
        return Drawn(f"pick {chosen}", lambda x: x[:, chosen], one.pick(chosen))
    scale, shift = image(draw, c), image(draw, c)
    view = [1, c, *[1] * d]
    scaled = lambda x: x * tensor(scale).reshape(view) + tensor(shift).reshape(view)  # noqa: E731
    operator = layers.scaling(c, d, scale, shift)
    if kind == "scale":
        return Drawn("scale", scaled, operator)
    return Drawn("cat", lambda x: torch.cat([x, scaled(x)], 1), one.beside(operator))


def shuffled(draw: Any, d: int, c: int) -> Drawn:
    """A pixel shuffle after a 1 x 1 convolution, or its inverse."""
    r = 2
    if draw(st.booleans()):
        if d == 2:
            return Drawn("unshuffle", lambda x: F.pixel_unshuffle(x, r), layers.pixel_unshuffle(c, r, d))
        apart = lambda x: x.reshape(1, c, -1, r).swapaxes(2, 3).reshape(1, c * r, -1)  # noqa: E731
        return Drawn("unshuffle", apart, layers.pixel_unshuffle(c, r, d))
    weight = image(draw, 2 * r**d, c, *[1] * d)
    function = (F.conv1d, F.conv2d)[d - 1]

    def torch_s(x: Any) -> Any:
        y = function(x, tensor(weight))
        return F.pixel_shuffle(y, r) if d == 2 else y.reshape(1, 2, r, -1).swapaxes(2, 3).reshape(1, 2, -1)

    return Drawn("shuffle", torch_s, layers.conv(weight).then(layers.pixel_shuffle(2, r, d)))


KINDS = (convolution, convolution, transposed, padding, resized, residual, channels, shuffled)


@dataclass(frozen=True)
class Chain:
    """Layers one after the other, and an image that they take."""

    layers: tuple[Drawn, ...]
    x: np.ndarray

    @property
    def operator(self) -> Operator:
        whole = self.layers[0].operator
        for layer in self.layers[1:]:
            whole = whole.then(layer.operator)
        return whole

    def torch(self, x: np.ndarray) -> np.ndarray:
        y = tensor(x)[None]
        for layer in self.layers:
            y = layer.torch(y)
            if not y.numel():
                raise ValueError("an image without pixels")
        return y[0].numpy()

    def at(self, sizes: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """An image of other sizes and what torch makes of it; none where torch does not take it."""
        x = np.random.default_rng(0).integers(-3, 4, (len(self.x), *sizes)).astype(float)
        y = np.empty(0)
        with contextlib.suppress(RuntimeError, ValueError):
            y = self.torch(x)
        if y.size:
            yield x, y

    def __repr__(self) -> str:
        return f"Chain({self.x.shape}: " + "; ".join(layer.text for layer in self.layers) + ")"


@st.composite
def chains(draw: Any, most: int = 4) -> Chain:
    """Up to ``most`` layers that torch takes, on images of 1 to 9 pixels along each axis."""
    d = draw(st.integers(1, 2))
    x = image(draw, draw(st.integers(1, 2)), *each(draw, d, 1, 9))
    found, y = [], tensor(x)[None]
    for _ in range(draw(st.integers(1, most))):
        layer = draw(st.sampled_from(KINDS))(draw, d, y.shape[1])
        try:
            after = layer.torch(y)
        except (RuntimeError, ValueError):  # torch refuses the layer for this image
            continue
        if after.numel() == 0 or after[0, 0].numel() > 600 or after.shape[1] > 12:
            continue
        found.append(layer)
        y = after
    if not found:
        found.append(channels(draw, d, x.shape[0]))
    return Chain(tuple(found), x)
