"""Files that somebody wrote to be believed: none gets a yes, and none costs more than its size allows.

Each differs from a file that gets a yes in one thing, which makes what it says false, or makes it no file.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn.certification.recheck import claims, file
from algebraic_cnn.certification.recheck.layers import (
    Coefficients,
    Convolution,
    Program,
    Shape,
    Table,
    Walk,
    Window,
    each,
)
from algebraic_cnn.certification.recheck.maps import mapped
from algebraic_cnn.certification.recheck.program import recheck
from algebraic_cnn.certification.recheck.spelling import spelled
from algebraic_cnn.certification.recheck.weights import origins
from algebraic_cnn.errors import DataError
from algebraic_cnn.ir.trace import trace
from tests.certification.test_recheck import decided, needs_checker, sealed

pytestmark = needs_checker

PAIR: Shape = (1, 1, 2)
THREE = Program(PAIR, (each(((0, 3.0),), 1),))
TRIPLED = Program(PAIR, (each(((0, 2.0), (0, 1.0)), 1),))
TWO = Program(PAIR, (each(((0, 2.0),), 1),))
ROWS = np.array([[3, 0], [0, 3]], dtype=np.int64)
NAMED = claims.named_prime(file.network_of(THREE), 0)


def said(*given: bytes, first: Program = THREE) -> bytes:
    return file.file_of("", first, given)


def modulo(p: int, W: np.ndarray = ROWS) -> bytes:
    return file.modulo(p, mapped(W, np.zeros(2, dtype=np.int64), PAIR))


def rounded(floats: np.ndarray, furthest: int = -1074, network: Program | None = None) -> bytes:
    exact = mapped(ROWS.astype(np.float64), np.zeros(2), PAIR) if network is None else network
    return file.rounded(exact, floats, np.zeros(2), furthest)


def steps(*made: bytes, first: tuple[int, ...] = (2,), second: tuple[int, ...] = (2,)) -> bytes:
    return file.steps_file("", [PAIR], made, (first, second))


def relu(*names: str, given: tuple[int, ...] = (1,), other: tuple[int, ...] = (1,)) -> bytes:
    one, two = names or ("relu", "relu")
    return file.call((one, two), (given, other), PAIR)


REGION = file.region(THREE, [file.equal(TRIPLED)], (0,))
EXACT = rounded(ROWS.astype(np.float64))
LONG = Coefficients(np.array([[3 << 70]], dtype=object), (1, 1), 1, -70)


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    """A file with some of its bytes replaced, under a right sum."""
    assert content.count(old) == 1
    return sealed(content[:-16].replace(old, new))


def scaled(values: Coefficients, exponent: int) -> bytes:
    layer = Convolution(((0, 1.0),), values, Coefficients.all(0.0, 1), groups=1)
    content = said(file.equal(Program(PAIR, (layer,))))
    return patched(content, struct.pack("<i", 0) + b"\x01\0\0\0\x03", struct.pack("<i", exponent) + b"\x01\0\0\0\x03")


def held(floats: np.ndarray, loose: int, distance: Fraction) -> bytes:
    layer = Convolution(((0, 1.0),), LONG, Coefficients.all(0.0, 1))
    return said(file.held(Program(PAIR, (layer,)), [((Coefficients.of(floats), loose, distance), None)]))


def with_float(value: float) -> bytes:
    return patched(held(np.array([[3.25]]), 1, Fraction(1)), struct.pack("<d", 3.25), struct.pack("<d", value))


TRUE: dict[str, Callable[[], bytes]] = {
    "regions": lambda: steps(REGION, relu()),
    "modulo": lambda: said(modulo(NAMED)),
    "rounded": lambda: said(EXACT),
    "held": lambda: held(np.array([[3.0]]), 0, Fraction(0)),
    "several claims": lambda: said(file.equal(TRIPLED), EXACT, file.equal(TRIPLED)),
    "an exponent": lambda: scaled(Coefficients(np.array([[3]], dtype=object), (1, 1)), 0),
}

ATTACKS: dict[str, Callable[[], bytes]] = {
    "a composite modulus": lambda: said(modulo(1021 * 1019)),
    "a prime of the writer's choice": lambda: said(modulo(524309)),
    "the prime of another claim": lambda: said(file.equal(TRIPLED), modulo(NAMED)),
    "the prime of another network": lambda: said(modulo(NAMED), first=TRIPLED),
    "a residue": lambda: said(modulo(NAMED, ROWS + np.array([[0, 1], [0, 0]]))),
    "equal modulo its prime alone": lambda: said(modulo(NAMED), file.equal(_plus(NAMED))),
    "a divisor that is the modulus": lambda: said(file.modulo(NAMED, _divided(NAMED))),
    "one false claim among true ones": lambda: said(file.equal(TRIPLED), file.equal(TWO), EXACT),
    "a claim of another kind": lambda: said(struct.pack("<I", 7) + file.network_of(TRIPLED)),
    "kind 2 with the content of kind 0": lambda: said(struct.pack("<I", 2) + file.network_of(TRIPLED)),
    "kind 0 with the content of kind 2": lambda: said(struct.pack("<I", 0) + EXACT[4:]),
    "rounded numbers of two layers": lambda: said(rounded(ROWS.astype(np.float64), 0, _two_layers())),
    "rounded where there is no number": lambda: said(rounded(np.eye(2))),
    "a duplicate section": lambda: sealed(said(EXACT)[:-16] + said(EXACT)[:-16]),
    "a second network after the end": lambda: sealed(said(EXACT)[:-16] + file.network_of(TWO)),
    "regions that overlap": lambda: steps(REGION, file.region(TWO, [file.equal(TWO)], (1,), (0,))),
    "a boundary skipped": lambda: steps(REGION, relu(given=(1,), other=(0,))),
    "a region left out": lambda: steps(REGION, relu(), first=(3,), second=(3,)),
    "a region before its values": lambda: steps(file.region(THREE, [file.equal(TRIPLED)], (2,)), relu(given=(0,))),
    "a step that is given itself": lambda: steps(REGION, relu(given=(2,), other=(2,))),
    "tokens exchanged": lambda: steps(REGION, relu("relu part 0", "relu part 1")),
    "a token with a tail": lambda: steps(REGION, relu("relu", "relu\0")),
    "other outputs": lambda: steps(REGION, relu(), first=(2,), second=(1,)),
    "outputs in another order": lambda: steps(REGION, relu(), first=(1, 2), second=(2, 1)),
    "an output twice": lambda: steps(REGION, relu(), first=(2,), second=(2, 2)),
    "nothing returned": lambda: steps(REGION, relu(), first=(), second=()),
    "no claim": lambda: steps(file.region(THREE, [], (0,)), relu()),
    "NaN for a float": lambda: with_float(np.nan),
    "infinity for a float": lambda: with_float(np.inf),
    "a denormal for a zero": lambda: said(rounded(ROWS + np.array([[0, 1e-323], [0, 0]]))),
    "a float further away than said": lambda: held(np.array([[3.25]]), 1, Fraction(1, 8)),
    "more loose floats than said": lambda: held(np.array([[3.25]]), 0, Fraction(1)),
    "a distance beyond all bounds": lambda: said(rounded(np.eye(2), (1 << 16) + 1)),
    "a huge exponent": lambda: scaled(Coefficients(np.array([[3]], dtype=object), (1, 1)), 1 << 20),
    "a huge negative exponent": lambda: scaled(Coefficients(np.array([[3]], dtype=object), (1, 1)), -(1 << 20)),
    "an exponent beyond all bounds": lambda: scaled(Coefficients(np.array([[3]], dtype=object), (1, 1)), (1 << 20) + 1),
    "no divisor": lambda: said(file.equal(_divided(0))),
}


def _plus(p: int) -> Program:
    return mapped((ROWS + np.array([[0, p], [0, 0]])).astype(np.float64), np.zeros(2), PAIR)


def _divided(divisor: int) -> Program:
    layer = each(((0, 1.0),), 1, Coefficients.all(3.0, 1, 1, divisor))
    return Program(PAIR, (layer,))


def _two_layers() -> Program:
    return Program(PAIR, (each(((0, 1.0),), 1), *mapped(ROWS.astype(np.float64), np.zeros(2), PAIR).layers))


@pytest.mark.parametrize("name", TRUE)
def test_what_is_attacked_gets_a_yes(name: str, tmp_path: Path) -> None:
    assert decided(tmp_path, TRUE[name]())


def verdict(folder: Path, content: bytes) -> str:
    """"yes", "no", or why the file is refused."""
    try:
        return "yes" if decided(folder, content) else "no"
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_gets_a_yes(name: str, tmp_path: Path) -> None:
    found = verdict(tmp_path, ATTACKS[name]())
    assert found == "no" or ("refuses the file" in found and "exit status" not in found), found


def test_a_region_that_is_left_out_leaves_its_tensors_over(tmp_path: Path) -> None:
    """A file of half a network is true of that half; beside the model it is seen that weights are missing."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).eval(), torch.zeros(1, 2)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "m.pt2")
    half = spelled(trace(model[0], x))
    path = tmp_path / "half.cert"
    path.write_bytes(file.file_of("", half, [file.equal(half)]))
    assert recheck(path).ok
    assert set(origins(path, tmp_path / "m.pt2").unused) == {"2.weight", "2.bias"}


