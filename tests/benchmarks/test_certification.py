"""What certificates cost and how often checks err: tables are printed; no time decides a verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from algebraic_cnn import certify
from algebraic_cnn.bench.certification import CHECKS, DEFECTS, DEPTHS, run, tallies
from algebraic_cnn.bench.collapsing import linear_resnet34
from algebraic_cnn.bench.timing import interleaved_seconds
from algebraic_cnn.certificates.check import residues
from algebraic_cnn.evaluate import Evaluator, terms
from algebraic_cnn.prime_field import PrimeField
from algebraic_cnn.primes import random_prime
from algebraic_cnn.trace import trace


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


def test_certificate_of_21_million_weights(capsys: pytest.CaptureFixture[str]) -> None:
    graph = trace(linear_resnet34(), torch.zeros(1, 1, 28, 28))
    field = PrimeField(random_prime(terms(graph), np.random.default_rng(0)))
    weights = [value for value in graph.constants.values() if value.is_floating_point()]
    seconds = interleaved_seconds({"weights to residues": lambda: [field.embed(w) for w in weights]}, seconds=2)
    certificate = certify(graph, graph)
    with capsys.disabled():
        print(f"\n{sum(w.numel() for w in weights):,} weights to residues: {seconds['weights to residues']:.2f} s")
        print(f"a certificate with {len(certificate.primes)} primes: {certificate.seconds:.1f} s")
    assert certificate.ok
    assert certificate.error_probability <= 2.0**-80
    assert residues(graph, field)(np.zeros((1, 1, 28, 28))).shape == (1, 10)
