"""The documentation is true: its examples run, its commands exist, every public name and every theorem has its place.

page       a Markdown file of notebooks/docs
example    a ``python`` fence, run as a doctest, all of a page together; or a ``console`` fence, a command that is run
shown      any other fence that names commands: they must exist
"""

from __future__ import annotations

import doctest
import functools
import importlib
import importlib.util
import io
import re
import shlex
import sys
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import algebraic_cnn
from algebraic_cnn.apps.cli import app

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "notebooks" / "docs"
PAGES = {str(path.relative_to(DOCS).with_suffix("")): path for path in sorted(DOCS.rglob("*.md"))}
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(r"^```(?P<kind>\S*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(text: str, *kinds: str) -> Iterator[tuple[int, str]]:
    """(line where it begins, text) of every fence of these kinds."""
    for found in FENCE.finditer(text):
        if found["kind"] in kinds:
            yield text.count("\n", 0, found.start("body")), found["body"]


def session(text: str) -> str:
    """The python fences of a page, each on its own lines, and nothing else."""
    lines = [""] * text.count("\n")
    for start, body in fences(text, "python"):
        lines[start : start + body.count("\n")] = body.splitlines()
    return "\n".join(lines)


def failures(source: str, name: str = "page") -> str:
    """What doctest has to say against a session."""
    test = doctest.DocTestParser().get_doctest(source, {"__name__": "__main__"}, name, name, 0)
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.write)
    return report.getvalue()


def commands(text: str) -> Iterator[tuple[list[str], str]]:
    """(words of a command, what it prints) of the console fences of a page."""
    for _, body in fences(text, "console"):
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield shlex.split(command), printed


def unprinted(text: str) -> list[str]:
    """The commands of a page that print something else."""
    wrong = []
    for (program, *words), expected in commands(text):
        result = CliRunner().invoke(app, words, prog_name=program)
        if program != "algebraic-cnn" or not doctest.OutputChecker().check_output(expected, result.output, FLAGS):
            wrong.append(f"$ {shlex.join([program, *words])}\n{result.output}")
    return wrong


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to write to; and the base class of Lightning's callbacks, where Lightning is not installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    if importlib.util.find_spec("lightning") is None:
        lightning = types.ModuleType("lightning")
        lightning.Callback = object
        monkeypatch.setitem(sys.modules, "lightning", lightning)


@pytest.mark.parametrize("page", [page for page, path in PAGES.items() if "```python" in path.read_text("utf-8")])
@pytest.mark.usefixtures("elsewhere")
def test_every_example_runs(page: str) -> None:
    text = PAGES[page].read_text("utf-8")
    bare = [body for _, body in fences(text, "python") if not body.startswith(">>> ")]
    assert not bare, "an example that no doctest reads"
    report = failures(session(text), str(PAGES[page]))
    assert not report, report


@pytest.mark.parametrize("page", [page for page, path in PAGES.items() if "```console" in path.read_text("utf-8")])
@pytest.mark.usefixtures("elsewhere")
def test_every_command_prints_what_the_page_says(page: str) -> None:
    wrong = unprinted(PAGES[page].read_text("utf-8"))
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("elsewhere")
def test_the_callback_for_lightning_moves_strengths_and_goes_on_where_it_was() -> None:
    names: dict = {"__name__": "__main__"}
    source = session(PAGES["howto/fade_skips"].read_text("utf-8"))
    test = doctest.DocTestParser().get_doctest(source, names, "page", "page", 0)
    assert doctest.DocTestRunner(optionflags=FLAGS).run(test, clear_globs=False).failed == 0
    names = test.globs
    model, seen = names["model"], []
    trainer = types.SimpleNamespace(optimizers=[names["optimizer"]], num_training_batches=3, max_epochs=2)
    module = types.SimpleNamespace(model=model)
    first, second = (names["Fading"]({names["SkipStrength"]: names["Linear"](4)}, interval=1) for _ in range(2))
    for callback, batches in ((first, 3), (second, 3)):
        callback.on_train_start(trainer, module)
        for batch in range(batches):
            callback.on_train_batch_start(trainer, module, None, batch)
            seen.append(names["skip_strengths"](model)["1"])
            callback.on_train_batch_end(trainer, module, {"loss": 1.0}, None, batch)
        second.load_state_dict(first.state_dict())
    second.on_train_end(trainer, module)
    assert seen == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def unknown_commands(text: str) -> list[str]:
    """Commands of the project that a text names and that do not exist."""
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    unknown = [f"algebraic-cnn {word}" for word in re.findall(r"algebraic-cnn ([a-z]\w*)", text) if word not in names]
    made = re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)
    unknown += [f"make {word}" for word in made if word not in targets]
    modules = re.findall(r"python -m ([a-z_.]+)", text)
    return unknown + [module for module in modules if importlib.util.find_spec(module) is None]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    assert unknown_commands(PAGES[page].read_text("utf-8")) == []


