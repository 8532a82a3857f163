"""A file is whole or not there, and nothing is read but regular files of a bounded size.

whole_file      a hidden name to write to, renamed when all of it is on the disk
write_bytes     bytes -> file; formats are made in memory first, so that a full disk meets one call only
read_bytes      file -> bytes, if it is a regular file and not too large
distinct        refuse to write onto a file that is read

Beside this file, from the ground up:

    limits         how much a file may ask of its reader
    plain_json     JSON with nothing doubtful in it, and with a sum
    records        JSON Lines, appended as soon as each is known
    layout         what a zip archive says twice
    archives       zip archives whose entries mean one thing
    npz            arrays without pickles
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import DataError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a name to write to, with the ending of `path`; it becomes `path` if nothing goes wrong, else it vanishes.

    Raises:
        DataError: if the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "a.txt")) as unfinished:
    ...         _ = unfinished.write_text("all of it")
    ...         before = Path(folder, "a.txt").exists()
    ...     print(before, Path(folder, "a.txt").read_text())
    False all of it
    """
    path = Path(path)
    if not path.name or "\0" in path.name:
        raise DataError("is no name of a file", where=repr(str(path)))
    unfinished = path.with_name(f".part-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be written ({_reason(error)})", where=path) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes | bytearray | memoryview) -> Path:
    """Write bytes, whole or not at all; return the path.

    Raises:
        DataError: if the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_bytes(write_bytes(Path(folder, "a"), b"all of it"), limit=100)
    b'all of it'
    """
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)
    return Path(path)


def read_bytes(path: str | os.PathLike[str], *, limit: int, expected: str | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        limit: bytes that it may have.
        expected: what kind of file is wanted, in words.

    Raises:
        DataError: if there is no such file, it is a folder, a pipe or a device, too large, or cannot be read.

    >>> read_bytes("/dev/zero", limit=100)
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: cannot be read: it is no regular file [at /dev/zero]
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError("cannot be read: it is no regular file", expected=expected, where=path)
        # A pipe that took the file's place in between would block an ordinary open.
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(opened, "rb") as file:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):
                raise DataError("cannot be read: it is no regular file", expected=expected, where=path)
            content = b"" if found.st_size > limit else file.read(limit + 1)
    except FileNotFoundError as error:
        raise DataError("there is no such file", expected=expected, where=path) from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read ({_reason(error)})", expected=expected, where=path) from error
    if max(found.st_size, len(content)) > limit:
        raise DataError("too large to be read", expected=f"at most {limit:,} bytes", where=path)
    return content


def distinct(read: Iterable[str | os.PathLike[str] | None], written: Iterable[str | os.PathLike[str] | None]) -> None:
    """Refuse to write onto a file that the same command reads, or two results onto one another.

    Args:
        read: files that are read; None for one that is not asked for.
        written: files that are written.

    Raises:
        DataError: if two of them are one file, by whatever names.

    >>> distinct(["a.pt2"], ["b.pt2", None])
    >>> distinct(["a.pt2"], ["folder/../a.pt2"])
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: would be written over an input of the same command [at folder/../a.pt2]
    """
    inputs = [Path(path) for path in read if path is not None]
    results: list[Path] = []
    for path in (Path(path) for path in written if path is not None):
        if any(_same(path, other) for other in inputs):
            raise DataError("would be written over an input of the same command", where=path)
        if any(_same(path, other) for other in results):
            raise DataError("two results would be written to one file", where=path)
        results.append(path)


def _same(one: Path, other: Path) -> bool:
    try:
        if one.samefile(other):
            return True
    except (OSError, ValueError):  # one of them is not there yet
        pass
    return os.path.realpath(one) == os.path.realpath(other)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
