"""The wheel and the sdist: built, installed where nothing of this checkout is, and used from another folder.

The new environment has the wheel and, from the one that runs the tests, every other package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import algebraic_cnn

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent
#: Of the page, with a smaller network; the page itself is a doctest of the suite.
LINES = ROOT.joinpath("README.md").read_text(encoding="utf-8").split("## Five lines")[1].split("```")[1]
SMALL = "torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, 2), torch.nn.Flatten(), torch.nn.Linear(338, 10))"
LINES = re.sub(r"resnet\d+\(linear=True\)", SMALL, LINES)
COMPILED = """
import torch
from algebraic_cnn import backend
model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU()).eval()
with torch.no_grad():
    torch.compile(model, backend="algebraic_cnn", options={"then": "eager"})(torch.zeros(1, 1, 8, 8))
print(backend("eager").reports[-1].why == "")
"""


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints, in another folder and without the paths of this process."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=theirs, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, folder=ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new environment's programs."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home, with_pip=False, symlinks=True)
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "pip", "--python", home, "install", "-q", "--no-deps", "--no-index", wheel, folder=home)
    packages = Path(
        run(home / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).strip()
    )
    packages.joinpath("others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return home / "bin"


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "algebraic_cnn"
    assert names == {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert "algebraic_cnn/py.typed" in names


def test_the_sdist_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", folder=source)
    (again,), (wheel,) = (tmp_path / "again").glob("*.whl"), built.glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
    for name in ("tests/conftest.py", "proofs/__main__.py", "Makefile", "constraints.txt", "CHANGELOG.md", "LICENSE"):
        assert source.joinpath(name).exists(), name


@pytest.mark.thorough
def test_the_five_lines_of_the_page_run_elsewhere(installed: Path, tmp_path: Path) -> None:
    code = [line[4:] for line in LINES.splitlines() if line.startswith((">>> ", "... "))]
    assert len(code) >= 5
    assert any(SMALL in line for line in code)
    said = run(
        installed / "python",
        "-c",
        "\n".join([*code, "import algebraic_cnn; print(algebraic_cnn.__file__)"]),
        folder=tmp_path,
    )
    assert said.startswith("Yes (modular)")
    assert Path(said.splitlines()[-1]).is_relative_to(installed.parent)


@pytest.mark.thorough
def test_the_command_and_the_backend_are_found_elsewhere(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "algebraic-cnn", "--help", folder=tmp_path)
    assert "collapse" in said
    assert run(installed / "python", "-c", COMPILED, folder=tmp_path).strip() == "True"


def test_the_changes_are_those_of_this_version() -> None:
    heads = re.findall(r"^## (\S+?),? ", ROOT.joinpath("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heads[0] == algebraic_cnn.__version__
