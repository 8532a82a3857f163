"""The extracted checker: it says yes to true claims, no to mistakes, and nothing but "refused" to damaged files.

What is claimed comes from the recursion written down by hand in exact fractions, not from the code that derives W, B.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from algebraic_cnn import AffineMap, certify, collapse, derive
from algebraic_cnn.certification.certificate import Certificate
from algebraic_cnn.certification.recheck import claims, file
from algebraic_cnn.certification.recheck.layers import Coefficients, Convolution, Program, each
from algebraic_cnn.certification.recheck.maps import mapped, stored
from algebraic_cnn.certification.recheck.program import VARIABLE, checker, recheck
from algebraic_cnn.certification.recheck.reader import read
from algebraic_cnn.certification.recheck.regions import regions_file
from algebraic_cnn.certification.recheck.spelling import spelled
from algebraic_cnn.certification.recheck.weights import origins
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.errors import DataError, MissingExtraError, NotAffineError
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN
from algebraic_cnn.rings.ring import Rationals
from algebraic_cnn.testing import Network, linear_cnns
from tests.certification.by_fractions import true_claims
from tests.files.damages import damaged
from tests.properties.by_hand import recursion_by_hand
from tests.properties.mutants import MUTATIONS, Choose, mutants
from tests.properties.test_mutants import on_networks
from tests.torches import OLD


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


@pytest.mark.thorough
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


def each_but_last(program: Program) -> Convolution:
    last = program.layers[-1]
    kernel = last.kernel.values.copy()
    kernel[0, -1] = np.nextafter(kernel[0, -1], np.float32(np.inf))
    return Convolution(last.feeds, Coefficients.of(kernel), last.bias, last.rows, last.columns, last.mode, last.groups)


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
def test_a_yes_to_a_forged_file_is_true_of_what_it_says(tmp_path: Path) -> None:
    """Damage under a right sum makes another file: the checker may say yes to it only where its networks are equal.

    Whether they are is told by a reader of its own and by convolutions in exact fractions, written from the definition.
    """
    torch.manual_seed(0)
    content, rng, said, path = small_file()[:-16], Random(1), Counter[Any](), tmp_path / "some.cert"
    for _ in range(300):
        other = damaged(rng, content)
        try:
            ok = decided(tmp_path, sealed(other))
        except DataError as error:
            said["crashed" if "exit status" in str(error) or "Fatal" in str(error) else "refused"] += 1
            continue
        said["true" if true_claims(path) else "false", ok] += other != content
    assert not said["crashed"]
    assert not said["false", True]
    assert not said["true", False]
    assert said["refused"] > 100
    assert said["false", False] > 5
    assert said["true", True] > 0


def one_layer(**changes: Any) -> Program:
    one, nothing = Coefficients.all(1.0, 1), Coefficients.all(0.0, 1)
    given: dict[str, Any] = {"feeds": ((0, 1.0),), "kernel": one, "bias": nothing} | changes
    return Program((1, 1, 1), (Convolution(**given),))


ONE = each(((0, 1.0),), 1)
ILL_FORMED = {
    "forward reference": one_layer(feeds=((1, 1.0),)),
    "no feed": one_layer(feeds=()),
    "ragged kernel": one_layer(kernel=Coefficients.all(1.0, 1, 2)),
    "no output": one_layer(kernel=Coefficients.all(1.0, 0), bias=Coefficients.all(0.0, 0)),
    "groups that do not divide": one_layer(groups=2),
    "no groups": one_layer(groups=0),
    "a kernel beyond the image": one_layer(kernel=Coefficients.all(1.0, 1, 2), rows=file.Window(extent=2)),
    "no stride": one_layer(rows=file.Window(stride=0)),
    "a mirror as long as the image": one_layer(rows=file.Window(before=1), mode="reflect"),
    "a circle longer than the image": one_layer(rows=file.Window(before=2), mode="circular"),
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
        "more than the file holds": sealed(content[:-1]),
        "left after": sealed(content + b"?"),
        "too few": b"ACNN",
        "does not begin": sealed(b"ACNNCORT" + content[8:]),
        "of version 7": sealed(content[:8] + struct.pack("<I", 7) + content[12:]),
        "32768 x 1 x|too large|2147483648|must be below": sealed(huge),
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


class Combined(nn.Module):
    """Some calls on the results of some modules."""

    def __init__(self, call: Any, *modules: nn.Module) -> None:
        super().__init__()
        self.call, self.modules_ = call, nn.ModuleList(modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(x, *self.modules_)


def resized(**options: Any) -> Combined:
    return Combined(lambda x, layer: F.interpolate(layer(x), **options), nn.Conv2d(2, 2, 3, padding=1))


def joined(axis: int) -> Combined:
    return Combined(lambda x, layer: torch.cat([layer(x), x, 2 * x], axis), nn.Conv2d(2, 2, 3, padding=1))


def averaged(**options: Any) -> Combined:
    """Of four rows and columns: sixteenths are floats."""
    return Combined(lambda x, layer: layer(x).mean((2, 3), **options), nn.Conv2d(2, 2, (3, 2), padding=1))


PATTERNS = {
    "transposed": nn.ConvTranspose2d(2, 4, 3, stride=(2, 1), padding=1, output_padding=(1, 0), groups=2),
    "bilinear": resized(scale_factor=2, mode="bilinear"),
    "bilinear down": resized(size=(3, 5), mode="bilinear", align_corners=True),
    "bicubic": resized(size=(5, 2), mode="bicubic"),
    "nearest": resized(size=(5, 7)),
    "nearest-exact": resized(size=(5, 7), mode="nearest-exact"),
    "channels": joined(1),
    "rows": joined(2),
    "columns": joined(-1),
    "mean": averaged(keepdim=True),
    "mean, a vector": averaged(),
}


@needs_checker
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_written_out(name: str, tmp_path: Path) -> None:
    """W and b are read off torch's own outputs at unit vectors, which small integer weights leave exact."""
    model = PATTERNS[name].double().eval()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.integers(-8, 9, parameter.shape)))
        units = torch.cat([torch.zeros(1, 24), torch.eye(24)]).double().reshape(-1, 2, 4, 3)
        rows = model(units).flatten(1).numpy()
    graph = trace(model, torch.zeros(1, 2, 4, 3).double())
    W, b = np.array([[Fraction(v) for v in row] for row in rows[1:] - rows[0]], dtype=object).T, rows[0]
    program = spelled(graph)
    if name not in ("bicubic", "bilinear down"):  # their products with thirds and the like round
        assert decided(tmp_path, file.file_of("", program, [file.equal(mapped(W, b, (2, 4, 3)))]))
        W[0, 0] += 1
        assert not decided(tmp_path, file.file_of("", program, [file.equal(mapped(W, b, (2, 4, 3)))]))
    exact = exact_map(graph)
    claim = file.equal(mapped(np.asarray(exact.W), np.asarray(exact.b), (2, 4, 3)))
    assert decided(tmp_path, file.file_of("", program, [claim]))


