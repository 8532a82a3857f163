"""What a proof returns, and how it fails.

Record     a theorem, what was derived symbolically, and on how many random instances it was checked exactly
Refuted    raised by ``prove`` where the theorem does not hold for what it was given
require    a claim that must hold, or the proof is refuted
"""

from __future__ import annotations

from dataclasses import dataclass


class Refuted(Exception):
    """The claim does not hold for what ``prove`` was given."""


@dataclass(frozen=True)
class Record:
    """A proof that went through.

    Attributes:
        theorem: the statement in one line.
        derived: what was derived with symbols, for all values of the letters; its sizes are said where they are fixed.
        instances: the number of random instances on which the statement was checked exactly.
        rocq: the theorems of ``proofs/rocq`` that prove it for all sizes.
    """

    theorem: str
    derived: str
    instances: int
    rocq: tuple[str, ...] = ()


def require(condition: object, claim: str) -> None:
    """Nothing if the condition holds.

    Raises:
        Refuted: if it does not.
    """
    if not condition:
        raise Refuted(claim)
