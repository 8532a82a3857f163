"""Shapes that an export finds at once are those that torch finds."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses import fake_impls

from algebraic_cnn.ir import quick_shapes as rules
from algebraic_cnn.ir.quick_shapes import quick_shapes
from algebraic_cnn.ir.trace import trace

ENTRYWISE = ["Hardswish", "Hardsigmoid", "SiLU", "GELU", "Mish", "Hardtanh", "LeakyReLU", "ELU", "Sigmoid", "Softplus"]


def _shapes(model: nn.Module, x: torch.Tensor) -> list[tuple[object, ...]]:
    """Shapes, strides and dtypes of everything that a program with a free batch computes."""
    program = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    values = [node.meta["val"] for node in program.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    return [(*map(str, (*v.shape, *v.stride())), v.dtype, v.device) for v in values]


class Permuted(nn.Module):
    """Calls on tensors that do not lie in memory as their shape says, and on some that do."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.norm, self.calls = nn.BatchNorm2d(3), nn.ModuleList(getattr(nn, name)() for name in names)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        plain, turned = self.norm(x), self.norm(x.transpose(2, 3))
        return [call(plain) + call(turned).transpose(2, 3) for call in self.calls]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_they_are_those_of_torch(dtype: torch.dtype) -> None:
    model, x = Permuted(*ENTRYWISE).to(dtype), torch.ones(2, 3, 4, 5, dtype=dtype)
    expected = _shapes(model, x)
    with quick_shapes():
        assert _shapes(model, x) == expected
    last = torch.ones(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)
    expected = _shapes(model, last)
    with quick_shapes():
        assert _shapes(model, last) == expected


def test_a_rule_for_every_tensor_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = Permuted("Hardswish"), torch.ones(2, 3, 4, 5)
    expected = _shapes(model, x)
    monkeypatch.setattr(rules, "_plain", lambda x: True)
    with quick_shapes():
        assert _shapes(model, x) != expected


def test_torch_s_table_is_as_it_was() -> None:
    before = dict(fake_impls.get_fast_op_impls())
    trace(nn.Sequential(nn.BatchNorm1d(3), nn.Hardswish(inplace=True)).eval(), torch.ones(1, 3))
    assert fake_impls.get_fast_op_impls() == before


def test_a_norm_of_another_dtype_goes_torch_s_way() -> None:
    model = nn.BatchNorm1d(3)
    x = torch.ones(2, 3, dtype=torch.bfloat16)
    expected = _shapes(model, x)
    with quick_shapes():
        assert _shapes(model, x) == expected
