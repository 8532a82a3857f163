"""What every test shares: the Hypothesis profiles, counts over all processes, one thread each, the ``cuda`` marker.

    brief   fewer examples, for tests that run the tests again
    dev     few examples, new ones each time (the default)
    ci      more, always the same ones (the default where the environment says CI)
    deep    a long night

Choose with the environment variable ``HYPOTHESIS_PROFILE``.

In several processes, as ``make test`` runs them, "dev" takes some cases of a long table as well, others each time, and
leaves out the tests that are marked ``thorough``; the other profiles take all.  ``--testrunuid`` with what the head of
a run says takes the same cases again.
"""

from __future__ import annotations

import os
import random
import re
import secrets
from collections import Counter, defaultdict

import pytest
from hypothesis import HealthCheck, settings

# Before torch is loaded: threads that soon wait asleep, for machines that do other work besides.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Processes that share the processors leave each other one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
_TITLES = {
    "examples": f"Hypothesis profile {_PROFILE}: {{:,}} examples",
    "mutants": "mutants: {:,} caught, 0 missed where the tests pass",
}
_counts: dict[str, Counter[str]] = defaultdict(Counter)

#: Of a table of more cases than these "dev" takes so many.
_CASES = 8

settings.register_profile("brief", max_examples=5, deadline=None, print_blob=True)
settings.register_profile("dev", max_examples=10, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=40, deadline=None, print_blob=True, derandomize=True, database=None)
settings.register_profile("deep", max_examples=10_000, deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile(_PROFILE)


def pytest_configure(config: pytest.Config) -> None:
    """Give a run in several processes a short name, which decides of its cases."""
    if _PROFILE == "dev" and getattr(config.option, "testrunuid", "") is None:
        config.option.testrunuid = secrets.token_hex(4)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which cases of long tables are taken, and how to take them again."""
    if _PROFILE != "dev" or not getattr(config.option, "numprocesses", None):
        return None
    again = f"--testrunuid {config.option.testrunuid} takes the same, HYPOTHESIS_PROFILE=ci takes all"
    return f"of a table of cases {_CASES} are taken at most, and no test that is marked thorough: {again}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases of this run that "dev" does not take; skip what needs a GPU where there is none."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if _PROFILE == "dev" and run:
        left_out = _left_out(items, run)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _left_out(items: list[pytest.Item], run: str) -> set[str]:
    """What takes long, and cases beyond the first so many of a table, in an order that the name of the run decides."""
    tables: dict[str, list[str]] = defaultdict(list)
    for item in items:
        tables[item.nodeid.split("[")[0]].append(item.nodeid)
    found = {item.nodeid for item in items if item.get_closest_marker("thorough")}
    for name, cases in tables.items():
        found.update(random.Random(f"{run} {name}").sample(cases, len(cases))[_CASES:])
    return found


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Tell the report how many examples Hypothesis says it passed."""
    text = getattr(item, "hypothesis_statistics", "")
    passed = sum(int(count) for count in re.findall(r"(\d+) passing\b", text))
    if passed:
        item.user_properties.append(("examples", {item.nodeid.split("::")[0]: passed}))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what the tests counted: their reports come here from whichever process they ran in."""
    if report.when == "teardown":
        for title, counts in report.user_properties:
            if title in _TITLES and isinstance(counts, dict):
                _counts[title].update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much stands behind the green dots."""
    for title, counts in _counts.items():
        terminalreporter.section(_TITLES[title].format(sum(counts.values())))
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:>8,}  {name}")
