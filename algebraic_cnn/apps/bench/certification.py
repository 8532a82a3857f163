"""The check of the checks: how often each way of comparing two networks is wrong, on pairs whose truth is known.

    right      a linear CNN with skips and its collapse, in float32
    wrong      the network with one defect, or its collapse with one (defects.py)
    alarm      a right pair that a check refuses
    miss       a wrong pair that it accepts

The others compare outputs at random inputs, with their own tolerances:

    torch.allclose, loose           its defaults; rtol = 1e-3, atol = 1e-4, as fused networks are often compared
    torch.testing.assert_close      its defaults
    onnxsim                         ``model_checking.compare``: np.allclose(rtol=1e-4, atol=1e-5) at five inputs
    RepVGG                          its README prints the sum of squares, "will be around 1e-10"; 1e-9 is accepted here

auto_LiRPA is not among them: the release that installs, 0.3, does not import beside NumPy 2.

What level "bounded" or "sampled" accepts differs by no more than rounding explains, which is all that they say: a
defect that small is a miss in this table all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...certification.certificate import versions
from ...certification.check import native
from ...collapsing.certifying import certify
from ...files.records import append_record, read_records
from ...ir.graph import Graph
from .defects import IN_COLLAPSE, IN_NETWORK, SIDE, collapsed, network

DEPTHS = (4, 8, 16, 34)
DEFECTS = len(IN_NETWORK) + len(IN_COLLAPSE)

#: How two arrays of outputs are judged.
TOLERANCES: dict[str, Callable[[Tensor, Tensor], bool]] = {
    "torch.allclose": lambda y, z: torch.allclose(z, y),
    "torch.allclose, loose": lambda y, z: torch.allclose(z, y, rtol=1e-3, atol=1e-4),
    "torch.testing.assert_close": lambda y, z: _assert_close(y, z),
    "onnxsim": lambda y, z: bool(np.allclose(z[:5], y[:5], rtol=1e-4, atol=1e-5)),
    "RepVGG": lambda y, z: float((y - z).square().sum()) <= 1e-9,
}
LEVELS = ("sampled", "bounded", "modular", "rational")
CHECKS = (*TOLERANCES, *LEVELS)

#: The slower levels see one wrong pair of each kind in every so many networks.
EVERY = {"sampled": 4, "bounded": 4, "rational": 20}


def _assert_close(y: Tensor, z: Tensor) -> bool:
    try:
        torch.testing.assert_close(z, y)
    except AssertionError:
        return False
    return True


@dataclass(frozen=True)
class Tally:
    """How one check did at one depth.

    Attributes:
        check: its name.
        depth: layers of the network.
        right: right pairs that it saw.
        alarms: of these, refused.
        wrong: wrong pairs that it saw.
        misses: of these, accepted.
        missed: how many misses of each kind of defect.
    """

    check: str
    depth: int
    right: int
    alarms: int
    wrong: int
    misses: int
    missed: Mapping[str, int]


def case(depth: int, seed: int, repeats: int) -> dict[str, Any]:
    """One network, its collapse, and every kind of defect so many times, before every check: the record of it."""
    rng = np.random.default_rng([depth, seed])
    original = network(depth, seed)
    pair = original, collapsed(original)
    inputs = torch.from_numpy(rng.standard_normal((8, 1, SIDE, SIDE))).float()
    y = native(original, inputs).float()

    def accepted(other: Graph, names: Iterable[str]) -> list[str]:
        z = native(other, inputs).float()
        judged = {name: TOLERANCES[name](y, z) for name in TOLERANCES}
        judged |= {name: certify(original, other, level=name, seed=seed).ok for name in names if name in LEVELS}
        return [name for name in names if judged[name]]

    alarms = sorted(set(CHECKS) - set(accepted(pair[1], CHECKS)), key=CHECKS.index)
    wrong, missed = Counter(), {name: Counter() for name in CHECKS}
    for repeat in range(repeats):
        looking = [name for name in CHECKS if name not in EVERY or (repeat == 0 and seed % EVERY[name] == 0)]
        for side, defects in enumerate((IN_NETWORK, IN_COLLAPSE)):
            for kind, mutate in defects.items():
                wrong.update(looking)
                for name in accepted(mutate(pair[side], rng), looking):
                    missed[name][kind] += 1
    found = {name: dict(kinds) for name, kinds in missed.items() if kinds}
    record = {"depth": depth, "seed": seed, "repeats": repeats, "alarms": alarms}
    return {**record, "wrong": dict(wrong), "missed": found, "versions": versions()}


def run(
    path: str | PathLike[str],
    *,
    networks: int,
    repeats: int,
    depths: Sequence[int] = DEPTHS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Every case that the file of records does not have yet, each on the disk as soon as it is done.

    Args:
        path: file of records, one JSON object per line.
        networks: how many for each depth; each is one right pair.
        repeats: how often every defect is planted in each.
        depths: layers of the networks.
        seed: of the first network; the others follow.
        progress: called with (cases done, cases in all).

    Returns:
        The records of what was asked for, old and new.

    Raises:
        DataError: if the file is damaged or cannot be written.
    """
    done = {(record["depth"], record["seed"], record["repeats"]): record for record in read_records(path)}
    wanted = [(depth, number, repeats) for number in range(seed, seed + networks) for depth in depths]
    for count, name in enumerate(wanted, 1):
        if name not in done:
            done[name] = case(*name)
            append_record(path, done[name])
        if progress:
            progress(count, len(wanted))
    return [done[name] for name in wanted]


def tallies(records: Iterable[Mapping[str, Any]]) -> list[Tally]:
    """What every check did at every depth."""
    rows = []
    records = list(records)
    for depth in sorted({record["depth"] for record in records}):
        mine = [record for record in records if record["depth"] == depth]
        for name in CHECKS:
            missed = sum((Counter(record["missed"].get(name, {})) for record in mine), Counter())
            alarms = sum(name in record["alarms"] for record in mine)
            wrong = sum(record["wrong"].get(name, 0) for record in mine)
            rows.append(Tally(name, depth, len(mine), alarms, wrong, missed.total(), dict(missed)))
    return rows
