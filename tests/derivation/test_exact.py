"""Exact W, B and outputs: against the recursion over fractions, against Python's own integers, and floats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import Rationals, certify, derive, exact_map, exact_outputs
from algebraic_cnn.errors import NonFiniteError, NotAffineError, ShapeError, TooLargeError, UnknownNameError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN, SkipSpec
from algebraic_cnn.rings.crt import lift, nearest, primes_for

rationals = st.fractions(max_denominator=2**70) | st.builds(
    lambda m, e: Fraction(m) * Fraction(2) ** e, st.integers(-(2**60), 2**60), st.integers(-120, 60)
)


def drawn(model: nn.Module, seed: int, dtype: torch.dtype) -> nn.Module:
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = rng.standard_normal(tensor.shape)
            tensor.copy_(torch.from_numpy(abs(values) + 0.5 if name.endswith("running_var") else values))
    return model.to(dtype).eval()


def network(dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    layers = [
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)),
        nn.Conv2d(3, 2, 3, padding=1),
        nn.Sequential(nn.AvgPool2d(3, padding=1, count_include_pad=False), nn.Flatten(), nn.Linear(8, 3)),
    ]
    return drawn(LinearCNN((2, 5, 5), layers, {(0, 2): SkipSpec(0.3, "conv")}), seed, dtype)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return trace(network(), torch.zeros(1, 2, 5, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("method", ["forward", "adjoint"])
def test_the_exact_map_is_the_recursion_over_fractions(dtype: torch.dtype, method: str) -> None:
    graph = trace(network(dtype), torch.zeros(1, 2, 5, 5, dtype=dtype))
    f, g = exact_map(graph, method=method), derive(graph, method="recursion", ring=Rationals()).to("dense")
    assert f.exactly_equals(g)
    assert all(isinstance(entry, Fraction) for entry in (*f.W.ravel(), *f.b))


def test_exact_outputs_are_the_exact_map_at_the_input(graph: Graph) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 2, 5, 5)))
    assert np.array_equal(exact_outputs(graph, x), exact_map(graph)(Rationals().embed(x.numpy())))


def test_the_true_error_of_torch_is_small_and_is_not_zero(graph: Graph) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 2, 5, 5))).float()
    with torch.no_grad():
        y = network()(x).double().numpy()
    errors = [abs(Fraction(a) - b) for a, b in zip(y.ravel().tolist(), exact_outputs(graph, x).ravel(), strict=True)]
    assert max(errors) > 0
    assert max(errors) < Fraction(float(abs(y).max())) * Fraction(2) ** -12


def test_progress_counts_primes(graph: Graph) -> None:
    seen: list[tuple[int, int]] = []
    exact_outputs(graph, torch.zeros(1, 2, 5, 5), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, len(seen)) for i in range(1, len(seen) + 1)]


def test_what_has_no_exact_map_is_refused(graph: Graph) -> None:
    with pytest.raises(TooLargeError, match="residues of W"):
        exact_map(graph, memory_budget=1000)
    with pytest.raises(ShapeError, match="does not fit the network"):
        exact_outputs(graph, torch.zeros(1, 2, 5, 4))
    with pytest.raises(NonFiniteError):
        exact_outputs(graph, torch.full((1, 2, 5, 5), math.nan))
    with pytest.raises(NotAffineError, match="relu"):
        exact_map(nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval(), torch.zeros(1, 2))
    with pytest.raises(UnknownNameError):
        exact_map(graph, method="guessed")


@given(st.lists(st.integers(-(2**300), 2**300), min_size=1, max_size=5), st.integers(1, 5000))
def test_lift_undoes_residues(values: list[int], terms: int) -> None:
    primes = primes_for(300 + 16, terms)
    residues = np.array([[value % p for value in values] for p in primes], dtype=np.float64)
    assert lift(residues, primes).tolist() == values


def test_lift_takes_many_at_once() -> None:
    primes = primes_for(80, 100)
    values = [(-1) ** i * i**5 for i in range(40_000)]
    residues = np.array([[value % p for value in values] for p in primes], dtype=np.int32)
    assert lift(residues, primes).tolist() == values


def test_primes_for_are_distinct_primes_and_enough() -> None:
    from sympy import isprime

    primes = primes_for(500, 4608)
    assert len(set(primes)) == len(primes)
    assert all(isprime(p) for p in primes)
    assert math.prod(primes[:-1]) < 2**501
    assert math.prod(primes) > 2**500


@given(rationals)
def test_nearest_is_nearest(value: Fraction) -> None:
    """No neighbour is closer, and a tie goes to the even one."""
    for dtype, width in (("float64", np.int64), ("float32", np.int32), ("float16", np.int16)):
        with np.errstate(over="ignore"):
            rounded = nearest(np.array([value], dtype=object), dtype)
        assert rounded.dtype == dtype
        if not np.isfinite(rounded[0]):
            continue
        distance = abs(Fraction(float(rounded[0])) - value)
        for towards in (np.inf, -np.inf):
            with np.errstate(over="ignore", under="ignore"):
                other = np.nextafter(rounded, np.array(towards, dtype))
            if np.isfinite(other[0]):
                away = abs(Fraction(float(other[0])) - value)
                assert distance < away or (distance == away and rounded.view(width)[0] % 2 == 0)


@given(rationals)
def test_nearest_bfloat16_is_nearest(value: Fraction) -> None:
    rounded = torch.from_numpy(nearest(np.array([value], dtype=object), "bfloat16")).bfloat16()
    distance = abs(Fraction(rounded.item()) - value)
    for towards in (math.inf, -math.inf):
        other = torch.nextafter(rounded, torch.tensor(towards).bfloat16())
        away = abs(Fraction(other.item()) - value)
        assert distance < away or (distance == away and rounded.view(torch.int16).item() % 2 == 0)


def test_nearest_knows_its_dtypes() -> None:
    with pytest.raises(UnknownNameError, match="float8"):
        nearest(np.array([Fraction(1)], dtype=object), "float8")
    with pytest.raises(NonFiniteError):
        nearest(np.array([Fraction(10) ** 400], dtype=object))


def ulp(array: np.ndarray, index: tuple[int, ...]) -> None:
    array[index] = np.nextafter(array[index], np.inf)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_exact_map_rounded_is_certified_and_one_ulp_is_not(graph: Graph, dtype: str) -> None:
    f = exact_map(graph)
    rounded = type(f)(nearest(f.W, dtype), nearest(f.b, dtype), f.in_shape, f.out_shape)
    certificate = certify(graph, rounded, level="rational")
    assert certificate.ok
    assert certificate.error_probability is None
    assert f"the exact ones, each rounded to the nearest {dtype}" in certificate.statement
    ulp(rounded.W, (1, 8))
    certificate = certify(graph, rounded, level="rational")
    if dtype == "float32":
        assert not certificate.ok
        assert certificate.witness.what == "entry (1, 8) of W"
        assert certificate.observed > certificate.bound
        assert str(certificate).startswith("No (rational): W and b given are not the exact ones, rounded to float32.")
    else:
        assert certificate.ok
        assert "1 of 153 entries are not the nearest floats" in certificate.statement


@pytest.mark.parametrize("method", ["forward", "adjoint", "recursion"])
def test_a_derivation_in_float64_is_explained(graph: Graph, method: str) -> None:
    """The proved bound of every entry of W and b holds against the exact ones."""
    certificate = certify(graph, derive(graph, method=method), level="rational")
    assert certificate.ok
    assert certificate.observed <= certificate.bound


def test_networks_are_compared_entry_by_entry(graph: Graph) -> None:
    assert certify(graph, graph, level="rational").ok
    mutant = network()
    with torch.no_grad():
        weight = mutant.layers[1].weight
        weight[0, 0, 0, 0] = torch.nextafter(weight[0, 0, 0, 0], torch.tensor(9.0))
    certificate = certify(graph, mutant, torch.zeros(1, 2, 5, 5), level="rational")
    assert str(certificate).startswith("No (rational): the two networks do not have the same W and B")
    assert "of W" in certificate.witness.what
    f = exact_map(graph)
    assert certify(f, graph, level="rational").ok


class Division(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0.3 + x.sum(1, keepdim=True) / 7


def test_division_is_exact() -> None:
    f = exact_map(Division().eval(), torch.zeros(1, 2).double())
    assert f.W[0, 0] == 1 / Fraction(0.3) + Fraction(1, 7)
    assert f.W[0, 1] == Fraction(1, 7)
