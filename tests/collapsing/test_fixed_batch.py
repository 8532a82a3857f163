"""A program exported for one batch size becomes the same calls as one whose batch is free."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from algebraic_cnn import collapse
from algebraic_cnn.apps.bench.patterns import PATTERNS, LayerPattern
from tests.collapsed import ops

FIXED = (1, 2)


@pytest.mark.parametrize("pattern", PATTERNS[::3], ids=[pattern.name for pattern in PATTERNS[::3]])
def test_a_fixed_batch_takes_the_same_calls(pattern: LayerPattern) -> None:
    model = nn.Sequential(pattern.network(), nn.ReLU()).eval()
    free = ops(collapse(model, pattern.example(2), measure=False, certify=None).model)
    for batch in FIXED:
        x = pattern.example(batch)
        result = collapse(torch.export.export(model, (x,)), measure=False)
        assert ops(result.model) == free
        assert result.certificate.ok
        assert result.model(x).shape == model(x).shape


def test_a_merged_convolution_is_one_call_whatever_the_batch() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    for batch in FIXED:
        result = collapse(torch.export.export(model, (torch.zeros(batch, 3, 32, 32),)), measure=False)
        assert ops(result.model) == {"conv2d": 1, "relu": 1}
        assert result.report.calls == (2, 1)
