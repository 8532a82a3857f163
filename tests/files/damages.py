"""Random damages of every format, and what became of them: ``python -m tests.files.damages [how many]`` tells.

damage      bits turned, bytes written over, a part cut off, left out, put in, doubled, moved or emptied
inside      the same to one entry of an archive, which is then written anew with right sums of the archive
one value   in the JSON of a program, for one that fits better than random letters
forged      and with our own sum made anew as well: who does that makes another file, and not a damaged one

refused     by an error of ours;  alike: what was read equals the original;  a part: records up to a cut
another     something else was read: possible only where the file carries no sum, or a forger made it anew
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import random
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from algebraic_cnn.algebra.affine import AffineMap
from algebraic_cnn.certification.certificate import Certificate, Witness
from algebraic_cnn.errors import AlgebraicError
from algebraic_cnn.files.archives import packed, sha256
from algebraic_cnn.files.records import read_records, write_records
from algebraic_cnn.homotopy.checkpoint import read_checkpoint, write_checkpoint
from algebraic_cnn.ir.programs import load_program, save_program
from algebraic_cnn.ir.trace import export
from algebraic_cnn.models.data import read_idx

from .forging import GRAPH, SEAL, WEIGHTS

SECONDS = 10
Random = random.Random
Damage = Callable[[Random, bytes], bytes]


def turned(rng: Random, content: bytes) -> bytes:
    """One to four bits."""
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def block(rng: Random, content: bytes) -> tuple[int, int]:
    """The place of a part, short ones as likely as long ones."""
    length = min(len(content), 1 + int(2 ** rng.uniform(0, 10)))
    start = rng.randrange(len(content) - length + 1)
    return start, start + length


def written_over(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    return content[:start] + rng.randbytes(end - start) + content[end:]


def emptied(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    return content[:start] + bytes(end - start) + content[end:]


def cut_off(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def left_out(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    return content[:start] + content[end:]


def put_in(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    return content[:start] + rng.randbytes(end - start) + content[start:]


def doubled(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    return content[:end] + content[start:]


def moved(rng: Random, content: bytes) -> bytes:
    start, end = block(rng, content)
    rest = content[:start] + content[end:]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + content[start:end] + rest[at:]


def another_letter(rng: Random, content: bytes) -> bytes:
    """A letter or digit for another: what stays text."""
    places = [at for at, byte in enumerate(content) if chr(byte).isalnum()]
    if not places:
        return turned(rng, content)
    at = rng.choice(places)
    return content[:at] + rng.choice(b'0123456789eE.-"aZ').to_bytes(1, "big") + content[at + 1 :]


KINDS: list[Damage] = [turned, written_over, emptied, cut_off, left_out, put_in, doubled, moved, another_letter]


def damaged(rng: Random, content: bytes) -> bytes:
    """One damage, all kinds alike."""
    return rng.choice(KINDS)(rng, content) if content else rng.randbytes(1 + rng.randrange(20))


def inside(rng: Random, content: bytes) -> bytes:
    """One entry of an archive damaged, with right sums of the archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        deflated = archive.infolist()[0].compress_type == zipfile.ZIP_DEFLATED
    name = rng.choice(sorted(entries))
    return packed(entries | {name: damaged(rng, entries[name])}, deflated=deflated)


