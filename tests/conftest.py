"""What every test shares: the Hypothesis profiles, counts over all processes, one thread each, the ``cuda`` marker.

    brief   fewer examples, for tests that run the tests again
    dev     few examples, new ones each time (the default)
    ci      more, always the same ones (the default where the environment says CI)
    deep    a long night

Choose with the environment variable ``HYPOTHESIS_PROFILE``.
"""

from __future__ import annotations

import os
import re
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

settings.register_profile("brief", max_examples=5, deadline=None, print_blob=True)
settings.register_profile("dev", max_examples=10, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=40, deadline=None, print_blob=True, derandomize=True, database=None)
settings.register_profile("deep", max_examples=10_000, deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile(_PROFILE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


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
