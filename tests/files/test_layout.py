"""Archives that say something twice, differently, or where nobody looks: refused before an entry is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.errors import DataError
from algebraic_cnn.files.archives import entries, packed
from algebraic_cnn.files.layout import contradiction
from algebraic_cnn.ir.programs import load_program

from .damages import make_foreign, make_map, make_program

FILES: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "model.pt2": (make_program, load_program),
    "foreign.pt2": (make_foreign, load_program),
    "map.npz": (make_map, AffineMap.load),
}


class Raw:
    """The bytes of an archive, and where in them things stand."""

    def __init__(self, content: bytes) -> None:
        self.bytes = bytearray(content)
        self.end = content.rindex(b"PK\x05\x06")
        self.count, self.size, self.start = struct.unpack_from("<HLL", content, self.end + 10)
        self.listed, at = [], self.start
        for _ in range(self.count):
            self.listed.append(at)
            at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))

    def local(self, number: int) -> int:
        return struct.unpack_from("<L", self.bytes, self.listed[number] + 42)[0]

    def put(self, at: int, kind: str, *values: Any) -> bytes:
        struct.pack_into(f"<{kind}", self.bytes, at, *values)
        return bytes(self.bytes)

    def insert(self, at: int, more: bytes) -> bytes:
        """More bytes before the end or the list, whose places are put right."""
        self.bytes[at:at] = more
        self.put(self.end + len(more) + 12, "LL", *((self.size, self.start + len(more)) if at <= self.start
                                                     else (self.size + len(more), self.start)))  # fmt: skip
        return bytes(self.bytes)

    def noted(self, kind: int, body: bytes) -> bytes:
        """A note for other programs at the first entry of the list."""
        at, more = self.listed[0], struct.pack("<HH", kind, len(body)) + body
        name, notes = struct.unpack_from("<HH", self.bytes, at + 28)
        self.put(at + 30, "H", notes + len(more))
        return self.insert(at + 46 + name + notes, more)

    def long_end(self, total: int) -> bytes:
        """An end in 64 bits as well, which says another number of entries."""
        more = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, total, total, self.size, self.start)
        more += struct.pack("<4sLQL", b"PK\x06\x07", 0, self.end, 1)
        self.bytes[self.end : self.end] = more
        return bytes(self.bytes)


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in names:
            made.writestr(name, b"1")
    return buffer.getvalue()


def hidden() -> bytes:
    name = b"algebraic_cnn/data/sample_inputs/model.pt"
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(b"x"), 1, 1, len(name), 0) + name + b"x"


FORGERIES: dict[str, Callable[[Raw], bytes]] = {
    "another name at the entry": lambda raw: raw.put(raw.local(0) + 30, "B", 1),
    "another size at the entry": lambda raw: raw.put(raw.local(0) + 22, "L", 7),
    "another packed size at the entry": lambda raw: raw.put(raw.local(0) + 18, "L", 7),
    "another sum at the entry": lambda raw: raw.put(raw.local(0) + 14, "L", 7),
    "another packing at the entry": lambda raw: raw.put(raw.local(0) + 8, "H", 12),
    "encrypted at the entry": lambda raw: raw.put(raw.local(0) + 6, "B", raw.bytes[raw.local(0) + 6] | 1),
    "letters of another kind": lambda raw: raw.put(raw.local(0) + 7, "B", raw.bytes[raw.local(0) + 7] ^ 8),
    "a version of zip that is none": lambda raw: raw.put(raw.listed[0] + 6, "H", 99),
    "a patch": lambda raw: raw.put(raw.listed[0] + 8, "H", 0x20),
    "text after the end": lambda raw: bytes(raw.bytes) + b"hello",
    "an archive after the end": lambda raw: bytes(raw.bytes) + archive("a/b"),
    "a script before the beginning": lambda raw: b"#!/bin/sh\n" + bytes(raw.bytes),
    "an archive before the beginning": lambda raw: archive("a/b") + bytes(raw.bytes),
    "a comment": lambda raw: raw.put(raw.end + 20, "H", 5) + b"hello",
    "an end in the comment": lambda raw: raw.put(raw.end + 20, "H", 22) + b"PK\x05\x06" + bytes(18),
    "fewer entries than there are": lambda raw: raw.put(raw.end + 8, "HH", raw.count - 1, raw.count - 1),
    "more entries than there are": lambda raw: raw.put(raw.end + 8, "HH", raw.count + 1, raw.count + 1),
    "two volumes": lambda raw: raw.put(raw.end + 4, "HH", 1, 1),
    "two names for one entry": lambda raw: raw.put(raw.listed[1] + 42, "L", raw.local(0)),
    "an entry beyond the end": lambda raw: raw.put(raw.listed[1] + 42, "L", len(raw.bytes) + 9),
    "bytes before the list": lambda raw: raw.insert(raw.start, b"junk" * 9),
    "an entry that is not listed": lambda raw: raw.insert(raw.start, hidden()),
    "another name in a note": lambda raw: raw.noted(0x7075, b"\1\0\0\0\0another/name"),
    "sizes in a note beside sizes": lambda raw: raw.noted(1, struct.pack("<QQ", 5, 5)),
    "an exabyte in a note": lambda raw: raw.put(raw.listed[0] + 20, "LL", 2**32 - 1, 2**32 - 1)
    and raw.noted(1, struct.pack("<QQ", 2**60, 2**60)),
    "two ends": lambda raw: raw.long_end(raw.count - 1),
    "an end of an exabyte": lambda raw: raw.long_end(2**60),
    "a pipe": lambda raw: raw.put(raw.listed[0] + 38, "L", 0o010644 << 16),
    "a device": lambda raw: raw.put(raw.listed[0] + 38, "L", 0o020644 << 16),
    "a folder": lambda raw: raw.put(raw.listed[0] + 38, "L", 0o040755 << 16 | 16),
}


@pytest.fixture(scope="module", params=FILES)
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    path = tmp_path_factory.mktemp("good") / request.param
    FILES[request.param][0](path)
    FILES[request.param][1](path)
    return request.param, path.read_bytes()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_archive_says_one_thing(tmp_path: Path, content: tuple[str, bytes], forgery: str) -> None:
    name, good = content
    path = tmp_path / name
    path.write_bytes(FORGERIES[forgery](Raw(good)))
    with pytest.raises(DataError, match=name):
        FILES[name][1](path)


def test_every_forgery_is_another_file(content: tuple[str, bytes]) -> None:
    _, good = content
    assert len({FORGERIES[name](Raw(good)) for name in FORGERIES} - {good}) == len(FORGERIES)


@pytest.mark.parametrize("limit", [5, 40, 10**6])
def test_sizes_of_64_bits_are_read(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """What ``zipfile`` does for large entries, at small ones."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    told = {"a": b"x" * 30, "b": b"12", "c": bytes(11)}
    made = packed(told)
    assert (b"PK\x06\x06" in made) == (limit < 10**6)
    assert dict(entries(made, "a.zip", limit=100)) == told


def test_an_archive_of_nothing_is_its_end() -> None:
    assert contradiction(packed({}), []) == ""
    assert contradiction(packed({})[:-1], []) == "no end"
    assert contradiction(b"PK", []) == "no end"
