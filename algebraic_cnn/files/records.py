"""Records of experiments: one JSON object per line, appended as soon as it is known and safe from then on.

append_record   one more line, on the disk before it returns
read_records    all whole lines; a last line that was cut off by a crash does not count
write_records   a whole file at once
sha256          of every record and of all before it: a line that was changed, lost, or moved is noticed
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import limits, read_bytes, write_bytes
from .plain_json import parsed, sealed, unsealed

Record = Mapping[str, Any]
#: What a crash leaves of a line: its beginning, and nothing else.
_CUT_OFF = re.compile(rb'\{(?:(?!"sha256": )[ -~])*(?:"sha256": (?:"(?:[0-9a-f]{0,64}|[0-9a-f]{64}"\}?))?)?')


def append_record(path: str | os.PathLike[str], record: Record) -> None:
    """Append one record; only one process may do so at a time.

    Raises:
        DataError: if the file cannot be written, or is no file of records.

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
    whole = _whole(path)
    last = _value(whole[-1], path, len(whole)).get("sha256", "") if whole else ""
    line = _line(sealed(record, str(last)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            kept = sum(map(len, whole)) + len(whole)
            file.truncate(kept)
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(kept)  # no half of a line stays behind
                raise
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror or error})", where=path) from error


def read_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records in a file, none if there is no such file.

    Raises:
        DataError: if it cannot be read, or a line other than an unfinished last one is damaged; names the line.
    """
    path = Path(path)
    records, before = [], ""
    for number, line in enumerate(_whole(path), 1):
        value = _value(line, path, number)
        records.append(unsealed(value, f"{path}:{number}", before))
        before = str(value["sha256"])
    return records


def write_records(path: str | os.PathLike[str], records: Iterable[Record]) -> None:
    """Write a file of records, whole or not at all.

    Raises:
        DataError: if it cannot be written.
    """
    chain = itertools.accumulate(records, lambda last, record: sealed(record, last["sha256"]), initial={"sha256": ""})
    write_bytes(path, b"".join(map(_line, itertools.islice(chain, 1, None))))


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _whole(path: Path) -> list[bytes]:
    """The lines of a file that have their ends, if what follows is the beginning of a record and no damaged one."""
    if not os.path.lexists(path):
        return []
    *lines, rest = read_bytes(path, limit=limits.RECORDS, expected="a .jsonl file").split(b"\n")
    if rest and not _CUT_OFF.fullmatch(rest):
        raise DataError("a damaged record", where=f"{path}:{len(lines) + 1}")
    return lines


def _value(line: bytes, path: Path, number: int) -> dict[str, Any]:
    where = f"{path}:{number}"
    try:
        record = parsed(line, where)
    except DataError as error:
        raise DataError(f"a damaged record ({error.what})", where=where) from error
    if not isinstance(record, dict):
        raise DataError("a record is a JSON object", got=type(record).__name__, where=where)
    return record
