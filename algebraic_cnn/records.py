"""Records of experiments: one JSON object per line, appended as soon as it is known and safe from then on.

    append_record   one more line, on the disk before it returns
    read_records    all whole lines; a last line without its end was cut off by a crash and does not count
    write_records   a whole file at once
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import DataError
from .files import whole_file

Record = Mapping[str, Any]


def append_record(path: str | os.PathLike[str], record: Record) -> None:
    """Append one record; only one process may do so at a time.

    Raises:
        DataError: if the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "records.jsonl")
    ...     append_record(path, {"t": 0.5})
    ...     _ = path.write_text(path.read_text() + '{"t": 0.2')          # a crash in the middle of a line
    ...     append_record(path, {"t": 1.0})
    ...     read_records(path)
    [{'t': 0.5}, {'t': 1.0}]
    """
    path = Path(path)
    line = json.dumps(record).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.truncate(_whole(path.read_bytes()))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror or error})", where=path) from error


def read_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records in a file, none if there is no such file.

    Raises:
        DataError: if it cannot be read, or a line other than an unfinished last one is no record; names the line.
    """
    path = Path(path)
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=path) from error
    return [_record(line, path, number) for number, line in enumerate(content[: _whole(content)].splitlines(), 1)]


def write_records(path: str | os.PathLike[str], records: Iterable[Record]) -> None:
    """Write a file of records, whole or not at all.

    Raises:
        DataError: if it cannot be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _whole(content: bytes) -> int:
    """How many bytes are whole lines."""
    return content.rfind(b"\n") + 1


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"a damaged record ({error})", where=f"{path}:{number}") from error
    if not isinstance(record, dict):
        raise DataError("a record is a JSON object", got=type(record).__name__, where=f"{path}:{number}")
    return record
