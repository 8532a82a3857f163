"""An archive byte by byte: entry after entry, the list of them, its end, and nothing else.

A zip archive says everything twice, and has room for what is said nowhere: before the first entry, between entries,
after the end, in comments and in fields for other programs.  Readers differ in what they believe.  What Python's
``zipfile`` and torch write has none of that, and is read only if that is so.

    contradiction    (bytes, the list as zipfile read it) -> what is not as it should be, in words
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

_ENTRY, _LISTED, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_LONG_END, _LOCATOR = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_SUMS, _LONG_SUMS = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")
_SUMS_AFTER, _UTF8 = 8, 0x800
#: A number of 32 bits that stands elsewhere in 64, and the note where it stands.
_ELSEWHERE, _LONG = 2**32 - 1, 1
#: What torch fills entries with, so that numbers begin at multiples of 64.
_FILLING = 0x4246


class _Contradiction(ValueError):
    """What an archive says twice, and differently."""


def contradiction(content: bytes, listed: Sequence[zipfile.ZipInfo]) -> str:
    """In what an archive is more, or says something else, than its entries and its list; "" if in nothing.

    Args:
        content: the archive.
        listed: the entries as ``zipfile`` read them.

    >>> import io
    >>> buffer = io.BytesIO()
    >>> with zipfile.ZipFile(buffer, "w") as archive:
    ...     archive.writestr("a", b"1")
    >>> content, listed = buffer.getvalue(), archive.infolist()
    >>> contradiction(content, listed), contradiction(content + b"x", listed)
    ('', 'something after its end')
    """
    try:
        end = _end(content, len(listed))
        at = 0
        for entry in sorted(listed, key=lambda each: each.header_offset):
            at = _after(content, at, entry)
        _require(at == end, "something between its entries and their list")
    except _Contradiction as error:
        return str(error)
    except struct.error:
        return "an entry beyond its end"
    return ""


def _require(right: bool, what: str) -> None:
    if not right:
        raise _Contradiction(what)


@dataclass(frozen=True)
class _Counts:
    """Where the list of an archive is: its entries, its bytes, its place."""

    entries: int
    size: int
    start: int


def _end(content: bytes, count: int) -> int:
    """Where the list begins, if it and what follows are all that follows."""
    place = len(content) - _END.size
    _require(place >= 0, "no end")
    mark, *disks, here, total, size, start, comment = _END.unpack_from(content, place)
    _require(mark == b"PK\x05\x06" and not comment, "something after its end")
    told, long_place = _Counts(total, size, start), place - _LOCATOR.size - _LONG_END.size
    _require(not any(disks) and here == total, "several volumes")
    if long_place >= 0 and content[long_place : long_place + 4] == b"PK\x06\x06":
        told, place = _long_end(content, long_place, told), long_place
    _require(told.entries == count, f"a list of {told.entries:,} entries that are {count:,}")
    at = told.start
    for _ in range(count):
        mark, *_, packed, size, name, more, note, _disk, _kind, _rights, start = _LISTED.unpack_from(content, at)
        _require(mark == b"PK\x01\x02" and not note, "a list that is none, or has notes")
        at += _LISTED.size + name + more
        long = _notes(content[at - more : at]).get(_LONG, b"")
        _require(len(long) == 8 * (packed, size, start).count(_ELSEWHERE), "a list that says sizes twice")
    _require(at == place == told.start + told.size, "a list of another length")
    return told.start


def _long_end(content: bytes, place: int, short: _Counts) -> _Counts:
    """What the end in 64 bits says, if the one in 32 bits says the same or nothing."""
    _, length, _, _, disk, first, here, total, size, start = _LONG_END.unpack_from(content, place)
    mark, where, at, disks = _LOCATOR.unpack_from(content, place + _LONG_END.size)
    found = _Counts(total, size, start)
    _require(mark == b"PK\x06\x07" and length == _LONG_END.size - 12 and at == place, "two ends")
    _require(not (disk or first or where) and disks == 1 and here == total, "several volumes")
    pairs = ((short.entries, total, 2**16), (short.size, size, 2**32), (short.start, start, 2**32))
    _require(all(one in (other, beyond - 1) for one, other, beyond in pairs), "two ends that differ")
    return found


def _after(content: bytes, at: int, entry: zipfile.ZipInfo) -> int:
    """Where an entry ends that begins there, if what stands there is what the list says."""
    shown = repr(entry.filename[:80])
    _require(entry.header_offset == at, f"something before {shown}")
    mark, _, flags, method, _, _, crc, packed, size, name, more = _ENTRY.unpack_from(content, at)
    at += _ENTRY.size
    own = entry.orig_filename.encode("utf-8" if flags & _UTF8 else "cp437", "replace")
    _require(mark == b"PK\x03\x04" and content[at : at + name] == own, f"another name at {shown}")
    _require(flags == entry.flag_bits and flags in (0, _UTF8, _SUMS_AFTER, _UTF8 | _SUMS_AFTER), f"flags at {shown}")
    _require(method == entry.compress_type, f"another packing at {shown}")
    long = _notes(content[at + name : at + name + more]).get(_LONG, b"")
    if long:
        _require(packed == size == _ELSEWHERE and len(long) == 16, f"sizes twice at {shown}")
        size, packed = struct.unpack("<2Q", long)
    at += name + more + entry.compress_size
    told, listed = (crc, packed, size), (entry.CRC, entry.compress_size, entry.file_size)
    if flags & _SUMS_AFTER:
        _require(told in ((0, 0, 0), listed), f"another size at {shown}")
        sums = _LONG_SUMS if max(listed[1:]) >= _ELSEWHERE else _SUMS
        mark, *told = sums.unpack_from(content, at)
        _require(mark == b"PK\x07\x08", f"no sums after {shown}")
        at += sums.size
    _require(tuple(told) == listed, f"another size or sum at {shown}")
    return at


def _notes(more: bytes) -> dict[int, bytes]:
    """The notes of an entry by their kinds: long sizes and filling, and no others."""
    found: dict[int, bytes] = {}
    while more:
        kind, length = struct.unpack_from("<2H", more)
        known = kind in (_LONG, _FILLING) and kind not in found and 4 + length <= len(more)
        _require(known, "notes for other programs")
        found[kind], more = more[4 : 4 + length], more[4 + length :]
    return found
