"""JSON with nothing doubtful in it, and with a sum where the file is ours.

    parsed      bytes -> value: no key twice, no NaN, no number without bound, no brackets without end
    sealed      a mapping with the SHA-256 of its content as its last entry
    unsealed    the mapping again, if the sum is right
    spelled     a value without floats that JSON cannot say; `built` reads them again
    built       (type, value) -> an instance of the type, if the value is one in every part
    write_json, read_json

A sum notices damage.  It does not stop a forger, who can compute it anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from . import limits, read_bytes, write_bytes

#: Metadata of a field that ``spelled`` and ``built`` leave out: it has a default.
UNSPOKEN = {"unspoken": True}

_SEAL = "sha256"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parsed(content: bytes, where: object, *, limit: int = limits.JSON) -> Any:
    """The value that JSON text says.

    Args:
        content: the text in UTF-8.
        where: the file, for the error.
        limit: bytes that it may have.

    Raises:
        DataError: if it is too large or too deep, no JSON, or says something twice or without bound.

    >>> parsed(b'{"a": [1, 2.5]}', "a.json")
    {'a': [1, 2.5]}
    >>> parsed(b'{"a": 1, "a": 2}', "a.json")
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: not JSON (the key 'a' occurs twice) [at a.json]
    """
    if len(content) > limit:
        raise DataError("too large to be read", expected=f"at most {limit:,} bytes", where=where)
    brackets = np.frombuffer(_TEXT.sub(b"", content).translate(None, delete=_NO_BRACKETS), np.uint8)
    steps = np.where(np.isin(brackets, list(b"[{")), 1, -1).astype(np.int8)
    if np.cumsum(steps, dtype=np.int32).max(initial=0) > limits.JSON_DEPTH:
        raise DataError("brackets within brackets", expected=f"at most {limits.JSON_DEPTH} of them", where=where)
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_short,
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})", where=where) from error


def compact(value: Any) -> bytes:
    """A value as JSON, each value in one way: keys sorted, no spaces.

    Raises:
        DataError: if it holds NaN or infinity, which JSON cannot say.

    >>> compact({"b": 1, "a": [2.0]})
    b'{"a":[2.0],"b":1}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise DataError(f"cannot be written as JSON ({error})") from error


def sealed(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The mapping with the SHA-256 of its content, and of what stands before it, as its last entry; an old sum goes.

    >>> sealed({"a": 1})["sha256"][:16]
    '015abd7f5cc57a2d'
    """
    content = json.loads(compact({name: part for name, part in value.items() if name != _SEAL}))
    return content | {_SEAL: hashlib.sha256(before.encode() + compact(content)).hexdigest()}


def unsealed(value: Any, where: object, before: str = "") -> dict[str, Any]:
    """The content of a sealed mapping.

    Args:
        value: the mapping with its sum.
        where: the file, for the error.
        before: what stands before it.

    Raises:
        DataError: if it is no mapping, carries no sum, or is not what was summed.

    >>> unsealed(sealed({"a": 1}), "a.json")
    {'a': 1}
    >>> unsealed(sealed({"a": 1}) | {"a": 2}, "a.json")
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: damaged: its sum is wrong [at a.json]
    """
    if not isinstance(value, dict) or _SEAL not in value:
        expected = f"an object with {_SEAL!r}, as this version writes it"
        raise DataError("carries no sum of its content", expected=expected, where=where)
    content = {name: part for name, part in value.items() if name != _SEAL}
    if sealed(content, before)[_SEAL] != value[_SEAL]:
        raise DataError("damaged: its sum is wrong", where=where)
    return content


def spelled(value: Any) -> Any:
    """The value as JSON can say it: a record as an object, a tuple as a list, infinity and NaN as texts.

    >>> spelled({"bound": float("inf"), "primes": (2, 3)})
    {'bound': 'inf', 'primes': [2, 3]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: spelled(getattr(value, name)) for name in _spoken(value)}
    if isinstance(value, Mapping):
        return {name: spelled(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [spelled(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _spoken(kind: Any) -> list[str]:
    return [entry.name for entry in dataclasses.fields(kind) if not entry.metadata.get("unspoken")]


def built(kind: Any, value: Any) -> Any:
    """The instance of a type that `spelled` gave as this value.

    Args:
        kind: a frozen dataclass, tuple, list, dict, union or scalar, or a type made of them.
        value: from JSON.

    Raises:
        ValueError: if some part is not of its type, or a field is missing or unknown.

    >>> built(tuple[int, ...], [2, 3]), built(float | None, "inf")
    ((2, 3), inf)
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return built(next(each for each in inner if each is not type(None)), value)
    if dataclasses.is_dataclass(kind):
        hints, given = typing.get_type_hints(kind), value if isinstance(value, dict) else {}
        if given.keys() != set(_spoken(kind)):
            raise ValueError(f"the fields of a {getattr(kind, '__name__', kind)} expected, got {', '.join(given)[:80]}")
        return typing.cast("Any", kind)(**{name: built(hints[name], part) for name, part in given.items()})
    if origin in (tuple, list):
        if not isinstance(value, list) or (origin is tuple and inner[1:] != (...,) and len(value) != len(inner)):
            raise ValueError(f"{kind} expected, got {str(value)[:40]}")
        kinds = inner if origin is tuple and inner[1:] != (...,) else inner[:1] * len(value)
        return origin(built(each, part) for each, part in zip(kinds, value, strict=True))
    if origin is dict:
        return {built(inner[0], name): built(inner[1], part) for name, part in built(dict, value).items()}
    if kind is float and value in ("inf", "-inf", "nan"):
        return float(value)
    if kind is not Any and type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{getattr(kind, '__name__', kind)} expected, got {str(value)[:40]}")
    return value


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Write a value as indented JSON, whole or not at all; return the path.

    Raises:
        DataError: if the file cannot be written, or the value holds NaN or infinity.
    """
    compact(value)
    return write_bytes(path, json.dumps(value, indent=2).encode() + b"\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: if the file cannot be read or is not JSON, see `parsed`.
    """
    return parsed(read_bytes(path, limit=limits.JSON, expected="a .json file"), path)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:40]!r} occurs twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _short(text: str) -> int:
    if len(text) > limits.DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)
