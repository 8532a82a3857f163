"""Compile the machine-checked proofs and fail unless every theorem is closed: no axiom, no gap.

theorems(source)     the names that a file states as Theorem
audited(source)      the names whose assumptions a file prints
forbidden(source)    the words in it that would leave a gap
check(folder)        compile everything in _CoqProject, have coqchk read the proofs again: one Row per theorem
python proofs/rocq/check.py [folder]     the table, and exit status 0 only if all is proved
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

CLOSED = "Closed under the global context"
INSTALL = "coqc was not found; install Coq and mathcomp with: apt-get install coq libcoq-mathcomp-algebra"
_GAPS = re.compile(
    r"\b(Admitted|admit|give_up|Abort|Axioms?|Conjectures?|Parameters?|Declare|bypass_check"
    r"|Unset\s+(?:Guard|Positivity|Universe)\s+Checking)\b"
)
_NEEDS = re.compile(r"^From AlgebraicCNN(?:\.(\w+))? Require Import ([^.]*)\.", re.MULTILINE)
_SECONDS = 300


@dataclass(frozen=True)
class Row:
    """One theorem: its name, its file, and what the compiler says it stands on."""

    theorem: str
    file: str
    status: str

    @property
    def proved(self) -> bool:
        """Whether the theorem stands on nothing but the calculus itself."""
        return self.status == CLOSED


def _without_comments(source: str) -> str:
    depth, kept = 0, []
    for piece in re.split(r"(\(\*|\*\))", source):
        depth += {"(*": 1, "*)": -1}.get(piece, 0)
        if depth == 0 and piece != "*)":
            kept.append(piece)
    return "".join(kept)


def theorems(source: str) -> list[str]:
    """The names a file states as Theorem, in order."""
    return re.findall(r"\bTheorem\s+(\w+)", _without_comments(source))


def audited(source: str) -> list[str]:
    """The names whose assumptions a file prints, in order."""
    return re.findall(r"\bPrint\s+Assumptions\s+(\w+)\s*\.", _without_comments(source))


def forbidden(source: str) -> list[str]:
    """The commands in a file that would leave a gap in a proof."""
    return _GAPS.findall(_without_comments(source))


def _files(folder: Path) -> list[str]:
    listed = re.findall(r"^(\S+)\.v$", (folder / "_CoqProject").read_text(), re.MULTILINE)
    present = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.v")}
    if set(listed) != present:
        raise SystemExit(f"_CoqProject and the folder disagree about: {sorted(set(listed) ^ present)}")
    return listed


def _options(folder: Path) -> list[str]:
    """The compiler's options in _CoqProject."""
    lines = [line for line in (folder / "_CoqProject").read_text().splitlines() if line.startswith("-")]
    return [word for line in lines for word in line.split() if word != "-arg"]


def _rows(name: str, source: str, run: subprocess.CompletedProcess[str]) -> list[Row]:
    """Pair the printed assumptions of one file with its theorems."""
    stated, asked = theorems(source), audited(source)
    if gaps := forbidden(source):
        return [Row(theorem, f"{name}.v", f"the file says {gaps[0]}") for theorem in stated or ["-"]]
    if run.returncode:
        reason = " ".join(run.stderr.split())[-300:] or f"coqc exit status {run.returncode}"
        return [Row(theorem, f"{name}.v", f"does not compile: {reason}") for theorem in stated or ["-"]]
    answers = re.split(rf"^(?={CLOSED}$|Axioms:$|Section Variables:$)", run.stdout, flags=re.MULTILINE)
    said = dict(zip(asked, [" ".join(answer.split()) for answer in answers if answer.strip()], strict=False))
    return [Row(theorem, f"{name}.v", said.get(theorem, "its assumptions are not printed")) for theorem in stated]


def _run(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; one that runs too long has failed."""
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer in {_SECONDS} s")


def check(folder: Path) -> list[Row]:
    """Compile a copy of ``folder`` in a temporary one, in parallel, and judge every theorem.

    Raises:
        FileNotFoundError: if the compiler, coqc, is not installed.
        SystemExit: if _CoqProject does not list exactly the .v files of the folder.
    """
    if shutil.which("coqc") is None:
        raise FileNotFoundError(INSTALL)
    names = _files(folder)
    sources = {name: (folder / f"{name}.v").read_text() for name in names}
    done: dict[str, Future[subprocess.CompletedProcess[str]]] = {}

    def compile_one(name: str) -> subprocess.CompletedProcess[str]:
        for room, line in _NEEDS.findall(sources[name]):
            for needed in line.split():
                done[f"{room}/{needed}" if room else needed].result()
        return _run(["coqc", *_options(folder), f"{name}.v"], build)

    with tempfile.TemporaryDirectory() as build, ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
        for name in names:
            (Path(build) / name).parent.mkdir(exist_ok=True)
            shutil.copy(folder / f"{name}.v", Path(build) / f"{name}.v")
            done[name] = pool.submit(compile_one, name)
        rows = [row for name in names for row in _rows(name, sources[name], done[name].result())]
        return rows if any(not row.proved for row in rows) else [*rows, *_second_opinion(build, names)]


def _second_opinion(build: str, names: list[str]) -> list[Row]:
    """What coqchk, a proof checker apart from the compiler, has against the compiled files: no row if nothing."""
    modules = [word for name in names for word in ("-norec", "AlgebraicCNN." + name.replace("/", "."))]
    command = ["coqchk", "-silent", "-Q", ".", "AlgebraicCNN", *modules]
    run = _run(command, build)
    return [Row("-", "coqchk", " ".join((run.stdout + run.stderr).split())[-300:])] if run.returncode else []


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 if every theorem is proved, 1 if one is not, 2 without a compiler."""
    parser = argparse.ArgumentParser(description="compile the machine-checked proofs and audit their assumptions")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args(arguments).folder
    started = time.perf_counter()
    try:
        rows = check(folder)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    width = max((len(row.theorem) for row in rows), default=0)
    for row in rows:
        print(f"{row.theorem:{width}}  {row.file:22}  {row.status}")
    unproved = [row for row in rows if not row.proved]
    seconds = time.perf_counter() - started
    print(f"{len(rows)} theorems in {len(_files(folder))} files, {len(unproved)} not proved, {seconds:.0f} s")
    return 1 if unproved or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
