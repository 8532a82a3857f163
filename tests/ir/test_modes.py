"""A caller who has switched gradients off gets the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from algebraic_cnn import certify, collapse, derive, exact_map, exact_outputs, local_affine_map
from algebraic_cnn.errors import TraceError


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3, padding=1), nn.Flatten(), nn.Linear(32, 3)]
    return nn.Sequential(*layers).eval()


def rectified() -> nn.Module:
    return nn.Sequential(network(), nn.ReLU(), nn.Linear(3, 2)).eval()


def twins(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    return model, model


CALLS: dict[str, Callable[[torch.Tensor], Any]] = {
    "derive forward": lambda x: derive(network(), x, method="forward").W.tolist(),
    "derive adjoint": lambda x: derive(network(), x, method="adjoint").W.tolist(),
    "collapse": lambda x: collapse(network(), x).affine.W.tolist(),
    "collapse between activations": lambda x: str(collapse(rectified(), x, measure=False).certificate),
    "certify modular": lambda x: str(certify(*twins(network()), x, level="modular", seed=0)),
    "certify a collapse": lambda x: str(certify(network(), collapse(network(), x, certify=None).model, x, seed=0)),
    "certify bounded": lambda x: str(certify(*twins(network()), x, level="bounded", seed=0)),
    "certify rational": lambda x: str(certify(*twins(network()), x, level="rational", seed=0)),
    "exact map": lambda x: exact_map(network(), x).W.tolist(),
    "exact outputs": lambda x: exact_outputs(network(), x).tolist(),
    "local map": lambda x: local_affine_map(rectified(), x).affine.W.tolist(),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_mode_of_the_caller_changes_nothing(call: str) -> None:
    expected = CALLS[call](torch.zeros(1, 1, 6, 6))
    with torch.no_grad():
        assert CALLS[call](torch.zeros(1, 1, 6, 6)) == expected
        assert not torch.is_grad_enabled()


def test_inference_mode_is_refused_in_words() -> None:
    with torch.inference_mode(), pytest.raises(TraceError, match=r"expected torch\.no_grad\(\)"):
        derive(network(), torch.zeros(1, 1, 6, 6))
