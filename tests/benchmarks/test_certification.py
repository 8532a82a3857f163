"""What certificates cost and how often checks err: tables are printed; no time decides a verdict."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from algebraic_cnn import certify
from algebraic_cnn.apps.bench.certification import CHECKS, DEFECTS, DEPTHS, run, tallies
from algebraic_cnn.apps.bench.collapsing import linear_resnet34
from algebraic_cnn.apps.bench.defects import network
from algebraic_cnn.certification.check import native, residues
from algebraic_cnn.certification.rounding import forward_error
from algebraic_cnn.collapsing.measurement import interleaved_seconds
from algebraic_cnn.derivation.exact import exact_map, exact_outputs
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.evaluate import Evaluator
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.prime_field import PrimeField
from algebraic_cnn.rings.primes import random_prime
from algebraic_cnn.rings.ring import Float


@pytest.mark.parametrize("depth", DEPTHS)
def test_false_alarms_and_misses(depth: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = tallies(run(tmp_path / "cases.jsonl", networks=2, repeats=2, depths=[depth]))
    with capsys.disabled():
        print()
        for row in found:
            counts = f"alarms {row.alarms}/{row.right}  misses {row.misses}/{row.wrong}"
            print(f"{row.depth:3} layers {row.check:28} {counts}")
    assert [row.check for row in found] == list(CHECKS)
    for level in ("modular", "rational"):
        row = found[CHECKS.index(level)]
        assert (row.right, row.alarms, row.misses) == (2, 0, 0)
    assert found[CHECKS.index("modular")].wrong == 4 * DEFECTS


@pytest.mark.parametrize("size", [32, 224])
def test_a_point_modulo_p_beside_a_forward_pass(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A batch through linear ResNet34 modulo p, its weights already residues, and in float32."""
    model = linear_resnet34()
    graph = trace(model, torch.zeros(1, 1, size, size))
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    run = Evaluator(graph, field)
    x = torch.randn(4, 1, size, size)
    z = field.embed(x)

    def quietly(function: Callable[[], object]) -> Callable[[], object]:
        def call() -> object:
            with torch.no_grad():
                return function()

        return call

    functions = {"float32": quietly(lambda: model(x)), "modulo p": quietly(lambda: run(z))}
    seconds = interleaved_seconds(functions, seconds=3)
    with capsys.disabled():
        print(f"\n{size} x {size}: a point modulo p takes {seconds['modulo p'] / seconds['float32']:.2f} x float32")
    with torch.no_grad():
        assert torch.equal(field.reduce(run(z)), run(z))


def rescaled(model: torch.nn.Module) -> torch.nn.Module:
    """The same function with other numbers: kernels twice as large, and BatchNorms that expect it."""
    other = copy.deepcopy(model)
    for module in other.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data *= 2
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.get_buffer("running_mean").mul_(2)
            module.weight.data /= 2
    return other


