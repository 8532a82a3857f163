"""Programs as files: ``.pt2``, written whole, and read only if nothing in them would be executed.

A ``.pt2`` is a zip archive of JSON and raw weights.  ``torch.export.load`` also accepts pickled objects, compiled
libraries and symbolic expressions that it evaluates; a file with any of these is refused before torch reads it.

    save_program    ExportedProgram -> file
    load_program    file -> ExportedProgram, after checking every part and the archive's own sums
"""

from __future__ import annotations

import ast
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch.export import ExportedProgram

from .errors import DataError, UnknownNameError
from .files import whole_file
from .refusal import quiet

_OBJECTS = ("custom_obj", "opaque_obj")
_ARITHMETIC = (ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare)
_SIGNS = (ast.operator, ast.unaryop, ast.cmpop, ast.expr_context)


def save_program(program: ExportedProgram, path: str | os.PathLike[str]) -> Path:
    """Write a program as ``.pt2``, whole or not at all; return the path.

    Raises:
        UnknownNameError: if the path has another ending.
        DataError: if the file cannot be written.
    """
    path = require_pt2(path)
    with whole_file(path) as unfinished:
        torch.export.save(program, unfinished)
    return path


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
    """Read a program that ``torch.export.save`` wrote, without executing anything that the file brings.

    Raises:
        DataError: if the file is missing, damaged, no program, or holds something that would be executed.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged:
                raise DataError(f"damaged: the sum of {damaged} is wrong", where=path)
            reasons, unknown = list(_executable(archive)), list(_unknown(archive))
    except FileNotFoundError as error:
        raise DataError("there is no such file", expected="a .pt2 file", where=path) from error
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, SyntaxError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not a program that torch.export saved ({error})", where=path) from error
    if reasons:
        raise DataError("refused, for reading it could run code", got=reasons[0], where=path)
    if unknown:
        expected = "its library to be imported first"
        raise DataError("the program makes a custom call that nobody has registered", expected=expected, got=unknown[0])
    try:
        with quiet():
            return torch.export.load(path)
    except Exception as error:  # a foreign archive makes torch raise errors of any class
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"not a program that torch.export saved ({reason})", where=path) from error


def _executable(archive: zipfile.ZipFile) -> Iterator[str]:
    """The parts of an archive that torch would execute, unpickle without restriction, or evaluate."""
    records = {str(PurePosixPath(*PurePosixPath(name).parts[1:])): name for name in archive.namelist()}
    if "archive_format" not in records or archive.read(records["archive_format"]) != b"pt2":
        raise ValueError("an archive of another format")
    for record, name in records.items():
        if record.startswith("data/aotinductor"):
            yield f"a compiled library ({record})"
        elif PurePosixPath(record).name.startswith(_OBJECTS):
            yield f"a pickled object ({record})"
        elif record.endswith(".pt") and not _plain(archive.read(name)):
            yield f"a pickle of more than tensors ({record})"
        elif record.endswith(".json"):
            for key, value in _leaves(json.loads(archive.read(name))):
                if key == "use_pickle" and value:
                    yield f"a pickled tensor ({record})"
                if key == "expr_str" and not _arithmetic(str(value)):
                    yield f"an expression to evaluate ({value!r})"


def _unknown(archive: zipfile.ZipFile) -> Iterator[str]:
    """The operators that a program calls and torch does not know, such as a user's own."""
    for name in archive.namelist():
        for key, value in _leaves(json.loads(archive.read(name))) if name.endswith(".json") else ():
            if key == "target" and str(value).startswith("torch.ops."):
                operator: Any = torch.ops
                for part in str(value).split(".")[2:]:
                    operator = getattr(operator, part, None)
                if operator is None:
                    yield str(value)


def _plain(content: bytes) -> bool:
    """Whether torch's restricted reader, which builds tensors and containers only, takes these bytes."""
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # the restricted reader raises errors of any class
        return not content
    return True


def _arithmetic(text: str) -> bool:
    """Whether a text is arithmetic on symbols: no attribute, no lower-case function, no text but a symbol's name."""
    for node in ast.walk(ast.parse(text, mode="eval")):
        if not isinstance(node, _ARITHMETIC + _SIGNS):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id[:1].isupper()):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isalnum():
            return False
    return True


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every (key, scalar) inside a JSON value."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, key)
    else:
        yield key, value