#: One tap that walks along all positions.
ALL = Window()


def large(shape: Shape, rows: Walk = ALL, columns: Walk = ALL, layers: int = 1, channels: int = 1) -> bytes:
    """A small file of large values: its numbers are one number everywhere."""
    kernel = Coefficients.all(1.0, channels, shape[0] * rows.extent * columns.extent)
    layer = Convolution(((0, 1.0),), kernel, Coefficients.all(0.0, channels), rows, columns, "reflect")
    program = Program(shape, (layer,) * layers)
    return file.file_of("", program, [file.equal(program)])


LARGE: dict[str, Callable[[], bytes]] = {
    "a long row": lambda: large((1, 1, 65535), columns=Window(extent=16000)),
    "a long column": lambda: large((1, 65535, 1), rows=Window(8000, 8000, extent=3)),
    "mirrors as long as the image": lambda: large((1, 1, 16000), columns=Window(15999, 15999, extent=2)),
    "many channels": lambda: large((1, 1, 1), channels=1 << 22),
    "many layers": lambda: large((1, 1024, 1024), layers=100),
    "many channels of images": lambda: large((1, 2000, 2000), channels=4000),
    "to and fro": lambda: large((1, 1, 16000), columns=Table(np.array([[15000, 0] * 200] * 10))),
    "many inputs": lambda: file.steps_file("", [(4, 1000, 1000)] * 50, [relu(given=(0,), other=(0,))], ((50,), (50,))),
}


@pytest.mark.parametrize("name", LARGE)
def test_no_small_file_takes_long(name: str, tmp_path: Path) -> None:
    content, before = LARGE[name](), os.times()
    found, after = verdict(tmp_path, content), os.times()
    reasons = "too large for a file of|more steps than|an input of|too large for this machine"
    assert found == "yes" or re.search(reasons, found), found
    assert after.children_user + after.children_system - before.children_user - before.children_system < 8


def test_who_allows_less_work_gets_no_answer(tmp_path: Path) -> None:
    """The same file gets a yes within the work that is allowed unasked."""
    path = tmp_path / "moves.cert"
    path.write_bytes(LARGE["to and fro"]())
    with pytest.raises(DataError, match="more steps than a file of this size may"):
        recheck(path, work=1)
