"""Whether weights are what they were: cheap enough for every call.

version     torch counts the writes that it sees
memory      a tensor that was given other memory lies elsewhere
contents    writes that torch does not count, by ``.data`` or NumPy: bits of a fixed random sample, or of all
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Entries of a weight that a sample looks at; a weight of no more is looked at whole.
SAMPLE = 32
#: How much of the contents is compared in every call.
CONTENTS = ("sample", "all")
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Watch:
    """Tensors, and what they were when the watch began.

    Args:
        tensors: to be watched; their memory is kept alive.
        contents: "sample" or "all"; all keeps a copy of them.

    >>> weight = torch.zeros(3)
    >>> watch = Watch([weight])
    >>> watch.unchanged(), weight.numpy().fill(1.0), watch.unchanged()
    (True, None, False)
    """

    def __init__(self, tensors: Sequence[Tensor], contents: str = "sample") -> None:
        self._tensors = list(tensors)
        draw = np.random.default_rng(0)
        self._looks = [_look(x.detach(), contents == "all", draw) for x in self._tensors]
        self._before = self._marks()
        self._contents = [look() for look in self._looks]

    def unchanged(self) -> bool:
        """Whether nothing that is looked at is another."""
        return self._before == self._marks() and all(
            look() == before for look, before in zip(self._looks, self._contents, strict=True)
        )

    def _marks(self) -> tuple[list[int], list[int]]:
        """Versions and places.  A tensor made under inference_mode has no version: its contents alone are looked at."""
        versions = [0 if x.is_inference() else x._version for x in self._tensors]
        return versions, [x.data_ptr() for x in self._tensors]


class _Look:
    """The bytes at some places of a memory."""

    def __init__(self, memory: Any, places: Any) -> None:
        self._memory, self._places = memory, places

    def __call__(self) -> bytes:
        taken = self._memory.take(self._places)
        return (taken if isinstance(taken, np.ndarray) else taken.cpu().numpy()).tobytes()


def _look(x: Tensor, everything: bool, draw: np.random.Generator) -> _Look:
    """A look at the bits of a tensor, wherever its strides put them."""
    count = x.numel()
    numbers = np.arange(count) if everything or count <= SAMPLE else np.sort(draw.choice(count, SAMPLE, replace=False))
    axes = np.unravel_index(numbers, tuple(x.shape)) if x.ndim else ()
    places = sum((axis * stride for axis, stride in zip(axes, x.stride(), strict=True)), np.zeros_like(numbers))
    bits = _BITS.get(x.element_size())
    whole = torch.empty(0, dtype=x.dtype, device=x.device)
    size = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    whole.set_(x.untyped_storage(), x.storage_offset(), (size,))  # pyright: ignore[reportCallIssue]
    if bits is None:  # complex128: two numbers an entry
        bits, places = torch.int64, np.stack([2 * places, 2 * places + 1], axis=1).reshape(-1)
    memory = whole.view(bits)
    if x.device.type == "cpu":
        return _Look(memory.numpy(), places)
    return _Look(memory, torch.from_numpy(places).to(x.device))
