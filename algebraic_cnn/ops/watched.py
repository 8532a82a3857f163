"""An evaluator that shows every call as it happens.

watch     called with (call, the values that it may use, its own value)
native    run torch's own kernels instead of evaluating over the ring
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ir.graph import Call
from .evaluate import Evaluator

Values = dict[str, Any]


def _ignore(call: Call, values: Values, value: Any) -> None:
    pass


@dataclass(eq=False)
class Watched(Evaluator):
    """An ``Evaluator`` whose calls can be watched, and repeated one at a time.

    Args:
        graph: an affine graph.
        ring: where to compute.
        device: where the carriers live.
        watch: called after each call.
        native: let torch compute in the dtypes that the graph has.

    >>> import torch
    >>> from algebraic_cnn.ir.trace import trace
    >>> graph = trace(torch.nn.Linear(2, 3).eval(), torch.zeros(1, 2))
    >>> run = Watched(graph, watch=lambda call, values, value: print(call.op, tuple(value.shape)))
    >>> _ = run(torch.zeros(4, 2).double())
    linear (4, 3)
    """

    watch: Callable[[Call, Values, Any], None] = _ignore
    native: bool = False

    def step(self, call: Call, values: Values, *, linear: bool = False) -> Any:
        """One call on the given values, not watched."""
        return self._natively(call, values) if self.native else super()._step(call, values, linear)

    def _step(self, call: Call, values: Values, linear: bool) -> Any:
        value = self.step(call, values, linear=linear)
        self.watch(call, values, value)
        return value
