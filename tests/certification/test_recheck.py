"""The extracted checker: it says yes to true claims, no to mistakes, and nothing but "refused" to damaged files.

What is claimed comes from the recursion written down by hand in exact fractions, not from the code that derives W, B.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import AffineMap, certify, collapse, derive
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.certification.recheck import claims, file
from algebraic_cnn.certification.recheck.layers import Layer, Numbers, Program, each
from algebraic_cnn.certification.recheck.maps import mapped, stored
from algebraic_cnn.certification.recheck.program import VARIABLE, checker, recheck
from algebraic_cnn.certification.recheck.spelling import spelled
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.errors import DataError, MissingExtraError, NotAffineError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.rings.ring import Rationals
from algebraic_cnn.testing import Network, linear_cnns
from tests.files.damages import damaged
from tests.properties.by_hand import recursion_by_hand
from tests.properties.mutants import MUTATIONS, Choose, mutants
from tests.properties.test_mutants import on_networks


def _built() -> bool:
    try:
        return checker().is_file()
    except MissingExtraError:
        return False


needs_checker = pytest.mark.skipif(not _built(), reason="the checker is not built: make checker")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
SMALL = linear_cnns(numbers="floats", dtype=torch.float32, max_layers=3)


def decided(folder: Path, content: bytes, **options: Any) -> bool:
    """Whether the checker says yes to a file of these bytes."""
    path = folder / "some.cert"
    path.write_bytes(content)
    return recheck(path, **options).ok


def classifier() -> nn.Sequential:
    """Every constructor: padding modes, groups, dilation, BatchNorm, a pool with a divisor, a dense layer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 8, 3, padding="same", groups=2, padding_mode="circular"),
        nn.BatchNorm2d(8),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(8, 4, 3, dilation=2, padding=2, padding_mode="replicate"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    buffers = dict(model.named_buffers())
    buffers["2.running_mean"].normal_()
    buffers["2.running_var"].uniform_(0.5, 2)
    return model.eval()


@needs_checker
def test_every_constructor_and_one_digit_of_the_claim(tmp_path: Path) -> None:
    graph = trace(classifier(), torch.zeros(1, 1, 8, 8))
    program, exact = spelled(graph), exact_map(graph)
    W, b = np.asarray(exact.W), np.asarray(exact.b)
    assert decided(tmp_path, file.file_of("", program, [file.equal(mapped(W, b, (1, 8, 8)))]))
    for numbers in (W.ravel(), b):
        numbers[-1] += Fraction(1, 2**300)
        assert not decided(tmp_path, file.file_of("", program, [file.equal(mapped(W, b, (1, 8, 8)))]))
        numbers[-1] -= Fraction(1, 2**300)


@needs_checker
def test_mutants_are_refused_when_exact_fractions_say_so(
    tmp_path_factory: pytest.TempPathFactory, record_property: Any
) -> None:
    folder, caught, unknown = tmp_path_factory.mktemp("recheck"), Counter[str](), Counter[str]()

    def tell_apart(network: Network, choose: Choose) -> None:
        model, graph = network.model, trace(*network)
        assert isinstance(model, LinearCNN)
        try:
            first = spelled(graph)
        except NotAffineError:
            unknown["networks"] += 1
            return
        f = recursion_by_hand(model, dtype=object).collapse(Rationals())
        claim = file.equal(mapped(np.asarray(f.W), np.asarray(f.b), stored(f.in_shape)))
        assert decided(folder, file.file_of("", first, [claim]))
        for name, other, changed in mutants(model, graph, sorted(MUTATIONS), choose):
            assert isinstance(other, LinearCNN)
            g = recursion_by_hand(other, dtype=object).collapse(Rationals())
            try:
                mutant = spelled(changed)
            except NotAffineError:
                continue
            ok = decided(folder, file.file_of("", mutant, [claim]))
            assert ok == f.exactly_equals(g), name
            caught[name] += not ok

    on_networks(SMALL, torch.float32, tell_apart)
    record_property("mutants", dict(caught))
    assert {name for name, count in caught.items() if count} == set(MUTATIONS)


@needs_checker
def test_maps_modulo_the_named_primes(tmp_path: Path) -> None:
    graph = trace(classifier(), torch.zeros(1, 1, 8, 8))
    program, exact = spelled(graph), exact_map(graph)
    p = claims.named_prime(file.network_of(program), 0)

    def residues(values: Any, p: int) -> np.ndarray:
        flat = [q.numerator * pow(q.denominator, -1, p) % p for q in np.asarray(values).ravel().tolist()]
        return np.array(flat, dtype=np.int64).reshape(np.shape(values))

    def claim(p: int, W: np.ndarray, b: np.ndarray) -> bytes:
        return file.file_of("", program, [file.modulo(p, mapped(W, b, (1, 8, 8)))])

    W, b = residues(exact.W, p), residues(exact.b, p)
    assert decided(tmp_path, claim(p, W, b), seed=1)
    W[1, 7] = (W[1, 7] + 1) % p
    assert not decided(tmp_path, claim(p, W, b))
    for other, reason in ((p - 1, "not prime"), (524309, "hash names"), (5, "not between")):
        with pytest.raises(DataError, match=reason):
            decided(tmp_path, claim(other, W, b))


@needs_checker
def test_rounded_maps_and_one_ulp(tmp_path: Path) -> None:
    graph = trace(classifier(), torch.zeros(1, 1, 8, 8))
    program, exact = spelled(graph), exact_map(graph)
    second = mapped(np.asarray(exact.W), np.asarray(exact.b), (1, 8, 8))
    W, b = (np.asarray(each).astype(np.float64) for each in (exact.W, exact.b))
    assert decided(tmp_path, file.file_of("", program, [file.rounded(second, W, b, -1074)]))
    W[2, 3] = np.nextafter(W[2, 3], np.inf)
    assert not decided(tmp_path, file.file_of("", program, [file.rounded(second, W, b, -1074)]))
    assert decided(tmp_path, file.file_of("", program, [file.rounded(second, W, b, 0)]))


@needs_checker
def test_networks_are_compared_modulo_random_primes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AvgPool2d(3, 1), nn.Conv2d(4, 1, 3)).eval()
    program = spelled(trace(model, torch.zeros(1, 1, 8, 8)))
    path = tmp_path / "large.cert"
    path.write_bytes(file.file_of("", program, [file.equal(program)]))
    found = recheck(path, modulo=True)
    assert found.ok
    assert "probability below 2^-" in str(found)
    other = Program(program.shape, (*program.layers[:-1], each_but_last(program)))
    assert not decided(tmp_path, file.file_of("", program, [file.equal(other)]), modulo=True)


