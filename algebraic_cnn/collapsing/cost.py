"""What calls cost: a model of time from their arithmetic, their bytes and their number.

    Prices    nanoseconds for a call, a multiply-add, a byte; measured on two cores of an ordinary server CPU
    Expense   nanoseconds by kind: of dispatch, of arithmetic, of memory
    expense   that of some calls, by the model; the same for what was given and for what would replace it

The model ranks forms; where a form spends more of some kind, a measurement has the last word (measurement.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..ir.graph import Call, Ref, Rows, Size

_VIEWS = frozenset(
    "view _unsafe_view permute transpose t squeeze unsqueeze expand alias detach select slice narrow split "
    "split_with_sizes chunk unbind movedim swapaxes unflatten flatten reshape contiguous".split()
)
_FREE = frozenset(["operator.getitem", "sym_size", "dropout"])


@dataclass(frozen=True)
class Expense:
    """Nanoseconds by kind.

    Attributes:
        dispatch: for the number of calls.
        arithmetic: for multiply-adds.
        memory: for bytes read and written.

    >>> Expense(2.0, 3.0) + Expense(1.0, 0.0, 4.0)
    Expense(dispatch=3.0, arithmetic=3.0, memory=4.0)
    """

    dispatch: float = 0.0
    arithmetic: float = 0.0
    memory: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.dispatch + self.arithmetic + self.memory

    def __add__(self, other: Expense) -> Expense:
        kinds = zip(self._kinds, other._kinds, strict=True)
        return Expense(*(a + b for a, b in kinds))

    def within(self, other: Expense) -> bool:
        """Whether no kind of expense is above the other's, to the nanosecond: then nothing needs to be measured."""
        return all(round(a) <= round(b) for a, b in zip(self._kinds, other._kinds, strict=True))

    @property
    def _kinds(self) -> tuple[float, float, float]:
        return self.dispatch, self.arithmetic, self.memory


@dataclass(frozen=True)
class Prices:
    """The model's constants, in nanoseconds.

    Attributes:
        call: dispatch of any call.
        kernel: what a convolution costs before its first product.
        norm: what a BatchNorm costs before its first number.
        product: a multiply-add of a convolution.
        matrix: a multiply-add of a matrix product with one vector.
        lone: a multiply-add where few channels are summed over, and an entry of a pool.
        plane: an entry that a depthwise convolution reads or writes, beside its products.
        byte: a byte read or written.
    """

    call: float = 2_000.0
    kernel: float = 8_000.0
    norm: float = 3_000.0
    product: float = 0.0125
    matrix: float = 0.03
    lone: float = 0.15
    plane: float = 0.55
    byte: float = 0.017

    def of(self, call: Call, shapes: Mapping[str, Size], batch: int, item: int) -> Expense:
        """What one call costs.

        Args:
            call: a call.
            shapes: shape of every value by name, None on the batch axis.
            batch: length of the batch axis.
            item: bytes of a number.
        """
        if call.op in _FREE or call.op.startswith("operator."):
            return Expense()
        if call.op in _VIEWS:
            return Expense(self.call / 2)
        sizes = {name: _length(shapes.get(name, ()), batch) for name in call.refs()}
        bytes_moved = item * (sum(sizes.values()) + _length(call.shape, batch))
        dispatch = self.call + self.kernel * call.op.startswith("conv") + self.norm * (call.op == "batch_norm")
        return Expense(dispatch, self._arithmetic(call, shapes, batch), self.byte * bytes_moved)

    def _arithmetic(self, call: Call, shapes: Mapping[str, Size], batch: int) -> float:
        a, outputs = call.bound(), _length(call.shape, batch)
        if call.op.startswith("conv"):
            shape = shapes[a["weight"].name]
            transposed = call.op.startswith("conv_transpose")
            inside, outside = int(shape[1] or 1), int(shape[0] or 1) // a["groups"]
            positions = outputs if not transposed else _length(shapes[a["input"].name], batch)
            products = positions * inside * math.prod(n or 1 for n in shape[2:])
            if inside * outside == 1:
                return self.product * products + self.plane * (outputs + _length(shapes[a["input"].name], batch))
            # vector units fill up with channels on both sides
            rate = max(self.product, min(self.lone, self.lone / (min(inside, 8) * min(outside, 8) / 4)))
            if outputs < 8 * int(shape[0] or 1):  # so few positions that reading the weights is what takes time
                rate = max(rate, self.matrix)
            return products * rate
        if call.op in ("linear", "addmm", "mm", "matmul"):
            name = {"linear": "weight", "addmm": "mat2", "mm": "mat2", "matmul": "other"}[call.op]
            shape = shapes.get(a[name].name, ()) if isinstance(a[name], Ref) else ()
            rows = outputs // int(call.shape[-1] or 1)
            return (
                outputs
                * int(shape[-1 if call.op == "linear" else 0] or 1)
                * (self.matrix if rows < 8 else self.product)
            )
        if call.op.startswith(("avg_pool", "adaptive_avg_pool")):
            return self.lone * max(
                outputs * math.prod(a.get("kernel_size", ())), _length(shapes[a["self"].name], batch)
            )
        return 0.0


def expense(
    calls: Iterable[Call], shapes: Mapping[str, Size], *, batch: int = 1, item: int = 4, prices: Prices | None = None
) -> Expense:
    """What calls cost by the model."""
    price = (prices or Prices()).of
    return sum((price(call, shapes, batch, item) for call in calls), Expense())


def _length(shape: Iterable[int | None], batch: int) -> int:
    return math.prod(batch if n is None else n * batch if isinstance(n, Rows) else n for n in shape)
