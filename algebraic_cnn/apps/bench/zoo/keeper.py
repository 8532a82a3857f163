"""A process for each network, with limits of time and memory, and a record of each as soon as it is known.

    recorded   the records of earlier runs
    swept      packages -> a record for each network; those on the disk are not run again
    Limits     seconds and bytes that a network may take

A package is imported once, in a process of its own that then forks for each of its networks: an import takes longer
than many a network.
"""

from __future__ import annotations

import importlib.metadata
import math
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ....collapsing.pipeline import collapse
from ....errors import AlgebraicError
from ....files.records import append_record, read_records
from .shelf import PACKAGES, opened, subject
from .trial import Trial, peak, tried

Progress = Callable[[str, int, int], None]

#: A network that waits for others, or for ever, is ended after so many times its seconds by the clock.
_WAITS = 10


@dataclass(frozen=True)
class Limits:
    """What one network may take.

    Attributes:
        seconds: of processor time, which does not depend on what else the machine does; by the clock ten times as many.
        bytes: of memory of its own.
    """

    seconds: float = 300.0
    bytes: int = 5 * 2**30


def swept(
    packages: Sequence[str],
    records: Path,
    *,
    only: str = "",
    seed: int = 0,
    seconds: float = 0.0,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Iterator[Trial]:
    """The trials of all networks of some packages, those of earlier runs first.

    Args:
        packages: their names.
        records: file to go on from.
        only: text that a name must hold.
        seed: of weights and inputs.
        seconds: for the latency of each.
        limits: of each.
        progress: called with (name, done, total).
    """
    asked = [(package, name) for package in packages for name in PACKAGES[package].names if only in name]
    known = {(r["package"], r["name"]): r for r in read_records(records) if r["seed"] == seed}
    for package, name in asked:
        if (package, name) in known:
            yield _trial(known[package, name])
    left = {package: [name for owner, name in asked if owner == package and (owner, name) not in known]
            for package in packages}  # fmt: skip
    done = len(asked) - sum(map(len, left.values()))
    for package, names in _turns(left):
        for found in _package(package, names, seed, seconds, limits):
            done += 1
            append_record(records, found)
            if progress is not None:
                progress(f"{package} {found['name']}", done, len(asked))
            yield _trial(found)


#: Networks of a package before it is the next one's turn.
_TURN = 20


def _turns(left: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Packages one after the other, a few networks each, until none is left: a sweep that is ended has met them all."""
    for start in range(0, max(map(len, left.values()), default=0), _TURN):
        for package, names in left.items():
            if names[start : start + _TURN]:
                yield package, names[start : start + _TURN]


def recorded(records: Path) -> list[Trial]:
    """The trials that a file has, package by package in the order of the shelves."""
    places = list(PACKAGES)
    found = map(_trial, read_records(records))
    return sorted(found, key=lambda trial: (places.index(trial.package), trial.name))


def _trial(record: dict[str, Any]) -> Trial:
    fields: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in record.items() if name in Trial.__annotations__
    }
    return Trial(**fields)


def _package(package: str, names: Sequence[str], seed: int, seconds: float, limits: Limits) -> Iterator[dict[str, Any]]:
    """The records of a package's networks, from a process that has imported it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(there, package, list(names), seed, seconds, limits))
    process.start()
    there.close()
    try:
        while True:
            yield here.recv()
    except EOFError:
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join()


def _serve(
    reports: multiprocessing.connection.Connection,
    package: str,
    names: list[str],
    seed: int,
    seconds: float,
    limits: Limits,
) -> None:
    _silent()
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, package: _version(package)}
    try:
        opened(package)
    except AlgebraicError as error:
        for name in names:
            reports.send({**asdict(Trial(package, name, seed, "build", str(error)[:400])), "versions": versions})
        return
    _warm()
    for name in names:
        reports.send({**_watched(package, name, seed, seconds, limits), "versions": versions})


def _warm() -> None:
    """What torch and this package load at the first use only."""
    small = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).eval()
    torch.export.export(small, (torch.zeros(1, 1, 2, 2),))
    collapse(small, torch.zeros(1, 1, 2, 2))


def _watched(package: str, name: str, seed: int, seconds: float, limits: Limits) -> dict[str, Any]:
    """The record of one network, from a process that is ended at the limits."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    about = {"package": package, "name": name, "seed": seed}
    process = context.Process(target=_one, args=(there, about, seconds, limits))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fork beside threads: those of this process wait for nothing
        process.start()
    there.close()
    try:
        if here.poll(_WAITS * limits.seconds):
            return here.recv()
        return asdict(Trial(**about, stage="limit", cause=f"more than {_WAITS * limits.seconds:g} s by the clock"))
    except EOFError:
        process.join()
        spent = process.exitcode == -signal.SIGXCPU
        cause = f"more than {limits.seconds:g} s" if spent else f"the process ended with {process.exitcode}"
        return asdict(Trial(**about, stage="limit", cause=cause))
    finally:
        process.kill()
        process.join()


def _one(reports: multiprocessing.connection.Connection, about: dict[str, Any], seconds: float, limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limits.bytes, limits.bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limits.seconds), math.ceil(limits.seconds) + 1))
    low = peak()
    try:
        network, inputs = subject(about["package"], about["name"], seed=about["seed"])
    except Exception as error:  # whatever a package's constructor does
        reports.send(asdict(Trial(**about, stage="build", cause=f"{type(error).__name__}: {str(error)[:300]}")))
        return
    reports.send(asdict(tried(network, inputs, about, low, seconds=seconds)))


def _silent() -> None:
    """Packages talk while they are imported; nothing of it belongs to the command's output."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(
            {"efficientnet_pytorch": "efficientnet-pytorch", "open_clip": "open_clip_torch"}.get(package, package)
        )
    except importlib.metadata.PackageNotFoundError:
        return ""