def bytes_of_calls(names: tuple[str, str], given: tuple[Any, Any], returned: tuple[Any, Any]) -> bytes:
    """x -> f(2 x + x), beside the same of another network."""
    layer = each(((0, 2.0), (0, 1.0)), 1)
    tripled, other = Program((1, 1, 2), (layer,)), Program((1, 1, 2), (each(((0, 3.0),), 1),))
    steps = [file.region(tripled, [file.equal(other)], (0,)), file.call(names, given, (1, 1, 2))]
    return file.steps_file("", [(1, 1, 2)], steps, returned)


@needs_checker
def test_networks_with_calls_are_compared_region_by_region(tmp_path: Path) -> None:
    assert decided(tmp_path, bytes_of_calls(("relu", "relu"), ((1,), (1,)), ((2,), (2,))))
    assert not decided(tmp_path, bytes_of_calls(("relu", "silu"), ((1,), (1,)), ((2,), (2,))))
    assert not decided(tmp_path, bytes_of_calls(("relu", "relu"), ((1,), (0,)), ((2,), (2,))))
    assert not decided(tmp_path, bytes_of_calls(("relu", "relu"), ((1,), (1,)), ((2,), (1,))))
    with pytest.raises(DataError, match="must be below"):
        decided(tmp_path, bytes_of_calls(("relu", "relu"), ((2,), (2,)), ((2,), (2,))))


