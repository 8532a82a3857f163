"""Beginnings and endings that are no plain batch of images: a first sample, a lost axis, tokens, several values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algebraic_cnn import collapse

from ..collapsed import randomised


class Ends(nn.Module):
    def __init__(self, end: Callable[..., Any]) -> None:
        super().__init__()
        self.c, self.d, self.l, self.e = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1), nn.Linear(3, 3), nn.Embedding(5, 3)
        self.register_buffer("stride", torch.tensor([8.0, 16.0]))
        self.end = end

    def forward(self, *x: Tensor) -> Any:
        return self.end(self, *x)


def windows(s: Ends, x: Tensor) -> Tensor:
    """MobileViT on a size that does not fit its windows."""
    y = F.interpolate(s.c(x), size=(4, 4), mode="bilinear", align_corners=False)
    y = y.reshape(-1, 3, 2, 2, 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(-1, 4, 3)
    return s.l(s.l(y))


def anchors(s: Ends, x: Tensor) -> Tensor:
    return s.d(s.c(x)) * s.stride[0].item() - 0.5


def two(s: Ends, x: Tensor) -> dict[str, Any]:
    y = s.d(s.c(x))
    return {"y": y, "more": [y.relu(), 3, None]}


IMAGES = {
    "the first sample": lambda s, x: s.d(s.c(x))[0],
    "all of one channel": lambda s, x: s.d(s.c(x))[:, 0],
    "the last pixel": lambda s, x: s.d(s.c(x))[..., -1, -1],
    "axes of one are lost": lambda s, x: s.l(s.c(x).mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1)),
    "one number": lambda s, x: s.d(s.c(x)).sum((1, 2, 3)),
    "a mean of all": lambda s, x: s.d(s.c(x)).mean(),
    "windows of a resized image": windows,
    "a number read out of a buffer": anchors,
    "several outputs": two,
    "standardised weights": lambda s, x: F.conv2d(x, (s.c.weight - s.c.weight.mean()) / s.c.weight.std(), s.c.bias),
}


def same(expected: Any, got: Any) -> bool:
    if isinstance(expected, Tensor):
        return expected.shape == got.shape and torch.equal(expected.float(), got.float())
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(same(expected[key], got[key]) for key in expected)
    if isinstance(expected, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    return expected == got


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("batch", [1, 2])
def test_images(name: str, batch: int) -> None:
    model = randomised(Ends(IMAGES[name])).requires_grad_(False)
    x = torch.randn(batch, 2, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    result = collapse(model, x, measure=False)
    assert result.certificate.ok
    assert same(model(x), result.model(x))


def test_tokens_come_as_whole_numbers() -> None:
    model = randomised(Ends(lambda s, i: s.l(s.l(s.e(i))))).requires_grad_(False)
    i = torch.tensor([[0, 4, 2], [1, 1, 3]])
    result = collapse(model, i, measure=False)
    assert same(model(i), result.model(i))
    assert result.report.calls == (2, 1)


def test_two_inputs_of_two_kinds() -> None:
    model = randomised(Ends(lambda s, x, i: (s.d(s.c(x)).mean((2, 3)) + s.l(s.e(i)), i + 1))).requires_grad_(False)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    i = torch.tensor([0, 4])
    for expected, got in zip(model(x, i), collapse(model, (x, i), measure=False).model(x, i), strict=True):
        assert same(expected, got)


@pytest.mark.parametrize("level", ["auto", "bounded", "sampled", "rational", "modular"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_another_dtype_at_every_level(level: str, dtype: str) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), *([] if level == "rational" else [nn.ReLU()])).eval()
    result = collapse(model, torch.zeros(1, 2, 5, 5), dtype=dtype, certify=level, measure=False)
    assert result.certificate.ok
    assert {parameter.dtype for parameter in result.model.parameters()} == {getattr(torch, dtype)}
    assert result.model(torch.zeros(3, 2, 5, 5, dtype=getattr(torch, dtype))).dtype == getattr(torch, dtype)
