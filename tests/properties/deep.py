"""The deep profile: very many networks, in portions that are on the disk as soon as they are done.

    recursion   Toeplitz matrices through the recursion, its adjoint, and torch, bit for bit
    integers    torch.export, three derivations and torch, bit for bit
    residues    torch.export and three derivations modulo a random prime, on floats of all kinds

Run ``python -m tests.properties.deep deep.jsonl``; interrupted, it goes on where it was.  A portion is decided by its
number, which is Hypothesis' seed: what fails is found again by running that portion.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from algebraic_cnn.certification.certificate import versions
from algebraic_cnn.files.records import append_record, read_records
from algebraic_cnn.testing import Network, linear_cnns

from . import test_recursion, test_witnesses

Property = tuple[Callable[..., None], dict[str, st.SearchStrategy]]

_FLOATS = st.sampled_from(test_witnesses.DTYPES).flatmap(
    lambda dtype: test_witnesses.networks(numbers="floats", dtype=dtype)
)
PROPERTIES: dict[str, Property] = {
    "recursion": (test_recursion.test_the_collapse_is_the_network, {"network": linear_cnns()}),
    "integers": (
        test_witnesses.test_integers_agree_bit_for_bit,
        {"device": st.just("cpu"), "network": test_witnesses.networks()},
    ),
    "residues": (
        test_witnesses.test_floats_agree_modulo_a_prime,
        {"device": st.just("cpu"), "network": _FLOATS, "seed": st.integers(0, 2**32)},
    ),
}
NETWORKS = {"recursion": 100_000, "integers": 5_000, "residues": 5_000}


def portion(name: str, number: int, size: int) -> dict[str, Any]:
    """Try one property on so many networks; the record of what was seen, ``failure`` the reason if one failed."""
    test, strategies = PROPERTIES[name]
    seen: set[bytes] = set()
    passed = 0

    def count(**drawn: Any) -> None:
        nonlocal passed
        test.hypothesis.inner_test(**drawn)  # the body of the test, without its own strategies
        passed += 1
        seen.add(digest(drawn["network"]))

    profile = settings(
        max_examples=size,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    start, failure = time.perf_counter(), None
    try:
        profile(seed(number)(given(**strategies)(count)))()
    except Exception as error:  # whatever a property raises is what the record is for
        failure = "".join(traceback.format_exception(error))
    return {
        "property": name,
        "portion": number,
        "size": size,
        "networks": passed,
        "different": len(seen),
        "failure": failure,
        "seconds": round(time.perf_counter() - start, 2),
        "versions": versions(),
    }


def digest(network: Network) -> bytes:
    """What tells two networks apart: their modules, their numbers and the example."""
    found = hashlib.sha256(str((network.model, sorted(getattr(network.model, "strengths", {}).items()))).encode())
    for tensor in (*network.model.state_dict().values(), network.example):
        found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.digest()


def run(path: str, networks: dict[str, int], size: int) -> list[dict[str, Any]]:
    """Every portion of this size that the file does not have yet; returns all records of what was asked for."""
    kept = [record for record in read_records(path) if record["size"] == size]
    done = {(record["property"], record["portion"]): record for record in kept}
    wanted = [(name, number) for name, count in networks.items() for number in range(-(-count // size))]
    for key in wanted:
        if key not in done:
            done[key] = portion(*key, size)
            append_record(path, done[key])
    return [done[key] for key in wanted]


def summary(records: list[dict[str, Any]]) -> str:
    """A line for every property."""
    lines = []
    for name in dict.fromkeys(record["property"] for record in records):
        mine = [record for record in records if record["property"] == name]
        networks, different, seconds = (sum(r[key] for r in mine) for key in ("networks", "different", "seconds"))
        failed = [record["portion"] for record in mine if record["failure"]]
        counts = f"{networks:,} networks, {different:,} different within their portions, {seconds:,.0f} s"
        lines.append(f"{name:10} {counts}, portions that failed: {failed or 'none'}")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Try the properties on very many networks; restartable.")
    parser.add_argument("path", help="file of records, one JSON object per line")
    for name, count in NETWORKS.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"networks, default {count:,}")
    parser.add_argument("--portion", type=int, default=1000, help="networks in a portion")
    options = vars(parser.parse_args())
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    records = run(options["path"], {name: options[name] for name in NETWORKS}, options["portion"])
    print(summary(records))
    raise SystemExit(any(record["failure"] for record in records))


if __name__ == "__main__":
    main()
