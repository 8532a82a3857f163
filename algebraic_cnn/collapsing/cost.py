"""What calls cost: a model of time from their arithmetic, their bytes and their number.

    Expense   nanoseconds by kind: of dispatch, of arithmetic, of memory
    expense   that of some calls, by the model; the same for what was given and for what would replace it

The model ranks forms; where a form spends more of some kind, a measurement has the last word (measurement.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..ir.graph import Call, Size
from ..ops.registry import traits
from ..ops.traits import Prices, length


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


def expense(
    calls: Iterable[Call], shapes: Mapping[str, Size], *, batch: int = 1, item: int = 4, prices: Prices | None = None
) -> Expense:
    """What calls cost by the model.

    Args:
        calls: the calls.
        shapes: shape of every value by name, None on the batch axis.
        batch: length of the batch axis.
        item: bytes of a number.
        prices: the model's constants.
    """
    return sum((_expense(call, shapes, batch, item, prices or Prices()) for call in calls), Expense())


def _expense(call: Call, shapes: Mapping[str, Size], batch: int, item: int, prices: Prices) -> Expense:
    known = traits(call.op)
    if known.idle or known.view:
        return Expense(0.0 if known.idle else prices.call / 2)
    entries = length(call.shape, batch) + sum(length(shapes.get(name, ()), batch) for name in set(call.refs()))
    work = known.work(prices, call, call.bound(), shapes, batch)
    return Expense(prices.call + known.start(prices), work, prices.byte * item * entries)
