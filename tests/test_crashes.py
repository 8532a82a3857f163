"""A test that takes its process down has failed, and every other test still has its verdict.

session    a small suite in a folder of its own, run with the options of ``make test`` and this suite's conftest.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = """
import os
import pytest
from hypothesis import given, strategies as st

@pytest.mark.parametrize("n", range(6))
def test_before(n):
    assert n >= 0

def test_that_takes_its_process_down():
    os.abort()

def test_that_is_wrong():
    assert 1 + 1 == 3

@pytest.mark.parametrize("n", range(20))
def test_after(n):
    assert os.environ["OMP_NUM_THREADS"] == "1"

@pytest.mark.thorough
def test_that_takes_long():
    pass

@given(st.integers())
def test_with_examples(n):
    assert n == n

@given(st.integers())
def test_with_more_examples(n):
    assert n == n
"""


def run(folder: Path, profile: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The small suite in a folder, as ``make test`` runs the large one."""
    (folder / "test_small.py").write_text(SUITE, encoding="utf-8")
    shutil.copy(ROOT / "tests/conftest.py", folder)
    options = re.search(r"^WORKERS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert options
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OMP_"))}
    ours |= {"HYPOTHESIS_PROFILE": profile}
    command = [sys.executable, "-m", "pytest", *options.group(1).split(), "-p", "no:cacheprovider", "--rootdir", "."]
    return subprocess.run([*command, *more], cwd=folder, env=ours, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What pytest said of the small suite."""
    return run(tmp_path_factory.mktemp("suite"), "dev")


def test_a_crash_is_a_failure_and_not_the_end(session: subprocess.CompletedProcess[str]) -> None:
    assert session.returncode == 1, session.stderr
    assert re.search(r"\b2 failed, 16 passed", session.stdout), session.stdout
    assert re.search(r"FAILED test_small.py::test_that_takes_its_process_down", session.stdout)
    assert re.search(r"worker 'gw\d' crashed while running 'test_small.py::test_that_takes", session.stdout)
    assert re.search(r"FAILED test_small.py::test_that_is_wrong", session.stdout)


def test_examples_are_added_up_over_processes(session: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"Hypothesis profile dev: 20 examples =+\n +20  test_small.py\n", session.stdout), session.stdout


@pytest.mark.thorough
def test_of_a_long_table_the_same_cases_are_taken_again_and_all_in_ci(
    session: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    def cases(profile: str, *more: str) -> set[str]:
        found = run(tmp_path, profile, "-v", "-k", "after", *more)
        return set(re.findall(r"PASSED test_small.py::test_after\[(\d+)\]", found.stdout))

    assert "of a table of cases 8 are taken at most" in session.stdout
    one, again, other = (cases("dev", "--testrunuid", name) for name in ("one", "one", "other"))
    assert len(one) == len(other) == 8
    assert one == again != other
    assert len(cases("ci")) == 20


def test_without_processes_the_crash_is_the_end(tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", "."]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    alone = subprocess.run(command, cwd=tmp_path, env=ours, capture_output=True, text=True, check=False)
    assert alone.returncode < 0
    assert "passed" not in alone.stdout
