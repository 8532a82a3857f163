"""Numbers that leave the range of the result's dtype: beyond it a region stays, below it that is said."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.collapsing.pipeline import Collapse


def layers(kind: str, weight: float) -> tuple[nn.Module, Tensor]:
    if kind == "dense":
        model, x = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 2, bias=False)), torch.ones(1, 8)
    else:
        model, x = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 1, bias=False)), torch.ones(1, 4, 9, 9)
    for layer in model:
        nn.init.constant_(layer.weight, weight)
    return model.eval(), x


def collapsed(kind: str, weight: float, dtype: torch.dtype) -> Collapse:
    model, x = layers(kind, weight)
    return collapse(model, x, dtype=dtype, measure=False)


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_a_product_beyond_the_dtype_is_not_folded(kind: str) -> None:
    """300 x 300 x 4 is beyond float16, whose largest number is 65504; it is none for bfloat16."""
    kept = collapsed(kind, 300.0, torch.float16)
    assert all(bool(value.isfinite().all()) for value in kept.model.state_dict().values())
    assert len(kept.model.state_dict()) == 2
    assert "beyond float16" in str(kept.report)
    assert len(collapsed(kind, 300.0, torch.bfloat16).model.state_dict()) < 3


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_a_product_below_the_dtype_is_said(kind: str) -> None:
    """1e-5 x 1e-5 x 4 is below 2^-25, which float16 rounds to 0."""
    assert "below float16 and become 0" in collapsed(kind, 1e-5, torch.float16).certificate.statement
    assert "below" not in collapsed(kind, 1e-5, torch.float32).certificate.statement
    assert "below float32 and become 0" in collapsed(kind, 1e-25, torch.float32).certificate.statement
