"""Zip archives: every entry under a name that means one thing, unpacked to no more than was allowed.

    entries     bytes of an archive -> its entries by name, each checked, unpacked only when asked for
    packed      entries -> bytes of an archive, the same in every process
    sha256      entries -> their sum

A zip archive says everything twice, at each entry and in the list at its end, and readers differ in which they believe.
An archive that does not say the same twice (layout.py), with two entries of one name, or of two names that some file
system takes for one, is refused here.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from ..errors import DataError
from . import limits
from .layout import contradiction

#: What zipfile raises over damaged archives; RuntimeError for an unknown kind, OverflowError for an absurd size.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OverflowError, OSError)
_DOUBTFUL = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|]")
_DAY = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED, _LINK, _FILE, _KIND = 1, 0o120000, 0o100000, 0o170000
_FOLDER = 0x10


@dataclass(frozen=True, eq=False)
class ArchiveEntries(Mapping[str, bytes]):
    """The entries of an archive by name.

    Args:
        archive: the archive, opened.
        sizes: the size of each, unpacked.
        where: the file, for errors.
    """

    archive: zipfile.ZipFile
    sizes: Mapping[str, int] = field(default_factory=dict)
    where: object = None

    def __getitem__(self, name: str) -> bytes:
        """The content of an entry, if its sum is right.

        Raises:
            DataError: if the entry is damaged or longer than it says.
        """
        content = self.start(name, self.sizes[name] + 1)
        if len(content) != self.sizes[name]:
            raise DataError(f"damaged: {name} is not as long as it says", where=self.where)
        return content

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of an entry.

        Raises:
            DataError: if the entry is damaged.
        """
        self.sizes[name]
        try:
            with self.archive.open(name) as opened:
                return _read(opened, length)
        except _DAMAGED as error:
            raise DataError(f"damaged: {name} cannot be unpacked ({error})", where=self.where) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)


def entries(
    content: bytes, where: object, *, limit: int, deflated: bool = False, kind: str = "an archive"
) -> ArchiveEntries:
    """The entries of a zip archive, all of them checked by their names, kinds and sizes; nothing is unpacked yet.

    Args:
        content: the archive.
        where: the file, for errors.
        limit: bytes that all entries may have together.
        deflated: whether entries may be deflated; else each must stand there as it is.
        kind: what the archive is to be, in words.

    Raises:
        DataError: if it is no archive, or has an entry that is not a plain file of one meaning.

    >>> entries(packed({"a/b": b"xy"}), "a.zip", limit=10)["a/b"]
    b'xy'
    >>> entries(packed({"a/b": b"", "A/B": b""}), "a.zip", limit=10)
    Traceback (most recent call last):
    algebraic_cnn.errors.DataError: refused: two entries of one name: got 'a/b' [at a.zip]
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except _DAMAGED as error:
        raise DataError(f"not {kind} ({error})", where=where) from error
    listed = archive.infolist()
    if len(listed) > limits.MEMBERS:
        expected = f"at most {limits.MEMBERS:,}"
        raise DataError("refused: too many entries", expected=expected, got=len(listed), where=where)
    total, seen, sizes = 0, set(), {}
    for entry in listed:
        total += entry.file_size
        reason = _doubt(entry, seen, deflated=deflated)
        if reason:
            raise DataError(f"refused: {reason}", got=repr(entry.filename[:80]), where=where)
        if entry.file_size > limit or total > limit:
            expected = f"at most {limit:,} bytes"
            raise DataError("refused: unpacks to too much", expected=expected, got=f"{total:,} bytes", where=where)
        seen.add(_folded(entry.filename))
        sizes[entry.filename] = entry.file_size
    if reason := contradiction(content, listed):
        raise DataError(f"refused or damaged: an archive with {reason}", where=where)
    return ArchiveEntries(archive, sizes, where)


def packed(content: Mapping[str, bytes], *, deflated: bool = False) -> bytes:
    """An archive of these entries, sorted by name, without dates: equal entries, equal bytes.

    >>> packed({"b": b"", "a": b"1"}) == packed({"a": b"1", "b": b""})
    True
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            entry.create_system = 3
            archive.writestr(entry, content[name])
    return buffer.getvalue()


def sha256(content: Mapping[str, bytes]) -> bytes:
    """SHA-256 of all entries and their names, in hexadecimal letters.

    >>> sha256({"a": b"1"})[:16]
    b'c57763b2cca67b29'
    """
    lines = [f"{name} {hashlib.sha256(content[name]).hexdigest()}\n" for name in sorted(content)]
    return hashlib.sha256("".join(lines).encode()).hexdigest().encode()


def _doubt(entry: zipfile.ZipInfo, seen: set[str], *, deflated: bool) -> str:
    """Why an entry is not a plain file of one meaning; nothing if it is."""
    name = entry.filename
    parts = name.split("/")
    if _folded(name) in seen:
        return "two entries of one name"
    if len(name) > limits.NAME or _DOUBTFUL.search(name) or entry.orig_filename != name:
        return "a name that is none everywhere"
    if any(part in ("", ".", "..") or part != part.strip(" ").rstrip(".") for part in parts):
        return "a name that leads elsewhere"
    if entry.flag_bits & _ENCRYPTED:
        return "an encrypted entry"
    if (entry.external_attr >> 16) & _KIND == _LINK:
        return "a link"
    if (entry.external_attr >> 16) & _KIND not in (0, _FILE) or entry.external_attr & _FOLDER:
        return "an entry that is no file"
    if entry.compress_type not in (zipfile.ZIP_STORED, *([zipfile.ZIP_DEFLATED] if deflated else [])):
        return "an entry packed in an unusual way"
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        return "an entry of two sizes"
    return ""


def _folded(name: str) -> str:
    """What names have in common that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _read(opened: IO[bytes], length: int) -> bytes:
    parts, left = [], length
    while left > 0 and (part := opened.read(min(left, 2**20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
