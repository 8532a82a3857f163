"""What is remembered of a call is what torch says on the meta device, asked anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from algebraic_cnn.ir import known_shapes
from algebraic_cnn.ir.known_shapes import measured

ATEN = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def said(result: Any) -> Any:
    if isinstance(result, tuple | list):
        return [said(part) for part in result]
    if isinstance(result, Tensor):
        return tuple(result.shape), result.stride(), result.dtype, result.device.type
    return type(result), result


CALLS = {
    "a convolution": (ATEN.conv2d.default, (meta(2, 3, 8, 8), meta(4, 3, 3, 3), None, [2, 2], [1, 1])),
    "the same of three samples": (ATEN.conv2d.default, (meta(3, 3, 8, 8), meta(4, 3, 3, 3), None, [2, 2], [1, 1])),
    "a view of what lies across": (ATEN.reshape.default, (meta(4, 6).t(), [24])),
    "a view of what lies along": (ATEN.reshape.default, (meta(6, 4), [24])),
    "a permutation": (ATEN.permute.default, (meta(2, 3, 4), [0, 2, 1])),
    "parts": (ATEN.split.Tensor, (meta(2, 7), 3, 1)),
    "a part of parts": (lambda parts: parts[1], ([meta(2, 3), meta(2, 4)],)),
    "whole numbers": (ATEN.full.default, ([2], 1), {"device": torch.device("meta")}),
    "numbers": (ATEN.full.default, ([2], 1.0), {"device": torch.device("meta")}),
    "truths": (ATEN.full.default, ([2], True), {"device": torch.device("meta")}),
    "a sum in float64": (ATEN.add.Tensor, (meta(2), meta(2, dtype=torch.float64))),
    "a length": (ATEN.sym_size.int, (meta(2, 5), 1)),
    "a norm of three results": (
        ATEN.native_batch_norm.default,
        (meta(2, 3, 4), meta(3), meta(3), meta(3), meta(3), False, 0.1, 1e-5),
    ),
}


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_it_is_what_torch_says(name: str, again: int) -> None:
    target, args, *more = CALLS[name]
    kwargs = more[0] if more else {}
    right = said(target(*args, **kwargs))
    for _ in range(again):
        assert said(measured(target, args, kwargs)) == right


def test_torch_is_asked_once() -> None:
    asked: list[int] = []

    def target(x: Tensor) -> Tensor:
        asked.append(len(x))
        return x + 1

    for length in (2, 3, 2, 3, 2):
        assert measured(target, (meta(length),), {}).shape == (length,)
    assert asked == [2, 3]


def test_a_refusal_comes_every_time_and_what_has_no_hash_is_asked_anew() -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="length 3"):
            measured(ATEN.add.Tensor, (meta(2), meta(3)), {})
    assert measured(lambda x, given: x[: len(given)], (meta(5), {1, 2}), {}).shape == (2,)


def test_a_memory_that_forgets_strides_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_shapes, "_made", lambda known, real=known_shapes._made: _contiguous(real(known)))
    known_shapes._answer.cache_clear()
    across = said(measured(lambda x: x.t(), (meta(4, 6),), {}))
    known_shapes._answer.cache_clear()
    assert across != said(meta(4, 6).t())


def _contiguous(x: Any) -> Any:
    return x.contiguous() if isinstance(x, Tensor) else x
