"""Programs as files: ``.pt2``, written whole, and read only if nothing in them would be executed.

A ``.pt2`` is a zip archive of JSON and raw weights.  ``torch.export.load`` also accepts pickled objects, compiled
libraries, and texts that it imports, evaluates, or writes into source code that it runs.  Here a file is first read by
our own code: archive, JSON, types, texts, expressions, sizes of weights.  What was checked is written into a fresh
archive in memory, and torch reads that, so that what was checked is what is read.

    save_program    ExportedProgram -> file, the same bytes in every process, with a sum
    load_program    file -> ExportedProgram
    expressions, texts, declared, payloads    what a file may say

What remains: a program that was read can ask for as much memory and time as it likes when it is run, and a file of
another writer carries no sum, so that damage with right zip sums may make another program of it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch._export.serde import schema
from torch.export import ExportedProgram

from ...errors import DataError, UnknownNameError
from ...files import limits, read_bytes, write_bytes
from ...files.archives import entries, packed, sha256
from ...files.plain_json import parsed
from ..choices import carrying, choices_of, read, spelled
from ..refusal import quiet
from .declared import ReadingState, conforming
from .payloads import plain_samples, require_inside

_GRAPH = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_WEIGHTS = ("data/weights", "data/constants")
_FORMAT = {"archive_format": b"pt2", "archive_version": b"0"}
_NOT_RUN = "refused, for reading it could run code"
#: The folder in which everything stands in an archive of ours, which must carry a sum.
_ROOT = "algebraic_cnn"
_SEAL = "extra/algebraic_cnn.sha256"
_CHOICES = "extra/algebraic_cnn.choices.json"


def save_program(program: ExportedProgram, path: str | os.PathLike[str]) -> Path:
    """Write a program as ``.pt2``, whole or not at all; return the path.

    Equal programs make equal files: entries have no dates, and the archive's folder has a fixed name.

    Raises:
        UnknownNameError: if the path has another ending.
        DataError: if the program cannot be saved, or the file cannot be written.
    """
    path = require_pt2(path)
    buffer = io.BytesIO()
    try:
        with quiet():
            torch.export.save(program, buffer)
    except Exception as error:  # the serializer raises errors of any class
        raise DataError(f"torch cannot save the program ({_line(error)})", where=path) from error
    written = entries(buffer.getvalue(), path, limit=limits.PROGRAM)
    records = {name.partition("/")[2]: written[name] for name in written}
    records.pop(".data/serialization_id", None)  # a sum that torch does not check
    choices = choices_of(program)
    if choices is not None:
        records[_CHOICES] = spelled(choices)
    records[_SEAL] = sha256(records)
    return write_bytes(path, packed({f"{_ROOT}/{name}": content for name, content in records.items()}))


def require_pt2(path: str | os.PathLike[str]) -> Path:
    """The path, if it ends as a program's file does.

    Raises:
        UnknownNameError: if the path has another ending.
    """
    path = Path(path)
    if path.suffix != ".pt2":
        raise UnknownNameError("a program is saved as .pt2", expected=path.with_suffix(".pt2").name, got=path.name)
    return path


def load_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """Read a program that ``save_program`` or ``torch.export.save`` wrote, without executing anything of the file.

    Raises:
        DataError: if the file is missing, damaged, no program, beyond the limits of `limits`, or holds something that
            would be executed; or if a library whose operator it calls is not imported.
    """
    path = Path(path)
    records = _records(read_bytes(path, limit=limits.PROGRAM, expected="a .pt2 file"), path)
    try:
        checked = _checked(records, path)
        choices = read(records[_CHOICES], path) if _CHOICES in records else None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{_NOT_RUN}, or no program that torch.export saved", got=_line(error), where=path) from error
    del records
    try:
        with quiet():
            program = torch.export.load(io.BytesIO(checked))
        program.call_spec  # torch looks at the nesting of inputs and outputs only now  # noqa: B018
    except Exception as error:  # a foreign archive makes torch raise errors of any class
        raise DataError(f"not a program that torch.export saved ({_line(error)})", where=path) from error
    carrying(program, choices)
    return program


def _records(content: bytes, path: Path) -> dict[str, bytes]:
    """The entries of an archive without the folder that they stand in, if they stand in one."""
    found = entries(content, path, limit=limits.PROGRAM, kind="a program that torch.export saved")
    roots = {name.partition("/")[0] for name in found}
    if len(roots) != 1 or not all(name.partition("/")[2] for name in found):
        raise DataError("not a program that torch.export saved: entries outside one folder", where=path)
    records = {name.partition("/")[2]: found[name] for name in found}
    if any(records.get(name, b"").strip() != value for name, value in _FORMAT.items()):
        raise DataError("not a program that torch.export saved: an archive of another format", where=path)
    seal = records.pop(_SEAL, b"")
    if (roots == {_ROOT} or seal) and seal != sha256(records):
        raise DataError("damaged: the sum of the file is wrong", where=path)
    return records


def _checked(records: Mapping[str, bytes], path: Path) -> bytes:
    """A fresh archive of what torch needs, each part of it checked."""
    reading = ReadingState(path)
    graph = parsed(_need(records, _GRAPH), path, limit=limits.GRAPH)
    fresh = {
        **_FORMAT,
        ".data/version": b"6\n",
        "byteorder": _byte_order(records),
        _GRAPH: _json(conforming(schema.ExportedProgram, graph, reading)),
        _SAMPLES: plain_samples(_need(records, _SAMPLES), path),
    }
    sizes = {name: len(content) for name, content in records.items()}
    for folder in _WEIGHTS:
        table, legacy = f"{folder}/model_{folder[5:]}_config.json", f"{folder}/model.pt"
        if legacy in records:  # torch 2.8
            fresh[legacy] = plain_samples(records[legacy], path)
            continue
        config = parsed(_need(records, table), path, limit=limits.GRAPH)
        config = conforming(schema.PayloadConfig, config, reading)
        fresh[table] = _json(config)
        for name in require_inside(config["config"], folder, sizes):
            fresh[name] = records[name]
    _require_nothing_else(records, fresh)
    return packed({f"{_ROOT}/{name}": content for name, content in fresh.items()})


def _require_nothing_else(records: Mapping[str, bytes], fresh: Mapping[str, bytes]) -> None:
    """Texts beside the program are left out; anything else that torch could read is refused."""
    known = (*fresh, ".data/serialization_id", "version")
    others = [name for name in records if name not in known and not name.startswith("extra/")]
    others = [name for name in others if not name.startswith(tuple(f"{folder}/weight_" for folder in _WEIGHTS))]
    if others:
        raise ValueError(f"an entry {others[0]}")


def _need(records: Mapping[str, bytes], name: str) -> bytes:
    if name not in records:
        raise ValueError(f"no entry {name}")
    return records[name]


def _byte_order(records: Mapping[str, bytes]) -> bytes:
    order = records.get("byteorder", b"little")
    if order not in (b"little", b"big"):
        raise ValueError("numbers in no known order of bytes")
    return order


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _line(error: BaseException) -> str:
    """The first line of what torch says, unless it points to a log that nobody sees."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return "torch cannot rebuild its graph" if text.startswith("We ran into an error") else text
