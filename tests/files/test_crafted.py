"""Files that somebody made on purpose: every format but programs, which have a file of their own."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import math
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.errors import DataError, TraceError
from algebraic_cnn.files.archives import packed, sha256
from algebraic_cnn.files.npz import read_npy
from algebraic_cnn.files.plain_json import built, parsed, read_json, sealed, spelled
from algebraic_cnn.files.records import append_record, read_records, write_records
from algebraic_cnn.homotopy.checkpoint import _ZEROS, _summed, read_checkpoint
from algebraic_cnn.ir.onnx.reading import load_onnx
from algebraic_cnn.models.data import read_idx

from .damages import make_certificate, make_checkpoint, make_map, make_onnx
from .forging import Bomb, pickled


def refused(read: Callable[[Path], object], path: Path, words: str = ".") -> None:
    """Refused in our words, with the file's name, at once; and nothing ran."""
    started = time.monotonic()
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert time.monotonic() - started < 5
    assert path.name in str(caught.value)
    assert not path.with_name("mark").exists()


# Maps: .npz and .npy.


def npy(array: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **how)
    return buffer.getvalue()


def header(text: str, body: bytes = b"") -> bytes:
    content = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content + body


def forged_map(path: Path, changes: Mapping[str, bytes | None]) -> None:
    """A map with other entries and a right sum."""
    make_map(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if name != "sha256.txt"}
    entries = {name: data for name, data in (entries | changes).items() if data is not None}
    path.write_bytes(packed(entries | {"sha256.txt": sha256(entries)}, deflated=True))


def shape_of(text: str) -> bytes:
    return header("{'descr': '<f8', 'fortran_order': False, 'shape': " + text + ", }", bytes(8))


