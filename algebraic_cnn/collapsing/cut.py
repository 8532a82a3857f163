"""Where to cut: which values of a piece are computed, and in which form each part between two of them runs.

    given      the calls that the network had
    merged     one stencil (realisation.py), with moves (writing.py), or in a ring (strips.py)
    dense      one matrix, where images are small
    best       the cheapest plan: by dynamic programming over the cuts of a chain, by pairs over branches

A chain of k parts has k (k + 1) / 2 segments; the best plan of its first j parts ends with some segment i .. j and
begins with the best plan of the first i.  Forms are compared by their shapes alone; no number is computed here.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from ..algebra.stencils.moves import gathered, moves_through
from ..algebra.stencils.phases import Grouping
from ..algebra.stencils.pieces import Atom, Branches, Chain, Form, Move, Piece, Scaling, Tangle, chained, form, settled
from ..derivation.samples import apart
from ..ir.graph import Call, Graph, Ref, Size
from ..ops.registry import traits
from ..ops.sums import roundings_of
from ..ops.traits import Prices
from .building import LIKE, Emit, GraphBuilder
from .cost import Expense, expense
from .dense import alone, dense
from .elsewhere import Elsewhere
from .lifting import Writing, lifted
from .plans import NEVER, Merger, Plan
from .realisation import realise, runs
from .strips import ringed
from .writing import around, beside, leaves, multiplied, name_of, opened, repeated

#: A form that spends more of something and is not cheaper by this factor is not worth a change.
GAIN = 0.98

#: A matrix must not be dearer either for a batch so many times as large, where its products count more than calls.
_MANY = 32

#: A matrix of more numbers than the calls that it replaces hold takes memory, and long to derive and to certify: from
#: so many entries on, it must take at most so much of their time.
_LARGE, _WORTH = 2**16, 0.5

#: A mean and a sum after it, in one sum, have as many terms as the product of both lengths, and as many roundings; a
#: form may have so many times those of the calls that it replaces.
_ROUNDINGS = 4


def _entries(piece: Piece) -> int:
    """How many entries the matrix of a piece has."""
    return math.prod(int(n or 1) for n in (*piece.source[1:], *piece.shape[1:]))


@dataclass(frozen=True, eq=False)
class Cutter:
    """What a decision depends on beside the piece.

    Attributes:
        graph: the network.
        shapes: of its values.
        dependent: names of the values that depend on its input.
        prices: of the cost model.
        batch: for which batch size costs are compared.
        memory_budget: bytes that an explicit matrix may take.
        method: how such a matrix is derived.
        sure: whether only such forms count as spend less of nothing: of no kind more than the network's own calls.
        elsewhere: the network at other image sizes, if forms must take them as well.
        small: whether only such forms count as keep no more numbers than the network's own calls.
        images: whether an image of one pixel stays an image: where a convolution starts as fast as a matrix product.
    """

    graph: Graph
    shapes: MutableMapping[str, Size]
    dependent: frozenset[str]
    prices: Prices
    batch: int
    memory_budget: int
    method: str = "auto"
    sure: bool = False
    elsewhere: Elsewhere | None = None
    small: bool = False
    images: bool = False

    @classmethod
    def of(cls, graph: Graph, *, prices: Prices, memory_budget: int, method: str = "auto") -> Cutter:
        """For a graph, at the batch size that it is bound to, else at 1."""
        return cls(graph, graph.shapes(), graph.dependent(), prices, graph.batch or 1, memory_budget, method)

    def best(self, piece: Piece) -> Plan:
        """The cheapest plan of a piece."""
        match piece:
            case Chain(parts):
                return self._chain(parts, settled(piece))
            case Branches():
                return min(self._branches(piece), self._merged(settled(piece)), key=lambda plan: plan.cost)
            case Tangle():
                return self._dense(piece, self._spent(piece, self.given(piece)), math.inf)
        plan = self.priced(piece, self.given(piece))
        if isinstance(piece, Atom) and piece.thin:
            less = self._merged(piece)
            return less if less.cost < (1.0 if less.sure else GAIN) * plan.cost else plan
        return plan

    def given(self, piece: Piece) -> Emit:
        """Writes the calls that the network had."""
        match piece:
            case Chain(parts):
                emits = [self.given(part) for part in parts]
                return lambda builder, x, like: reduce(lambda y, emit: emit(builder, y, like), emits, x)
            case Branches(_, parts):
                return beside(piece, [self.given(part) for part in parts])
            case Tangle(calls=calls, start=start):
                return lambda builder, x, like: repeated(builder, calls, {start: x})
            case Scaling(number=number) if number is not None:
                return lambda builder, x, like: multiplied(builder, x, number, like)
            case Atom(call=None):
                return lambda builder, x, like: realise(builder, x, piece, like, images=self.images) or x
        source = next(name for name in piece.call.refs() if name in self.dependent)
        return lambda builder, x, like: builder.repeat(piece.call, {source: x})

    def priced(self, piece: Piece, emit: Emit) -> Plan:
        """The plan that makes these calls."""
        return Plan(self._spent(piece, emit).total, emit)

    def _spent(self, piece: Piece, emit: Emit) -> Expense:
        return self._expense(self._tried(piece, emit))

    def _tried(self, piece: Piece, emit: Emit) -> GraphBuilder:
        builder = GraphBuilder(self.graph, ChainMap({"x": piece.source}, self.shapes))
        emit(builder, Ref("x"), LIKE)
        return builder

    def _grows(self, piece: Piece, builder: GraphBuilder) -> bool:
        """Whether a form keeps more numbers than the calls that it replaces, where that matters."""
        return self.small and _kept(builder) > _kept(self._tried(piece, self.given(piece)))

    def _rounds_more(self, piece: Piece, builder: GraphBuilder) -> bool:
        """Whether a form draws the terms of a mean into a sum that rounds far more often than the network's calls."""
        if not any(traits(call.op).averages for call in leaves(piece)):
            return False
        return _roundings(builder) > _ROUNDINGS * _roundings(self._tried(piece, self.given(piece)))

    def _expense(self, builder: GraphBuilder) -> Expense:
        item = self.graph.dtype.itemsize
        return expense(builder.calls, builder.shapes, batch=self.batch, item=item, prices=self.prices)

    def _chain(self, parts: Sequence[Piece], whole: Piece) -> Plan:
        placed = whole.parts if isinstance(whole, Chain) else (whole,)
        given = [self._spent(part, self.given(part)) for part in parts]
        plans = [Plan(0.0, lambda builder, x, like: x)]
        for stop, part in enumerate(parts, 1):
            best = plans[-1].then(self.best(part))
            for start in range(stop - 2, -1, -1):
                segment = Chain(tuple(parts[start:stop]))
                allowed = best.cost - plans[start].cost
                before = sum(given[start:stop], Expense())
                merged = self._merged(Chain(placed[start:stop]), before, allowed)
                for plan in (merged, self._dense(segment, before, allowed)):
                    if plan.cost < (1.0 if plan.sure else GAIN) * allowed:
                        best, allowed = plans[start].then(plan), plan.cost
            plans.append(best)
        return self._explained(plans[-1], Chain(placed))

    def _explained(self, plan: Plan, piece: Piece) -> Plan:
        """The plan of a chain, with the reason why the chain is not one stencil, if it could be one."""
        whole = form(piece)
        if whole is None or any(len(merger.calls) == len(list(leaves(piece))) for merger in plan.mergers):
            return plan
        cost = self._merged(piece).cost
        border = "" if whole.exact else " inside, as it was along the border,"
        if math.isinf(cost) and self.elsewhere is not None and not math.isinf(self._merged_here(piece).cost):
            return replace(plan, refusals=("no one form of it takes every image size",))
        if math.isinf(cost):
            return plan if whole.exact else replace(plan, refusals=("at the border it is not one stencil",))
        reason = f"one stencil{border} would take {cost / 1000:,.0f} us against {plan.cost / 1000:,.0f} us by the model"
        return replace(plan, refusals=(reason,))

    def _merged(self, piece: Piece, before: Expense | None = None, allowed: float = math.inf) -> Plan:
        """One stencil, for every image size if more than one is asked for, or a plan of infinite cost.

        One that is too dear at the size where costs are compared is not written for the others: it would cost as much.
        """
        plan = self._merged_here(piece, before)
        if self.elsewhere is None or math.isinf(plan.cost):
            return plan
        return self._everywhere(piece, plan, before) if plan.cost < allowed else NEVER

    def _everywhere(self, piece: Piece, plan: Plan, before: Expense | None) -> Plan:
        """A plan that takes all image sizes, or one of infinite cost."""
        writings = [Writing.of(self.graph, self.shapes, piece, plan.emit)]
        for source, there in self.elsewhere.family(piece) if self.elsewhere else ():
            shapes = dict(source.shapes)
            other = replace(self, graph=source.graph, shapes=shapes, sure=False, elsewhere=None)
            found = other._merged_here(there) if there else NEVER
            if math.isinf(found.cost) or there is None:
                return NEVER
            writings.append(Writing.of(source.graph, shapes, there, found.emit))
        emit = lifted(writings)
        return self._form(piece, emit, before, plan.mergers[0].form) if emit else NEVER

    def _merged_here(self, piece: Piece, before: Expense | None = None) -> Plan:
        """One stencil for one image size, or a plan of infinite cost."""
        if isinstance(piece, Chain) and any(map(moves_through, piece.parts)):
            moved = self._moved(piece, before)
            torn = any(isinstance(part, Move) for part in piece.parts)
            return moved if torn else min(moved, self._one(piece, before), key=lambda plan: plan.cost)
        return self._one(piece, before)

    def _one(self, piece: Piece, before: Expense | None) -> Plan:
        """One stencil without moves, or a plan of infinite cost."""
        whole = form(piece)
        if whole is None:
            return NEVER
        if not whole.exact:
            return self._ringed(piece, whole, before)
        calls = tuple(leaves(piece))

        def emit(builder: GraphBuilder, x: Ref, like: Call) -> Ref:
            return realise(builder, x, piece, calls[-1] if calls else like, images=self.images) or x

        return self._form(piece, emit, before)

    def _form(self, piece: Piece, emit: Emit, before: Expense | None, name: str = "") -> Plan:
        """The plan that makes these calls of a piece and calls them a form, or a plan of infinite cost."""
        builder = self._tried(piece, emit)
        if not builder.calls:
            return NEVER
        before = self._spent(piece, self.given(piece)) if before is None else before
        after = self._expense(builder)
        sure = after.within(before)
        if (self.sure and not sure) or self._grows(piece, builder) or self._rounds_more(piece, builder):
            return NEVER
        merger = Merger(name or name_of(builder), tuple(leaves(piece)), before.total, after.total)
        return Plan(after.total, emit, (merger,), sure=sure)

    def _ringed(self, piece: Piece, whole: Form, before: Expense | None) -> Plan:
        """One convolution inside and the calls as they were along the border, where the inside alone would pay."""
        before = self._spent(piece, self.given(piece)) if before is None else before
        widths = [Grouping.of(axis).width for axis in whole.axes]
        each = whole.c_out * whole.c_in // whole.groups * math.prod(axis.m for axis in whole.axes)
        products = each * math.prod(widths)
        emit = ringed(piece, self.given(piece)) if products * self.prices.product < before.total else None
        try:
            phases = math.prod(axis.up for axis in whole.axes)
            apart = f" for each of {phases} phases" if phases > 1 else ""
            name = f"conv{len(whole.axes)}d {'x'.join(map(str, widths))}{apart} inside, strips as given"
            return self._form(piece, emit, before, name) if emit else NEVER
        except RuntimeError:  # torch refuses a strip that is thinner than its reflection
            return NEVER

    def _moved(self, piece: Chain, before: Expense | None) -> Plan:
        """Stencils with reshapes and permutations between them, as one stencil and these before or after it."""
        if isinstance(piece.parts[0], Move) or isinstance(piece.parts[-1], Move):
            return NEVER
        plans = [NEVER]
        for moves_last in (True, False):
            pair = gathered(piece.parts, moves_last=moves_last)
            if pair and all(pair) and runs(chained(pair[0])):
                plans.append(self._form(piece, around(chained(pair[0]), pair[1], moves_last), before))
        return min(plans, key=lambda plan: plan.cost)

    def _dense(self, piece: Piece, before: Expense, allowed: float) -> Plan:
        """One matrix, if it can pay at small and large batches and fits the budget; else a plan of infinite cost."""
        ends = (piece.source, piece.shape)
        if any(None in shape[1:] or len(shape) < 2 or shape[0] != self.graph.batch for shape in ends):
            return NEVER
        if self.elsewhere is not None and not self.elsewhere.constant(piece):
            return NEVER
        entries = _entries(piece)
        if entries * self.prices.product > allowed or entries * 8 > self.memory_budget:
            return NEVER
        calls = tuple(leaves(piece))
        given, matrix = self.given(piece), dense(piece, self.given(piece), self.memory_budget, self.method)
        after, many = self._spent(piece, matrix), replace(self, batch=_MANY * self.batch)
        grows = entries > max(_LARGE, sum(map(self._numbers, calls)))
        if grows and after.total > _WORTH * before.total:
            return NEVER
        if many.priced(piece, matrix).cost > many.priced(piece, given).cost or (self.sure and not after.within(before)):
            return NEVER
        written = self._tried(piece, matrix)
        if self._grows(piece, written) or self._rounds_more(piece, written):
            return NEVER
        if not apart(alone(self.graph, piece, given, LIKE), self.graph.device):
            return NEVER
        return Plan(after.total, matrix, (Merger("dense", calls, before.total, after.total),))

    def _numbers(self, call: Call) -> int:
        """How many numbers of the network a call reads."""
        return sum(math.prod(int(n or 1) for n in self.shapes[name]) for name in set(call.refs()) - self.dependent)

    def _branches(self, piece: Branches) -> Plan:
        """Branches apart, or merged in pairs while that pays."""
        groups: list[tuple[Piece, Plan]] = [(part, self.best(part)) for part in piece.parts]
        while piece.kind == "sum" and len(groups) > 1:
            best = self._apart(piece, groups)
            candidates = []
            for j in range(len(groups)):
                for i in range(j):
                    both = Branches("sum", (*opened(groups[i][0]), *opened(groups[j][0])), piece.shape)
                    rest = [group for k, group in enumerate(groups) if k not in (i, j)]
                    candidates.append([*rest[:i], (both, self._merged(settled(both))), *rest[i:]])
            groups_after = min(candidates, key=lambda groups: self._apart(piece, groups).cost)
            if self._apart(piece, groups_after).cost >= best.cost:
                break
            groups = groups_after
        return self._apart(piece, groups)

    def _apart(self, piece: Branches, groups: Sequence[tuple[Piece, Plan]]) -> Plan:
        if any(math.isinf(plan.cost) for _, plan in groups):
            return NEVER
        parts = Branches(piece.kind, tuple(part for part, _ in groups), piece.shape)
        plan = self.priced(piece, beside(parts, [plan.emit for _, plan in groups]))
        mergers, refusals = (
            tuple(item for _, plan in groups for item in getattr(plan, name)) for name in ("mergers", "refusals")
        )
        return replace(plan, mergers=mergers, refusals=refusals)


def _roundings(builder: GraphBuilder) -> int:
    """How many rounded operations a number meets in the calls of a builder, at most."""
    names = builder.graph.dependent() | {"x"} | {call.name for call in builder.calls}
    return sum(roundings_of(builder.calls, builder.shapes, names).values())


def _kept(builder: GraphBuilder) -> int:
    """How many numbers the calls of a builder keep: what they use and no call or input of the network gives."""
    names = {name for call in builder.calls for name in call.refs()}
    names &= builder.recipes.keys() | builder.graph.constants.keys()
    return sum(math.prod(int(n or 1) for n in builder.shapes[name]) for name in names)
