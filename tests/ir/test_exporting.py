"""How often a model is exported before its program is known: an export is the longest part of a collapse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn.ir import exporting
from algebraic_cnn.ir.trace import trace


class Anchored(nn.Module):
    """Keeps a grid for the shape of the last image, as detectors do; or one for every length of an image."""

    def __init__(self, *, by_batch: bool) -> None:
        super().__init__()
        self.conv, self.by_batch = nn.Conv2d(1, 2, 3, padding=1), by_batch
        self.shape: Any = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        shape = y.shape if self.by_batch else y.shape[1:]
        if self.shape != shape:
            self.grid, self.shape = torch.arange(y.shape[-1]) * 1.0, shape
        return y * self.grid


@pytest.mark.parametrize(("by_batch", "exports", "batch"), [(True, 2, 1), (False, 1, None)])
def test_a_model_that_keeps_something_for_one_batch_size_is_not_asked_about_others_twice(
    monkeypatch: pytest.MonkeyPatch, by_batch: bool, exports: int, batch: int | None
) -> None:
    calls = []
    exported = exporting._exported
    monkeypatch.setattr(exporting, "_exported", lambda *a, **k: (calls.append(0), exported(*a, **k))[1])
    model, x = Anchored(by_batch=by_batch).eval(), torch.rand(1, 1, 4, 4)
    expected = model(x)
    graph = trace(model, x)
    assert (len(calls), graph.batch) == (exports, batch)
    assert model.shape == (expected.shape if by_batch else expected.shape[1:])  # what it kept is what it keeps
