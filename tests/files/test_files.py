"""A file is whole or not there, whatever interrupts the writing; and only regular files of a bounded size are read."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.apps.cli import app
from algebraic_cnn.apps.plots import rows_figure, save_figure
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.errors import DataError
from algebraic_cnn.files import read_bytes, whole_file, write_bytes
from algebraic_cnn.files.npz import read_npy
from algebraic_cnn.files.plain_json import read_json, write_json
from algebraic_cnn.files.records import append_record, read_records, write_records
from algebraic_cnn.homotopy.checkpoint import read_checkpoint
from algebraic_cnn.ir.onnx.reading import load_onnx
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import export
from algebraic_cnn.models.data import read_idx

from .damages import make_checkpoint, save_network

MAP = AffineMap(np.random.default_rng(0).standard_normal((60, 80)), np.zeros(60), (80,), (60,))
PROGRAM = export(nn.Linear(80, 60).eval(), torch.zeros(2, 80))
FIGURE = rows_figure(AffineMap(np.eye(4), np.zeros(4), (1, 2, 2), (4,)), "abcd")
WRITERS: dict[str, Callable[[Path], object]] = {
    "a": lambda path: write_bytes(path, bytes(40_000)),
    "table.json": lambda path: write_json(path, list(range(10_000))),
    "program.pt2": lambda path: save_program(PROGRAM, path),
    "map.npz": MAP.save,
    "certificate.json": Certificate("the two are equal." * 3_000, "modular", True).save,
    "records.jsonl": lambda path: write_records(path, [{"n": n} for n in range(1_000)]),
    "checkpoint.safetensors": make_checkpoint,
    "picture.png": lambda path: save_figure(FIGURE, path),
    "picture.svg": lambda path: save_figure(FIGURE, path),
    "network.onnx": save_network,
    "matrix.npz": lambda path: command("toeplitz", "1x30x30", "--seed", "1", "--out", path),
}
READERS: dict[str, Callable[[Path], object]] = {
    "program": load_program,
    "map": AffineMap.load,
    "array": read_npy,
    "certificate": Certificate.load,
    "records": read_records,
    "checkpoint": read_checkpoint,
    "images": lambda path: read_idx(path, 3),
    "onnx": load_onnx,
    "json": read_json,
    "appended": lambda path: append_record(path, {"a": 1}),
}


def command(*words: object) -> None:
    """A command; its error as the error that it was."""
    done = CliRunner().invoke(app, list(map(str, words)))
    if done.exit_code:
        raise DataError(done.stderr)


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small disk of its own, where we may have one."""
    words = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def limited(folder: Path) -> Iterator[None]:
    """No file may grow beyond 64 bytes: every write fails half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True)
def onnx_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    """The cases of ONNX files need the extra; the others do not."""
    if "onnx" in request.node.name:
        pytest.importorskip("onnx")
        pytest.importorskip("onnxscript")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_file_leaves_the_old_one_alone(tmp_path: Path, interruption: type[BaseException]) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(interruption), whole_file(path) as unfinished:
        unfinished.write_text("half")
        raise interruption
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_errors_of_the_disk_are_of_our_family(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    with pytest.raises(DataError, match=r"cannot be written .*at .*file/a.json"):
        write_json(tmp_path / "file" / "a.json", 1)
    with pytest.raises(DataError, match="not JSON"):
        read_json(tmp_path / "file")
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "nowhere")
    with pytest.raises(DataError, match="of another kind"), whole_file(tmp_path / "b"):
        raise DataError("of another kind")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("disk", ["full", "limited"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str, disk: str) -> None:
    path = tmp_path / name
    with mounted(tmp_path, "-o", "size=4k") if disk == "full" else contextlib.nullcontext():
        path.write_bytes(b"the old one")
        with limited(tmp_path) if disk == "limited" else contextlib.nullcontext(), pytest.raises(DataError) as caught:
            WRITERS[name](path)
        assert "cannot be written" in str(caught.value)
        assert path.read_bytes() == b"the old one"
        assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_writes_where_there_is_room(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "new folder" / name)
    assert (tmp_path / "new folder" / name).stat().st_size > 4_096 or name in ("network.onnx", "checkpoint.safetensors")
    assert [file.name for file in (tmp_path / "new folder").iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_read_only_is_told(tmp_path: Path, name: str) -> None:
    with mounted(tmp_path, "-o", "ro"), pytest.raises(DataError, match="cannot be written"):
        WRITERS[name](tmp_path / name)


def test_a_record_on_a_full_disk_leaves_the_others(tmp_path: Path) -> None:
    with mounted(tmp_path, "-o", "size=4k"):
        path = tmp_path / "records.jsonl"
        append_record(path, {"n": 0})
        with pytest.raises(DataError, match="cannot be written"):
            append_record(path, {"n": "x" * 10_000})
        assert read_records(path) == [{"n": 0}]
        append_record(path, {"n": 1})
        assert read_records(path) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.write_bytes", "pathlib.Path.mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_whichever_call_fails_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(call, fails)
    with pytest.raises(DataError, match="cannot be written"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b", "x" * 300])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DataError):
        write_bytes(name, b"")
    with pytest.raises(DataError):
        read_bytes(name or "/", limit=10)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


NO_FILES: dict[str, Callable[[Path], Any]] = {
    "a folder": Path.mkdir,
    "a pipe": fifo,
    "a loop of links": loop,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "an empty file": Path.touch,
    "no text": lambda path: path.write_bytes(b"\xff\xfe\xfd\n" * 100),
    "zeros": lambda path: path.write_bytes(bytes(1_000)),
    "a page of text": lambda path: path.write_text("lorem ipsum\n" * 100),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_of_ours_is_refused_at_once(tmp_path: Path, reader: str, what: str) -> None:
    path = tmp_path / "file"
    NO_FILES[what](path)
    started = time.monotonic()
    if reader in ("records", "appended") and what == "an empty file":
        READERS[reader](path)  # no records yet
        return
    with pytest.raises(DataError) as caught:
        READERS[reader](path)
    assert time.monotonic() - started < 5
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_must_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "file"
    path.write_bytes(b"{}\n")
    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no place on the disk
    started = time.monotonic()
    with pytest.raises(DataError, match="too large"):
        READERS[reader](path)
    assert time.monotonic() - started < 2


def one_file(tmp_path: Path, way: str, ending: str) -> tuple[Path, Path]:
    """A file, and another name for it."""
    path = tmp_path / f"in{ending}"
    other = tmp_path / f"other{ending}"
    if way == "a link":
        other.symlink_to(path)
    elif way == "a second name":
        os.link(path, other)
    elif way == "a way around":
        other = tmp_path / "folder" / ".." / f"in{ending}"
        other.parent.parent.mkdir(exist_ok=True)
    else:
        other = path
    return path, other


WAYS = ["the same name", "a way around", "a link", "a second name"]
COMMANDS: dict[str, tuple[str, Callable[[Path, Path], list[Any]]]] = {
    "collapse --out": (".pt2", lambda path, other: ["collapse", path, "--out", other]),
    "certify --save": (".pt2", lambda path, other: ["certify", path, path, "--save", other]),
    "toeplitz --out": (".npy", lambda path, other: ["toeplitz", "1x5", "--weight", path, "--out", other]),
    "toeplitz --picture": (".npy", lambda path, other: ["toeplitz", "1x5", "--weight", path, "--picture", other]),
    **{
        f"collapse {option}": (".pt2", lambda path, other, o=option: ["collapse", path, "--out", "x.pt2", o, other])
        for option in ("--map", "--certificate")
    },
    "certify --save onto its certificate": (
        ".json",
        lambda path, other: [
            "certify",
            path.with_suffix(".pt2"),
            path.with_suffix(".pt2"),
            "--check",
            path,
            "--save",
            other,
        ],
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_result_is_written_over_an_input(tmp_path: Path, name: str, way: str) -> None:
    ending, words = COMMANDS[name]
    (tmp_path / f"in{ending}").write_bytes(b"the old one")
    path, other = one_file(tmp_path, way, ending)
    if name == "toeplitz --out":  # its result has another ending: a link makes it the same file
        other = tmp_path / "other.npz"
        other.symlink_to(path)
    if name == "toeplitz --picture":
        other = tmp_path / "other.png"
        os.link(path, other)
    with pytest.raises(DataError, match="written over an input of the same command"):
        command(*words(path, other))
    assert path.read_bytes() == b"the old one"


def test_two_results_are_two_files(tmp_path: Path) -> None:
    words = ["collapse", tmp_path / "in.pt2", "--out", tmp_path / "out.pt2", "--map", tmp_path / "a.npz"]
    with pytest.raises(DataError, match="two results would be written to one file"):
        command(*words, "--certificate", tmp_path / "folder" / ".." / "a.npz")


def test_an_answer_that_cannot_be_written_is_no_verdict(tmp_path: Path) -> None:
    """Exit code 1 would say that two networks differ."""
    AffineMap(np.ones((1, 1)), np.zeros(1), (1,), (1,)).save(tmp_path / "a.npz")
    words = [sys.executable, "-m", "algebraic_cnn", "certify", str(tmp_path / "a.npz"), str(tmp_path / "a.npz")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "error: the answer cannot be written (No space left on device)\n")
