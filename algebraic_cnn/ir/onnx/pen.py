"""What writes nodes of ONNX: names that nothing has, constants that are shared, the file's version.

Pen            writes nodes
Unwritten      a call that has no spelling in ONNX
tensor_proto   a tensor as an initializer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...extras import required
from ..graph import Call, Ref, unused


class Unwritten(Exception):
    """What cannot be written, and the value that is missing for it, if that is why."""

    def __init__(self, what: str, missing: str = "") -> None:
        super().__init__(what)
        self.missing = missing


@dataclass(eq=False)
class Pen:
    """What writes nodes.

    Attributes:
        version: of ONNX's operators in the file.
        ranks: how many axes every value has.
        dtypes: of the values.
        tensor: the name in the file of a value of the graph.
        size: the name of a 1-D tensor of numbers, some of which are references to sizes.
        taken: names that are taken.
        nodes: what was written.
        initializers: new constants.
    """

    version: int
    ranks: dict[str, int]
    dtypes: dict[str, torch.dtype]
    tensor: Callable[[str], str]
    size: Callable[[Sequence[Any], str], str]
    taken: set[str]
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[Any, Any] = field(default_factory=dict)
    out: str = ""

    def fresh(self, hint: str) -> str:
        """A name that nothing has."""
        name = unused(hint, self.taken)
        self.taken.add(name)
        return name

    def put(self, op: str, given: Sequence[str], out: str = "", **attributes: Any) -> str:
        """A node with one output; a fresh one unless it is named."""
        out = out or self.fresh(f"{self.out}_{op.lower()}")
        helper = required("onnx", "onnx").helper
        self.nodes.append(helper.make_node(op, list(given), [out], self.fresh(f"{out}/{op}"), **attributes))
        return out

    def constant(self, x: Tensor, hint: str) -> str:
        """An initializer, one for all constants of the same bits."""
        x = x.detach().cpu().contiguous()
        key = (x.dtype, tuple(x.shape), x.reshape(-1).view(torch.uint8).numpy().tobytes() if x.numel() else b"")
        if key not in self.initializers:
            self.initializers[key] = tensor_proto(x, self.fresh(hint))
        return self.initializers[key].name

    def ints(self, numbers: Sequence[int]) -> str:
        """Integers as a constant."""
        return self.constant(torch.tensor(list(numbers), dtype=torch.int64), f"{self.out}_ints")

    def ref(self, value: Any, like: Call | None = None) -> str:
        """The name of a value, or of a number as a constant of the dtype of a call."""
        if isinstance(value, Ref):
            return self.tensor(value.name)
        dtype = self.dtypes.get(like.name, torch.float32) if like is not None else torch.float32
        return self.constant(torch.tensor(value, dtype=dtype), f"{self.out}_number")

    def rank(self, value: Any) -> int:
        """How many axes a value has."""
        return self.ranks[value.name]


def tensor_proto(x: Tensor, name: str) -> Any:
    """A tensor as an initializer."""
    onnx = required("onnx", "onnx")
    if x.dtype == torch.bfloat16:
        raw = x.contiguous().view(torch.int16).numpy().tobytes()
        return onnx.helper.make_tensor(name, onnx.TensorProto.BFLOAT16, list(x.shape), raw, raw=True)
    return onnx.numpy_helper.from_array(np.ascontiguousarray(x.numpy()).reshape(tuple(x.shape)), name)