def each_but_last(program: Program) -> Layer:
    last = program.layers[-1]
    kernel = last.kernel.values.copy()
    kernel[0, -1] = np.nextafter(kernel[0, -1], np.float32(np.inf))
    return Layer(last.feeds, Numbers.of(kernel), last.bias, last.rows, last.columns, last.mode, last.groups)


def small_file() -> bytes:
    layer = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 1)).eval()
    graph = trace(layer, torch.zeros(1, 1, 3))
    f = exact_map(graph)
    return file.file_of("", spelled(graph), [file.equal(mapped(np.asarray(f.W), np.asarray(f.b), (1, 1, 3)))])


def sealed(content: bytes) -> bytes:
    return content + hashlib.md5(content, usedforsecurity=False).digest()


@needs_checker
def test_damaged_files_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    content, rng = small_file(), Random(0)
    assert decided(tmp_path, content)
    for _ in range(100):
        other = damaged(rng, content)
        if other != content:
            with pytest.raises(DataError, match="refuses the file"):
                decided(tmp_path, other)


@needs_checker
def test_forged_files_do_not_crash_the_checker(tmp_path: Path) -> None:
    """Damage under a right sum: what is still well-formed may be decided either way."""
    torch.manual_seed(0)
    content, rng, said = small_file()[:-16], Random(1), Counter[str]()
    for _ in range(200):
        try:
            said[str(decided(tmp_path, sealed(damaged(rng, content))))] += 1
        except DataError as error:
            said["crashed" if "exit status" in str(error) or "Fatal" in str(error) else "refused"] += 1
    assert not said["crashed"]
    assert said["refused"] > 100
    assert said["False"] > 5


