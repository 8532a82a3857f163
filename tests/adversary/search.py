"""The search: visits one program after the other, and tries on each what was tried least so far.

A visit is a forked child with an alarm, so that a crash or a hang costs one trial.  Records are JSON Lines; started
again with the same file, the search goes on where it was.

    python -m tests.adversary.search FILE --seconds 600 --seed 1
    python -m tests.adversary.search FILE --again 17            # the 17th record once more, with its whole error
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from algebraic_cnn.files.records import append_record, read_records

from .corpus import SNIPPETS, Snippet, drawn_networks, fill
from .edits import Change
from .trials import TOLD, Record, Subject, collapsed, judged

#: Seconds of processor time that one trial may take, and so many times as long by the clock; trials of one visit;
#: networks drawn for one round of the corpus.
ALARM, PATIENCE, PAIRS, COLLAPSES, DRAWN = 60, 20, 40, 2, 20
#: How often a program wears which dress, and a kind that holds many things is tried as if it were several.
_DRESSED = ["exported"] * 5 + ["decomposed"] * 3 + ["double", "half"]
_SHARES = {"argument": 8, "sibling": 4, "rewired": 2, "size": 2, "effect": 2, "namespace": 2, "same: another call": 2}
Tried = Counter[tuple[str, str]]


def networks(seed: int) -> list[Snippet]:
    """The corpus and some drawn networks; what torch loads at its first export is loaded once, before any fork."""
    found = [*fill().values(), *drawn_networks(seed, DRAWN)]
    first = Subject(SNIPPETS["mlp"], "decomposed")
    judged(first, first.all_changes[0])
    return found


def chosen(subject: Subject, tried: Tried, count: int, rng: random.Random) -> list[Change]:
    """Changes of the kinds that were tried least so far, of each kind at the calls that were tried least."""
    groups: dict[str, dict[str, list[Change]]] = {}
    for change in subject.all_changes:
        groups.setdefault(change.kind, {}).setdefault(change.op, []).append(change)
    tried = tried.copy()
    kinds = Counter[str]()
    for (kind, _), times in tried.items():
        kinds[kind] += times
    found: list[Change] = []
    for _ in range(min(count, len(subject.all_changes))):
        kind = min(groups, key=lambda kind: (kinds[kind] / _SHARES.get(kind, 1), rng.random()))
        op = min(groups[kind], key=lambda op: (tried[kind, op], rng.random()))
        found.append(rng.choice(groups[kind][op]))
        kinds[kind] += 1
        tried[kind, op] += 1
    return list(dict.fromkeys(found))


#: What is tried, in words, and the trial.
Trial = tuple[str, Callable[[], Record]]


def visit(subject: Subject, tried: Tried, pairs: int, collapses: int, rng: random.Random) -> Iterator[Trial]:
    """The trials of one program; the first also finds out whether torch exports it."""
    try:
        wanted = chosen(subject, tried, pairs, rng)
    except Exception as error:  # what torch cannot export is no program
        reason = f"{type(error).__name__}: {error}"[:200]
        yield "", lambda: {"task": "export", "verdict": "not counted", "kind": "export", "op": "", "error": reason}
        return
    for change in wanted:
        yield change.what, lambda change=change: judged(subject, change)
    for change in [None, *rng.sample(subject.all_changes, min(collapses, len(subject.all_changes)))][:collapses]:
        yield f"collapse {change.what if change else ''}", lambda change=change: collapsed(subject, change)


@dataclass(frozen=True)
class Run:
    """What a child did.

    Attributes:
        records: of the trials that it ended.
        begun: those that it began, in words.
        asked: whether the library was at work when it ended, and not torch alone.
        status: that it ended with; 0 if it did all.
    """

    records: list[Record]
    begun: list[str]
    asked: bool
    status: int


def in_a_child(trials: Callable[[], Iterator[Trial]], skip: int) -> Run:
    """Run trials from number ``skip`` on in a fork."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        os.close(read)
        _work(trials(), skip, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = [json.loads(line) for line in pipe if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    records = [line for line in lines if "begun" not in line and "asked" not in line]
    asked = bool(lines) and "asked" in lines[-1]
    return Run(records, [line["begun"] for line in lines if "begun" in line], asked, status)


def _work(trials: Iterator[Trial], skip: int, write: int) -> None:
    """The child: never returns; what is wrong with a trial itself ends it as a crash does."""
    status = 1
    torch.set_num_threads(
        1
    )  # the threads of the parent do not live on in a fork, and whoever waits for them waits long
    try:
        faulthandler.disable()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        with os.fdopen(write, "w", buffering=1) as pipe:
            TOLD.append(lambda: pipe.write('{"asked": true}\n'))
            _set_alarm()
            for number, (what, trial) in enumerate(trials):
                if number >= skip:
                    _set_alarm()
                    pipe.write(json.dumps({"begun": what}) + "\n")
                    pipe.write(json.dumps(trial()) + "\n")
        status = 0
    finally:
        os._exit(status)


def _set_alarm() -> None:
    """End this process if it works for too long; on a busy machine it may wait for much longer."""
    signal.setitimer(signal.ITIMER_PROF, ALARM)
    signal.alarm(PATIENCE * ALARM)


def visited(subject: Subject, number: int, tried: Tried, seed: int) -> list[Record]:
    """All records of one visit, crashes included."""

    def trials() -> Iterator[Trial]:
        warnings.simplefilter("ignore")
        return visit(subject, tried, PAIRS, COLLAPSES, random.Random(f"{seed} {number}"))

    found: list[Record] = []
    skip = 0
    while True:
        run = in_a_child(trials, skip)
        found += run.records
        skip += max(len(run.begun), 1)
        if not run.status:
            break
        late = os.WIFSIGNALED(run.status) and os.WTERMSIG(run.status) in (signal.SIGALRM, signal.SIGPROF)
        how = "hang" if late else "crash"
        what = {"what": run.begun[-1] if run.begun else "", "verdict": how if run.asked else "not counted"}
        found.append({"task": "crash", "kind": how, "op": "", **what})
        if not run.begun:  # it did not even get to the first trial
            break
    where = {"visit": number, "network": subject.made.name, "dress": subject.dress}
    return [record | where for record in found]


def search(
    path: str, *, seconds: float, seed: int = 0, pairs: int | None = None, only: Sequence[str] = ()
) -> list[Record]:
    """Visit programs until the time is over or there are so many counted pairs; returns all records of the file."""
    found = read_records(path)
    made = [each for each in networks(seed) if not only or each.name in only]
    tried: Tried = Counter((r["kind"], r["op"]) for r in found if r["task"] == "certify")
    start, number = time.monotonic(), 1 + max((r["visit"] for r in found), default=-1)
    while time.monotonic() - start < seconds and (pairs is None or counted(found) < pairs):
        rng = random.Random(f"{seed} {number // len(made)}")
        one = rng.sample(made, len(made))[number % len(made)]
        dress = random.Random(f"{seed} {number} dress").choice(_DRESSED)
        for record in visited(Subject(one, dress), number, tried, seed):
            append_record(path, record)
            found.append(record)
            if record["task"] == "certify":
                tried[record["kind"], record["op"]] += 1
        number += 1
    return found


def counted(records: Sequence[Record]) -> int:
    """Pairs whose truth is known."""
    return sum(r["task"] == "certify" and r.get("truth") in ("different", "same") for r in records)


_COLUMNS: dict[str, Callable[[Record], bool]] = {
    "pairs": lambda r: r.get("truth", "") in ("different", "same"),
    "different": lambda r: r.get("truth") == "different",
    "wrong yes": lambda r: r["verdict"] in ("wrong yes", "wrong collapse"),
    "same": lambda r: r.get("truth") == "same",
    "false alarm": lambda r: r["verdict"] == "false alarm",
    "right": lambda r: r["verdict"] in ("right", "right at some sizes"),
    "other gradient": lambda r: r["verdict"] == "other gradient" or bool(r.get("slopes")),
    "refused": lambda r: r["verdict"] == "refused",
    "refuted itself": lambda r: r["verdict"] == "refuted itself",
    "raw error": lambda r: r["verdict"] == "raw",
    "crash": lambda r: r["verdict"] in ("crash", "hang"),
    "not counted": lambda r: r["verdict"] == "not counted",
}


def table(records: Sequence[Record]) -> Table:
    """What was found, by kind."""
    made = Table("kind", *_COLUMNS, title=f"{counted(records):,} pairs, {len(records):,} trials")
    kinds = sorted({r["kind"] for r in records})
    rows = [(kind, [r for r in records if r["kind"] == kind]) for kind in kinds]
    for name, mine in [*rows, ("all", list(records))]:
        made.add_row(name, *(f"{sum(map(test, mine)) or '':>}" for test in _COLUMNS.values()))
    return made


def again(record: Record) -> Record:
    """The same trial in this process."""
    fill()
    made = SNIPPETS.get(record["network"])
    if made is None:
        number = int(record["network"].split()[-1].split(".")[0])
        made = next(each for each in drawn_networks(number, DRAWN) if each.name == record["network"])
    subject = Subject(made, record["dress"])
    found = [change for change in subject.all_changes if change.what == record["what"]]
    if record["task"] == "collapse":
        return collapsed(subject, found[0] if found else None)
    return judged(subject, found[0])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Search for wrong yeses; restartable.")
    parser.add_argument("path", help="file of records, one JSON object per line")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, help="stop at so many pairs whose truth is known")
    parser.add_argument("--again", type=int, help="number of a record to be tried once more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    console = Console(width=180)
    if options.again is not None:
        console.print(again(read_records(options.path)[options.again]))
        return
    records = search(options.path, seconds=options.seconds, seed=options.seed, pairs=options.pairs)
    console.print(table(records))
    bad = [r for r in records if r["verdict"] in BAD]
    raise SystemExit(bool(bad))


BAD = ("wrong yes", "wrong collapse", "raw", "crash", "hang")


if __name__ == "__main__":
    main()