def forged(rng: Random, content: bytes) -> bytes:
    """The same, and our own sum made anew."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        deflated = archive.infolist()[0].compress_type == zipfile.ZIP_DEFLATED
    seal = next(name for name in entries if name.endswith((SEAL, "sha256.txt")))
    del entries[seal]
    name = rng.choice(sorted(entries))
    entries[name] = damaged(rng, entries[name])
    root = seal.removesuffix(SEAL) if seal.endswith(SEAL) else ""
    total = sha256({each.removeprefix(root): data for each, data in entries.items()})
    return packed(entries | {seal: total}, deflated=deflated)


def one_value(rng: Random, content: bytes) -> bytes:
    """One value in the JSON of a program changed for another of its kind, or for one that stands elsewhere."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if SEAL not in name}
    name = rng.choice([GRAPH, GRAPH, WEIGHTS if WEIGHTS in entries else GRAPH])  # torch 2.8 pickles the weights
    value = json.loads(entries[name])
    (one, here), (other, there) = rng.choices(list(places(value)), k=2)
    if type(one[here]) in (int, float) and rng.random() < 0.75:
        one[here] += rng.choice([-3, -1, 1, 5, 1_000, 2**62])
    elif rng.random() < 0.5:
        one[here] = other[there]
    else:
        one[here] = rng.choice([None, 0, -1, 2**62, "x", "input", [], {}, True, 1.5])
    entries[name] = json.dumps(value).encode()
    total = {SEAL: sha256(entries)}
    return packed({f"algebraic_cnn/{each}": data for each, data in (entries | total).items()})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every scalar in JSON, by what holds it and its key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], dict | list):
            yield from places(value[key])
        else:
            yield value, key


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        ending: of its files.
        make: writes a file.
        read: reads it.
        same: whether two things that were read are equal.
        damage: how it is damaged.
        summed: whether every damage must be noticed.
    """

    ending: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    same: Callable[[Any, Any], bool]
    damage: Damage = damaged
    summed: bool = True


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def make_program(path: Path) -> None:
    save_program(export(network(), torch.zeros(2, 1, 4, 4)), path)


def make_foreign(path: Path) -> None:
    torch.export.save(export(network(), torch.zeros(2, 1, 4, 4)), path)


def read_program(path: Path) -> Any:
    program = load_program(path)
    program.module()
    return program


def equal_tensors(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_program(one: Any, other: Any) -> bool:
    graphs = str(one.graph) == str(other.graph) and one.graph_signature == other.graph_signature
    return graphs and equal_tensors(one.state_dict, other.state_dict)


def make_map(path: Path) -> None:
    W = np.random.default_rng(0).standard_normal((6, 8))
    AffineMap(W, np.arange(6.0), (2, 4), (6,)).save(path)


def make_sparse_map(path: Path) -> None:
    AffineMap(sp.csr_array(np.eye(6, 8)), np.arange(6.0), (2, 4), (6,)).save(path)


def same_map(one: AffineMap, other: AffineMap) -> bool:
    dense, others = one.to("dense"), other.to("dense")
    shapes = (one.in_shape, one.out_shape) == (other.in_shape, other.out_shape)
    return shapes and np.array_equal(dense.W, others.W) and np.array_equal(one.b, other.b)


def make_certificate(path: Path) -> None:
    witness = Witness("output 3 at the input recorded here", 5.0, -7.0, 101, [1.0, -50.5])
    Certificate("the two are equal.", "bounded", False, witness=witness, primes=(101, 103), bound=0.1).save(path)


def make_checkpoint(path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    model(torch.ones(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    notes = {"recipe": {"epochs": 3}, "records": [{"loss": 0.5}], "companion": None}
    write_checkpoint(path, model, optimizer, notes, {"kept": torch.arange(3.0)})


def same_checkpoint(one: Any, other: Any) -> bool:
    groups = ("model", "momentum", "more")
    return one.notes == other.notes and all(equal_tensors(getattr(one, g), getattr(other, g)) for g in groups)


def make_records(path: Path) -> None:
    write_records(path, [{"job": {"n": n}, "loss": n / 7, "name": "resnet"} for n in range(12)])


def make_idx(path: Path) -> None:
    content = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (3, 8, 8)) + bytes(range(192))
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def save_network(path: Path) -> None:
    from algebraic_cnn.ir.onnx.writing import save_onnx

    save_onnx(network(), torch.zeros(2, 1, 4, 4), path)


@functools.cache
def onnx_content() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_network(Path(folder, "network.onnx"))
        return Path(folder, "network.onnx").read_bytes()


def make_onnx(path: Path) -> None:
    """A network as we write it; the exporter takes seconds, and is asked once."""
    path.write_bytes(onnx_content())


def read_onnx(path: Path) -> Any:
    from algebraic_cnn.ir.onnx.reading import load_onnx

    return load_onnx(path)


def same_onnx(one: Any, other: Any) -> bool:
    (model, given), (others, taken) = one, other
    shapes = [x.shape for x in given] == [x.shape for x in taken]
    steps = (model.code, model.inputs, model.outputs) == (others.code, others.inputs, others.outputs)
    return shapes and steps and equal_tensors(model.state_dict(), others.state_dict())


def plain_onnx(path: Path) -> None:
    import onnx

    make_onnx(path)
    model = onnx.load(path)
    model.producer_name = "another"
    del model.metadata_props[:]
    onnx.save(model, path)


PROGRAM = (".pt2", make_program, read_program, same_program)
MAP, CSR = (".npz", make_map, AffineMap.load, same_map), (".npz", make_sparse_map, AffineMap.load, same_map)
FORMATS: dict[str, Format] = {
    "program": Format(*PROGRAM),
    "program, one entry": Format(*PROGRAM, inside),
    "program, forged": Format(*PROGRAM, forged, summed=False),
    "program, one value": Format(*PROGRAM, one_value, summed=False),
    "program of torch": Format(".pt2", make_foreign, read_program, same_program, summed=False),
    "map": Format(*MAP),
    "map, one entry": Format(*MAP, inside),
    "map, forged": Format(*MAP, forged, summed=False),
    "sparse map": Format(*CSR),
    "sparse map, forged": Format(*CSR, forged, summed=False),
    "certificate": Format(".json", make_certificate, Certificate.load, Certificate.__eq__),
    "checkpoint": Format(".safetensors", make_checkpoint, read_checkpoint, same_checkpoint),
    "records": Format(".jsonl", make_records, read_records, list.__eq__),
    "images, gzip": Format(".gz", make_idx, lambda path: read_idx(path, 3), np.array_equal),
    "images": Format(".idx", make_idx, lambda path: read_idx(path, 3), np.array_equal, summed=False),
    "ONNX": Format(".onnx", make_onnx, read_onnx, same_onnx),
    "ONNX of others": Format(".onnx", plain_onnx, read_onnx, same_onnx, summed=False),
}


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """TimeoutError if it takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(kind: Format, path: Path, content: bytes, original: Any) -> str:
    """What became of a damaged file."""
    path.write_bytes(content)
    try:
        with alarm(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = kind.read(path)
            if kind.same(found, original):
                return "alike"
            part = isinstance(found, list) and found == original[: len(found)]
            return "a part" if part else "another"
    except AlgebraicError:
        return "refused"
    except Exception as error:  # the very thing that is looked for
        return f"{type(error).__name__}: {str(error)[:80]}"


def outcomes(name: str, folder: Path, count: int, seed: int = 0) -> Iterator[tuple[str, bytes, bytes]]:
    """What became of so many damages; with the file before and after each."""
    kind, rng = FORMATS[name], Random(f"{name} {seed}")
    path = folder / f"file{kind.ending}"
    kind.make(path)
    content, original = path.read_bytes(), kind.read(path)
    for _ in range(count):
        new = kind.damage(rng, content)
        yield outcome(kind, path, new, original), content, new


def main(count: int = 1_000) -> None:
    """Print the table."""
    words = ("refused", "alike", "a part", "another")
    print(f"{'format':22}", *(f"{word:>8}" for word in ("damages", *words, "else", "seconds")))
    for name in FORMATS:
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = Counter(word for word, _, _ in outcomes(name, Path(folder), count))
        known, took = [found.pop(word, 0) for word in words], time.process_time() - started
        counts = [f"{n:8,}" for n in (count, *known, found.total())]
        print(f"{name:22}", *counts, f"{took:8.1f}", *found, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