MAPS: dict[str, dict[str, bytes | None]] = {
    "objects": {"W.npy": npy(np.array([[print]], dtype=object), allow_pickle=True)},
    "a header that is a call": {"W.npy": header("__import__('os').abort()")},
    "a header of signs": {"W.npy": header("-" * 900 + "1")},
    "a header of brackets": {"W.npy": header("[" * 900)},
    "a header without end": {"W.npy": header("{'descr': '<f8', " + " " * 60_000)},
    "a terabyte": {"W.npy": shape_of("(1000000, 1000000)")},
    "a negative size": {"W.npy": shape_of("(-1, -1)")},
    "a size beyond all": {"W.npy": shape_of(f"({10**40},)")},
    "an axis without numbers": {"W.npy": shape_of(f"(0, {10**12})")},
    "a size that is none": {"W.npy": shape_of("(True, 1)")},
    "a hundred axes": {"W.npy": shape_of("(" + "1," * 100 + ")")},
    "records": {"W.npy": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", bytes(8))},
    "text": {"W.npy": npy(np.array([["a"]]))},
    "dates": {"W.npy": npy(np.array([["2000-01-01"]], dtype="datetime64[D]"))},
    "another size": {"W.npy": npy(np.zeros((6, 9)))},
    "another height": {"b.npy": npy(np.zeros(7))},
    "no number": {"b.npy": npy(np.full(6, math.nan))},
    "shapes of floats": {"in_shape.npy": npy(np.array([2.5, 4.0]))},
    "a shape of many axes": {"in_shape.npy": npy(np.ones(10**6, dtype=np.int64))},
    "a negative shape": {"in_shape.npy": npy(np.array([-2, -4]))},
    "a shape that overflows": {"in_shape.npy": npy(np.array([2**40, 2**40]))},
    "one entry more": {"x.npy": npy(np.zeros(3))},
    "one entry less": {"b.npy": None},
    "an entry of another kind": {"b.txt": b"hello"},
    "a folder up": {"../W.npy": npy(np.zeros(3))},
    "sparse, beyond": {
        "W.npy": None,
        "data.npy": npy(np.ones(1)),
        "indices.npy": npy(np.array([10**6])),
        "indptr.npy": npy(np.array([0, 1, 1, 1, 1, 1, 1])),
    },
    "sparse, backwards": {
        "W.npy": None,
        "data.npy": npy(np.ones(1)),
        "indices.npy": npy(np.array([0])),
        "indptr.npy": npy(np.array([0, -5, 1, 1, 1, 1, 1])),
    },
    "sparse, not as many": {
        "W.npy": None,
        "data.npy": npy(np.ones(2)),
        "indices.npy": npy(np.array([0])),
        "indptr.npy": npy(np.array([0, 1, 1, 1, 1, 1, 1])),
    },
    "sparse, places that are no integers": {
        "W.npy": None,
        "data.npy": npy(np.ones(1)),
        "indices.npy": npy(np.array([0.5])),
        "indptr.npy": npy(np.array([0, 1, 1, 1, 1, 1, 1])),
    },
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_is_two_arrays_and_two_shapes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "map.npz"
    forged_map(path, {})
    assert AffineMap.load(path).in_shape == (2, 4)
    forged_map(path, MAPS[name])
    refused(AffineMap.load, path)


def test_a_map_with_a_pickle_does_not_run_it(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    forged_map(path, {"W.npy": npy(np.array([[Bomb(tmp_path / "mark")]], dtype=object), allow_pickle=True)})
    refused(AffineMap.load, path, "not an array of numbers")


def test_a_map_of_numpys_own_carries_no_sum(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    np.savez(path, W=np.eye(2), b=np.zeros(2), in_shape=(2,), out_shape=(2,))
    refused(AffineMap.load, path, "carries no sum")


def test_a_map_of_zeros_that_unpacks_to_gigabytes_is_refused_while_it_is_small(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    big = bytes(2**27)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(40):
            archive.writestr(f"x{number}.npy", big if not number else b"")
        archive.writestr("sha256.txt", b"")
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    for _ in range(40):  # each entry says that it is as large
        content[place + 24 : place + 28] = (2**27).to_bytes(4, "little")
        place = content.index(b"PK\x01\x02", place + 4)
    path.write_bytes(content)
    assert path.stat().st_size < 2**20
    refused(AffineMap.load, path, "unpacks to too much")


def test_an_entry_that_unpacks_to_more_than_it_says_stops_there(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    forged_map(path, {"b.npy": npy(np.zeros(2**22))})
    content = bytearray(path.read_bytes())
    sizes = [match.start() for match in re.finditer(b"b.npy", content)]
    entry = sizes[1] - 46
    content[entry + 24 : entry + 28] = (176).to_bytes(4, "little")
    path.write_bytes(content)
    refused(AffineMap.load, path, "damaged")


@pytest.mark.parametrize("content", [header("1"), npy([1.0])[:-1], npy([1.0]) + b"x", shape_of("(99999999999,)"), b""])
def test_an_array_is_as_long_as_it_says(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weight.npy"
    path.write_bytes(content)
    refused(read_npy, path)


def test_arrays_of_either_order_come_back(tmp_path: Path) -> None:
    for number, array in enumerate([np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)[:2]), np.zeros((0, 3))]):
        np.save(tmp_path / f"{number}.npy", array)
        found = read_npy(tmp_path / f"{number}.npy")
        assert np.array_equal(found, array)
        assert found.flags.writeable


# JSON: certificates and records.


JSONS: dict[str, str] = {
    "one key twice": '{"ok": false, "ok": true}',
    "a key within twice": '{"a": [{"b": 1, "b": 2}]}',
    "no number": '{"bound": NaN}',
    "infinity": '{"bound": -Infinity}',
    "a float beyond floats": '{"bound": 1e999}',
    "a long integer": '{"seed": ' + "9" * 100_000 + "}",
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep and cut off": "[" * 10_000_000,
    "a byte that is no text": '{"a": "\udcff"}',
    "two values": "{} {}",
    "a mark before it": "\ufeff{}",
    "signs": "-" * 10_000 + "1",
    "words of Python": "{'a': None}",
}


@pytest.mark.parametrize("name", JSONS)
def test_json_says_one_thing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(JSONS[name].encode("utf-8", "surrogateescape"))
    refused(read_json, path)
    refused(Certificate.load, path)
    path.write_bytes(path.read_bytes() + b"\n")
    refused(read_records, path)


def test_brackets_in_texts_are_no_brackets() -> None:
    text = json.dumps({"a": "[" * 10_000, "b": '\\"' + "{" * 10_000})
    assert parsed(text.encode(), "") == json.loads(text)


CERTIFICATES: dict[str, dict[str, Any]] = {
    "a text that is a list": {"statement": ["Yes"]},
    "a verdict of 1": {"ok": 1},
    "primes of floats": {"primes": [101.5]},
    "primes that are a text": {"primes": "101"},
    "a prime that is true": {"primes": [True]},
    "one fingerprint": {"fingerprints": ["a"]},
    "a witness without a place": {"witness": {"original": 1.0}},
    "a witness with more": {
        "witness": {"what": "", "original": 1.0, "collapsed": 1.0, "modulus": 1, "input": [], "x": 1}
    },
    "a bound that is a text": {"bound": "large"},
    "versions of numbers": {"versions": {"torch": 2}},
    "points of text": {"points": "8"},
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_is_of_its_types(tmp_path: Path, name: str) -> None:
    path = tmp_path / "certificate.json"
    make_certificate(path)
    value = json.loads(path.read_text())
    path.write_text(json.dumps(sealed(value | CERTIFICATES[name])))
    refused(Certificate.load, path, "not a certificate")
    path.write_text(json.dumps(sealed({**value, "more": 1})))
    refused(Certificate.load, path, "not a certificate")


def test_a_certificate_without_a_sum_and_one_with_another_verdict_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    make_certificate(path)
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"ok": True}))
    refused(Certificate.load, path, "its sum is wrong")
    path.write_text(json.dumps({name: part for name, part in value.items() if name != "sha256"}))
    refused(Certificate.load, path, "carries no sum")


def test_bounds_that_are_infinite_come_back(tmp_path: Path) -> None:
    certificate = Certificate("?", "box", True, bound=math.inf, observed=-math.inf)
    assert Certificate.load(certificate.save(tmp_path / "c.json")) == certificate
    assert built(Certificate, json.loads(json.dumps(spelled(certificate)))) == certificate
    strange = dataclasses.replace(certificate, bound=math.nan)
    assert math.isnan(Certificate.load(strange.save(tmp_path / "c.json")).bound or 0)


RECORDS = [{"n": n, "text": 'a "quoted" {'} for n in range(5)]


def lines_of(path: Path) -> list[bytes]:
    write_records(path, RECORDS)
    assert read_records(path) == RECORDS
    return path.read_bytes().splitlines(keepends=True)


LINES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "one lost": lambda lines: lines[:2] + lines[3:],
    "the first lost": lambda lines: lines[1:],
    "two exchanged": lambda lines: [lines[1], lines[0], *lines[2:]],
    "one twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "one changed": lambda lines: [lines[0].replace(b'"n": 0', b'"n": 9'), *lines[1:]],
    "one without its sum": lambda lines: [re.sub(rb', "sha256": "\w+"', b"", lines[0]), *lines[1:]],
    "an empty one": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "the last without its end": lambda lines: [*lines[:4], lines[4][:-1] + b"x"],
    "zeros at the end": lambda lines: [*lines, bytes(100)],
    "a list": lambda lines: [*lines, b"[1]\n"],
    "another file after it": lambda lines: lines + lines,
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_not_as_it_was_is_noticed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(LINES[name](lines_of(path))))
    refused(read_records, path)


def test_records_that_are_appended_are_those_that_are_written(tmp_path: Path) -> None:
    lines_of(tmp_path / "a.jsonl")
    for record in RECORDS:
        append_record(tmp_path / "b.jsonl", record)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_records_up_to_a_crash_are_read(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(lines_of(path))[:-cut])
    assert read_records(path) == RECORDS[:-1]
    append_record(path, RECORDS[-1])
    assert read_records(path) == RECORDS


# Checkpoints: .safetensors.


def forged_checkpoint(path: Path, change: Callable[[bytes, bytes], bytes]) -> None:
    """A checkpoint with another header or other bytes, and a right sum."""
    make_checkpoint(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    new = change(content[8 : 8 + length], content[8 + length :])
    path.write_bytes(_summed(new) or new)


def framed(head: bytes, body: bytes, length: int | None = None) -> bytes:
    return (len(head) if length is None else length).to_bytes(8, "little") + head + body


def header_changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes, bytes], bytes]:
    def apply(head: bytes, body: bytes) -> bytes:
        value = json.loads(head)
        change(value)
        return framed(json.dumps(value, separators=(",", ":")).encode(), body)

    return apply


CHECKPOINTS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "a header without end": lambda head, body: framed(head, body, 2**63),
    "a header beyond the file": lambda head, body: framed(head, body, len(head) + len(body) + 1),
    "a header of all of it": lambda head, body: framed(head, body, len(head) + len(body)),
    "a short header": lambda head, body: framed(head, body, 10),
    "no header": lambda head, body: framed(b"", body),
    "no sum": lambda head, body: framed(re.sub(rb'"sha256":"\w+"', b'"sha255":"' + _ZEROS.encode() + b'"', head), body),
    "a tensor beyond the file": header_changed(lambda v: v["more/kept"].update(data_offsets=[0, 10**12])),
    "a tensor of another size": header_changed(lambda v: v["more/kept"].update(shape=[10**9, 10**9, 10**9])),
    "a negative size": header_changed(lambda v: v["more/kept"].update(shape=[-3])),
    "tensors that overlap": header_changed(lambda v: v["more/kept"].update(data_offsets=[0, 12])),
    "an unknown type": header_changed(lambda v: v["more/kept"].update(dtype="OBJECT")),
    "another group": header_changed(lambda v: v.update({"code/x": v.pop("more/kept")})),
    "notes that are none": header_changed(lambda v: v["__metadata__"].update(recipe="{")),
    "notes that say two things": header_changed(lambda v: v["__metadata__"].update(recipe='{"a": 1, "a": 2}')),
    "a missing note": header_changed(lambda v: v["__metadata__"].pop("records")),
    "no notes": header_changed(lambda v: v.pop("__metadata__")),
    "bytes that belong to nobody": lambda head, body: framed(head, body + bytes(100)),
    "bytes that are missing": lambda head, body: framed(head, body[:-4]),
    "a list": lambda head, body: framed(b"[]", body),
    "deep": lambda head, body: framed(b"[" * 10_000 + b"]" * 10_000, body),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_is_a_checkpoint(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.safetensors"
    forged_checkpoint(path, framed)
    assert read_checkpoint(path).notes["recipe"] == {"epochs": 3}
    forged_checkpoint(path, CHECKPOINTS[name])
    refused(read_checkpoint, path)


def test_a_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(pickled(Bomb(tmp_path / "mark")))
    refused(read_checkpoint, path)


# Images: IDX, plain and by gzip.


def idx(*sizes: int, body: bytes = b"", first: bytes = bytes([0, 0, 8, 3])) -> bytes:
    return first + b"".join(n.to_bytes(4, "big") for n in sizes) + body


IMAGES: dict[str, bytes] = {
    "sizes that overflow": idx(2**16, 2**16, 2**16),
    "sizes that overflow to nothing": idx(2**31, 2**31, 4, body=b""),
    "a terabyte": idx(2**20, 2**10, 2**10),
    "no images": idx(0, 28, 28),
    "fewer than said": idx(3, 2, 2, body=bytes(11)),
    "more than said": idx(3, 2, 2, body=bytes(13)),
    "half a header": idx(3, 2),
    "another type": idx(1, 1, 1, body=b"x", first=bytes([0, 0, 13, 3])),
    "another number of axes": idx(1, 1, 1, body=b"x", first=bytes([0, 0, 8, 255])),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", IMAGES)
def test_images_are_as_many_as_they_say(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(IMAGES[name]) if ending else IMAGES[name])
    refused(lambda path: read_idx(path, 3), path)


AFTER = {
    "itself": lambda member: member,
    "an empty member": lambda member: gzip.compress(b""),
    "many of them": lambda member: 10**5 * gzip.compress(b""),
    "zeros": lambda member: bytes(100),
    "text": lambda member: b"hello",
}


@pytest.mark.parametrize("what", AFTER)
@pytest.mark.parametrize("first", [True, False])
def test_a_gzip_file_has_one_member(tmp_path: Path, what: str, first: bool) -> None:
    path, member = tmp_path / "images.gz", gzip.compress(idx(3, 2, 2, body=bytes(12)))
    path.write_bytes(member)
    assert read_idx(path, 3).shape == (3, 2, 2)
    path.write_bytes(member + AFTER[what](member) if first else AFTER[what](member) + member)
    refused(lambda path: read_idx(path, 3), path)


@pytest.mark.parametrize("sizes", [(3, 2, 2), (2**10, 2**10, 2**10)], ids=["few", "many"])
def test_a_gigabyte_of_zeros_by_gzip_is_not_unpacked(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    path = tmp_path / "images.gz"
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = packer.compress(idx(*sizes)) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)  # depends on nothing before it
    path.write_bytes(b"\x1f\x8b\x08" + bytes(6) + b"\3" + start + 70 * zeros)
    assert path.stat().st_size < 2**21
    refused(lambda path: read_idx(path, 3), path, "as long as its header says|too large")


# Networks: ONNX.

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def forged_onnx(path: Path, change: Callable[[Any], object]) -> None:
    """A model that says that another tool wrote it."""
    make_onnx(path)
    model = onnx.load(path)
    model.producer_name = "another"
    del model.metadata_props[:]
    change(model)
    path.write_bytes(model.SerializeToString())


def outside(model: Any) -> None:
    number = model.graph.initializer[0]
    number.ClearField("raw_data")
    number.data_location = onnx.TensorProto.EXTERNAL
    number.external_data.add(key="location", value="/etc/passwd")


def outside_in_a_constant(model: Any) -> None:
    node = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.ones(1)))
    node.attribute[0].t.external_data.add(key="location", value="../../etc/passwd")
    model.graph.node.insert(0, node)


def outside_in_a_branch(model: Any) -> None:
    number = onnx.TensorProto(dims=[1], data_type=1, name="w", data_location=1)
    number.external_data.add(key="location", value="/etc/passwd")
    graph = onnx.helper.make_graph([], "branch", [], [], [number])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph))


