"""What every test shares: the Hypothesis profiles, the count of what they tried, and the ``cuda`` marker.

    dev     few examples, new ones each time (the default)
    ci      more, always the same ones (the default where the environment says CI)
    deep    a long night

Choose with the environment variable ``HYPOTHESIS_PROFILE``.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# Before torch is loaded: threads that soon wait asleep, for machines that do other work besides.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
_tried: Counter[str] = Counter()

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=100, deadline=None, print_blob=True, derandomize=True, database=None)
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
    """Add up the examples that Hypothesis says it passed."""
    text = getattr(item, "hypothesis_statistics", "")
    passed = sum(int(count) for count in re.findall(r"(\d+) passing\b", text))
    if passed:
        _tried[item.nodeid.split("::")[0]] += passed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many examples stand behind the green dots."""
    if _tried:
        terminalreporter.section(f"Hypothesis profile {_PROFILE}: {sum(_tried.values()):,} examples")
        for name, count in sorted(_tried.items()):
            terminalreporter.write_line(f"{count:>8,}  {name}")