@needs_checker
def test_the_checker_needs_nothing_but_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "x.cert").write_bytes(small_file())
    command = [str(checker()), str(tmp_path / "x.cert")]
    run = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_weights_are_read_from_the_bytes_of_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = classifier(), torch.zeros(2, 1, 8, 8)
    graph = trace(model, x)
    program = spelled(graph)
    (tmp_path / "x.cert").write_bytes(file.file_of("", program, [file.equal(program)]))

    def saved() -> Path:
        torch.export.save(torch.export.export(model, (x,)), tmp_path / "m.pt2")
        return tmp_path / "m.pt2"

    if OLD:
        with pytest.raises(DataError, match=r"pickled the weights"):
            origins(tmp_path / "x.cert", saved())
        pytest.skip("torch 2.8 pickles the weights of its files")
    found = origins(tmp_path / "x.cert", saved())
    assert found.ok, found
    assert {"0.weight", "0.bias", "2.weight", "7.weight"} <= set(found.found)
    for name, value in model.named_parameters():
        with torch.no_grad():
            kept = value.clone()
            value.view(-1)[0] = torch.nextafter(value.view(-1)[0], torch.tensor(torch.inf))
            changed = origins(tmp_path / "x.cert", saved())
            value.copy_(kept)
        assert not changed.ok, name
        assert name in changed.unused or changed.unknown
    with pytest.raises(DataError, match="not a model"):
        origins(tmp_path / "x.cert", tmp_path / "x.cert")
    with pytest.raises(DataError, match="not a certificate"):
        origins(tmp_path / "m.pt2", tmp_path / "m.pt2")


def test_weights_that_are_pickled_are_not_read(tmp_path: Path) -> None:
    program = spelled(trace(classifier(), torch.zeros(2, 1, 8, 8)))
    (tmp_path / "x.cert").write_bytes(file.file_of("", program, [file.equal(program)]))
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("m/data/weights/model.pt", b"")
    with pytest.raises(DataError, match=r"pickled the weights.*expected a file of a later torch"):
        origins(tmp_path / "x.cert", tmp_path / "m.pt2")


class Residual(nn.Module):
    """ReLUs, a skip and a max-pool, written in one of two ways."""

    def __init__(self, way: int) -> None:
        super().__init__()
        self.way = way
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Linear(27, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.first(x))
        if self.way == 0:
            return self.last(F.max_pool2d(F.relu(self.second(h) + h), 2).flatten(1))
        return self.last(F.max_pool2d((h + self.second(h)).relu(), 2, 2).reshape(-1, 27))


@needs_checker
def test_a_network_with_relus_is_rechecked_region_by_region(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other, x = Residual(0).eval(), Residual(1).eval(), torch.zeros(1, 1, 6, 6)
    other.load_state_dict(one.state_dict())
    path = certify(one, other, x).write(tmp_path / "x.cert")
    found = recheck(path)
    assert found.ok
    assert sum(line.startswith("A call") for line in found.lines) == 3
    assert sum(line.startswith("A region") for line in found.lines) == 4
    assert [step.given[0] for step in read(path).steps] == [(0,), (1,), (2,), (3,), (4,), (5,), (6,)]
    for name, value in other.named_parameters():
        with torch.no_grad():
            kept = value.clone()
            value.view(-1)[0] = torch.nextafter(value.view(-1)[0], torch.tensor(torch.inf))
            path.write_bytes(regions_file(trace(one, x), trace(other, x)))
            value.copy_(kept)
        assert not recheck(path).ok, name