def dims(*sizes: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(sizes)

    return change


def empty_giant(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(
        onnx.TensorProto(dims=[2**40], data_type=1, name=model.graph.initializer[0].name)
    )


def kind(number: int) -> Callable[[Any], None]:
    return lambda model: setattr(model.graph.initializer[0], "data_type", number)


def input_of(*sizes: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        shape = model.graph.input[0].type.tensor_type.shape
        del shape.dim[:]
        for size in sizes:
            shape.dim.add(dim_value=size)

    return change


def loop(model: Any) -> None:
    for node in model.graph.node:
        node.input[0], node.output[0] = node.output[0], node.input[0]


NETWORKS: dict[str, Callable[[Any], object]] = {
    "numbers in another file": outside,
    "a constant in another file": outside_in_a_constant,
    "a branch's numbers in another file": outside_in_a_branch,
    "an exabyte": dims(2**40, 2**20),
    "sizes that overflow": dims(2**32, 2**32),
    "sizes that overflow to what there is": dims(2**62, 4, 18),
    "a negative size": dims(-1, -18),
    "an exabyte of nothing": empty_giant,
    "texts": kind(8),
    "no type": kind(0),
    "an unknown type": kind(99),
    "numbers of four bits": kind(22),
    "an input of an exabyte": input_of(2**30, 2**30),
    "an input of negative size": input_of(-5, 3),
    "a circle": loop,
    "no graph": lambda model: model.ClearField("graph"),
    "no version": lambda model: model.ClearField("opset_import"),
    "an input without type": lambda model: model.graph.input[0].ClearField("type"),
    "our name without our sum": lambda model: setattr(model, "producer_name", "algebraic_cnn"),
    "another sum": lambda model: model.metadata_props.add(key="algebraic_cnn.sha256", value=_ZEROS),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_in_its_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "network.onnx"
    forged_onnx(path, lambda model: None)
    assert len(load_onnx(path)[1]) == 1
    forged_onnx(path, NETWORKS[name])
    refused(load_onnx, path)


def test_an_unknown_operator_is_still_named(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    forged_onnx(path, lambda model: setattr(model.graph.node[1], "op_type", "Multinomial"))
    with pytest.raises((DataError, TraceError), match="Multinomial"):
        load_onnx(path)


def test_a_changed_number_of_ours_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    make_onnx(path)
    assert torch.equal(load_onnx(path)[1][0], torch.zeros(2, 1, 4, 4))
    model = onnx.load(path)
    number = model.graph.initializer[0]
    number.raw_data = bytes(len(number.raw_data))
    path.write_bytes(model.SerializeToString())
    refused(load_onnx, path, "the sum of the file is wrong")
