"""Running the checker, which is a program of its own.

recheck    what it says of a file
checker    where it is: $ALGEBRAIC_CNN_CHECKER, build/checker in the working directory, or the PATH
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, MissingExtraError

#: The name of the program that ``make checker`` builds.
NAME = "acnn-recheck"
BUILT = Path("build", "checker", NAME)
VARIABLE = "ALGEBRAIC_CNN_CHECKER"


@dataclass(frozen=True)
class Recheck:
    """What the checker found.

    Attributes:
        ok: whether every claim of the file holds.
        lines: what it said, claim by claim.

    >>> Recheck(True, ("Claim 0 holds.",)).ok
    True
    """

    ok: bool
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def checker() -> Path:
    """The program.

    Raises:
        MissingExtraError: if it is not there.
    """
    named = os.environ.get(VARIABLE)
    found = named or (str(BUILT) if BUILT.is_file() else shutil.which(NAME))
    if not found or not Path(found).is_file():
        what = f"the checker {named or NAME} is not there"
        raise MissingExtraError(what, expected=f"make checker, or its path in ${VARIABLE}")
    return Path(found).absolute()


def recheck(
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    bits: int = 80,
    modulo: bool = False,
    work: int | None = None,
) -> Recheck:
    """Has the checker that was extracted from the proof decide the claims of a file.

    Args:
        path: a file that ``Certificate.write`` wrote.
        seed: repeats the random choices of an earlier run; default: from the system.
        modulo: whether equality over the rational numbers is decided modulo random primes, however small the networks.
        bits: where chance plays a part, a false claim passes with probability below 2^(-bits).
        work: steps that the claims may take for every byte of the file; default: the checker's own 500,000.

    Returns:
        What it found.

    Raises:
        DataError: if the file is missing, damaged, or not well-formed; says what is wrong with it.
        MissingExtraError: if the checker was not built.

    >>> recheck("network.cert")                                                             # doctest: +SKIP
    Recheck(ok=True, lines=('Claim 0 holds: equal for every input, over the rational numbers.',))
    """
    command = [str(checker()), os.fspath(path), "--bits", str(bits)]
    command += [] if seed is None else ["--seed", str(seed)]
    command += ["--modulo"] if modulo else []
    command += [] if work is None else ["--work", str(work)]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode not in (0, 1):
        reason = run.stderr.strip().removeprefix("error: ") or f"exit status {run.returncode}"
        raise DataError(f"the checker refuses the file: {reason}", where=os.fspath(path))
    return Recheck(run.returncode == 0, tuple(run.stdout.splitlines()))