@pytest.mark.parametrize("size", [28, 224])
def test_certificate_of_21_million_weights(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the network and itself, and of the network and one with other weights, whose residues are not shared."""
    model, example = linear_resnet34(), torch.zeros(1, 1, size, size)
    graph, other = trace(model, example), trace(rescaled(model), example)
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    weights = [value for value in graph.constants.values() if value.is_floating_point()]
    seconds = interleaved_seconds({"weights to residues": lambda: [field.embed(w) for w in weights]}, seconds=2)
    certificates = {"shared": certify(graph, graph), "other": certify(graph, other)}
    with capsys.disabled():
        print(f"\n{sum(w.numel() for w in weights):,} weights to residues: {seconds['weights to residues']:.2f} s")
        for kind, certificate in certificates.items():
            count = len(certificate.primes)
            print(f"{size} x {size}, {kind} weights: a certificate with {count} primes: {certificate.seconds:.1f} s")
    for certificate in certificates.values():
        assert certificate.ok
        assert certificate.error_probability <= 2.0**-80
    assert residues(graph, field)(np.zeros((1, 1, size, size))).shape == (1, 10)


def test_one_ulp_in_21_million_weights(capsys: pytest.CaptureFixture[str]) -> None:
    """One weight of linear ResNet34, anywhere, by one unit in the last place.

    Not at 28 x 28: there the last kernels see one pixel and its padding, so that eight of nine taps do nothing.
    """
    graph, rng = trace(linear_resnet34(), torch.zeros(1, 1, 64, 64)), np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((2, 1, 64, 64))).float()
    field = PrimeField(random_prime(terms(graph), rng))
    point = rng.integers(-field.half, field.half + 1, (1, 1, 64, 64)).astype(np.float64)
    y, z = native(graph, x), residues(graph, field)(point)
    kernels = [name for name, value in graph.constants.items() if value.ndim == 4]
    refused, close, changed = 0, 0, []
    for _ in range(10):
        name = str(rng.choice(kernels))
        weight = graph.constants[name].clone()
        flat, place = weight.view(-1), int(rng.integers(weight.numel()))
        flat[place] = torch.nextafter(flat[place], torch.tensor(torch.inf))
        mutant = replace(graph, constants={**graph.constants, name: weight})
        refused += not certify(graph, mutant, points=1).ok
        close += torch.allclose(native(mutant, x).float(), y.float())
        changed.append(int((residues(mutant, field)(point) != z).sum()))
    with capsys.disabled():
        print(f"\none weight by one ulp, ten times: modular refuses {refused}, torch.allclose accepts {close}, ")
        print(f"residues that changed, of 10 outputs: {changed}")
    assert refused == 10


def test_the_exact_error_of_a_float32_forward_pass(capsys: pytest.CaptureFixture[str]) -> None:
    graph = trace(linear_resnet34(), torch.zeros(1, 1, 32, 32))
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    exact = exact_outputs(graph, x)
    seconds = time.perf_counter() - start
    y = native(graph, x).numpy()
    errors = np.array([abs(Fraction(c) - e) for c, e in zip(y.ravel().tolist(), exact.ravel(), strict=True)], float)
    found = forward_error(graph, x)
    with capsys.disabled():
        print(f"\nexact outputs of linear ResNet34 for two 32 x 32 images: {seconds:.1f} s")
        print(f"torch's float32 errs by {errors.max():.3e} at most, outputs up to {np.abs(y).max():.3e};")
        print(f"bound {float(found.bound.max()):.3e}, likely {float(found.likely.max()):.3e}")
    assert (errors <= found.bound.numpy().ravel()).all()


def test_bounds_at_depth_34(capsys: pytest.CaptureFixture[str]) -> None:
    """What is proved of float32, beside what it does; and float32's own error, measured with a proved precision."""
    graph = network(34, 0, channels=16)
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = native(graph, x)
    exact = exact_outputs(graph, x).reshape(8, -1)
    errors = np.array([abs(Fraction(c) - e) for c, e in zip(y.ravel().tolist(), exact.ravel(), strict=True)], float)
    own, fine = forward_error(graph, x), forward_error(graph, x, torch.float64)
    in_float64 = Evaluator(graph, Float())
    with torch.no_grad():
        measured = (y - in_float64(x.double()).reshape(8, -1)).abs()
    proved, seen, likely = float(own.bound.max()), errors.max(), float(own.likely.max())
    share = float((fine.bound / measured).median())
    with capsys.disabled():
        print(f"\n34 layers, 16 channels: float32 errs by {seen:.2e}; proved {proved:.2e}, {proved / seen:.1e} times")
        print(f"that; likely {likely:.2e}; beside float64 the error is known within {100 * share:.2g} % (median)")
    assert (errors <= own.bound.numpy().ravel()).all()
    distance = np.abs(measured.numpy().ravel() - errors)
    assert (distance <= fine.bound.numpy().ravel() * (1 + 2.0**-20)).all()


def test_the_exact_map_of_34_layers(capsys: pytest.CaptureFixture[str]) -> None:
    graph = network(34, 0, channels=16)
    start = time.perf_counter()
    f = exact_map(graph)
    seconds = time.perf_counter() - start
    bits = max(value.denominator.bit_length() for value in f.W.ravel())
    with capsys.disabled():
        print(f"\nexact W {f.W.shape} of 34 layers, 16 channels, 8 x 8: {seconds:.1f} s, denominators of {bits:,} bits")
    x = torch.ones(1, 1, 8, 8)
    assert (f.W @ np.array([Fraction(1)] * 64) + f.b == exact_outputs(graph, x).ravel()).all()