def one_layer(**changes: Any) -> Program:
    given: dict[str, Any] = {"feeds": ((0, 1.0),), "kernel": Numbers.all(1.0, 1), "bias": Numbers.all(0.0, 1)} | changes
    return Program((1, 1, 1), (Layer(**given),))


ONE = each(((0, 1.0),), 1)
ILL_FORMED = {
    "forward reference": one_layer(feeds=((1, 1.0),)),
    "no feed": one_layer(feeds=()),
    "ragged kernel": one_layer(kernel=Numbers.all(1.0, 1, 2)),
    "no output": one_layer(kernel=Numbers.all(1.0, 0), bias=Numbers.all(0.0, 0)),
    "groups that do not divide": one_layer(groups=2),
    "no groups": one_layer(groups=0),
    "a kernel beyond the image": one_layer(kernel=Numbers.all(1.0, 1, 2), rows=file.Axis(extent=2)),
    "no stride": one_layer(rows=file.Axis(stride=0)),
    "a mirror as long as the image": one_layer(rows=file.Axis(before=1), mode="reflect"),
    "a circle longer than the image": one_layer(rows=file.Axis(before=2), mode="circular"),
}


@needs_checker
@pytest.mark.parametrize("name", ILL_FORMED)
def test_ill_formed_networks_are_refused(name: str, tmp_path: Path) -> None:
    right = Program((1, 1, 1), (ONE,))
    assert decided(tmp_path, file.file_of("", right, [file.equal(right)]))
    for first, second in ((ILL_FORMED[name], right), (right, ILL_FORMED[name])):
        with pytest.raises(DataError, match="not well-formed"):
            decided(tmp_path, file.file_of("", first, [file.equal(second)]))


@needs_checker
def test_files_that_lie_about_themselves_are_refused(tmp_path: Path) -> None:
    content = small_file()[:-16]
    huge = content[:28] + struct.pack("<I", 2**31) + content[32:]
    nan = sealed(content.replace(struct.pack("<d", 1.0), struct.pack("<d", np.nan)))
    lies = {
        "ends in": sealed(content[:-1]),
        "left after": sealed(content + b"?"),
        "too few": b"ACNN",
        "does not begin": sealed(b"ACNNCORT" + content[8:]),
        "of version 7": sealed(content[:8] + struct.pack("<I", 7) + content[12:]),
        "more than the file holds": sealed(huge),
        "not a number": nan,
        "claims nothing": file.file_of("", Program((1, 1, 1), (ONE,)), []),
    }
    for reason, lie in lies.items():
        with pytest.raises(DataError, match=reason):
            decided(tmp_path, lie)
    with pytest.raises(DataError, match="No such file"):
        recheck(tmp_path / "nothing.cert")


@needs_checker
def test_certificates_write_what_can_be_rechecked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 1)).eval(), torch.zeros(1, 1, 3)
    for certificate in (
        collapse(model, x).certificate,
        certify(model, model, x),
        certify(model, derive(model, x), x, level="rational"),
    ):
        assert certificate is not None
        assert recheck(certificate.write(tmp_path / "x.cert"), seed=0).ok


def test_certificates_without_an_equality_are_not_written(tmp_path: Path) -> None:
    layer, x = nn.Linear(2, 1).eval(), torch.zeros(1, 2)
    loaded = Certificate.load(certify(layer, layer, x).save(tmp_path / "c.json"))
    for certificate in (loaded, certify(layer, layer, x, level="sampled"), certify(layer, nn.Linear(2, 1).eval(), x)):
        with pytest.raises(DataError, match="nothing for the checker"):
            certificate.write(tmp_path / "x.cert")
    with pytest.raises(NotAffineError):
        relu = trace(nn.Sequential(layer, nn.ReLU()).eval(), x)
        claims.certificate_file(relu, AffineMap.identity((2,)), rounding=True)


def test_a_missing_checker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(MissingExtraError, match="make checker"):
        recheck("x.cert")
