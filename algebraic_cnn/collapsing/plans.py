"""A way to compute a piece: its calls, not made yet, and what they cost by the model.

Plan      how calls are written, their cost, what was merged and what was refused
Merger    calls that became one form
NEVER     the plan of infinite cost
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..ir.graph import Call, Ref
from .building import Emit, GraphBuilder


@dataclass(frozen=True, eq=False)
class Merger:
    """Calls that became one form.

    Attributes:
        form: its name.
        calls: of the network, that it replaces.
        before: their cost.
        after: its cost.
    """

    form: str
    calls: tuple[Call, ...]
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Plan:
    """A way to compute a piece.

    Attributes:
        cost: nanoseconds by the model.
        emit: writes the calls: (builder, value that the piece takes, call whose place they take) -> value.
        mergers: what was merged in it.
        refusals: what was not, and why.
        sure: whether it is one form that spends more of nothing than the network's own calls.
    """

    cost: float
    emit: Emit
    mergers: tuple[Merger, ...] = ()
    refusals: tuple[str, ...] = ()
    sure: bool = False

    def then(self, after: Plan) -> Plan:
        """This plan, then another."""

        def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
            return after.emit(builder, self.emit(builder, x, like), like)

        refusals = self.refusals + after.refusals
        return Plan(self.cost + after.cost, emit, self.mergers + after.mergers, refusals)


#: The plan that is never the cheapest.
NEVER = Plan(math.inf, lambda builder, x, like: x)
