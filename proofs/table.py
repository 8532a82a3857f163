"""Runs every proof and says how far each theorem is proved.

Row          one theorem: its number and name, what ``prove`` recorded, whether it is proved for all sizes, the time
run          the rows of all files ``pNN_name.py``, or of those whose names contain a word
closed       the theorems that proofs/rocq states in files without gaps
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .record import Record, Refuted
from .rocq.check import forbidden, theorems

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One theorem and how far it is proved.

    Attributes:
        number: NN of ``pNN_name.py``;  name: the name there.
        theorem: the statement in one line.
        derived: what was derived with symbols.
        instances: on how many random instances it was checked exactly.
        for_all: the theorems of proofs/rocq that prove it for all sizes; empty unless all that it names are there.
        missing: those that it names and that are not there.
        seconds: the time that ``prove`` took.
        refuted: the claim that failed, or nothing.
    """

    number: int
    name: str
    theorem: str
    derived: str = ""
    instances: int = 0
    for_all: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    seconds: float = 0.0
    refuted: str = ""

    @property
    def level(self) -> str:
        """How far the theorem is proved, in words."""
        if self.refuted:
            return f"REFUTED: {self.refuted}"
        checked = f"exact on {self.instances} instances" if self.instances else ""
        for_all = "proved for all" if self.for_all else ""
        return ", ".join(filter(None, ["derived" if self.derived else "", checked, for_all]))


def closed() -> frozenset[str]:
    """The theorems stated in those files of proofs/rocq that leave no gap; ``make proofs`` has them compiled."""
    sources = [path.read_text(encoding="utf-8") for path in sorted((FOLDER / "rocq").glob("*.v"))]
    return frozenset(name for source in sources if not forbidden(source) for name in theorems(source))


def run(word: str = "") -> Iterator[Row]:
    """Proves the theorems one after the other, those whose file name contains the word."""
    machine_checked = closed()
    for path in sorted(FOLDER.glob("p[0-9][0-9]_*.py")):
        if word in path.stem:
            yield _row(path.stem, machine_checked)


def _row(stem: str, machine_checked: frozenset[str]) -> Row:
    module = importlib.import_module(f"{__package__}.{stem}")
    number, name = int(stem[1:3]), stem[4:]
    started = time.perf_counter()
    try:
        record: Record = module.prove()
    except Refuted as refutation:
        headline = (module.__doc__ or name).splitlines()[0]
        return Row(number, name, headline, seconds=time.perf_counter() - started, refuted=str(refutation))
    seconds = time.perf_counter() - started
    missing = tuple(theorem for theorem in record.rocq if theorem not in machine_checked)
    for_all = () if missing else record.rocq
    return Row(number, name, record.theorem, record.derived, record.instances, for_all, missing, seconds)
