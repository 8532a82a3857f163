"""``python -m proofs [word] [--json]`` proves every theorem, or those with the word in their file name: the table."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict

from .counterexample import SHAPES, Search, search, without_a_bias
from .table import Row, run


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; 0 if every theorem holds and no counterexample was found, else 1."""
    parser = argparse.ArgumentParser(prog="python -m proofs", description="prove every theorem and print the table")
    parser.add_argument("word", nargs="?", default="", help="only theorems whose file name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    rows = list(run(options.word))
    has_solver = importlib.util.find_spec("z3") is not None and not options.word
    searches = [search(shape) for shape in SHAPES] if has_solver else []
    mutants = [search(next(iter(SHAPES)), without_a_bias)] if has_solver else []
    if options.json:
        print(json.dumps({
            "theorems": [{**asdict(row), "level": row.level} for row in rows],
            "counterexamples": [asdict(found) for found in searches],
            "counterexamples_without_a_bias": [asdict(found) for found in mutants],
        }, indent=2))  # fmt: skip
    else:
        _print(rows, searches, mutants)
        if not rows:
            print(f"no theorem's file name contains {options.word!r}", file=sys.stderr)
        if not has_solver and not options.word:
            print("Z3 is not installed (the extra [test] brings it): no search for counterexamples", file=sys.stderr)
    fine = not any(row.refuted for row in rows) and all(found.answer == "unsat" for found in searches)
    return 0 if rows and fine and all(found.answer == "sat" for found in mutants) else 1


def _print(rows: list[Row], searches: list[Search], mutants: list[Search]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "theorem", "level", "seconds")
    for row in rows:
        table.add_row(str(row.number), row.theorem, row.level, f"{row.seconds:.2f}", style="red" if row.refuted else "")
    console = Console()
    console.print(table)
    for found in searches:
        console.print(f"Z3: f(X) != W X + B is {found.answer} ({found.seconds:.2f} s): {found.shape}")
    for found in mutants:
        values = ", ".join(f"{name} = {value}" for name, value in found.counterexample.items())
        console.print(f"Z3: with the bias of layer 1 dropped from B it is {found.answer}: {values}")


if __name__ == "__main__":
    sys.exit(main())
