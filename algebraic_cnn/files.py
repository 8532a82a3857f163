"""A file is whole or not there: what is written goes to a hidden name first and is renamed when it is finished."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DataError


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
    unfinished = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be written ({error.strerror or error})", where=path) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, whole or not at all.

    Raises:
        DataError: if the file cannot be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=path) from error
    except ValueError as error:
        raise DataError(f"not JSON ({error})", where=path) from error
