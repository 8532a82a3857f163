"""A collapse's certificate speaks of the network and of its result, as ``trace`` and the command line see them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import collapse
from algebraic_cnn.ir.programs import save_program
from algebraic_cnn.ir.trace import export, trace
from algebraic_cnn.models.resnet import BasicBlock
from tests.apps.commands import run
from tests.narrow import Narrow


class Parts(nn.Module):
    """A split, a gate and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.count.add_(1)
        first, second = self.norm(self.conv(x)).chunk(2, 1)
        return {"gated": first * second.sigmoid(), "count": self.count * 1}


NETWORKS = {
    "rectified": (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()), (2, 6, 6)),
    "wholly affine": (nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 2)), (2, 6, 6)),
    "parts": (Parts(), (2, 6, 6)),
    "residual": (Narrow(BasicBlock, (2, 2, 2, 2)), (1, 32, 32)),
}


@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_certificate_speaks_of_both(name: str, dtype: torch.dtype | None) -> None:
    model, shape = NETWORKS[name]
    x = torch.zeros(2, *shape)
    result = collapse(model.eval(), x, dtype=dtype, measure=False)
    assert result.certificate is not None
    new = trace(result.model, x.to(dtype or x.dtype))
    assert result.certificate.speaks_of(trace(model, x), new)
    assert not result.certificate.speaks_of(new, new)


@pytest.mark.parametrize("name", ["rectified", "parts"])
def test_the_command_line_knows_its_own_result(tmp_path: Path, name: str) -> None:
    model, shape = NETWORKS[name]
    first, out, verdict = (tmp_path / file for file in ("model.pt2", "fast.pt2", "verdict.json"))
    save_program(export(model.eval(), torch.zeros(2, *shape)), first)
    assert run("collapse", first, "--out", out, "--certificate", verdict, "--no-measure").exit_code == 0
    done = run("certify", first, out, "--check", verdict)
    assert done.exit_code == 0, done.output
    swapped = run("certify", out, first, "--check", verdict)
    assert (swapped.exit_code, "speaks of another network" in swapped.output) == (2, True)
