"""Recurrent layers of ONNX: where only shapes are asked for, no step is taken, however long the sequence."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from algebraic_cnn.ir.onnx.tables.recurrent import RECURRENT


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_the_shapes_of_a_long_sequence_take_no_steps(kind: str, gates: int, direction: str) -> None:
    layer = RECURRENT[kind]({"hidden_size": 5, "direction": direction.encode()}, 14)
    assert layer is not None
    ways, length = 2 if direction == "bidirectional" else 1, 10**7

    def shapes(time: int) -> list[tuple[int, ...]]:
        weights = torch.zeros(ways, 5 * gates, 3), torch.zeros(ways, 5 * gates, 5)
        return [tuple(y.shape) for y in layer(torch.zeros(time, 2, 3), *weights)]

    short = shapes(4)
    with FakeTensorMode():
        assert shapes(4) == short
        assert shapes(length) == [(length, *short[0][1:]), *short[1:]]