def test_every_public_name_has_one_place_in_the_reference() -> None:
    text = "\n".join(path.read_text("utf-8") for page, path in PAGES.items() if page.startswith("api/"))
    places = Counter(re.findall(r"^\.\. auto\w+:: algebraic_cnn\.([\w.]+)$", text, re.MULTILINE))
    assert [name for name in algebraic_cnn.__all__ if places[name] != 1] == []
    assert [name for name in places if "." not in name and name not in algebraic_cnn.__all__] == []


PLANTED = [
    ("```python\n>>> 1 + 1\n3\n```\n", lambda text: failures(session(text))),
    ("```python\n>>> import nothing_of_that_name\n```\n", lambda text: failures(session(text))),
    ("```console\n$ algebraic-cnn toeplitz 1x2x2 --kernel 2\n1 2 3 5\n```\n", unprinted),
    ("```text\nalgebraic-cnn colapse\n```\n", unknown_commands),
    ("Run `make doc`.\n", unknown_commands),
    ("Run `python -m proof`.\n", unknown_commands),
]


@pytest.mark.parametrize(("text", "check"), PLANTED)
def test_a_false_page_is_noticed(text: str, check) -> None:
    assert check(text)


def test_every_name_that_a_page_links_exists() -> None:
    text = "\n".join(path.read_text("utf-8") for path in PAGES.values())
    linked = set(re.findall(r"\{py:\w+\}`~?algebraic_cnn\.([\w.]+)`", text))
    assert len(linked) > 20
    for name in linked:
        assert resolved(name) is not None, name


def resolved(name: str) -> object:
    """What a dotted name of the package is: a public name, a member of one, or a name in a module."""
    first, *inside = name.split(".")
    if first in algebraic_cnn.__all__:
        return functools.reduce(getattr, inside, getattr(algebraic_cnn, first))
    return getattr(importlib.import_module(f"algebraic_cnn.{name.rpartition('.')[0]}"), name.rpartition(".")[2])


def test_every_theorem_has_its_proofs_on_the_page() -> None:
    parts = re.split(r"^## Theorem ", PAGES["mathematics"].read_text("utf-8"), flags=re.MULTILINE)[1:]
    proofs = sorted((ROOT / "proofs").glob("p[0-9][0-9]_*.py"))
    assert [int(part.split(".")[0]) for part in parts] == [int(path.name[1:3]) for path in proofs]
    for part, path in zip(parts, proofs, strict=True):
        source = path.read_text("utf-8")
        machine_checked = re.findall(r'"(\w+)"', re.search(r"rocq=\((.*?)\)", source, re.DOTALL)[1])
        assert path.name in part
        assert machine_checked
        assert [name for name in machine_checked if f"`{name}`" not in part] == []


def test_every_room_of_the_house_is_on_the_page_for_contributors() -> None:
    text = PAGES["contributing"].read_text("utf-8")
    rows = re.search(r"^\| ground.*?\n\n", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    table = [name for row in rows for name in re.findall(r"`(\w+)/?`", row.split("|")[1] if row else "")]
    packages = {path.parent.name for path in (ROOT / "algebraic_cnn").glob("*/__init__.py")}
    assert packages - set(table) == set()
    assert [name for name in table if importlib.util.find_spec(f"algebraic_cnn.{name}") is None] == []
