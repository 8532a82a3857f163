"""The passes of a collapse: a list that one can read, in the order in which they run.

    Pass          a name, what it does in a sentence, and a function from a network and a cutter to a network
    PASSES        those that rearrange definitions; ``rewrite`` then writes each definition by its cheapest plan
    PassReport    how many values a pass computes otherwise
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..algebra.stencils.pieces import Piece
from ..derivation.definitions import AffinePart, joined
from .addends import distributed
from .averages import averaged
from .cut import Cutter
from .forks import past_forks


@dataclass(frozen=True)
class Pass:
    """One way to rearrange the affine part of a network; the function stays the same.

    Attributes:
        name: in a word.
        does: in a sentence.
        run: gives the new network; decides by the cutter's prices.
    """

    name: str
    does: str
    run: Callable[[AffinePart, Cutter], AffinePart]


@dataclass(frozen=True)
class PassReport:
    """What a pass did.

    Attributes:
        name: of the pass.
        does: what such a pass does.
        changed: how many values are computed from others, or otherwise, than before.
        missed: what it did not do, and why, each reason once.
    """

    name: str
    does: str
    changed: int
    missed: tuple[str, ...] = ()

    def __str__(self) -> str:
        left = f"; not {', not '.join(self.missed)}" if self.missed else ""
        return f"{self.name}: {self.changed} changed ({self.does}{left})"


_JOIN = Pass("join", "chains, and branches that meet again, become one map", lambda network, cutter: joined(network))

PASSES = (
    _JOIN,
    Pass("distribute", "a map of channels after a sum is done in every term, where that costs less", distributed),
    Pass("spread", "a map of channels before a fork is done in every reader, where that costs less", past_forks),
    _JOIN,
    Pass("average", "averages go before maps of channels, where that costs less", averaged),
)


def arranged(network: AffinePart, cutter: Cutter) -> tuple[AffinePart, tuple[PassReport, ...]]:
    """The network after all passes, and what each of them did."""
    reports = []
    for each in PASSES:
        before = _operands(network)
        network = each.run(network, cutter)
        after = _operands(network)
        same = sum(_alike(before[name], after[name]) for name in before.keys() & after.keys())
        reports.append(PassReport(each.name, each.does, len(before.keys() | after.keys()) - same))
    return network, tuple(reports)


def _operands(network: AffinePart) -> dict[str, list[tuple[str, Piece]]]:
    return {name: list(definition.operands) for name, definition in network.definitions.items()}


def _alike(before: list[tuple[str, Piece]], after: list[tuple[str, Piece]]) -> bool:
    if len(before) != len(after):
        return False
    return all(a == b and one is other for (a, one), (b, other) in zip(before, after, strict=True))
