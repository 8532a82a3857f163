"""The exact numbers that files carry, where they are many or large: lifted from residues, and beside short floats."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from algebraic_cnn import derive
from algebraic_cnn.certification.recheck import claims
from algebraic_cnn.certification.recheck.layers import Coefficients
from algebraic_cnn.certification.recheck.lifted import lifted, odd_counts
from algebraic_cnn.certification.recheck.program import recheck
from algebraic_cnn.certification.recheck.reader import read
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.ops.sums import terms
from algebraic_cnn.rings.ring import Rationals, Ring
from tests.certification.test_recheck import needs_checker
from tests.certification.test_recheck_collapses import collapsed, networks


@pytest.mark.parametrize("name", ["resnet", "repvgg", "hourglass"])
def test_lifted_numbers_are_those_of_the_rationals(name: str) -> None:
    _, certificate = collapsed(name)
    first, second, recipes = networks(certificate)
    sums = max(terms(first), terms(second))
    assert recipes
    for recipe in recipes.values():
        exact = np.asarray(recipe(Rationals())).ravel().tolist()
        assert Coefficients.of(lifted(recipe, sums, odd_counts(first))).fractions() == exact


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        ([Fraction(1, 3), Fraction(-7, 24)], 3),
        ([Fraction(1, 9), Fraction(5, 7)], 3),  # a divisor that nobody announced
        ([Fraction(1, 2**200), Fraction(3)], 1),
        ([Fraction(1, 2**1200), Fraction(2**300)], 1),  # beyond the powers of two that are tried
        ([Fraction(0), Fraction(0)], 1),
    ],
)
def test_numbers_of_any_size_are_found(values: list[Fraction], odd: int) -> None:
    def recipe(ring: Ring) -> Any:
        return ring.embed(np.array(values, dtype=object))

    assert Coefficients.of(lifted(recipe, 9, odd)).fractions() == values


@needs_checker
def test_a_large_map_is_claimed_exactly_and_decided_modulo_random_primes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.AvgPool2d(3), nn.Conv2d(3, 2, 3), nn.Flatten()
    graph = trace(nn.Sequential(*layers).eval(), torch.zeros(1, 1, 9, 9))
    path = tmp_path / "x.cert"
    given = derive(graph)
    path.write_bytes(claims.certificate_file(graph, given, rounding=True))
    found = recheck(path, modulo=True)
    assert found.ok
    assert "primes" in str(found)
    assert "the floats are W and B" in str(found)
    (claim,) = read(path).steps[0].claims
    assert claim.kind == 2
    given.W[0, 0] = np.nextafter(given.W[0, 0], np.inf)
    path.write_bytes(claims.certificate_file(graph, given, rounding=True))
    assert "all but" in str(recheck(path, modulo=True))


def test_floats_are_written_as_short_as_they_are() -> None:
    graph = trace(nn.Linear(2, 1).eval(), torch.zeros(1, 2))
    given = derive(graph)
    assert claims._shortest(np.asarray(given.W)).dtype == np.float32
    assert claims._shortest(np.array([0.1])).dtype == np.float64
    assert claims._shortest(np.array([1e300])).dtype == np.float64


@needs_checker
def test_what_is_too_large_is_claimed_modulo_two_primes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "AFFORDABLE", 0)
    graph = trace(nn.Linear(2, 1).eval(), torch.zeros(1, 2))
    path = tmp_path / "x.cert"
    path.write_bytes(claims.certificate_file(graph, derive(graph), rounding=True))
    assert recheck(path, bits=20).ok
    assert [claim.kind for claim in read(path).steps[0].claims] == [1, 1]
